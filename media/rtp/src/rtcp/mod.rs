//! RTCP (RFC 3550, section 6): compound packets read one by one, and written one after the other.
//!
//! Reading borrows from the datagram, writing appends to a caller's buffer; neither allocates once
//! the buffer has its size. Reduced-size packets (RFC 5506) are read like any other.
//!
//! ```
//! use media_rtp::rtcp::{self, RtcpPacket, feedback, report};
//!
//! let mut compound = Vec::new();
//! report::write_receiver_report(&mut compound, 1, &[]);
//! feedback::write_nack(&mut compound, 1, 2, &[7, 9]);
//! let nacks = rtcp::packets(&compound).filter_map(|packet| match packet {
//!     Ok(RtcpPacket::Nack(nack)) => Some(nack.sequences().collect::<Vec<_>>()),
//!     _ => None,
//! });
//! assert_eq!(nacks.collect::<Vec<_>>(), [[7, 9]]);
//! ```

pub mod feedback;
pub mod report;
pub mod source;
pub mod twcc;
pub mod xr;

use feedback::{Fir, Nack, Pli, Remb};
use report::{ReceiverReport, SenderReport};
use source::{Bye, Sdes};
use twcc::TransportFeedback;
use xr::ExtendedReport;

use crate::{RtpError, bytes};

/// Packet type, length and a count or format.
const HEADER_BYTES: usize = 4;
/// The count field has five bits.
const COUNT_MAX: usize = 31;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// RFC 4585, section 6.1.
const TRANSPORT_FEEDBACK: u8 = 205;
/// RFC 4585, section 6.1.
const PAYLOAD_FEEDBACK: u8 = 206;
/// RFC 3611, section 2.
const EXTENDED_REPORT: u8 = 207;

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// What a sender sent, and what it received.
    SenderReport(SenderReport<'a>),
    /// What a receiver received.
    ReceiverReport(ReceiverReport<'a>),
    /// Names of sources.
    Sdes(Sdes<'a>),
    /// Sources that end.
    Bye(Bye<'a>),
    /// Packets to send again.
    Nack(Nack<'a>),
    /// Asks for a keyframe.
    Pli(Pli),
    /// Asks for keyframes, counted.
    Fir(Fir<'a>),
    /// The receiver's own estimate.
    Remb(Remb<'a>),
    /// When each packet of the transport arrived.
    TransportFeedback(TransportFeedback<'a>),
    /// Clocks and delays, for the round trip of a receiver.
    ExtendedReport(ExtendedReport<'a>),
    /// Something else, well framed.
    Unknown {
        /// The packet type field.
        packet_type: u8,
        /// The count or format field.
        format: u8,
    },
}

/// The packets of a compound, in order. A packet whose body is wrong is an error in its place and
/// does not hide those after it; wrong framing is an error and the end.
#[must_use]
pub const fn packets(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// Iterates over the packets of a compound; see [`packets`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

/// A packet without its header and padding.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    packet_type: u8,
    /// The five bits that are a count in reports and a format in feedback.
    format: u8,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a packet off the front, whatever its body is worth.
    fn split(compound: &'a [u8]) -> Result<(Result<Self, RtpError>, &'a [u8]), RtpError> {
        let length = compound.len();
        let needed = HEADER_BYTES;
        let Some([b0, packet_type, w0, w1]) = bytes::chunk(compound, 0) else {
            return Err(RtpError::Truncated { needed, length });
        };
        if b0 >> 6 != 2 {
            return Err(RtpError::Version(b0 >> 6));
        }
        let needed = HEADER_BYTES + 4 * usize::from(u16::from_be_bytes([w0, w1]));
        let parts = compound.split_at_checked(needed);
        let (packet, rest) = parts.ok_or(RtpError::Truncated { needed, length })?;
        let body = packet.get(HEADER_BYTES..).unwrap_or_default();
        let frame = |body| Self {
            packet_type,
            format: b0 & 0x1f,
            body,
        };
        if b0 & 0x20 == 0 {
            return Ok((Ok(frame(body)), rest));
        }
        let count = body.last().copied().unwrap_or(0);
        let kept = body.len().checked_sub(count.into());
        let kept = kept.filter(|_| count > 0).and_then(|kept| body.get(..kept));
        Ok((kept.map(frame).ok_or(RtpError::Padding(count)), rest))
    }

    const fn malformed(&self) -> RtpError {
        RtpError::RtcpBody {
            packet_type: self.packet_type,
            length: self.body.len(),
        }
    }

    fn read(self) -> Result<RtcpPacket<'a>, RtpError> {
        let Self {
            packet_type,
            format,
            body,
        } = self;
        let packet = match (packet_type, format) {
            (SENDER_REPORT, _) => SenderReport::read(format, body).map(RtcpPacket::SenderReport),
            (RECEIVER_REPORT, _) => {
                ReceiverReport::read(format, body).map(RtcpPacket::ReceiverReport)
            }
            (SOURCE_DESCRIPTION, _) => Some(RtcpPacket::Sdes(Sdes::read(format, body))),
            (GOODBYE, _) => Bye::read(format, body).map(RtcpPacket::Bye),
            (TRANSPORT_FEEDBACK, feedback::NACK) => Nack::read(body).map(RtcpPacket::Nack),
            (TRANSPORT_FEEDBACK, twcc::FORMAT) => {
                TransportFeedback::read(body).map(RtcpPacket::TransportFeedback)
            }
            (PAYLOAD_FEEDBACK, feedback::PLI) => Pli::read(body).map(RtcpPacket::Pli),
            (PAYLOAD_FEEDBACK, feedback::FIR) => Fir::read(body).map(RtcpPacket::Fir),
            (PAYLOAD_FEEDBACK, feedback::APPLICATION) if Remb::is(body) => {
                Remb::read(body).map(RtcpPacket::Remb)
            }
            (EXTENDED_REPORT, _) => ExtendedReport::read(body).map(RtcpPacket::ExtendedReport),
            _ => Some(RtcpPacket::Unknown {
                packet_type,
                format,
            }),
        };
        packet.ok_or_else(|| self.malformed())
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<RtcpPacket<'a>, RtpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Frame::split(self.rest) {
            Ok((frame, rest)) => {
                self.rest = rest;
                Some(frame.and_then(Frame::read))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Packets<'_> {}

/// Consecutive 32-bit numbers; a rest of less is left out.
fn words(body: &[u8]) -> impl Iterator<Item = u32> + '_ {
    body.chunks_exact(4)
        .filter_map(|word| bytes::u32_at(word, 0))
}

/// Writes one packet: header, whatever `body` appends, zeros up to a multiple of four bytes.
///
/// The callers bound their bodies far below the 256 KiB that the length field can say.
fn write(out: &mut Vec<u8>, packet_type: u8, format: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x80 | format & 0x1f, packet_type, 0, 0]);
    body(out);
    let length = out.len() - start;
    out.resize(start + length.next_multiple_of(4), 0);
    let words = u16::try_from(length.div_ceil(4) - 1).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start + 2..) {
        bytes::put(field, &words.to_be_bytes());
    }
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests;
