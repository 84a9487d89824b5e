//! One clock for all tracks of a publisher.
//!
//! Each source stamps its frames on a clock of its own. Where sender reports tie those clocks to
//! the sender's wall clock, tracks are joined by it, so that lips and voice stay together;
//! without them, by arrival. What happens to unruly sources:
//!
//! - A track that starts late starts at its right place; nothing waits for it.
//! - Timestamps step, either way, and arrival does not explain it: the track goes on from where
//!   arrival puts it.
//! - The source stops and its timestamps go on: a gap as long as the pause.
//! - The source stops and its timestamps stop too: no gap; a sender report mends it.
//! - Timestamps run backwards by less than a jump: times are held, and rise by a tick at least.
//! - A sender report moves a track by 5 ms to 1 s: it is moved there by at most 5 ms a frame.
//! - A sender report moves a track by more: it steps there at once, forwards alone.
//! - A sender report that is off by more than 10 s from arrival is not believed.

use std::time::Duration;

use media_rtp::timestamp::{RtpTimestamp, SenderClock};

use crate::frame::{duration, ticks};
use crate::limits::{CLOCK_ERROR_MAX, CLOCK_ERROR_MIN, JUMP_MIN, SLEW_PER_FRAME, TIMELINE_LEAD};
use crate::{Frame, SourceFrame};

/// Microseconds, signed: differences between clocks.
type Micros = i64;

/// The clock of one publisher's tracks.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The wall clock at time 0.
    epoch: Option<Duration>,
    /// The sender's wall clock at time 0.
    sender_epoch: Option<Micros>,
}

/// One track on a [`Timeline`].
#[derive(Debug, Default)]
pub struct Line {
    last: Option<Last>,
    /// What is added to the source's ticks, modulo 2⁶⁴.
    offset: i128,
    clock: Option<SenderClock>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    source: u64,
    out: u64,
    arrived: Duration,
    rate: u32,
}

impl Timeline {
    /// The wall clock at time 0 of the timeline; known from the first frame on.
    #[must_use]
    pub const fn epoch(&self) -> Option<Duration> {
        self.epoch
    }

    /// Puts a frame in its place.
    pub fn place(&mut self, line: &mut Line, source: SourceFrame) -> Frame {
        let rate = source.config.timescale;
        let epoch = *self
            .epoch
            .get_or_insert_with(|| source.arrived.saturating_sub(TIMELINE_LEAD));
        let by_arrival = ticks(source.arrived.saturating_sub(epoch), rate);
        let anchored = line.last.filter(|last| last.rate == rate);
        match anchored {
            Some(last) if !jumped(&last, &source, rate) => self.follow(line, &source, by_arrival),
            _ => self.anchor(line, &source, by_arrival),
        }
        let placed = i128::from(source.timestamp) + line.offset;
        let least = anchored.map_or(0, |last| last.out.saturating_add(1));
        let dts = u64::try_from(placed).unwrap_or(0).max(least);
        line.last = Some(Last {
            source: source.timestamp,
            out: dts,
            arrived: source.arrived,
            rate,
        });
        Frame {
            dts,
            composition: source.composition,
            keyframe: source.keyframe,
            config: source.config,
            data: source.data,
        }
    }

    /// Gives a track a new place: by its sender's clock where that can be believed, else by
    /// arrival.
    fn anchor(&mut self, line: &mut Line, source: &SourceFrame, by_arrival: u64) {
        let rate = source.config.timescale;
        let mut target = by_arrival;
        if let Some(sent) = sent_at(line.clock, source) {
            match self.by_sender(sent, by_arrival, rate) {
                Some(place) => target = place,
                None => self.sender_epoch = Some(sent - micros(by_arrival, rate)),
            }
        }
        line.offset = i128::from(target) - i128::from(source.timestamp);
    }

    /// Moves a track towards its right place, if it is known.
    fn follow(&mut self, line: &mut Line, source: &SourceFrame, by_arrival: u64) {
        let rate = source.config.timescale;
        let Some(sent) = sent_at(line.clock, source) else {
            return;
        };
        let here = i128::from(source.timestamp) + line.offset;
        let Ok(here) = u64::try_from(here) else {
            return;
        };
        if self.sender_epoch.is_none() {
            self.sender_epoch = Some(sent - micros(here, rate));
            return;
        }
        let Some(target) = self.by_sender(sent, by_arrival, rate) else {
            return;
        };
        let error = i128::from(target) - i128::from(here);
        let size = duration(
            u64::try_from(error.unsigned_abs()).unwrap_or(u64::MAX),
            rate,
        );
        if size < CLOCK_ERROR_MIN {
            return;
        }
        let step = i128::from(ticks(SLEW_PER_FRAME, rate));
        let whole = size >= JUMP_MIN && error > 0;
        line.offset += if whole {
            error
        } else {
            error.clamp(-step, step)
        };
    }

    /// The place that the sender's clock gives, unless it is absurd or unknown.
    fn by_sender(&self, sent: Micros, by_arrival: u64, rate: u32) -> Option<u64> {
        let since = u64::try_from(sent.checked_sub(self.sender_epoch?)?).ok()?;
        let place = ticks(Duration::from_micros(since), rate);
        let error = duration(place.abs_diff(by_arrival), rate);
        (error <= CLOCK_ERROR_MAX).then_some(place)
    }
}

impl Line {
    /// Takes note of what the track's last sender report said.
    pub const fn set_clock(&mut self, clock: Option<SenderClock>) {
        self.clock = clock;
    }
}

/// Whether the source's timestamps stepped without time having passed, or fell back.
fn jumped(last: &Last, source: &SourceFrame, rate: u32) -> bool {
    let passed = source.arrived.saturating_sub(last.arrived);
    if source.timestamp < last.source {
        return duration(last.source - source.timestamp, rate) >= JUMP_MIN;
    }
    let stamped = duration(source.timestamp - last.source, rate);
    stamped > passed.saturating_add(JUMP_MIN)
}

/// When the sender's wall clock says that the frame was captured, in µs since 1900.
fn sent_at(clock: Option<SenderClock>, source: &SourceFrame) -> Option<Micros> {
    let clock = clock?;
    let rate = i64::from(source.config.timescale);
    let seconds = i64::try_from(clock.ntp.0 >> 32).ok()?;
    let fraction = i64::try_from(((clock.ntp.0 & 0xffff_ffff) * 1_000_000) >> 32).ok()?;
    let distance = RtpTimestamp::of(source.timestamp).distance(clock.timestamp);
    let since = i64::from(distance)
        .checked_mul(1_000_000)?
        .checked_div(rate)?;
    seconds
        .checked_mul(1_000_000)?
        .checked_add(fraction)?
        .checked_add(since)
}

fn micros(ticks: u64, rate: u32) -> Micros {
    i64::try_from(duration(ticks, rate).as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
