//! The m-lines on which we send, and what each of them needs for sending.

use std::fmt::Write;

use media_types::{Codec, Mid};

use crate::line::{Line, LineFormat};
use crate::packet::SlotIndex;

/// One slot. Its source is its own for life, whoever's media fill it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) mid: Mid,
    pub(crate) ssrc: u32,
    /// The source of retransmissions; announced if the client knows RTX.
    pub(crate) rtx_ssrc: u32,
    /// What was last agreed about its m-line.
    pub(crate) line: Line,
}

impl Slot {
    /// Whether the client can show something there now.
    pub(crate) const fn is_open(&self) -> bool {
        self.line.client.receives
    }

    pub(crate) fn has_rtx(&self) -> bool {
        self.line.formats.iter().any(|format| format.rtx.is_some())
    }

    pub(crate) fn format_for(&self, codec: Codec) -> Option<&LineFormat> {
        self.line.format_for(codec).filter(|_| self.is_open())
    }
}

/// All slots of a transport, by index.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    random: u64,
    cname: String,
}

impl Slots {
    pub(crate) fn new(seed: u64) -> Self {
        let mut slots = Self {
            slots: Vec::new(),
            random: seed,
            cname: String::new(),
        };
        let name = slots.next_random();
        // Writing to a string cannot fail.
        let _ = write!(slots.cname, "{name:016x}");
        slots
    }

    /// The canonical name of all our sources: one clock (RFC 3550, section 6.5.1).
    pub(crate) fn cname(&self) -> &str {
        &self.cname
    }

    /// Follows what was agreed: new slots for new m-lines, and new terms for known ones.
    pub(crate) fn update(&mut self, lines: &[Line]) {
        for line in lines {
            let known = self.slots.iter().position(|slot| slot.mid == line.mid);
            if let Some(slot) = known.and_then(|at| self.slots.get_mut(at)) {
                slot.line = line.clone();
            } else if line.client.receives {
                let ssrc = self.new_ssrc();
                let rtx_ssrc = self.new_ssrc();
                self.slots.push(Slot {
                    mid: line.mid,
                    ssrc,
                    rtx_ssrc,
                    line: line.clone(),
                });
            }
        }
    }

    pub(crate) fn by_mid(&self, mid: Mid) -> Option<(SlotIndex, &Slot)> {
        self.iter().find(|(_, slot)| slot.mid == mid)
    }

    pub(crate) fn get(&self, index: SlotIndex) -> Option<&Slot> {
        self.slots.get(usize::from(index.0))
    }

    /// The slot with this source of media.
    pub(crate) fn by_media_ssrc(&self, ssrc: u32) -> Option<SlotIndex> {
        let mut slots = self.iter();
        let found = slots.find(|(_, slot)| slot.ssrc == ssrc);
        found.map(|(index, _)| index)
    }

    /// The slot with this source of media, or of retransmissions.
    pub(crate) fn by_ssrc(&self, ssrc: u32) -> Option<SlotIndex> {
        let mut slots = self.iter();
        let of = |slot: &Slot| slot.ssrc == ssrc || slot.rtx_ssrc == ssrc;
        slots.find(|(_, slot)| of(slot)).map(|(index, _)| index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotIndex, &Slot)> {
        let indices = (0..=u16::MAX).map(SlotIndex);
        indices.zip(&self.slots)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// An SSRC that no slot has. The client's own cannot be known in advance; with a few dozen of
    /// 2^32 a collision is not worth its code (RFC 3550, section 8.1).
    pub(crate) fn new_ssrc(&mut self) -> u32 {
        loop {
            let [a, b, c, d, ..] = self.next_random().to_be_bytes();
            let ssrc = u32::from_be_bytes([a, b, c, d]);
            if ssrc != 0 && self.by_ssrc(ssrc).is_none() {
                return ssrc;
            }
        }
    }

    /// SplitMix64: nothing here must be secret, only different.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
