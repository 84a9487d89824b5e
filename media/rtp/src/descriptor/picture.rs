//! Picture numbers of a subscription, continuous over switches of source and dropped pictures.

use super::bits::Bytes;
use crate::rewrite::Continuity;

use media_types::Codec;

/// A picture's number as it came, with its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    /// The number.
    pub value: u16,
    /// How many bits it has on the wire: 7 or 15; 16 for AV1's frame number.
    pub bits: u8,
}

/// Set in the first byte of a picture id of 15 bits (VP8 and VP9 alike).
const LONG: u8 = 0x80;

impl PictureId {
    /// Reads a number of 7 or 15 bits (RFC 7741 and RFC 9628, "M").
    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let first = bytes.byte()?;
        let high = first & !LONG;
        Some(if first & LONG == 0 {
            Self {
                value: u16::from(high),
                bits: 7,
            }
        } else {
            Self {
                value: u16::from_be_bytes([high, bytes.byte()?]),
                bits: 15,
            }
        })
    }

    /// Writes another number over this one, which stands at `position`, in the same width.
    pub(super) fn write(self, payload: &mut [u8], position: usize, value: u16) {
        let [high, low] = value.to_be_bytes();
        let field = payload.get_mut(position..).unwrap_or_default();
        match (self.bits, field) {
            (15, [first, second, ..]) => (*first, *second) = (high | LONG, low),
            (7, [first, ..]) => *first = low & !LONG,
            _ => {}
        }
    }

    const fn modulus(self) -> u64 {
        1 << self.bits
    }
}

/// The numbers by which receivers recognise pictures, as far as a packet has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PictureIds {
    /// The picture id (VP8, VP9) or frame number (AV1).
    pub id: Option<PictureId>,
    /// The running number of base layer pictures (VP8, VP9 in non-flexible mode).
    pub tl0_pic_idx: Option<u8>,
    /// The running number of temporal synchronisation (VP8), 5 bits.
    pub key_idx: Option<u8>,
}

impl PictureIds {
    /// No numbers at all.
    pub const NONE: Self = Self {
        id: None,
        tl0_pic_idx: None,
        key_idx: None,
    };
}

/// The numbers to send instead. Where a packet has no such number, its value means nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PicturePatch {
    /// The picture id, or AV1's frame number; cut to the width that the packet has.
    pub picture_id: u16,
    /// TL0PICIDX.
    pub tl0_pic_idx: u8,
    /// KEYIDX, 5 bits.
    pub key_idx: u8,
}

/// Where places of picture numbers start: a multiple of every width's modulus.
const ORIGIN: u64 = 1 << 16;

/// Keeps the picture numbers of one subscription continuous.
///
/// After [`switch`](Self::switch) the next picture continues where the last one ended, whatever its
/// own number. For VP8, pictures that were [dropped](Self::drop) leave no gap either, since a
/// receiver waits for the pictures that it sees missing. VP9 and AV1 refer to pictures by
/// differences of their numbers, so there gaps must stay, and receivers know from the layers that
/// they may.
#[derive(Debug, Clone)]
pub struct PictureIdRewriter {
    closes_gaps: bool,
    switching: bool,
    numbers: Continuity,
    newest_in: Option<u64>,
    newest_out: Option<u64>,
    tl0_pic_idx: Offset,
    key_idx: Offset,
}

/// An 8-bit number that moves on by a constant until the next switch.
#[derive(Debug, Clone, Copy, Default)]
struct Offset {
    offset: u8,
    last_out: Option<u8>,
}

impl Offset {
    fn rebase(&mut self, incoming: Option<u8>) {
        if let (Some(incoming), Some(last)) = (incoming, self.last_out) {
            self.offset = last.wrapping_add(1).wrapping_sub(incoming);
        }
    }

    fn map(&mut self, incoming: Option<u8>, newest: bool) -> u8 {
        let Some(incoming) = incoming else {
            return 0;
        };
        let out = incoming.wrapping_add(self.offset);
        if newest {
            self.last_out = Some(out);
        }
        out
    }
}

impl PictureIdRewriter {
    /// A rewriter that leaves its first source's numbers as they are.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            closes_gaps: codec == Codec::Vp8,
            switching: true,
            numbers: Continuity::starting(0, 0),
            newest_in: None,
            newest_out: None,
            tl0_pic_idx: Offset::default(),
            key_idx: Offset::default(),
        }
    }

    /// Says that the next packet forwarded is the first of another source, or of the same one after
    /// a pause.
    pub const fn switch(&mut self) {
        self.switching = true;
    }

    /// The numbers to send with a packet that came with `ids`; `None` if the picture belongs before
    /// the last switch or was dropped. Such a packet must be dropped too, so ask here before its
    /// sequence number is forwarded.
    pub fn forward(&mut self, ids: PictureIds) -> Option<PicturePatch> {
        if self.switching {
            self.switching = false;
            self.rebase(ids);
        }
        let mut patch = PicturePatch::default();
        let mut newest = true;
        if let Some(id) = ids.id {
            let place = self.place_of(id);
            let out = self.numbers.forward(place)?;
            newest = self.newest_out.is_none_or(|newest| out >= newest);
            if newest {
                self.newest_out = Some(out);
            }
            let value = out & (id.modulus() - 1);
            patch.picture_id = u16::try_from(value).unwrap_or(0);
        }
        patch.tl0_pic_idx = self.tl0_pic_idx.map(ids.tl0_pic_idx, newest);
        patch.key_idx = self.key_idx.map(ids.key_idx, newest) & 0x1f;
        Some(patch)
    }

    /// Takes note of a picture that is not forwarded; to be called for any or all of its packets.
    pub fn drop(&mut self, ids: PictureIds) {
        if self.switching {
            return;
        }
        if let Some(id) = ids.id {
            let place = self.place_of(id);
            if self.closes_gaps {
                self.numbers.drop(place);
            }
        }
    }

    fn rebase(&mut self, ids: PictureIds) {
        if let Some(id) = ids.id {
            let place = ORIGIN + u64::from(id.value);
            let out = self.newest_out.map_or(place, |newest| newest + 1);
            self.newest_in = Some(place);
            self.numbers.restart(place, out);
        }
        self.tl0_pic_idx.rebase(ids.tl0_pic_idx);
        self.key_idx.rebase(ids.key_idx);
    }

    /// The place of a number on a line that does not wrap: the nearest to the newest so far.
    fn place_of(&mut self, id: PictureId) -> u64 {
        let newest = self.newest_in.unwrap_or(ORIGIN + u64::from(id.value));
        let modulus = id.modulus();
        let ahead = u64::from(id.value).wrapping_sub(newest) & (modulus - 1);
        let place = if ahead < modulus / 2 {
            newest + ahead
        } else {
            (newest + ahead).saturating_sub(modulus)
        };
        self.newest_in = Some(newest.max(place));
        place
    }
}

#[cfg(test)]
mod tests;
