//! H.264 (RFC 6184) and H.265 (RFC 7798): NAL units alone, several in one payload, or one in many.

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::Output;
use crate::codec::NalUnits;
use crate::error::IngestError;

/// How many NAL units share a payload at most; parameter sets and messages are few.
const TOGETHER_MAX: usize = 16;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    H264,
    H265,
}

impl Family {
    const fn header_length(self) -> usize {
        match self {
            Self::H264 => 1,
            Self::H265 => 2,
        }
    }

    fn kind(self, nal: &[u8]) -> u8 {
        let first = nal.first().copied().unwrap_or_default();
        match self {
            Self::H264 => first & 0x1f,
            Self::H265 => (first >> 1) & 0x3f,
        }
    }

    const fn is_parameter_set(self, kind: u8) -> bool {
        match self {
            Self::H264 => matches!(kind, 7 | 8),
            Self::H265 => matches!(kind, 32..=34),
        }
    }

    /// Delimiters, ends and filler: what timestamps and markers say as well. Also what is not
    /// assigned, or means something else in RTP.
    const fn is_left_out(self, kind: u8) -> bool {
        match self {
            Self::H264 => matches!(kind, 0 | 9..=12 | 24..=31),
            Self::H265 => matches!(kind, 35..=38 | 48..=63),
        }
    }

    /// The header of a payload with several units (RFC 6184, section 5.7.1; RFC 7798, section
    /// 4.4.2).
    fn aggregate_header(self, nals: &[&[u8]]) -> ArrayVec<u8, 3> {
        let first = |nal: &&[u8]| nal.first().copied().unwrap_or_default();
        match self {
            Self::H264 => {
                let importance = nals.iter().map(|nal| first(nal) & 0x60).max();
                ArrayVec::from_iter([importance.unwrap_or_default() | 24])
            }
            Self::H265 => {
                let head = nals.first().copied().unwrap_or_default();
                let level = head.get(1).copied().unwrap_or(1);
                ArrayVec::from_iter([(first(&head) & 0x81) | (48 << 1), level])
            }
        }
    }

    /// The header of a piece of a unit (RFC 6184, section 5.8; RFC 7798, section 4.4.3).
    fn fragment_header(self, nal: &[u8], first: bool, last: bool) -> ArrayVec<u8, 3> {
        let head = nal.first().copied().unwrap_or_default();
        let flags = u8::from(first) << 7 | u8::from(last) << 6;
        let kind = self.kind(nal);
        match self {
            Self::H264 => ArrayVec::from_iter([(head & 0xe0) | 28, flags | kind]),
            Self::H265 => {
                let level = nal.get(1).copied().unwrap_or(1);
                ArrayVec::from([(head & 0x81) | (49 << 1), level, flags | kind])
            }
        }
    }
}

pub(super) fn packetize(
    family: Family,
    parameter_sets: &[Bytes],
    frame: &[u8],
    keyframe: bool,
    out: &mut Output<'_>,
) -> Result<(), IngestError> {
    let own = NalUnits::new(frame, 4).any(|nal| family.is_parameter_set(family.kind(nal)));
    let sets = if keyframe && !own {
        parameter_sets
    } else {
        &[]
    };
    let sets = sets.iter().map(|set| &set[..]);
    let mut together = Together {
        family,
        nals: ArrayVec::new(),
        length: family.header_length(),
    };
    let nals = sets.chain(NalUnits::new(frame, 4));
    for nal in nals.filter(|nal| nal.len() > family.header_length()) {
        if family.is_left_out(family.kind(nal)) {
            continue;
        }
        if nal.len() > Output::MAX {
            together.flush(out)?;
            fragment(family, nal, out)?;
        } else {
            together.add(nal, out)?;
        }
    }
    together.flush(out)
}

/// Units that may share a payload.
struct Together<'a> {
    family: Family,
    nals: ArrayVec<&'a [u8], TOGETHER_MAX>,
    length: usize,
}

impl<'a> Together<'a> {
    fn add(&mut self, nal: &'a [u8], out: &mut Output<'_>) -> Result<(), IngestError> {
        let cost = nal.len().saturating_add(2);
        if self.length.saturating_add(cost) > Output::MAX || self.nals.is_full() {
            self.flush(out)?;
        }
        self.length = self.length.saturating_add(cost);
        // Flushing made room.
        let _room = self.nals.try_push(nal);
        Ok(())
    }

    fn flush(&mut self, out: &mut Output<'_>) -> Result<(), IngestError> {
        self.length = self.family.header_length();
        let nals = std::mem::take(&mut self.nals);
        match nals.as_slice() {
            [] => Ok(()),
            [nal] => out.push(&[nal]),
            many => {
                let header = self.family.aggregate_header(many);
                let length = |nal: &&[u8]| u16::try_from(nal.len()).unwrap_or(u16::MAX);
                let lengths: ArrayVec<[u8; 2], TOGETHER_MAX> =
                    many.iter().map(|nal| length(nal).to_be_bytes()).collect();
                let mut parts: ArrayVec<&[u8], { 2 * TOGETHER_MAX + 1 }> = ArrayVec::new();
                parts.push(&header);
                for (nal, length) in many.iter().zip(&lengths) {
                    parts.push(length);
                    parts.push(nal);
                }
                out.push(&parts)
            }
        }
    }
}

fn fragment(family: Family, nal: &[u8], out: &mut Output<'_>) -> Result<(), IngestError> {
    let header = family.header_length();
    let body = nal.get(header..).unwrap_or_default();
    let size = Output::MAX.saturating_sub(header).saturating_sub(1);
    let last = body.len().div_ceil(size.max(1)).saturating_sub(1);
    for (at, piece) in body.chunks(size.max(1)).enumerate() {
        let header = family.fragment_header(nal, at == 0, at == last);
        out.push(&[&header, piece])?;
    }
    Ok(())
}
