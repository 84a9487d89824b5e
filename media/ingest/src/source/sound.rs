//! Times of sound, by counting samples.

use crate::limits::SOUND_TOLERANCE;

/// Undoes the rounding of timestamps to milliseconds, which would make frames of 21⅓ ms uneven.
#[derive(Debug, Default)]
pub(super) struct SoundClock {
    /// Where counting began, in microseconds.
    anchor_us: u64,
    samples: u64,
    rate: u32,
    last_us: u64,
}

impl SoundClock {
    /// Where a packet of `samples` lies whose timestamp says `time_us`. Its time counts where it
    /// differs from the count by more than rounding explains.
    pub(super) fn place(&mut self, time_us: u64, samples: u32, rate: u32) -> u64 {
        let counted = self.samples.saturating_mul(1_000_000);
        let counted = counted.checked_div(rate.into()).unwrap_or_default();
        let counted = self.anchor_us.saturating_add(counted);
        let off = counted.abs_diff(time_us);
        let tolerance = u64::try_from(SOUND_TOLERANCE.as_micros()).unwrap_or_default();
        let keeps = self.rate == rate && self.samples > 0 && off <= tolerance;
        let mut place = counted;
        if !keeps {
            place = if self.rate == 0 {
                time_us
            } else {
                time_us.max(self.last_us.saturating_add(1_000))
            };
            self.anchor_us = place;
            self.samples = 0;
            self.rate = rate;
        }
        self.samples = self.samples.saturating_add(samples.into());
        self.last_us = place;
        place
    }
}
