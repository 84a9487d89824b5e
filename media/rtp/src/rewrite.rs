//! Outgoing sequence numbers and timestamps of one subscription.
//!
//! A receiver is to see one stream without seams, whatever is behind it: several simulcast layers,
//! several publishers in one slot, packets left out on purpose. A gap in its numbers means *lost*:
//! it asks again, and gets the packet once that has been repaired upstream.

mod continuity;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub(crate) use continuity::Continuity;

use crate::timestamp::{RtpTimestamp, ticks_in};

/// An alignment by sender reports that puts a switch this far from what the wall clock says is not
/// believed: reports are the publisher's word, and a bad one would freeze the receiver's picture.
const ALIGNMENT_ERROR_MAX: Duration = Duration::from_secs(2);

/// Where the outgoing stream stands.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// The highest number.
    sequence: u64,
    /// The latest timestamp.
    timestamp: RtpTimestamp,
    /// When that timestamp was first sent.
    at: Instant,
}

/// Continues sequence numbers and timestamps over drops and switches of source.
///
/// Incoming sequence numbers are unwrapped ones ([`crate::sequence::SequenceUnwrapper`]). Outgoing
/// ones are indices whose low 16 bits go on the wire and whose upper bits count rollovers, as SRTP
/// wants them (RFC 3711, section 3.3.1).
#[derive(Debug, Clone)]
pub struct Rewriter {
    clock_rate: u32,
    first_sequence: u64,
    first_timestamp: RtpTimestamp,
    source: Option<u32>,
    numbers: Continuity,
    timestamp_offset: u32,
    sent: Option<Sent>,
}

impl Rewriter {
    /// A rewriter whose first packet will have these numbers; RFC 3550 wants them random. A first
    /// sequence number below 2¹⁵ keeps receivers from mistaking the rollover count.
    #[must_use]
    pub fn new(clock_rate: u32, first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            clock_rate,
            first_sequence: u64::from(first_sequence),
            first_timestamp: RtpTimestamp(first_timestamp),
            source: None,
            numbers: Continuity::starting(0, 0),
            timestamp_offset: 0,
            sent: None,
        }
    }

    /// The source in use.
    #[must_use]
    pub const fn source(&self) -> Option<u32> {
        self.source
    }

    /// The highest outgoing number and the latest outgoing timestamp, once something was forwarded.
    #[must_use]
    pub fn last(&self) -> Option<(u64, u32)> {
        self.sent.map(|sent| (sent.sequence, sent.timestamp.0))
    }

    /// Goes on with another source, or with the same one after a pause, from the packet `in_seq`
    /// with `in_ts`; to be followed by [`forward`](Self::forward) of that packet.
    ///
    /// The sequence continues without a gap. The timestamp moves on by the time that has passed
    /// since the last one; or, for a source whose clock is known to the tick (another layer of the
    /// same publisher), by `alignment`: what to add to a timestamp of this source to get the
    /// previous source's for the same moment ([`crate::timestamp::SenderClock::offset_to`]). It
    /// always moves, since two frames of one timestamp would be one to the receiver.
    pub fn switch(
        &mut self,
        source: u32,
        in_seq: u64,
        in_ts: u32,
        now: Instant,
        alignment: Option<u32>,
    ) {
        let (sequence, timestamp) = match self.sent {
            None => (self.first_sequence, self.first_timestamp),
            Some(sent) => {
                let aligned = alignment.map(|offset| {
                    RtpTimestamp(in_ts)
                        .wrapping_add(offset)
                        .wrapping_add(self.timestamp_offset)
                });
                (sent.sequence + 1, self.next_timestamp(sent, now, aligned))
            }
        };
        self.source = Some(source);
        self.numbers.restart(in_seq, sequence);
        self.timestamp_offset = timestamp.0.wrapping_sub(in_ts);
    }

    /// The numbers with which to send a packet of `source`.
    ///
    /// `None` if the packet must not be sent: it is of another source, from before the switch, was
    /// [dropped](Self::drop), or is too old to place. One that comes late gets the number that was
    /// left free for it. Call it once a packet: a duplicate would get the same number again.
    pub fn forward(
        &mut self,
        source: u32,
        in_seq: u64,
        in_ts: u32,
        now: Instant,
    ) -> Option<(u64, u32)> {
        if self.source != Some(source) {
            return None;
        }
        let sequence = self.numbers.forward(in_seq)?;
        let timestamp = RtpTimestamp(in_ts.wrapping_add(self.timestamp_offset));
        let sent = self.sent.get_or_insert(Sent {
            sequence,
            timestamp,
            at: now,
        });
        sent.sequence = sent.sequence.max(sequence);
        if timestamp.is_newer_than(sent.timestamp) {
            (sent.timestamp, sent.at) = (timestamp, now);
        }
        Some((sequence, timestamp.0))
    }

    /// Takes note of a packet of `source` that is left out on purpose, or that is padding only, so
    /// that it leaves no gap.
    ///
    /// If a later packet has already been sent, the receiver sees a hole and will ask for it in
    /// vain: its number is returned, to be filled with a packet of padding only.
    pub fn drop(&mut self, source: u32, in_seq: u64) -> Option<u64> {
        if self.source != Some(source) {
            return None;
        }
        self.numbers.drop(in_seq)
    }

    /// Later than all sent, near to what the wall clock says.
    fn next_timestamp(
        &self,
        sent: Sent,
        now: Instant,
        aligned: Option<RtpTimestamp>,
    ) -> RtpTimestamp {
        let elapsed = ticks_in(now.saturating_duration_since(sent.at), self.clock_rate);
        let by_clock = sent.timestamp.wrapping_add(elapsed.max(1));
        let Some(aligned) = aligned else {
            return by_clock;
        };
        let error_max = ticks_in(ALIGNMENT_ERROR_MAX, self.clock_rate);
        if aligned.distance(by_clock).unsigned_abs() > error_max {
            by_clock
        } else if aligned.is_newer_than(sent.timestamp) {
            aligned
        } else {
            sent.timestamp.wrapping_add(1)
        }
    }
}
