//! VP9: the payload descriptor (RFC 9628, section 4.2).

use arrayvec::ArrayVec;

use super::bits::Bytes;
use super::picture::{PictureId, PictureIds, PicturePatch};
use super::{FrameInfo, Prefix, Resolution, layer};

const HAS_PICTURE_ID: u8 = 0x80;
const INTER_PICTURE: u8 = 0x40;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const START: u8 = 0x08;
const END: u8 = 0x04;
const HAS_STRUCTURE: u8 = 0x02;
const NOT_FOR_UPPER: u8 = 0x01;
const SWITCHING_UP: u8 = 0x10;
const INTER_LAYER: u8 = 0x01;
/// Flags, picture id, layers and TL0PICIDX take at most this many bytes.
const IDS_END: usize = 5;
/// Spatial layers of a scalability structure (N_S has three bits).
const SPATIAL_MAX: usize = 8;
/// References of one picture in flexible mode (RFC 9628: "up to 3 times").
const REFERENCES_MAX: usize = 3;

/// A parsed VP9 payload descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// Picture id and TL0PICIDX.
    pub picture: PictureIds,
    /// P: predicted from an earlier picture.
    pub inter_picture: bool,
    /// F: references are listed by picture; otherwise they follow the structure.
    pub flexible: bool,
    /// B: the first packet of a layer's frame.
    pub start_of_frame: bool,
    /// E: the last packet of a layer's frame.
    pub end_of_frame: bool,
    /// Z: no higher spatial layer is predicted from this frame.
    pub not_for_upper: bool,
    /// TID.
    pub temporal: u8,
    /// SID.
    pub spatial: u8,
    /// U: from here one may switch up to this temporal layer.
    pub switching_up: bool,
    /// D: predicted from the spatial layer below.
    pub inter_layer: bool,
    /// The size of each spatial layer, lowest first, where a scalability structure declares them.
    pub resolutions: ArrayVec<Resolution, SPATIAL_MAX>,
    /// Bytes of the descriptor.
    pub length: usize,
    picture_id_at: Option<usize>,
    tl0_pic_idx_at: Option<usize>,
}

impl Vp9Descriptor {
    /// Parses the descriptor at the start of a payload; `None` if it is cut short or lists more
    /// references than the RFC allows.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = Bytes::new(payload);
        let first = bytes.byte()?;
        let mut parsed = Self {
            picture: PictureIds::NONE,
            inter_picture: first & INTER_PICTURE != 0,
            flexible: first & FLEXIBLE != 0,
            start_of_frame: first & START != 0,
            end_of_frame: first & END != 0,
            not_for_upper: first & NOT_FOR_UPPER != 0,
            temporal: 0,
            spatial: 0,
            switching_up: false,
            inter_layer: false,
            resolutions: ArrayVec::new(),
            length: 0,
            picture_id_at: None,
            tl0_pic_idx_at: None,
        };
        if first & HAS_PICTURE_ID != 0 {
            parsed.picture_id_at = Some(bytes.position());
            parsed.picture.id = Some(PictureId::read(&mut bytes)?);
        }
        if first & HAS_LAYERS != 0 {
            parsed.read_layers(&mut bytes)?;
        }
        if parsed.flexible && parsed.inter_picture {
            skip_references(&mut bytes)?;
        }
        if first & HAS_STRUCTURE != 0 {
            parsed.read_structure(&mut bytes)?;
        }
        parsed.length = bytes.position();
        Some(parsed)
    }

    fn read_layers(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        let byte = bytes.byte()?;
        self.temporal = byte >> 5;
        self.switching_up = byte & SWITCHING_UP != 0;
        self.spatial = (byte >> 1) & 0x07;
        self.inter_layer = byte & INTER_LAYER != 0;
        if !self.flexible {
            self.tl0_pic_idx_at = Some(bytes.position());
            self.picture.tl0_pic_idx = Some(bytes.byte()?);
        }
        Some(())
    }

    fn read_structure(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        let first = bytes.byte()?;
        if first & 0x10 != 0 {
            for _ in 0..=(first >> 5) {
                let (width, height) = (bytes.short()?, bytes.short()?);
                self.resolutions.push(Resolution { width, height });
            }
        }
        if first & 0x08 != 0 {
            for _ in 0..bytes.byte()? {
                let picture = bytes.byte()?;
                bytes.take(usize::from((picture >> 2) & 0x03))?;
            }
        }
        Some(())
    }
}

fn skip_references(bytes: &mut Bytes<'_>) -> Option<()> {
    for _ in 0..REFERENCES_MAX {
        if bytes.byte()? & 0x01 == 0 {
            return Some(());
        }
    }
    None
}

/// What the packet is; `None` if the descriptor cannot be parsed.
pub(super) fn inspect(payload: &[u8], marker: bool) -> Option<FrameInfo> {
    let descriptor = Vp9Descriptor::parse(payload)?;
    let intra = !descriptor.inter_picture;
    let base = descriptor.spatial == 0;
    Some(FrameInfo {
        keyframe: descriptor.start_of_frame && intra && base,
        start_of_frame: descriptor.start_of_frame,
        end_of_frame: descriptor.end_of_frame || marker,
        layer: layer(descriptor.spatial, descriptor.temporal),
        switch_point: descriptor.temporal == 0 || descriptor.switching_up,
        // A frame of an upper layer that leans on no earlier picture leans on the layer below
        // alone.
        spatial_switch_point: descriptor.start_of_frame && intra,
        discardable: false,
        picture: descriptor.picture,
    })
}

/// The start of the descriptor with new ids; see [`super::prefix`].
pub(super) fn prefix(payload: &[u8], patch: PicturePatch) -> Option<Prefix> {
    let descriptor = Vp9Descriptor::parse(payload)?;
    let length = descriptor.length.min(IDS_END);
    let mut prefix = Prefix::try_from(payload.get(..length)?).ok()?;
    if let (Some(id), Some(position)) = (descriptor.picture.id, descriptor.picture_id_at) {
        id.write(&mut prefix, position, patch.picture_id);
    }
    let tl0_pic_idx = descriptor.tl0_pic_idx_at.and_then(|at| prefix.get_mut(at));
    if let Some(byte) = tl0_pic_idx {
        *byte = patch.tl0_pic_idx;
    }
    Some(prefix)
}
