//! The arrival record of one incoming stream: loss, jitter, what to ask for again, what to report.
//!
//! Silence is neither loss nor a stall here: nothing is concluded from packets that do not come,
//! only from numbers that were skipped. An Opus sender that pauses (DTX) skips none.

mod missing;
#[cfg(test)]
mod tests;
mod window;

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use media_types::NtpTime;

pub use crate::limits::MISSING_MAX;
use crate::sequence::{SequenceNumber, SequenceUnwrapper};
use crate::timestamp::{RtpTimestamp, SenderClock, ticks_in};
use missing::Missing;
use window::Window;

/// A jump this far ahead is a sender that started again, not loss (RFC 3550, appendix A.1).
const DROPOUT_MAX: u64 = 3_000;
/// Cumulative loss has 24 bits with sign (RFC 3550, section 6.4.1).
const CUMULATIVE_MAX: i64 = 0x7f_ffff;
/// Bytes before the original payload in a retransmission: its sequence number (RFC 4588, section
/// 4).
const RTX_HEADER_BYTES: usize = 2;

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The unwrapped sequence number.
    pub sequence: u64,
    /// It has come before, or is too old to tell: not to be forwarded.
    pub duplicate: bool,
    /// It is the newest of the stream.
    pub newest: bool,
    /// The sender's numbers jumped: it started again, and a decoder needs a keyframe.
    pub restarted: bool,
}

/// A report block's figures (RFC 3550, section 6.4.1), but for the stream's SSRC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceptionFigures {
    /// Lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost since the start; negative with duplicates. Fits 24 bits with sign.
    pub cumulative_lost: i32,
    /// The highest sequence number, above it the count of rollovers.
    pub extended_highest: u32,
    /// Interarrival jitter in ticks.
    pub jitter: u32,
    /// The middle of the last sender report's NTP time; 0 if none has come.
    pub last_sender_report: u32,
    /// Since that report came, in 1/65536 s; 0 if none has come.
    pub delay_since_last: u32,
}

/// The arrival record of one stream (one SSRC).
#[derive(Debug)]
pub struct ReceiveStream {
    clock_rate: u32,
    numbers: SequenceUnwrapper,
    window: Window,
    missing: Option<Missing>,
    /// Where counting started: the first number, or the one after a restart.
    base: u64,
    received: u64,
    reported_expected: u64,
    reported_received: u64,
    /// Jitter in 16ths of a tick, as RFC 3550, appendix A.8 has it.
    jitter: u64,
    last_transit: Option<(Instant, RtpTimestamp)>,
    sender_report: Option<(Instant, SenderClock)>,
    bytes: u64,
}

impl ReceiveStream {
    /// A record of a stream with `clock_rate` ticks per second. Without `nacks` losses are counted
    /// but nothing is asked for: for RTX streams, and senders that do not retransmit.
    #[must_use]
    pub fn new(clock_rate: u32, nacks: bool) -> Self {
        Self {
            clock_rate,
            numbers: SequenceUnwrapper::default(),
            window: Window::default(),
            missing: nacks.then(Missing::default),
            base: 0,
            received: 0,
            reported_expected: 0,
            reported_received: 0,
            jitter: 0,
            last_transit: None,
            sender_report: None,
            bytes: 0,
        }
    }

    /// Takes note of a packet of `size` bytes with the sequence number and timestamp of its header.
    pub fn on_packet(&mut self, now: Instant, seq: u16, ts: u32, size: usize) -> Arrival {
        let arrival = self.place(now, seq);
        if let Some(missing) = self.missing.as_mut().filter(|_| !arrival.newest) {
            let highest = self.numbers.highest().unwrap_or(0);
            missing.on_late(now, arrival.sequence, highest);
        }
        // Duplicates count as received (RFC 3550, appendix A.3).
        self.received += 1;
        self.bytes += u64::try_from(size).unwrap_or(0);
        if arrival.restarted {
            self.last_transit = None;
        }
        if !arrival.duplicate {
            self.update_jitter(now, RtpTimestamp(ts));
        }
        arrival
    }

    /// Takes note of a packet that came again by RTX, under its original sequence number.
    ///
    /// It counts as lost all the same, since reports speak of the path, and its delay says nothing
    /// about jitter.
    pub fn on_repaired(&mut self, now: Instant, seq: u16) -> Arrival {
        let arrival = self.place(now, seq);
        if let Some(missing) = &mut self.missing {
            missing.on_repaired(now, arrival.sequence);
        }
        arrival
    }

    /// Takes note of a sender report.
    pub const fn on_sender_report(&mut self, now: Instant, ntp: NtpTime, ts: u32) {
        let clock = SenderClock {
            ntp,
            timestamp: RtpTimestamp(ts),
        };
        self.sender_report = Some((now, clock));
    }

    /// What the last sender report said about the stream's clock.
    #[must_use]
    pub fn sender_clock(&self) -> Option<SenderClock> {
        self.sender_report.map(|(_, clock)| clock)
    }

    /// The sequence numbers to ask for now. A skipped packet is first taken for late: for an eighth
    /// of a round trip (5 to 25 ms), or until two newer packets have come, more where the path is
    /// seen to swap them. Then it is asked for each `rtt` (20 to 500 ms) until it comes, ten times
    /// or for four round trips (1 to 2 s). To be called at [`poll_timeout`](Self::poll_timeout).
    pub fn poll_nacks(&mut self, now: Instant, rtt: Duration) -> ArrayVec<u16, MISSING_MAX> {
        let missing = self.missing.as_mut();
        missing.map_or_else(ArrayVec::new, |missing| missing.poll(now, rtt))
    }

    /// From a first request to the retransmission that answered it, smoothed; `None` before one.
    #[must_use]
    pub fn repair_rtt(&self) -> Option<Duration> {
        self.missing.as_ref().and_then(Missing::repair_rtt)
    }

    /// When [`poll_nacks`](Self::poll_nacks) has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.missing.as_ref().and_then(Missing::next_at)
    }

    /// Whether something was given up since the last call, so that a video decoder needs a
    /// keyframe.
    pub fn take_needs_keyframe(&mut self) -> bool {
        self.missing.as_mut().is_some_and(Missing::take_given_up)
    }

    /// Stops asking for what came before `sequence`: a keyframe has made it needless.
    pub fn forget_before(&mut self, sequence: u64) {
        if let Some(missing) = &mut self.missing {
            missing.forget_before(sequence);
        }
    }

    /// Figures for the next report block; `None` before the first packet. Each call starts a new
    /// interval for [`ReceptionFigures::fraction_lost`].
    pub fn report(&mut self, now: Instant) -> Option<ReceptionFigures> {
        let highest = self.numbers.highest()?;
        let expected = highest - self.base + 1;
        let in_interval = expected.saturating_sub(self.reported_expected);
        let came = self.received.saturating_sub(self.reported_received);
        let lost = in_interval.saturating_sub(came).saturating_mul(256);
        let fraction = lost.checked_div(in_interval).unwrap_or(0).min(255);
        self.reported_expected = expected;
        self.reported_received = self.received;
        let (last_sender_report, delay_since_last) =
            self.sender_report.map_or((0, 0), |(at, clock)| {
                let delay = ticks_in(now.saturating_duration_since(at), 1 << 16);
                (clock.ntp.middle(), delay)
            });
        Some(ReceptionFigures {
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: cumulative(expected, self.received),
            extended_highest: RtpTimestamp::of(highest - SequenceUnwrapper::ORIGIN).0,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sender_report,
            delay_since_last,
        })
    }

    /// Packets that came, duplicates included, repairs not.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.received
    }

    /// Bytes that came.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn place(&mut self, now: Instant, seq: u16) -> Arrival {
        let before = self.numbers.highest();
        let sequence = self.numbers.unwrap(SequenceNumber(seq));
        let Some(before) = before else {
            self.base = sequence;
            self.window.advance(sequence);
            self.window.insert(sequence);
            return Arrival {
                sequence,
                duplicate: false,
                newest: true,
                restarted: false,
            };
        };
        let newest = sequence > before;
        let restarted = newest && sequence - before > DROPOUT_MAX;
        if newest {
            self.window.advance(sequence);
        }
        if restarted {
            self.restart(before, sequence);
        } else if let Some(missing) = self.missing.as_mut().filter(|_| newest) {
            missing.extend(before + 1..sequence, now);
        }
        Arrival {
            sequence,
            duplicate: !self.window.insert(sequence),
            newest,
            restarted,
        }
    }

    /// Goes on counting from `sequence` as if it followed `before`: the jump is not loss.
    fn restart(&mut self, before: u64, sequence: u64) {
        let expected = before - self.base + 1;
        self.base = sequence - expected;
        if let Some(missing) = &mut self.missing {
            missing.give_up();
        }
    }

    fn update_jitter(&mut self, now: Instant, ts: RtpTimestamp) {
        let Some((at, before)) = self.last_transit.replace((now, ts)) else {
            return;
        };
        let passed = ticks_in(now.saturating_duration_since(at), self.clock_rate);
        let difference = passed.wrapping_sub(ts.distance(before).cast_unsigned());
        let difference = u64::from(difference.cast_signed().unsigned_abs());
        self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
    }
}

/// Expected minus received, in 24 bits with sign.
fn cumulative(expected: u64, received: u64) -> i32 {
    let lost = expected
        .cast_signed()
        .saturating_sub(received.cast_signed());
    i32::try_from(lost.clamp(-CUMULATIVE_MAX - 1, CUMULATIVE_MAX)).unwrap_or(i32::MAX)
}

/// Takes a retransmission's payload apart: the original sequence number and the original payload
/// (RFC 4588, section 4). `None` for padding, which senders use to probe on the RTX stream.
#[must_use]
pub fn unwrap_rtx(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (original, rest) = payload.split_first_chunk::<RTX_HEADER_BYTES>()?;
    (!rest.is_empty()).then(|| (u16::from_be_bytes(*original), rest))
}
