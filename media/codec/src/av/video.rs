//! Video: H.264 in, H.264 out.

use ffmpeg_next as ff;
use ffmpeg_next::codec::context::Context;
use ffmpeg_next::codec::{Id, decoder, encoder};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Dictionary, Packet, Rational, frame, media};
use media_transcode::TranscodeError;
use media_types::Bitrate;

use super::{TIME_BASE, decoder_context, failed, is_dry, missing, packet, received, unsuited};
use crate::limits::ENCODER_THREADS;

/// Rate control is told this many pictures a second; bitrates are scaled to what there really are.
pub(crate) const NOMINAL_FPS: u64 = 30;
/// Pictures from one keyframe to the next where nobody asks for one: ten seconds.
const GROUP_PICTURES: u32 = 300;

/// Decodes H.264.
pub(crate) struct VideoDecoder(decoder::Video);

impl VideoDecoder {
    pub(crate) fn h264() -> Result<Self, TranscodeError> {
        let codec = decoder::find(Id::H264).ok_or_else(|| missing("decoder", Id::H264))?;
        let mut context = decoder_context(Id::H264, media::Type::Video, &[])?;
        // Threads by frames would hold back a frame each.
        context.set_threading(ff::threading::Config::count(1));
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(TIME_BASE);
        let opened = decoder.open_as(codec).map_err(unsuited)?;
        opened.video().map(Self).map_err(failed)
    }

    pub(crate) fn push(
        &mut self,
        data: &[u8],
        presented_ns: i64,
        decoded_ns: i64,
    ) -> Result<(), TranscodeError> {
        let packet = packet(data, presented_ns, decoded_ns)?;
        self.0.send_packet(&packet).map_err(failed)
    }

    pub(crate) fn poll(&mut self) -> Result<Option<frame::Video>, TranscodeError> {
        let mut frame = frame::Video::empty();
        match self.0.receive_frame(&mut frame) {
            Ok(()) => Ok(Some(frame)),
            Err(error) if is_dry(error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Has the pictures inside come out; afterwards [`Self::reset`] before the next packet.
    pub(crate) fn drain(&mut self) -> Result<(), TranscodeError> {
        self.0.send_eof().map_err(failed)
    }

    pub(crate) fn reset(&mut self) {
        self.0.flush();
    }
}

/// Encodes H.264, constrained baseline: no picture waits for another, nothing is reordered.
pub(crate) struct VideoEncoder {
    encoder: encoder::video::Encoder,
    size: (u32, u32),
    pixel: Pixel,
}

impl VideoEncoder {
    /// An encoder for pictures like this one.
    pub(crate) fn h264(picture: &frame::Video, bitrate: Bitrate) -> Result<Self, TranscodeError> {
        let missing = || TranscodeError::Unsupported("no encoder libx264".to_owned());
        let codec = encoder::find_by_name("libx264").ok_or_else(missing)?;
        let mut context = Context::new_with_codec(codec);
        context.set_threading(ff::threading::Config::count(ENCODER_THREADS));
        let mut video = context.encoder().video().map_err(failed)?;
        let fps = i32::try_from(NOMINAL_FPS).unwrap_or(30);
        video.set_width(picture.width());
        video.set_height(picture.height());
        video.set_format(picture.format());
        video.set_colorspace(picture.color_space());
        video.set_color_range(picture.color_range());
        video.set_color_primaries(picture.color_primaries());
        video.set_color_transfer_characteristic(picture.color_transfer_characteristic());
        video.set_time_base(Rational(1, fps));
        video.set_frame_rate(Some(Rational(fps, 1)));
        video.set_gop(GROUP_PICTURES);
        video.set_max_b_frames(0);
        set_rates(&mut video, bitrate);
        let mut options = Dictionary::new();
        options.set("preset", "veryfast");
        options.set("tune", "zerolatency");
        options.set("profile", "baseline");
        options.set("forced-idr", "1");
        let encoder = video.open_as_with(codec, options).map_err(unsuited)?;
        Ok(Self {
            encoder,
            size: (picture.width(), picture.height()),
            pixel: picture.format(),
        })
    }

    /// Whether it was made for pictures like this.
    pub(crate) fn fits(&self, picture: &frame::Video) -> bool {
        self.size == (picture.width(), picture.height()) && self.pixel == picture.format()
    }

    /// Takes a picture. `number` only has to rise: nothing is reordered.
    pub(crate) fn push(
        &mut self,
        picture: &mut frame::Video,
        number: i64,
        keyframe: bool,
    ) -> Result<(), TranscodeError> {
        // What it was in the source is no matter.
        let kind = if keyframe {
            ff::picture::Type::I
        } else {
            ff::picture::Type::None
        };
        picture.set_kind(kind);
        picture.set_pts(Some(number));
        self.encoder.send_frame(picture).map_err(failed)
    }

    pub(crate) fn poll(&mut self) -> Result<Option<Packet>, TranscodeError> {
        received(&mut self.encoder)
    }

    /// From the next picture on.
    pub(crate) fn set_bitrate(&mut self, bitrate: Bitrate) {
        set_rates(&mut self.encoder, bitrate);
    }
}

/// Half a second may be saved up, so that a keyframe is no burst that a path cannot carry.
fn set_rates(encoder: &mut encoder::Encoder, bitrate: Bitrate) {
    let bps = usize::try_from(bitrate.bps()).unwrap_or(usize::MAX);
    encoder.set_bit_rate(bps);
    encoder.set_max_bit_rate(bps);
    let half = i32::try_from(bitrate.bps() / 2).unwrap_or(i32::MAX);
    // SAFETY: the context is ours alone; libx264's wrapper looks at the field with each picture.
    unsafe { (*encoder.as_mut_ptr()).rc_buffer_size = half };
}

/// Makes pictures of another size, or in the one arrangement of pixels that browsers decode.
pub(crate) struct Scaler(ff::software::scaling::Context);

impl Scaler {
    pub(crate) fn new(picture: &frame::Video, size: (u32, u32)) -> Result<Self, TranscodeError> {
        let flags = ff::software::scaling::Flags::BILINEAR;
        let (format, width, height) = (picture.format(), picture.width(), picture.height());
        let (to_width, to_height) = size;
        let to = Pixel::YUV420P;
        ff::software::scaling::Context::get(format, width, height, to, to_width, to_height, flags)
            .map(Self)
            .map_err(failed)
    }

    /// Whether it was made for pictures like this.
    pub(crate) fn fits(&self, picture: &frame::Video, size: (u32, u32)) -> bool {
        let (input, output) = (self.0.input(), self.0.output());
        input.format == picture.format()
            && (input.width, input.height) == (picture.width(), picture.height())
            && (output.width, output.height) == size
    }

    pub(crate) fn run(&mut self, picture: &frame::Video) -> Result<frame::Video, TranscodeError> {
        let mut made = frame::Video::empty();
        self.0.run(picture, &mut made).map_err(failed)?;
        made.set_color_space(picture.color_space());
        made.set_color_range(picture.color_range());
        Ok(made)
    }
}

/// Whether browsers decode pictures whose pixels are arranged like this.
pub(crate) fn is_plain(pixel: Pixel) -> bool {
    matches!(pixel, Pixel::YUV420P | Pixel::YUVJ420P)
}
