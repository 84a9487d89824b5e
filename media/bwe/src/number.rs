//! Between exact units and the floating point of filters.

use std::time::Duration;

use media_types::Bitrate;

/// Bits per second for a filter.
#[allow(
    clippy::cast_precision_loss,
    reason = "rates are far below 2^53, where a double is exact"
)]
pub(crate) const fn bps(rate: Bitrate) -> f64 {
    rate.bps() as f64
}

/// A filter's output as a rate: not a number and below zero are zero, too much is the most.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and that is what is wanted"
)]
pub(crate) const fn rate(bps: f64) -> Bitrate {
    Bitrate::from_bps(bps as u64)
}

/// Milliseconds for a filter.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// `later` − `earlier` in milliseconds, of either sign.
pub(crate) fn difference(later: Duration, earlier: Duration) -> f64 {
    millis(later.saturating_sub(earlier)) - millis(earlier.saturating_sub(later))
}

/// A share from 0 to 1 in 256ths, as RTCP writes it (RFC 3550, section 6.4.1).
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and that is what is wanted"
)]
pub(crate) const fn in_256ths(share: f64) -> u8 {
    (share * 256.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_float_becomes_a_wild_rate() {
        assert_eq!(rate(f64::NAN), Bitrate::ZERO);
        assert_eq!(rate(-5.0), Bitrate::ZERO);
        assert_eq!(rate(f64::INFINITY), Bitrate::MAX);
        assert_eq!(
            rate(bps(Bitrate::from_kbps(2_500))),
            Bitrate::from_kbps(2_500)
        );
        let (one, two) = (Duration::from_millis(1), Duration::from_millis(2));
        assert_eq!((difference(two, one), difference(one, two)), (1.0, -1.0));
        assert_eq!((in_256ths(0.5), in_256ths(2.0)), (128, 255));
    }
}
