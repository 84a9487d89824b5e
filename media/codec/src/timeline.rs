//! Where decoded audio belongs on a line of samples without holes (pure).
//!
//! A source's timestamps and its samples tell two stories. What is off by less than
//! [`JITTER_MAX`] is jitter, and only its average is followed, by making the resampler a trace
//! faster or slower. A hole of up to [`JUMP_MIN`] is filled with silence, as much of an overlap is
//! left out, and beyond that the source's clock has jumped: the line ends and another begins.

use std::time::Duration;

use media_transcode::limits::{JITTER_MAX, JUMP_MIN};

/// Samples a second on the line.
pub(crate) const RATE: u32 = 48_000;
/// How many frames the average drift is taken over: about a second and a half of AAC.
const DRIFT_FRAMES: i64 = 64;
/// The average beyond which the resampler is asked to help.
const DRIFT_MAX_NS: i64 = 4_000_000;
/// How long it takes to make up for it: at 4 ms a second nobody hears the pitch change.
pub(crate) const DRIFT_SAMPLES: i32 = 48_000;

/// What to do with a frame of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It follows what there is.
    Next,
    /// As before, and over the next [`DRIFT_SAMPLES`] this many samples more are to come of what
    /// is put in, or fewer.
    Drift(i32),
    /// After this many samples of silence.
    After(usize),
    /// Not at all: its time is over.
    Skip,
    /// A new line begins here, with the first frame or after a jump.
    Begin(Duration),
}

/// One line of samples.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// When the next sample is due by the samples that came, in nanoseconds.
    next_ns: Option<i64>,
    /// What a frame's nanoseconds leave over in the division by the rate.
    remainder: i64,
    drift_ns: i64,
}

impl Timeline {
    /// A frame with this many samples at this rate, presented at this time.
    pub(crate) fn place(&mut self, presented: Duration, samples: usize, rate: u32) -> Placement {
        let presented_ns = nanos(presented);
        let Some(next_ns) = self.next_ns else {
            return self.begin(presented, samples, rate);
        };
        let error_ns = presented_ns.saturating_sub(next_ns);
        if error_ns.saturating_abs() > nanos(JUMP_MIN) {
            return self.begin(presented, samples, rate);
        }
        if error_ns.saturating_abs() <= nanos(JITTER_MAX) {
            self.advance(next_ns, samples, rate);
            return self.follow(error_ns);
        }
        self.drift_ns = 0;
        if error_ns < 0 {
            return Placement::Skip;
        }
        self.remainder = 0;
        self.advance(presented_ns, samples, rate);
        Placement::After(usize::try_from(samples_in(error_ns)).unwrap_or(0))
    }

    /// Forgets everything: what comes next begins a line.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn begin(&mut self, presented: Duration, samples: usize, rate: u32) -> Placement {
        self.clear();
        self.advance(nanos(presented), samples, rate);
        Placement::Begin(presented)
    }

    fn advance(&mut self, from_ns: i64, samples: usize, rate: u32) {
        let samples = i64::try_from(samples).unwrap_or(0).min(i64::from(u32::MAX));
        let scaled = samples * 1_000_000_000 + self.remainder;
        let rate = i64::from(rate.max(1));
        self.remainder = scaled % rate;
        self.next_ns = Some(from_ns.saturating_add(scaled / rate));
    }

    /// Averages the error, and hands it to the resampler when it is more than jitter.
    fn follow(&mut self, error_ns: i64) -> Placement {
        self.drift_ns += (error_ns - self.drift_ns) / DRIFT_FRAMES;
        if self.drift_ns.abs() <= DRIFT_MAX_NS {
            return Placement::Next;
        }
        let drift_ns = std::mem::take(&mut self.drift_ns);
        self.next_ns = self.next_ns.map(|next| next.saturating_add(drift_ns));
        let samples = i32::try_from(samples_in(drift_ns)).unwrap_or(0);
        Placement::Drift(samples)
    }
}

/// Samples of the line in that time.
fn samples_in(ns: i64) -> i64 {
    ns.saturating_mul(i64::from(RATE)) / 1_000_000_000
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// That many samples of the line, as time.
pub(crate) fn duration_of(samples: u64) -> Duration {
    let nanos = u128::from(samples) * 1_000_000_000 / u128::from(RATE);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
