//! Quantities with their units. Arithmetic saturates: a rate that overflows is simply "a lot".

use std::fmt;
use std::time::Duration;

/// Bits per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitrate(u64);

impl Bitrate {
    /// No rate at all.
    pub const ZERO: Self = Self(0);
    /// The largest rate.
    pub const MAX: Self = Self(u64::MAX);

    /// From bits per second.
    #[must_use]
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }

    /// From thousands of bits per second.
    #[must_use]
    pub const fn from_kbps(kbps: u64) -> Self {
        Self(kbps.saturating_mul(1_000))
    }

    /// The rate that carries `size` in `time`; zero for no time.
    #[must_use]
    pub fn of(size: DataSize, time: Duration) -> Self {
        let micros = time.as_micros();
        let bits = u128::from(size.bytes()).saturating_mul(8_000_000);
        Self(
            bits.checked_div(micros)
                .map_or(0, |bps| u64::try_from(bps).unwrap_or(u64::MAX)),
        )
    }

    /// Bits per second.
    #[must_use]
    pub const fn bps(self) -> u64 {
        self.0
    }

    /// Whole bytes carried in `time`.
    #[must_use]
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.0).saturating_mul(time.as_micros()) / 8_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// How long `size` takes at this rate; `Duration::MAX` at rate zero.
    #[must_use]
    pub fn time_for(self, size: DataSize) -> Duration {
        let micros = u128::from(size.bytes())
            .saturating_mul(8_000_000)
            .checked_div(self.0.into());
        micros.map_or(Duration::MAX, |m| {
            Duration::from_micros(u64::try_from(m).unwrap_or(u64::MAX))
        })
    }

    /// This rate times `percent` / 100.
    #[must_use]
    pub const fn percent(self, percent: u64) -> Self {
        Self(self.0.saturating_mul(percent) / 100)
    }

    /// Sum, saturating.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, not below zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kb/s", self.0 / 1_000)
    }
}

impl std::iter::Sum for Bitrate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::ZERO, Self::saturating_add)
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataSize(u64);

impl DataSize {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The length of a slice.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Sum, saturating.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, not below zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_size_and_time_agree() {
        let rate = Bitrate::from_kbps(800);
        let size = DataSize::from_bytes(100_000);
        assert_eq!(rate.time_for(size), Duration::from_secs(1));
        assert_eq!(Bitrate::of(size, Duration::from_secs(1)), rate);
        assert_eq!(rate.bytes_in(Duration::from_millis(10)), 1_000);
        assert_eq!(Bitrate::ZERO.time_for(size), Duration::MAX);
        assert_eq!(Bitrate::of(size, Duration::ZERO), Bitrate::ZERO);
        assert_eq!(Bitrate::MAX.saturating_add(rate), Bitrate::MAX);
    }
}
