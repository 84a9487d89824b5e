//! Counts of durations in buckets that grow with them: small, mergeable, 1.6 % apart at most.

use std::time::Duration;

/// Buckets for each doubling.
const STEPS: u64 = 64;
const STEP_BITS: u32 = 6;

/// Durations in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u64,
    most: u64,
}

fn bucket(micros: u64) -> usize {
    let value = micros.max(1);
    let doubling = u64::from(value.ilog2());
    let place = if doubling < u64::from(STEP_BITS) {
        value
    } else {
        let shift = doubling - u64::from(STEP_BITS);
        (shift + 1) * STEPS + ((value >> shift) - STEPS)
    };
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The least value of a bucket.
fn floor(bucket: usize) -> u64 {
    let place = u64::try_from(bucket).unwrap_or(u64::MAX);
    if place < STEPS {
        return place;
    }
    let shift = place / STEPS - 1;
    (STEPS + place % STEPS) << shift
}

impl Histogram {
    /// Counts one.
    pub fn note(&mut self, value: Duration) {
        self.note_micros(u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts one, in microseconds.
    pub fn note_micros(&mut self, micros: u64) {
        let place = bucket(micros);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.total += 1;
        self.sum = self.sum.saturating_add(micros);
        self.most = self.most.max(micros);
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.sum = self.sum.saturating_add(other.sum);
        self.most = self.most.max(other.most);
    }

    /// How many were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// The mean, in microseconds.
    #[must_use]
    pub fn mean_micros(&self) -> u64 {
        self.sum.checked_div(self.total).unwrap_or(0)
    }

    /// The largest, in microseconds.
    #[must_use]
    pub const fn most_micros(&self) -> u64 {
        self.most
    }

    /// What a share of all (in thousandths) did not exceed, in microseconds; 0 where there is none.
    #[must_use]
    pub fn quantile_micros(&self, per_mille: u64) -> u64 {
        let mut left = self
            .total
            .saturating_mul(per_mille.min(1_000))
            .div_ceil(1_000);
        for (place, &count) in self.counts.iter().enumerate() {
            if count >= left && left > 0 {
                // The middle of the bucket, but never above what was seen.
                let middle = u64::midpoint(floor(place), floor(place + 1));
                return middle.min(self.most);
            }
            left = left.saturating_sub(count);
        }
        self.most
    }

    /// Points of the cumulative distribution: microseconds, and the share up to them.
    #[must_use]
    pub fn cumulative(&self) -> Vec<(u64, f64)> {
        let mut seen = 0;
        let mut points = Vec::new();
        for (place, &count) in self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            seen += count;
            #[allow(clippy::cast_precision_loss, reason = "a share for a plot")]
            points.push((
                floor(place + 1).min(self.most),
                seen as f64 / self.total as f64,
            ));
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_narrow() {
        for micros in (1..200_000_u64).chain([1 << 40]) {
            let place = bucket(micros);
            assert!(
                floor(place) <= micros && micros < floor(place + 1),
                "{micros}"
            );
            let width = floor(place + 1) - floor(place);
            assert!(width == 1 || width * STEPS <= micros, "{micros}: {width}");
        }
    }

    #[test]
    fn quantiles_are_where_they_should_be() {
        let mut all = Histogram::default();
        let mut half = Histogram::default();
        for micros in 1..=5_000 {
            all.note_micros(micros);
            half.note_micros(micros + 5_000);
        }
        all.merge(&half);
        assert_eq!(
            (all.count(), all.most_micros(), all.mean_micros()),
            (10_000, 10_000, 5_000)
        );
        for (per_mille, exact) in [(500, 5_000_u64), (950, 9_500), (990, 9_900)] {
            let found = all.quantile_micros(per_mille);
            assert!(found.abs_diff(exact) * 60 < exact, "{per_mille}: {found}");
        }
        assert_eq!(all.quantile_micros(1_000), 10_000);
        assert_eq!(Histogram::default().quantile_micros(500), 0);
    }
}
