//! What the frames of a scalable stream are to each decode target, by the dependency descriptor.
//!
//! Layer numbers alone do not say what a receiver needs: with spatial layers that lean on each
//! other only at keyframes, whoever gets the upper one has no use for the lower one in between, and
//! with independent ones never (AV1 RTP payload specification 1.0, appendix A).

use media_rtp::descriptor::dependency::{Dependency, DependencyState, Indication};
use media_types::Layer;

use crate::limits::HISTORY_PACKETS;

/// Targets of one structure (AV1 RTP payload specification 1.0, appendix A.8.1.1).
const TARGETS_MAX: usize = 32;

/// One packet's number, and what it is to each target: a bit where it is a part of it.
type Entry = (u64, u32);

/// The book of one stream.
#[derive(Debug, Default)]
pub(crate) struct Decode {
    state: DependencyState,
    /// Recent packets, by number; empty for a stream without descriptors.
    recent: Box<[Entry]>,
    /// For each target those of whose frames it has all, a bit each.
    covers: [u32; TARGETS_MAX],
}

impl Decode {
    /// Reads a packet's descriptor; `None` if that makes no sense.
    pub(crate) fn read(&mut self, sequence: u64, extension: &[u8]) -> Option<Dependency> {
        let dependency = self.state.read(extension)?;
        if dependency.has_structure {
            self.covers = [u32::MAX; TARGETS_MAX];
        }
        if self.recent.is_empty() {
            self.recent = vec![(u64::MAX, 0); HISTORY_PACKETS].into_boxed_slice();
        }
        let present = present(&dependency, self.state.target_count());
        for (target, covered) in self.covers.iter_mut().enumerate() {
            if present & bit(target) == 0 {
                *covered &= !present;
            }
        }
        if let Some(entry) = place(sequence).and_then(|place| self.recent.get_mut(place)) {
            *entry = (sequence, present);
        }
        Some(dependency)
    }

    /// What the stream's structure says of sizes.
    pub(crate) const fn state(&self) -> &DependencyState {
        &self.state
    }

    /// What one packet is; `None` without a descriptor.
    pub(crate) fn of(&self, sequence: u64) -> Option<Part<'_>> {
        let &(number, present) = self.recent.get(place(sequence)?)?;
        (number == sequence).then_some(Part {
            decode: self,
            present,
        })
    }
}

fn place(sequence: u64) -> Option<usize> {
    let length = u64::try_from(HISTORY_PACKETS).ok()?;
    usize::try_from(sequence % length).ok()
}

fn bit(target: usize) -> u32 {
    u32::try_from(target).map_or(0, |target| 1_u32.checked_shl(target).unwrap_or(0))
}

fn present(dependency: &Dependency, targets: u8) -> u32 {
    let within = (0..targets).filter(|&it| dependency.indication(it) != Indication::Absent);
    within.fold(0, |bits, target| bits | bit(usize::from(target)))
}

/// One packet's part in the decode targets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    decode: &'a Decode,
    present: u32,
}

impl Part<'_> {
    /// Whether one who gets all up to a layer needs the packet.
    pub(crate) fn is_in(self, layer: Layer) -> bool {
        let target = self.decode.state.target_within(layer);
        target.is_none_or(|target| self.present & bit(usize::from(target)) != 0)
    }

    /// Whether one who had all up to `from` can go on at any frame with all up to `to`.
    pub(crate) fn leads(self, from: Layer, to: Layer) -> bool {
        let [from, to] = [from, to].map(|layer| self.decode.state.target_within(layer));
        let (Some(from), Some(to)) = (from, to) else {
            return true;
        };
        let covered = self.decode.covers.get(usize::from(from));
        covered.is_none_or(|covered| covered & bit(usize::from(to)) != 0)
    }
}
