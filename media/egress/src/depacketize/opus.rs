//! Opus: a packet is a frame (RFC 7587, section 4.2).

use bytes::Bytes;

use super::Assembled;
use crate::TrackConfig;

/// The frame of its one packet.
///
/// WebRTC's Opus is described as stereo whatever it carries (RFC 7587, section 7): a decoder makes
/// of each packet what it was told to.
#[must_use]
pub fn assemble(payloads: &[&[u8]]) -> Option<Assembled> {
    let [payload] = payloads else {
        return None;
    };
    Some(Assembled {
        data: Bytes::copy_from_slice(payload),
        keyframe: true,
        config: Some(TrackConfig::opus(2)),
    })
}
