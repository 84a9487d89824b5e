//! NACK, PLI (RFC 4585), FIR (RFC 5104) and REMB (draft-alvestrand-rmcat-remb-03).

use media_types::Bitrate;

use super::{PAYLOAD_FEEDBACK, TRANSPORT_FEEDBACK, put_u32, words, write};
use crate::bytes;

pub(super) const NACK: u8 = 1;
pub(super) const PLI: u8 = 1;
pub(super) const FIR: u8 = 4;
/// Application layer feedback; REMB is known by its first word.
pub(super) const APPLICATION: u8 = 15;

/// Sender and media source stand before the entries.
const SOURCES_BYTES: usize = 8;
/// Entries of one NACK packet, so that it fits a datagram beside others.
const NACK_PAIRS_MAX: usize = 250;
const FIR_ENTRY_BYTES: usize = 8;
const FIR_ENTRIES_MAX: usize = 120;
const REMB_NAME: &[u8; 4] = b"REMB";
/// Where the sources start: after those of the packet, the name, and the rate.
const REMB_SOURCES_AT: usize = SOURCES_BYTES + 8;
const REMB_MANTISSA_BITS: u32 = 18;
/// The count has one byte.
const REMB_SOURCES_MAX: usize = 255;

/// Asks for packets again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender: u32,
    /// The stream that misses packets.
    pub media: u32,
    pairs: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        Some(Self {
            sender: bytes::u32_at(body, 0)?,
            media: bytes::u32_at(body, 4)?,
            pairs: body.get(SOURCES_BYTES..)?,
        })
    }

    /// The sequence numbers asked for, as they stand in the packet: at most 17 for four of its
    /// bytes, duplicates not taken out.
    pub fn sequences(&self) -> impl Iterator<Item = u16> + 'a {
        words(self.pairs).flat_map(|pair| {
            let [p0, p1, b0, b1] = pair.to_be_bytes();
            let first = u16::from_be_bytes([p0, p1]);
            let following = u16::from_be_bytes([b0, b1]);
            let later = (0..16_u16).filter(move |bit| following & (1 << bit) != 0);
            std::iter::once(first).chain(later.map(move |bit| first.wrapping_add(bit + 1)))
        })
    }
}

/// Asks for a keyframe because pictures were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender: u32,
    /// The stream.
    pub media: u32,
}

impl Pli {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        Some(Self {
            sender: bytes::u32_at(body, 0)?,
            media: bytes::u32_at(body, 4)?,
        })
    }
}

/// One stream that should start anew with a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream.
    pub ssrc: u32,
    /// Changes with each request; the same again is a repetition.
    pub sequence: u8,
}

/// Asks for keyframes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: u32,
    entries: &'a [u8],
}

impl<'a> Fir<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        Some(Self {
            sender: bytes::u32_at(body, 0)?,
            entries: body.get(SOURCES_BYTES..)?,
        })
    }

    /// The streams.
    pub fn entries(&self) -> impl Iterator<Item = FirEntry> + 'a {
        self.entries
            .chunks_exact(FIR_ENTRY_BYTES)
            .filter_map(|entry| {
                Some(FirEntry {
                    ssrc: bytes::u32_at(entry, 0)?,
                    sequence: *entry.get(4)?,
                })
            })
    }
}

/// What a receiver believes it can take, over these streams together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remb<'a> {
    /// Who says so.
    pub sender: u32,
    /// The rate.
    pub bitrate: Bitrate,
    sources: &'a [u8],
}

impl<'a> Remb<'a> {
    pub(super) fn is(body: &[u8]) -> bool {
        bytes::chunk(body, SOURCES_BYTES) == Some(*REMB_NAME)
    }

    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let [count, r0, r1, r2] = bytes::chunk(body, SOURCES_BYTES + 4)?;
        let mantissa = u32::from_be_bytes([0, r0 & 0x03, r1, r2]);
        let bps = u128::from(mantissa) << (r0 >> 2);
        let end = REMB_SOURCES_AT + 4 * usize::from(count);
        Some(Self {
            sender: bytes::u32_at(body, 0)?,
            bitrate: Bitrate::from_bps(u64::try_from(bps).unwrap_or(u64::MAX)),
            sources: body.get(REMB_SOURCES_AT..end)?,
        })
    }

    /// The streams.
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + 'a {
        words(self.sources)
    }
}

/// Appends a NACK for `sequences` in rising order (over the wrap), or several if they are spread
/// so far that one would pass 1,000 bytes.
pub fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, sequences: &[u16]) {
    let mut rest = sequences;
    while !rest.is_empty() {
        write(out, TRANSPORT_FEEDBACK, NACK, |out| {
            put_u32(out, sender);
            put_u32(out, media);
            for _ in 0..NACK_PAIRS_MAX {
                let Some((&first, after)) = rest.split_first() else {
                    break;
                };
                let (following, taken) = following_bits(first, after);
                rest = after.get(taken..).unwrap_or_default();
                out.extend_from_slice(&first.to_be_bytes());
                out.extend_from_slice(&following.to_be_bytes());
            }
        });
    }
}

/// Which of the sixteen numbers after `first` are asked for too, and how many entries that are.
fn following_bits(first: u16, after: &[u16]) -> (u16, usize) {
    let mut bits = 0;
    let mut taken = 0;
    for sequence in after {
        match sequence.wrapping_sub(first) {
            // The same again.
            0 => {}
            distance @ 1..=16 => bits |= 1 << (distance - 1),
            _ => break,
        }
        taken += 1;
    }
    (bits, taken)
}

/// Appends a PLI.
pub fn write_pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    write(out, PAYLOAD_FEEDBACK, PLI, |out| {
        put_u32(out, sender);
        put_u32(out, media);
    });
}

/// Appends a FIR for these streams.
pub fn write_fir(out: &mut Vec<u8>, sender: u32, entries: &[FirEntry]) {
    for entries in entries.chunks(FIR_ENTRIES_MAX) {
        write(out, PAYLOAD_FEEDBACK, FIR, |out| {
            put_u32(out, sender);
            put_u32(out, 0);
            for entry in entries {
                put_u32(out, entry.ssrc);
                out.extend_from_slice(&[entry.sequence, 0, 0, 0]);
            }
        });
    }
}

/// Appends a REMB over these streams, of which the first 255 count. The rate is rounded down to the
/// 18 significant bits that the packet holds.
pub fn write_remb(out: &mut Vec<u8>, sender: u32, bitrate: Bitrate, ssrcs: &[u32]) {
    let ssrcs = ssrcs.get(..REMB_SOURCES_MAX).unwrap_or(ssrcs);
    let bps = bitrate.bps();
    let exponent = (u64::BITS - bps.leading_zeros()).saturating_sub(REMB_MANTISSA_BITS);
    let [.., m0, m1, m2] = (bps >> exponent).to_be_bytes();
    let exponent = u8::try_from(exponent).unwrap_or(0);
    write(out, PAYLOAD_FEEDBACK, APPLICATION, |out| {
        put_u32(out, sender);
        put_u32(out, 0);
        out.extend_from_slice(REMB_NAME);
        let count = u8::try_from(ssrcs.len()).unwrap_or(0);
        out.extend_from_slice(&[count, exponent << 2 | m0, m1, m2]);
        for &ssrc in ssrcs {
            put_u32(out, ssrc);
        }
    });
}
