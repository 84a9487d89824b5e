//! VP8: the payload descriptor (RFC 7741, section 4.2) and the first bytes of a frame (section
//! 4.3).

use super::bits::Bytes;
use super::picture::{PictureId, PictureIds, PicturePatch};
use super::{FrameInfo, Prefix, Resolution, layer};

const EXTENDED: u8 = 0x80;
const NON_REFERENCE: u8 = 0x20;
const START_OF_PARTITION: u8 = 0x10;
const PARTITION: u8 = 0x07;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0_PIC_IDX: u8 = 0x40;
const HAS_TID: u8 = 0x20;
const HAS_KEY_IDX: u8 = 0x10;
const LAYER_SYNC: u8 = 0x20;
const KEY_IDX: u8 = 0x1f;
/// Set in the first byte of a frame that is *not* a keyframe.
const INTER_FRAME: u8 = 0x01;

/// A parsed VP8 payload descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// Picture id, TL0PICIDX and KEYIDX.
    pub picture: PictureIds,
    /// TID: the temporal layer, where layers are in use.
    pub temporal: Option<u8>,
    /// Y: the frame depends on the base layer alone.
    pub layer_sync: bool,
    /// N: no other frame refers to this one.
    pub non_reference: bool,
    /// S and partition 0: the first packet of a frame.
    pub start_of_frame: bool,
    /// Bytes of the descriptor.
    pub length: usize,
    at: Positions,
}

/// Where the ids stand in the payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Positions {
    picture_id: Option<usize>,
    tl0_pic_idx: Option<usize>,
    key_idx: Option<usize>,
}

impl Vp8Descriptor {
    /// Parses the descriptor at the start of a payload; `None` if it is cut short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = Bytes::new(payload);
        let first = bytes.byte()?;
        let extension = if first & EXTENDED == 0 {
            0
        } else {
            bytes.byte()?
        };
        let mut parsed = Self {
            picture: PictureIds::NONE,
            temporal: None,
            layer_sync: false,
            non_reference: first & NON_REFERENCE != 0,
            start_of_frame: first & START_OF_PARTITION != 0 && first & PARTITION == 0,
            length: 0,
            at: Positions::default(),
        };
        if extension & HAS_PICTURE_ID != 0 {
            parsed.at.picture_id = Some(bytes.position());
            parsed.picture.id = Some(PictureId::read(&mut bytes)?);
        }
        if extension & HAS_TL0_PIC_IDX != 0 {
            parsed.at.tl0_pic_idx = Some(bytes.position());
            parsed.picture.tl0_pic_idx = Some(bytes.byte()?);
        }
        if extension & (HAS_TID | HAS_KEY_IDX) != 0 {
            let position = bytes.position();
            let byte = bytes.byte()?;
            if extension & HAS_TID != 0 {
                parsed.temporal = Some(byte >> 6);
                parsed.layer_sync = byte & LAYER_SYNC != 0;
            }
            if extension & HAS_KEY_IDX != 0 {
                parsed.at.key_idx = Some(position);
                parsed.picture.key_idx = Some(byte & KEY_IDX);
            }
        }
        parsed.length = bytes.position();
        Some(parsed)
    }
}

/// What the packet is; `None` if the descriptor is cut short.
pub(super) fn inspect(payload: &[u8], marker: bool) -> Option<FrameInfo> {
    let descriptor = Vp8Descriptor::parse(payload)?;
    let keyframe = descriptor.start_of_frame
        && payload
            .get(descriptor.length)
            .is_some_and(|byte| byte & INTER_FRAME == 0);
    let temporal = descriptor.temporal.unwrap_or(0);
    Some(FrameInfo {
        keyframe,
        start_of_frame: descriptor.start_of_frame,
        end_of_frame: marker,
        layer: layer(0, temporal),
        switch_point: temporal == 0 || descriptor.layer_sync,
        spatial_switch_point: keyframe,
        discardable: descriptor.non_reference,
        picture: descriptor.picture,
    })
}

/// The descriptor with new ids; see [`super::prefix`].
pub(super) fn prefix(payload: &[u8], patch: PicturePatch) -> Option<Prefix> {
    let descriptor = Vp8Descriptor::parse(payload)?;
    let mut prefix = Prefix::try_from(payload.get(..descriptor.length)?).ok()?;
    let at = descriptor.at;
    if let (Some(id), Some(position)) = (descriptor.picture.id, at.picture_id) {
        id.write(&mut prefix, position, patch.picture_id);
    }
    if let Some(byte) = at.tl0_pic_idx.and_then(|at| prefix.get_mut(at)) {
        *byte = patch.tl0_pic_idx;
    }
    if let Some(byte) = at.key_idx.and_then(|at| prefix.get_mut(at)) {
        *byte = (*byte & !KEY_IDX) | (patch.key_idx & KEY_IDX);
    }
    Some(prefix)
}

/// The size of the picture, from the first packet of a keyframe (RFC 6386, section 9.1).
pub(super) fn resolution(payload: &[u8]) -> Option<Resolution> {
    if !inspect(payload, false)?.keyframe {
        return None;
    }
    let mut frame = Bytes::new(payload.get(Vp8Descriptor::parse(payload)?.length..)?);
    frame.take(3)?;
    if frame.take(3)? != [0x9d, 0x01, 0x2a] {
        return None;
    }
    // Little-endian, unlike the rest; the upper two bits are a scale.
    Some(Resolution {
        width: frame.short()?.swap_bytes() & 0x3fff,
        height: frame.short()?.swap_bytes() & 0x3fff,
    })
}
