//! Payload descriptors: just enough of each payload to find keyframes and layers, and to keep
//! picture numbers continuous.
//!
//! [`inspect`] says what one packet is, whatever its codec. It is stateless; the one codec whose
//! layers take state is AV1, where the caller reads the dependency descriptor of the header
//! extension with a [`dependency::DependencyState`] first. A subscription whose pictures go on from
//! another source keeps a [`PictureIdRewriter`] and sends the [`prefix`] made with its
//! [`PicturePatch`]es in place of the payload's first bytes.

pub mod av1;
mod bits;
pub mod dependency;
pub mod h264;
pub mod h265;
pub mod picture;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;
use media_types::{Codec, Layer};

use dependency::Dependency;
pub use picture::{PictureId, PictureIdRewriter, PictureIds, PicturePatch};

/// What one packet is to those who choose which packets to forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameInfo {
    /// A decoder can start with this packet: it is the *first* of a keyframe. Later packets of the
    /// same frame say `false`, so that a start is never made in the middle.
    pub keyframe: bool,
    /// The first packet of a frame (of one spatial layer's frame, where layers share a stream), as
    /// far as the payload tells.
    pub start_of_frame: bool,
    /// The last packet of a frame: the marker bit, or what the descriptor says where several
    /// spatial layers share a stream and the marker ends only the topmost.
    pub end_of_frame: bool,
    /// The layer, as far as the packet says; the base layer otherwise. With simulcast the spatial
    /// layer is known from the stream, not from the packet.
    pub layer: Layer,
    /// Who has had the lower temporal layers may be given this temporal layer from this frame on.
    pub switch_point: bool,
    /// Who has had the lower spatial layers may be given this spatial layer from this frame on.
    pub spatial_switch_point: bool,
    /// No other frame needs this one.
    pub discardable: bool,
    /// Picture numbers, as they came.
    pub picture: PictureIds,
}

impl FrameInfo {
    /// A packet that is a whole frame on its own, as audio is.
    pub const WHOLE: Self = Self {
        keyframe: true,
        start_of_frame: true,
        end_of_frame: true,
        layer: Layer::BASE,
        switch_point: true,
        spatial_switch_point: true,
        discardable: false,
        picture: PictureIds::NONE,
    };
}

/// Longest start of a payload that is ever rewritten; VP8's ids end after 6 bytes, VP9's after 5.
pub const PREFIX_BYTES_MAX: usize = 16;

/// The rewritten start of a payload.
pub type Prefix = ArrayVec<u8, PREFIX_BYTES_MAX>;

/// A picture's size in pixels, as its stream declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
}

/// What the packet with this `payload` is; `None` if the payload is empty or cut short.
///
/// `marker` is the RTP marker bit. `dependency` is the packet's dependency descriptor, if it had
/// one that could be read; it takes precedence over the payload.
#[must_use]
pub fn inspect(
    codec: Codec,
    payload: &[u8],
    marker: bool,
    dependency: Option<&Dependency>,
) -> Option<FrameInfo> {
    if payload.is_empty() {
        return None;
    }
    if let Some(dependency) = dependency {
        // The descriptor may be sent with any codec; VP8 and VP9 still have ids to rewrite.
        let payload_ids = match codec {
            Codec::Vp8 => vp8::Vp8Descriptor::parse(payload)?.picture,
            Codec::Vp9 => vp9::Vp9Descriptor::parse(payload)?.picture,
            Codec::Opus | Codec::Av1 | Codec::H264 | Codec::H265 => dependency.picture(),
        };
        return Some(FrameInfo {
            picture: payload_ids,
            ..dependency.frame()
        });
    }
    match codec {
        Codec::Opus => Some(FrameInfo::WHOLE),
        Codec::Vp8 => vp8::inspect(payload, marker),
        Codec::Vp9 => vp9::inspect(payload, marker),
        Codec::Av1 => av1::inspect(payload, marker),
        Codec::H264 => h264::inspect(payload, marker),
        Codec::H265 => h265::inspect(payload, marker),
    }
}

/// The start of a payload with a subscription's picture numbers in place: these bytes are to be
/// sent instead of as many of the payload's own. Empty if the payload has no such numbers.
#[must_use]
pub fn prefix(codec: Codec, payload: &[u8], patch: PicturePatch) -> Prefix {
    let prefix = match codec {
        Codec::Vp8 => vp8::prefix(payload, patch),
        Codec::Vp9 => vp9::prefix(payload, patch),
        // AV1's number is in the header extension: `dependency::rewrite_frame_number`.
        Codec::Opus | Codec::Av1 | Codec::H264 | Codec::H265 => None,
    };
    prefix.unwrap_or_default()
}

/// The size of the picture, or of its topmost layer, where this packet declares it: the first
/// packet of a VP8 or VP9 keyframe.
#[must_use]
pub fn resolution(codec: Codec, payload: &[u8]) -> Option<Resolution> {
    match codec {
        Codec::Vp8 => vp8::resolution(payload),
        Codec::Vp9 => vp9::Vp9Descriptor::parse(payload)?.resolutions.pop(),
        Codec::Opus | Codec::Av1 | Codec::H264 | Codec::H265 => None,
    }
}

/// A layer from numbers of the wire; what lies above the layers that we tell apart counts as the
/// top.
fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer {
        spatial: spatial.min(Layer::TOP.spatial),
        temporal: temporal.min(Layer::TOP.temporal),
    }
}
