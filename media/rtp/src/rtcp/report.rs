//! Sender and receiver reports (RFC 3550, section 6.4).

use media_types::NtpTime;

use super::{COUNT_MAX, RECEIVER_REPORT, SENDER_REPORT, put_u32, write};
use crate::bytes;
use crate::receive::ReceptionFigures;

const BLOCK_BYTES: usize = 24;
const SENDER_BYTES: usize = 24;
const SSRC_BYTES: usize = 4;

/// What was received of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// How it fares.
    pub figures: ReceptionFigures,
}

impl ReportBlock {
    fn read(block: &[u8]) -> Option<Self> {
        let [fraction_lost, l0, l1, l2] = bytes::chunk(block, 4)?;
        Some(Self {
            ssrc: bytes::u32_at(block, 0)?,
            figures: ReceptionFigures {
                fraction_lost,
                // 24 bits with sign.
                cumulative_lost: i32::from_be_bytes([l0, l1, l2, 0]) >> 8,
                extended_highest: bytes::u32_at(block, 8)?,
                jitter: bytes::u32_at(block, 12)?,
                last_sender_report: bytes::u32_at(block, 16)?,
                delay_since_last: bytes::u32_at(block, 20)?,
            },
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let figures = &self.figures;
        let lost = figures.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
        let [_, l0, l1, l2] = lost.to_be_bytes();
        put_u32(out, self.ssrc);
        out.extend_from_slice(&[figures.fraction_lost, l0, l1, l2]);
        put_u32(out, figures.extended_highest);
        put_u32(out, figures.jitter);
        put_u32(out, figures.last_sender_report);
        put_u32(out, figures.delay_since_last);
    }
}

/// Takes the blocks that a count announces; `None` if there are fewer.
fn blocks_of(count: u8, body: &[u8], at: usize) -> Option<&[u8]> {
    body.get(at..at + usize::from(count) * BLOCK_BYTES)
}

fn read_blocks(blocks: &[u8]) -> impl Iterator<Item = ReportBlock> + '_ {
    blocks
        .chunks_exact(BLOCK_BYTES)
        .filter_map(ReportBlock::read)
}

/// What a sender says of its own stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderFigures {
    /// The sender's wall clock.
    pub ntp: NtpTime,
    /// The stream's timestamp at that moment, in ticks of the media clock.
    pub rtp_timestamp: u32,
    /// Packets sent since the start.
    pub packets: u32,
    /// Bytes of payload sent since the start.
    pub octets: u32,
}

/// A sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport<'a> {
    /// The sender.
    pub ssrc: u32,
    /// Its clock and counts.
    pub figures: SenderFigures,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self {
            ssrc: bytes::u32_at(body, 0)?,
            figures: SenderFigures {
                ntp: NtpTime(bytes::chunk(body, 4).map(u64::from_be_bytes)?),
                rtp_timestamp: bytes::u32_at(body, 12)?,
                packets: bytes::u32_at(body, 16)?,
                octets: bytes::u32_at(body, 20)?,
            },
            blocks: blocks_of(count, body, SENDER_BYTES)?,
        })
    }

    /// What the sender received of others.
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + 'a {
        read_blocks(self.blocks)
    }
}

/// A receiver report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self {
            ssrc: bytes::u32_at(body, 0)?,
            blocks: blocks_of(count, body, SSRC_BYTES)?,
        })
    }

    /// What was received.
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + 'a {
        read_blocks(self.blocks)
    }
}

/// Appends a sender report. Blocks beyond the 31 that it holds follow in receiver reports.
pub fn write_sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    figures: &SenderFigures,
    blocks: &[ReportBlock],
) {
    let (first, rest) = blocks.split_at(blocks.len().min(COUNT_MAX));
    write(out, SENDER_REPORT, count(first), |out| {
        put_u32(out, ssrc);
        out.extend_from_slice(&figures.ntp.0.to_be_bytes());
        put_u32(out, figures.rtp_timestamp);
        put_u32(out, figures.packets);
        put_u32(out, figures.octets);
        for block in first {
            block.write(out);
        }
    });
    if !rest.is_empty() {
        write_receiver_report(out, ssrc, rest);
    }
}

/// Appends a receiver report, or several if there are more than 31 blocks.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, blocks: &[ReportBlock]) {
    let mut rest = blocks;
    loop {
        let (first, after) = rest.split_at(rest.len().min(COUNT_MAX));
        write(out, RECEIVER_REPORT, count(first), |out| {
            put_u32(out, ssrc);
            for block in first {
                block.write(out);
            }
        });
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

/// The length of a list that was cut to what the field holds.
fn count(blocks: &[ReportBlock]) -> u8 {
    u8::try_from(blocks.len()).unwrap_or(0)
}
