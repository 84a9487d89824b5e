//! Extended reports (RFC 3611): the two blocks by which a pure receiver learns its round-trip time.
//!
//! A receiver sends its clock (section 4.4); the sender answers with the middle of that clock and
//! how long it held it (section 4.5). All other blocks are passed over.

use media_types::NtpTime;

use super::{EXTENDED_REPORT, put_u32, write};
use crate::bytes;

const REFERENCE_TIME: u8 = 4;
const DELAYS: u8 = 5;
/// The reporter's SSRC stands before the blocks.
const SSRC_BYTES: usize = 4;
/// Type, a byte for the type's own use, and the length in words.
const BLOCK_HEADER_BYTES: usize = 4;
/// Source, last report and delay.
const DELAY_BYTES: usize = 12;
/// Delays of one report that are written, so that it fits a datagram beside others.
const DELAYS_MAX: usize = 32;

/// What a sender says of one receiver's clock (DLRR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// The receiver whose clock it is.
    pub ssrc: u32,
    /// The middle 32 bits of the clock's NTP time; 0 if none has come.
    pub last_reference: u32,
    /// How long the sender held it, in 1/65536 s.
    pub delay: u32,
}

impl Delay {
    fn read(block: &[u8]) -> Option<Self> {
        Some(Self {
            ssrc: bytes::u32_at(block, 0)?,
            last_reference: bytes::u32_at(block, 4)?,
            delay: bytes::u32_at(block, 8)?,
        })
    }
}

/// An extended report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    blocks: &'a [u8],
}

impl<'a> ExtendedReport<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        Some(Self {
            ssrc: bytes::u32_at(body, 0)?,
            blocks: body.get(SSRC_BYTES..)?,
        })
    }

    /// The reporter's clock, if it tells it (RRTR): the last of several.
    #[must_use]
    pub fn reference_time(&self) -> Option<NtpTime> {
        let times = self.blocks_of(REFERENCE_TIME);
        let times = times.filter_map(|block| bytes::chunk(block, 0).map(u64::from_be_bytes));
        times.last().map(NtpTime)
    }

    /// What the reporter says of receivers' clocks (DLRR).
    pub fn delays(&self) -> impl Iterator<Item = Delay> + 'a {
        let blocks = self.blocks_of(DELAYS);
        blocks.flat_map(|block| block.chunks_exact(DELAY_BYTES).filter_map(Delay::read))
    }

    fn blocks_of(&self, wanted: u8) -> impl Iterator<Item = &'a [u8]> + 'a {
        let blocks = Blocks { rest: self.blocks };
        blocks.filter_map(move |(kind, block)| (kind == wanted).then_some(block))
    }
}

/// Types and contents of blocks; a block that is cut short is the end.
struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Blocks<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [kind, _, w0, w1] = bytes::chunk(self.rest, 0)?;
        let length = 4 * usize::from(u16::from_be_bytes([w0, w1]));
        let contents = self.rest.get(BLOCK_HEADER_BYTES..)?;
        let (block, rest) = contents.split_at_checked(length)?;
        self.rest = rest;
        Some((kind, block))
    }
}

/// Appends a report with the reporter's clock.
pub fn write_reference_time(out: &mut Vec<u8>, ssrc: u32, now: NtpTime) {
    write(out, EXTENDED_REPORT, 0, |out| {
        put_u32(out, ssrc);
        out.extend_from_slice(&[REFERENCE_TIME, 0, 0, 2]);
        out.extend_from_slice(&now.0.to_be_bytes());
    });
}

/// Appends a report on receivers' clocks; of more than 32, the first.
pub fn write_delays(out: &mut Vec<u8>, ssrc: u32, delays: &[Delay]) {
    let delays = delays
        .get(..delays.len().min(DELAYS_MAX))
        .unwrap_or_default();
    let words = u8::try_from(delays.len() * DELAY_BYTES / 4).unwrap_or(0);
    write(out, EXTENDED_REPORT, 0, |out| {
        put_u32(out, ssrc);
        out.extend_from_slice(&[DELAYS, 0, 0, words]);
        for delay in delays {
            put_u32(out, delay.ssrc);
            put_u32(out, delay.last_reference);
            put_u32(out, delay.delay);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::{RtcpPacket, RtpError, packets};
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> ExtendedReport<'_> {
        match packets(bytes).next() {
            Some(Ok(RtcpPacket::ExtendedReport(report))) => report,
            other => panic!("no extended report: {other:?}"),
        }
    }

    #[test]
    fn a_clock_has_the_bytes_of_the_rfc() {
        let mut out = Vec::new();
        write_reference_time(&mut out, 7, NtpTime(0x0102_0304_0506_0708));
        let expected = [
            0x80, 207, 0, 4, 0, 0, 0, 7, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        assert_eq!(out, expected);
        let report = read(&out);
        assert_eq!(
            report.reference_time(),
            Some(NtpTime(0x0102_0304_0506_0708))
        );
        assert_eq!((report.ssrc, report.delays().count()), (7, 0));
    }

    #[test]
    fn delays_are_found_among_blocks_of_no_use() {
        // A loss block (1) of one word, then two delays, then a block that announces too much.
        let bytes = [
            0x80, 207, 0, 11, 0, 0, 0, 9, 1, 0, 0, 1, 9, 9, 9, 9, // loss
            5, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, // first
            0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 4, 0, 0, 2, // second, cut
        ];
        let delays: Vec<_> = read(&bytes).delays().collect();
        let delay = |ssrc| Delay {
            ssrc,
            last_reference: ssrc + 1,
            delay: ssrc + 2,
        };
        assert_eq!(delays, [delay(1), delay(4)]);
        assert_eq!(read(&bytes).reference_time(), None);
        let (packet_type, length) = (207, 0);
        let short = packets(&[0x80, 207, 0, 0]).next();
        let expected = RtpError::RtcpBody {
            packet_type,
            length,
        };
        assert_eq!(short, Some(Err(expected)));
    }

    proptest! {
        #[test]
        fn delays_come_back_as_they_were(
            values in prop::collection::vec(any::<(u32, u32, u32)>(), 0..40),
        ) {
            let delays: Vec<_> = values
                .into_iter()
                .map(|(ssrc, last_reference, delay)| Delay { ssrc, last_reference, delay })
                .collect();
            let mut out = Vec::new();
            write_delays(&mut out, 1, &delays);
            let back: Vec<_> = read(&out).delays().collect();
            prop_assert_eq!(&back[..], &delays[..delays.len().min(32)]);
        }
    }
}
