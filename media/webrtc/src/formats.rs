//! Codecs between str0m's words and ours.

use media_types::Codec;
use str0m::RtcConfig;

/// Lets str0m negotiate these codecs and no others. Opus is taken with redundancy (RFC 2198), which
/// is passed on to those who know it, and lost sound may be asked for like lost pictures, where the
/// client offers that: on a near path it comes in time.
pub(crate) fn enable(config: RtcConfig, codecs: &[Codec]) -> RtcConfig {
    let config = config.clear_codecs();
    let mut config = codecs.iter().fold(config, |config, codec| match codec {
        Codec::Opus => config.enable_opus(true, true),
        Codec::Vp8 => config.enable_vp8(true),
        Codec::Vp9 => config.enable_vp9(true),
        Codec::Av1 => config.enable_av1(true),
        Codec::H264 => config.enable_h264(true),
        Codec::H265 => config.enable_h265(true),
    });
    for params in config.codec_config().iter_mut() {
        params.set_fb_nack(true);
    }
    config
}

/// The codec of an encoding name in an `a=rtpmap` line; names have no case (RFC 8866, section 6.6).
pub(crate) fn codec_of(name: &str) -> Option<Codec> {
    Codec::ALL
        .into_iter()
        .find(|codec| codec.name().eq_ignore_ascii_case(name))
}
