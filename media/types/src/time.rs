//! The clock, media time and NTP time.

use std::time::{Duration, Instant};

/// Where `now` comes from: the operating system in `server`, a counter in the simulator. Nothing
/// else reads a clock.
pub trait Clock: Send + Sync {
    /// The monotonic time.
    fn now(&self) -> Instant;

    /// The wall clock, for tokens and sender reports, as time since the Unix epoch.
    fn unix(&self) -> Duration;
}

/// Ticks of a media clock, unwrapped to 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaTime {
    /// Ticks since an origin of the sender's choice.
    pub ticks: u64,
    /// Ticks per second: 48,000 for Opus, 90,000 for video.
    pub rate: u32,
}

impl MediaTime {
    /// The time since the origin.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        let nanos = u128::from(self.ticks).saturating_mul(1_000_000_000);
        let nanos = nanos.checked_div(u128::from(self.rate)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// An NTP timestamp (RFC 5905, section 6): seconds since 1900 in the upper 32 bits, fractions of
/// one below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NtpTime(pub u64);

/// Seconds between 1900 and 1970.
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;

impl NtpTime {
    /// From time since the Unix epoch.
    #[must_use]
    pub fn from_unix(unix: Duration) -> Self {
        let seconds = unix.as_secs().wrapping_add(NTP_UNIX_OFFSET_S) & 0xffff_ffff;
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        Self((seconds << 32) | fraction)
    }

    /// The middle 32 bits, as reception reports carry them (RFC 3550, section 6.4.1).
    #[must_use]
    pub const fn middle(self) -> u32 {
        ((self.0 >> 16) & 0xffff_ffff) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_is_half_a_fraction() {
        let ntp = NtpTime::from_unix(Duration::from_millis(1_500));
        assert_eq!(ntp.0 >> 32, NTP_UNIX_OFFSET_S + 1);
        assert_eq!(ntp.0 & 0xffff_ffff, 1 << 31);
        assert_eq!(ntp.middle() & 0xffff, 0x8000);
    }

    #[test]
    fn ticks_become_time() {
        let time = MediaTime {
            ticks: 135_000,
            rate: 90_000,
        };
        assert_eq!(time.as_duration(), Duration::from_millis(1_500));
    }
}
