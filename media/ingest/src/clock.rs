//! The clock of a source: milliseconds that wrap, jump, stop and run back become one timeline.
//!
//! All tracks of a source share the timeline, which begins with the first frame. What is done:
//!
//! - It wraps after 32 bits: the timeline goes on.
//! - It runs back a little, or repeats itself: each frame lies a millisecond after the last.
//! - It leaps by more than a second, and the arrival does not explain it: the timeline goes on
//!   where the frame arrives, and the other tracks follow by the same step.
//! - It stands still for half a second: frames lie where they arrive, until it moves.
//! - It begins elsewhere on another track: that track lies where it arrives.
//! - It leaves a gap, and so does the arrival: the timeline has the gap.
//! - It drifts against our clock: the timeline keeps the source's time, and [`Placed::lag`] tells
//!   when a frame was captured by our clock, so that sender reports follow the drift.
//! - It runs far ahead, as a file's does: kept, and [`SourceClock::hold`] says how long to stop
//!   reading.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::flv::TrackKey;
use crate::limits::{AHEAD_MAX, DRIFT_STEP, DRIFT_WINDOW, FROZEN_AFTER, JUMP, SETTLE, TRACKS_MAX};

/// What was mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// The source's time leapt, in either direction.
    Jumped,
    /// The source's time stands still.
    Frozen,
    /// A frame was not later than the one before.
    Backwards,
}

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Microseconds on the timeline; rises with each frame of a track.
    pub time_us: u64,
    /// How much later than it was captured the frame arrived, by our clock; never below the best
    /// of late.
    pub lag: Duration,
    /// What had to be mended for that.
    pub mended: Option<Mended>,
}

/// One track.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// From the source's unwrapped microseconds to the timeline.
    offset: i64,
    last: i64,
    /// The source's own time of the last frame.
    raw: i64,
    /// Since when the source repeats that.
    still_since: Instant,
}

/// The timeline of one source.
#[derive(Debug, Default)]
pub struct SourceClock {
    /// When the timeline began.
    origin: Option<Instant>,
    /// The newest unwrapped milliseconds.
    newest: i64,
    lines: BTreeMap<TrackKey, Line>,
    drift: Drift,
    /// How far the newest frame is ahead of the clock, in microseconds.
    ahead: i64,
}

impl SourceClock {
    /// Places the frame of a track that arrived now with `timestamp` in milliseconds and `nanos`
    /// more.
    pub fn place(&mut self, now: Instant, track: TrackKey, timestamp: u32, nanos: u32) -> Placed {
        let origin = *self.origin.get_or_insert_with(|| {
            self.newest = timestamp.into();
            now
        });
        let elapsed = micros(now.saturating_duration_since(origin));
        let raw = self.unwrap(timestamp).saturating_mul(1_000);
        let raw = raw.saturating_add(i64::from(nanos / 1_000));
        // Where a frame lies that is as late as the best of late.
        let arrival = elapsed.saturating_sub(self.drift.base).max(0);
        let (offset, mut mended) = self.offset(track, raw, arrival, now);
        let mut time = raw.saturating_add(offset);
        let before = self.lines.get(&track);
        if let Some(line) = before
            && time <= line.last
        {
            mended = mended.or(Some(Mended::Backwards));
            time = line.last.saturating_add(1_000);
        }
        let still_since = match before {
            Some(line) if line.raw == raw => line.still_since,
            _ => now,
        };
        let time = time.max(0);
        let line = Line {
            offset,
            last: time,
            raw,
            still_since,
        };
        if before.is_some() || self.lines.len() < TRACKS_MAX {
            self.lines.insert(track, line);
        }
        self.drift.saw(elapsed, elapsed.saturating_sub(time));
        let lag = elapsed.saturating_sub(time).saturating_sub(self.drift.base);
        self.ahead = lag.saturating_neg();
        Placed {
            time_us: u64::try_from(time).unwrap_or_default(),
            lag: Duration::from_micros(u64::try_from(lag).unwrap_or_default()),
            mended,
        }
    }

    /// How long to stop reading because the source runs ahead.
    #[must_use]
    pub fn hold(&self) -> Option<Duration> {
        let ahead = Duration::from_micros(u64::try_from(self.ahead).unwrap_or_default());
        ahead
            .checked_sub(AHEAD_MAX)
            .filter(|ahead| !ahead.is_zero())
    }

    /// The place of a timestamp nearest to the newest one.
    fn unwrap(&mut self, timestamp: u32) -> i64 {
        let [_, _, _, _, a, b, c, d] = self.newest.to_be_bytes();
        let step = timestamp.wrapping_sub(u32::from_be_bytes([a, b, c, d]));
        self.newest = self.newest.saturating_add(i64::from(step.cast_signed()));
        self.newest
    }

    /// The offset with which that time fits its track.
    fn offset(
        &self,
        track: TrackKey,
        raw: i64,
        arrival: i64,
        now: Instant,
    ) -> (i64, Option<Mended>) {
        let anchored = arrival.saturating_sub(raw);
        let others = || self.lines.iter().filter(|(key, _)| **key != track);
        let jump = micros(JUMP);
        let near = |time: i64, to: i64| time.saturating_sub(to).saturating_abs() <= jump;
        let Some(line) = self.lines.get(&track) else {
            let fits = |offset: &i64| near(raw.saturating_add(*offset), arrival);
            let known = others().map(|(_, line)| line.offset).find(fits);
            return (known.unwrap_or(anchored), None);
        };
        if line.raw == raw && now.saturating_duration_since(line.still_since) >= FROZEN_AFTER {
            return (anchored, Some(Mended::Frozen));
        }
        let fits = |offset: i64| {
            let time = raw.saturating_add(offset);
            let forward = time >= line.last;
            near(time, line.last) || (forward && near(time, arrival))
        };
        if fits(line.offset) {
            return (line.offset, None);
        }
        // A track that leapt first shows the way to the others.
        let known = others()
            .map(|(_, line)| line.offset)
            .find(|offset| fits(*offset));
        (known.unwrap_or(anchored), Some(Mended::Jumped))
    }
}

/// How the source's clock goes against ours: the shortest delay of each window, followed slowly.
#[derive(Debug, Default)]
struct Drift {
    /// The shortest delay that is believed, in microseconds.
    base: i64,
    /// The shortest of this window.
    lowest: Option<i64>,
    window: i64,
}

impl Drift {
    fn saw(&mut self, elapsed: i64, lag: i64) {
        let lowest = self.lowest.map_or(lag, |lowest| lowest.min(lag));
        self.lowest = Some(lowest);
        if elapsed < micros(SETTLE) {
            // The first frame need not have been the quickest.
            let most = micros(AHEAD_MAX / 3);
            self.base = self.base.min(lowest.max(most.saturating_neg()));
            return;
        }
        let window = elapsed
            .checked_div(micros(DRIFT_WINDOW))
            .unwrap_or_default();
        if window != self.window {
            self.window = window;
            let step = micros(DRIFT_STEP);
            let wanted = lowest.saturating_sub(self.base);
            self.base = self
                .base
                .saturating_add(wanted.clamp(step.saturating_neg(), step));
            self.lowest = None;
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
