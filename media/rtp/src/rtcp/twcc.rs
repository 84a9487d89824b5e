//! Transport-wide feedback: when each packet of a transport arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

mod recorder;

pub use recorder::{FEEDBACK_BYTES_MAX, TwccRecorder};

use crate::bytes;

pub(super) const FORMAT: u8 = 15;

/// The unit of arrival times in microseconds.
const TICK_US: i64 = 250;
/// The unit of the reference time in ticks: 64 ms.
const REFERENCE_TICKS: i64 = 256;
/// Sender, media source, base, count, reference time and number of the feedback.
const FIXED_BYTES: usize = 16;

/// What a feedback packet says of one packet; the numbers are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// It did not come.
    Missing = 0,
    /// It came up to 63.75 ms after the one before: one byte.
    Small = 1,
    /// It came later, or before: two bytes with sign.
    Large = 2,
}

impl Status {
    const fn of(symbol: u16) -> Option<Self> {
        match symbol & 3 {
            0 => Some(Self::Missing),
            1 => Some(Self::Small),
            2 => Some(Self::Large),
            _ => None,
        }
    }

    const fn delta_bytes(self) -> usize {
        self as usize
    }
}

/// Statuses packed into two bytes.
#[derive(Debug, Clone, Copy)]
struct Chunk(u16);

impl Chunk {
    /// How many statuses it holds.
    const fn capacity(self) -> u16 {
        match self.0 >> 14 {
            0 | 1 => self.0 & 0x1fff,
            2 => 14,
            _ => 7,
        }
    }

    /// The status at a place below the capacity; `None` if it is the reserved one.
    const fn status(self, at: u16) -> Option<Status> {
        match self.0 >> 14 {
            0 | 1 => Status::of(self.0 >> 13),
            2 => Status::of(self.0 >> 13_u16.saturating_sub(at) & 1),
            _ => Status::of(self.0 >> 12_u16.saturating_sub(2 * at)),
        }
    }
}

/// A feedback packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportFeedback<'a> {
    /// Who reports.
    pub sender: u32,
    /// Any stream of the transport.
    pub media: u32,
    /// The transport-wide number of the first packet reported on.
    pub base: u16,
    /// How many packets it reports on.
    pub count: u16,
    /// The time to which the arrivals are relative, in units of 64 ms since an origin of the
    /// reporter's choice; 24 bits with sign, wraps.
    pub reference_time: i32,
    /// Counts feedback packets, wraps.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let [t0, t1, t2, feedback_count] = bytes::chunk(body, 12)?;
        let count = bytes::u16_at(body, 10)?;
        let rest = body.get(FIXED_BYTES..)?;
        let (chunks_length, deltas_length) = lengths(rest, count)?;
        let (chunks, deltas) = rest.split_at_checked(chunks_length)?;
        Some(Self {
            sender: bytes::u32_at(body, 0)?,
            media: bytes::u32_at(body, 4)?,
            base: bytes::u16_at(body, 8)?,
            count,
            reference_time: i32::from_be_bytes([t0, t1, t2, 0]) >> 8,
            feedback_count,
            chunks,
            deltas: deltas.get(..deltas_length)?,
        })
    }

    /// Each packet reported on: its transport-wide number, and when it arrived in microseconds
    /// after the reference time, or `None` if it did not.
    #[must_use]
    pub const fn arrivals(&self) -> Arrivals<'a> {
        Arrivals {
            next: self.base,
            left: self.count,
            chunk: Chunk(0),
            at: 0,
            chunks: self.chunks,
            deltas: self.deltas,
            ticks: 0,
        }
    }
}

/// The lengths of the chunks and of the deltas that `count` statuses take.
fn lengths(rest: &[u8], count: u16) -> Option<(usize, usize)> {
    let mut left = count;
    let mut chunks = 0;
    let mut deltas = 0;
    while left > 0 {
        let chunk = Chunk(bytes::u16_at(rest, chunks)?);
        chunks += 2;
        let taken = chunk.capacity().min(left);
        left -= taken;
        if chunk.0 >> 15 == 0 {
            deltas += chunk.status(0)?.delta_bytes() * usize::from(taken);
        } else {
            for at in 0..taken {
                deltas += chunk.status(at)?.delta_bytes();
            }
        }
    }
    Some((chunks, deltas))
}

/// Iterates over the packets of a feedback; see [`TransportFeedback::arrivals`].
#[derive(Debug, Clone)]
pub struct Arrivals<'a> {
    next: u16,
    left: u16,
    chunk: Chunk,
    at: u16,
    chunks: &'a [u8],
    deltas: &'a [u8],
    ticks: i64,
}

impl Arrivals<'_> {
    fn status(&mut self) -> Option<Status> {
        while self.at >= self.chunk.capacity() {
            let (chunk, rest) = self.chunks.split_first_chunk()?;
            self.chunk = Chunk(u16::from_be_bytes(*chunk));
            self.chunks = rest;
            self.at = 0;
        }
        let status = self.chunk.status(self.at);
        self.at += 1;
        status
    }

    fn delta(&mut self, status: Status) -> Option<i64> {
        match status {
            Status::Missing => None,
            Status::Small => {
                let (&delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(delta.into())
            }
            Status::Large => {
                let (delta, rest) = self.deltas.split_first_chunk()?;
                self.deltas = rest;
                Some(i16::from_be_bytes(*delta).into())
            }
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        let status = self.status()?;
        let arrival = self.delta(status).map(|delta| {
            self.ticks += delta;
            self.ticks * TICK_US
        });
        Some((sequence, arrival))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl ExactSizeIterator for Arrivals<'_> {}

#[cfg(test)]
mod tests;
