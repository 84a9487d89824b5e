//! RTP timestamps: 32 bits that wrap on the wire, and what sender reports say about them.

use std::time::Duration;

use media_types::NtpTime;

/// A timestamp as the wire carries it, in ticks of the payload's clock (RFC 3550, section 5.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// The timestamp on the wire of an unwrapped one: its low 32 bits.
    #[must_use]
    pub const fn of(unwrapped: u64) -> Self {
        let [_, _, _, _, a, b, c, d] = unwrapped.to_be_bytes();
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// Whether `self` is later than `other`, judged by the shorter way around.
    #[must_use]
    pub const fn is_newer_than(self, other: Self) -> bool {
        self.distance(other) > 0
    }

    /// How many ticks `self` lies after `other`; negative if before.
    #[must_use]
    pub const fn distance(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// This timestamp moved by `ticks`, around the circle.
    #[must_use]
    pub const fn wrapping_add(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }
}

/// Ticks of a clock of `rate` ticks per second in `time`, on the 32-bit circle.
#[must_use]
pub fn ticks_in(time: Duration, rate: u32) -> u32 {
    let ticks = u64::try_from(time.as_nanos() * u128::from(rate) / 1_000_000_000);
    RtpTimestamp::of(ticks.unwrap_or(u64::MAX)).0
}

/// Gives each timestamp of a stream its place on a line that does not wrap, taking it for the one
/// nearest to the highest so far. The first timestamp `t` becomes 2³² + `t`.
#[derive(Debug, Clone, Default)]
pub struct TimestampUnwrapper {
    highest: Option<u64>,
}

impl TimestampUnwrapper {
    /// The place of the first timestamp 0.
    pub const ORIGIN: u64 = 1 << 32;

    /// The place of `timestamp`, which becomes the highest if it is later than all before.
    pub fn unwrap(&mut self, timestamp: RtpTimestamp) -> u64 {
        let place = match self.highest {
            None => Self::ORIGIN + u64::from(timestamp.0),
            Some(highest) => {
                let distance = timestamp.distance(RtpTimestamp::of(highest));
                highest.saturating_add_signed(i64::from(distance))
            }
        };
        self.highest = Some(self.highest.map_or(place, |highest| highest.max(place)));
        place
    }

    /// The highest place so far.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// One sender report's pair: this timestamp was captured at this wall-clock time of the sender
/// (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderClock {
    /// The sender's wall clock.
    pub ntp: NtpTime,
    /// The same moment on the stream's clock.
    pub timestamp: RtpTimestamp,
}

impl SenderClock {
    /// What to add to a timestamp of this stream to get the timestamp of the same moment on
    /// `other`, a stream of the same sender with the same `rate`; on the 32-bit circle.
    #[must_use]
    pub fn offset_to(self, other: Self, rate: u32) -> u32 {
        let ahead = u128::from(self.ntp.0.abs_diff(other.ntp.0)) * u128::from(rate);
        // Half a tick up, so that a rounded report does not lose one.
        let ticks = (ahead + (1 << 31)) >> 32;
        let ticks = RtpTimestamp::of(u64::try_from(ticks).unwrap_or(u64::MAX)).0;
        let base = other.timestamp.0.wrapping_sub(self.timestamp.0);
        if self.ntp >= other.ntp {
            base.wrapping_add(ticks)
        } else {
            base.wrapping_sub(ticks)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timestamps_wrap() {
        let [early, late] = [RtpTimestamp(u32::MAX - 9), RtpTimestamp(90)];
        assert!(late.is_newer_than(early));
        assert_eq!(late.distance(early), 100);
        let mut unwrapper = TimestampUnwrapper::default();
        assert_eq!(unwrapper.unwrap(early), (1 << 33) - 10);
        assert_eq!(unwrapper.unwrap(late), (1 << 33) + 90);
        assert_eq!(unwrapper.unwrap(early), (1 << 33) - 10);
        assert_eq!(unwrapper.highest(), Some((1 << 33) + 90));
    }

    #[test]
    fn durations_become_ticks() {
        assert_eq!(ticks_in(Duration::from_millis(20), 48_000), 960);
        assert_eq!(ticks_in(Duration::from_secs(100_000), 90_000), 410_065_408);
    }

    proptest! {
        #[test]
        fn reports_align_two_streams(
            base in any::<[u32; 2]>(),
            at in prop::array::uniform2(0_u32..900_000),
            t in any::<u32>(),
        ) {
            // Two streams of one camera: ticks `base[i] + t` are one moment on both.
            let clock = |i: usize| SenderClock {
                ntp: NtpTime::from_unix(
                    Duration::from_secs(1_700_000_000)
                        + Duration::from_nanos(u64::from(at[i]) * 1_000_000_000 / 90_000),
                ),
                timestamp: RtpTimestamp(base[i].wrapping_add(at[i])),
            };
            let offset = clock(0).offset_to(clock(1), 90_000);
            let mapped = base[0].wrapping_add(t).wrapping_add(offset);
            let error = RtpTimestamp(mapped).distance(RtpTimestamp(base[1].wrapping_add(t)));
            prop_assert!(error.abs() <= 1, "off by {error}");
        }
    }
}
