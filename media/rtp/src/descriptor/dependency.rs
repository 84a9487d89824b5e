//! The dependency descriptor: a header extension that says which frames need which (AV1 RTP payload
//! specification 1.0, appendix A).
//!
//! A keyframe's first packet carries the *structure*: templates of layers and dependencies that
//! later packets refer to by number. [`DependencyState`] keeps it for one incoming stream and reads
//! each packet's descriptor with it. Who forwards chooses a *decode target* and sends what is not
//! [`Indication::Absent`] in it.

mod structure;
#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;
use media_types::Layer;

use super::bits::Bits;
use super::picture::{PictureId, PictureIds};
use super::{FrameInfo, Resolution};
use structure::Structure;

/// Bytes of the mandatory fields, which most packets' descriptors consist of.
const MANDATORY_BYTES: usize = 3;
/// References of one frame: AV1 has seven, and one between spatial layers.
const REFERENCES_MAX: usize = 8;
/// Chains; browsers use one a spatial layer.
const CHAINS_MAX: usize = 8;

/// What a frame is to a decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indication {
    /// Not part of it.
    Absent,
    /// Part of it, needed by no other frame of it.
    Discardable,
    /// Part of it, and a receiver that had lower targets may go on with this one from here.
    Switch,
    /// Part of it, needed by later frames.
    Required,
}

impl Indication {
    const fn of(bits: u8) -> Self {
        match bits & 0b11 {
            0 => Self::Absent,
            1 => Self::Discardable,
            2 => Self::Switch,
            _ => Self::Required,
        }
    }

    /// Whether later frames of the target may need this one.
    #[must_use]
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Switch | Self::Required)
    }
}

/// One packet's descriptor, with what its template says filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The first packet of a frame.
    pub start_of_frame: bool,
    /// The last packet of a frame.
    pub end_of_frame: bool,
    /// The frame's number, which wraps.
    pub frame_number: u16,
    /// The frame's layer.
    pub layer: Layer,
    /// The packet brought a new structure: it belongs to a keyframe.
    pub has_structure: bool,
    /// How far back the frames lie that this one refers to; none for an intra frame.
    pub references: ArrayVec<u16, REFERENCES_MAX>,
    /// For each chain how far back its previous frame lies; 0 starts it anew.
    pub chains: ArrayVec<u8, CHAINS_MAX>,
    /// Decode targets that the sender makes at present, a bit each, target 0 lowest.
    pub active_targets: u32,
    /// What the frame is to each target, two bits each.
    indications: u64,
    /// The target whose layer is this frame's.
    own_target: Option<u8>,
}

impl Dependency {
    /// What the frame is to a decode target; absent from one that does not exist.
    #[must_use]
    pub const fn indication(&self, target: u8) -> Indication {
        if target >= 32 {
            return Indication::Absent;
        }
        Indication::of(((self.indications >> (2 * target)) & 0b11).to_le_bytes()[0])
    }

    /// The same for those who know layers only.
    ///
    /// They may go up to a temporal layer at a frame that is a switch in its own target, and also
    /// at one that is discardable there: structures in use let those lean on lower layers alone,
    /// and were it otherwise, nothing but that frame would be lost. Frames of a top layer are never
    /// switches.
    pub(super) fn frame(&self) -> FrameInfo {
        let own = self.own_target.map(|target| self.indication(target));
        let temporal_switch = matches!(own, Some(Indication::Switch | Indication::Discardable));
        let keyframe = self.has_structure && self.references.is_empty();
        let needed = (0..32)
            .filter(|&target| self.active_targets & (1_u32 << target) != 0)
            .any(|target| self.indication(target).is_needed());
        FrameInfo {
            keyframe: keyframe && self.start_of_frame,
            start_of_frame: self.start_of_frame,
            end_of_frame: self.end_of_frame,
            layer: self.layer,
            switch_point: self.layer.temporal == 0 || temporal_switch,
            spatial_switch_point: own == Some(Indication::Switch),
            discardable: !needed,
            picture: self.picture(),
        }
    }

    /// The frame number as AV1's picture number.
    pub(super) const fn picture(&self) -> PictureIds {
        PictureIds {
            id: Some(PictureId {
                value: self.frame_number,
                bits: 16,
            }),
            ..PictureIds::NONE
        }
    }
}

/// The structure of one incoming stream, as its last keyframe told it.
#[derive(Debug, Clone, Default)]
pub struct DependencyState {
    structure: Option<Structure>,
    active_targets: u32,
}

impl DependencyState {
    /// Reads the descriptor of a packet.
    ///
    /// `None` if it is malformed or refers to a structure that has not come: then a keyframe is
    /// needed. A malformed descriptor leaves the state as it was.
    pub fn read(&mut self, extension: &[u8]) -> Option<Dependency> {
        let mut bits = Bits::new(extension);
        let start_of_frame = bits.bit()?;
        let end_of_frame = bits.bit()?;
        let template = bits.small(6)?;
        let frame_number = bits.short(16)?;
        let mut flags = Flags::default();
        let mut fresh = None;
        let mut active_targets = self.active_targets;
        if extension.len() > MANDATORY_BYTES {
            flags = Flags::read(&mut bits)?;
            if flags.structure {
                let structure = fresh.insert(Structure::read(&mut bits)?);
                active_targets = structure.all_targets();
            }
        }
        let structure = fresh.as_ref().or(self.structure.as_ref())?;
        if flags.active_targets {
            active_targets = bits.number(structure.target_count.into())?;
        }
        let template = structure.template(template)?;
        let dependency = Dependency {
            start_of_frame,
            end_of_frame,
            frame_number,
            layer: template.layer,
            has_structure: flags.structure,
            indications: if flags.indications {
                structure::read_indications(&mut bits, structure.target_count)?
            } else {
                template.indications
            },
            references: if flags.references {
                read_references(&mut bits)?
            } else {
                template.references.clone()
            },
            chains: if flags.chains {
                read_chains(&mut bits, structure.chain_count)?
            } else {
                template.chains.clone()
            },
            active_targets,
            own_target: structure.target_of(template.layer),
        };
        self.active_targets = active_targets;
        if fresh.is_some() {
            self.structure = fresh;
        }
        Some(dependency)
    }

    /// How many decode targets there are; 0 before the first keyframe.
    #[must_use]
    pub fn target_count(&self) -> u8 {
        self.structure
            .as_ref()
            .map_or(0, |structure| structure.target_count)
    }

    /// The topmost layer that belongs to a target.
    #[must_use]
    pub fn target_layer(&self, target: u8) -> Option<Layer> {
        let layers = &self.structure.as_ref()?.target_layers;
        layers.get(usize::from(target)).copied()
    }

    /// The best active target whose layers do not pass `limit`: the highest spatial layer, then the
    /// highest temporal one.
    #[must_use]
    pub fn target_within(&self, limit: Layer) -> Option<u8> {
        let targets = 0..self.target_count();
        let within = targets.filter_map(|target| {
            let active = self.active_targets & (1_u32 << target) != 0;
            let layer = self.target_layer(target)?;
            let fits = layer.spatial <= limit.spatial && layer.temporal <= limit.temporal;
            (active && fits).then_some((layer, target))
        });
        within.max().map(|(_, target)| target)
    }

    /// The chain that tells whether a target can still be decoded: it is broken when a frame of the
    /// chain is missing.
    #[must_use]
    pub fn chain_of(&self, target: u8) -> Option<u8> {
        let chains = &self.structure.as_ref()?.target_chains;
        chains.get(usize::from(target)).copied()
    }

    /// The size of pictures of a spatial layer, where the structure tells it.
    #[must_use]
    pub fn resolution(&self, spatial: u8) -> Option<Resolution> {
        let resolutions = &self.structure.as_ref()?.resolutions;
        resolutions.get(usize::from(spatial)).copied()
    }
}

/// Which parts follow the mandatory fields.
#[derive(Default)]
struct Flags {
    structure: bool,
    active_targets: bool,
    indications: bool,
    references: bool,
    chains: bool,
}

impl Flags {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        Some(Self {
            structure: bits.bit()?,
            active_targets: bits.bit()?,
            indications: bits.bit()?,
            references: bits.bit()?,
            chains: bits.bit()?,
        })
    }
}

fn read_references(bits: &mut Bits<'_>) -> Option<ArrayVec<u16, REFERENCES_MAX>> {
    let mut references = ArrayVec::new();
    loop {
        let size = bits.number(2)?;
        if size == 0 {
            return Some(references);
        }
        references.try_push(bits.short(4 * size)? + 1).ok()?;
    }
}

fn read_chains(bits: &mut Bits<'_>, count: u8) -> Option<ArrayVec<u8, CHAINS_MAX>> {
    let mut chains = ArrayVec::new();
    for _ in 0..count {
        chains.try_push(bits.small(8)?).ok()?;
    }
    Some(chains)
}

/// Whether a descriptor is long enough to hold the number of its frame.
#[must_use]
pub const fn has_frame_number(extension: &[u8]) -> bool {
    extension.len() >= 3
}

/// Writes another frame number into a copy of a descriptor, in place; the length stays. `false` if
/// the descriptor is too short to have one.
pub fn rewrite_frame_number(extension: &mut [u8], number: u16) -> bool {
    let [_, high, low, ..] = extension else {
        return false;
    };
    [*high, *low] = number.to_be_bytes();
    true
}
