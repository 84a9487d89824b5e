//! When packets say they were sent.

use std::time::Duration;

/// A packet's own word about when it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendTime {
    /// The 24 bits of `abs-send-time`, in 2⁻¹⁸ s.
    Absolute(u32),
    /// When its picture was taken; less exact, but every packet has it.
    Rtp {
        /// The RTP timestamp.
        timestamp: u32,
        /// Its ticks a second.
        clock_rate: u32,
    },
}

/// Ticks of `abs-send-time` a second.
const ABSOLUTE_RATE: u32 = 1 << 18;
/// Its 24 bits stand at the top of 32, so that both kinds wrap alike.
const ABSOLUTE_SHIFT: u32 = 8;
/// A clock that jumps by more than this is another one.
const JUMP_MAX: Duration = Duration::from_secs(10);
/// Where counting begins: what was overtaken at the start still has a time.
const BEGIN: Duration = Duration::from_secs(60);

/// Unwraps send times into a time since some origin.
#[derive(Debug, Default)]
pub(super) struct SendClock {
    /// Ticks a second, and the newest time as raw ticks.
    newest: Option<(u64, u32)>,
    time: Duration,
}

impl SendClock {
    /// The time since an origin, and whether that is a new one.
    pub(super) fn take(&mut self, sent: SendTime) -> (Duration, bool) {
        let (rate, raw) = match sent {
            SendTime::Absolute(bits) => {
                let rate = u64::from(ABSOLUTE_RATE) << ABSOLUTE_SHIFT;
                (rate, bits << ABSOLUTE_SHIFT)
            }
            SendTime::Rtp {
                timestamp,
                clock_rate,
            } => (u64::from(clock_rate.max(1)), timestamp),
        };
        let newest = self.newest.filter(|(known, _)| *known == rate);
        let Some((_, newest)) = newest else {
            return (self.begin(rate, raw), true);
        };
        let ahead = raw.wrapping_sub(newest).cast_signed();
        let step = duration(u64::from(ahead.unsigned_abs()), rate);
        if step > JUMP_MAX {
            return (self.begin(rate, raw), true);
        }
        if ahead < 0 {
            return (self.time.saturating_sub(step), false);
        }
        self.time = self.time.saturating_add(step);
        self.newest = Some((rate, raw));
        (self.time, false)
    }

    const fn begin(&mut self, rate: u64, raw: u32) -> Duration {
        self.newest = Some((rate, raw));
        self.time = BEGIN;
        self.time
    }
}

fn duration(ticks: u64, rate: u64) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_unwrap() {
        let mut clock = SendClock::default();
        let late = SendTime::Absolute(0x00FF_FFFF);
        assert_eq!(clock.take(late), (BEGIN, true));
        // A quarter of a second later, over the wrap; and one tick before that.
        let (time, is_new) = clock.take(SendTime::Absolute(0x0000_FFFF));
        assert_eq!((time, is_new), (BEGIN + Duration::from_millis(250), false));
        let (time, is_new) = clock.take(SendTime::Absolute(0x0000_FFFE));
        assert!(time < BEGIN + Duration::from_millis(250) && !is_new);
        let rtp = |timestamp| SendTime::Rtp {
            timestamp,
            clock_rate: 90_000,
        };
        assert_eq!(clock.take(rtp(u32::MAX)), (BEGIN, true));
        let second = BEGIN + Duration::from_secs(1);
        assert_eq!(clock.take(rtp(89_999)), (second, false));
        assert_eq!(clock.take(rtp(9_000_000)), (BEGIN, true));
    }
}
