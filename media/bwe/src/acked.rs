//! How much arrives: the rate at which feedback acknowledges bytes.

use std::collections::VecDeque;
use std::time::Duration;

use media_types::{Bitrate, DataSize};

/// Long enough to hold several pictures, short enough to follow a path that changes.
const WINDOW: Duration = Duration::from_millis(500);
/// A shorter span says nothing yet.
const SPAN_MIN: Duration = Duration::from_millis(100);
/// 500 ms at 100 Mb/s.
const PACKETS_MAX: usize = 8_192;

/// A sliding window over arrivals, on the receiver's clock.
#[derive(Debug, Default)]
pub(crate) struct AckedRate {
    arrivals: VecDeque<(Duration, DataSize)>,
    bytes: DataSize,
}

impl AckedRate {
    pub(crate) fn on_arrival(&mut self, at: Duration, size: DataSize) {
        self.arrivals.push_back((at, size));
        self.bytes = self.bytes.saturating_add(size);
        while let Some(&(oldest, size)) = self.arrivals.front() {
            let within = at.saturating_sub(oldest) <= WINDOW;
            if within && self.arrivals.len() <= PACKETS_MAX {
                break;
            }
            self.bytes = self.bytes.saturating_sub(size);
            self.arrivals.pop_front();
        }
    }

    /// `None` before there is enough to tell.
    pub(crate) fn rate(&self) -> Option<Bitrate> {
        let (first, _) = self.arrivals.front()?;
        let (last, size) = self.arrivals.back()?;
        let span = last.saturating_sub(*first);
        // The last packet's bytes lie after the span.
        let size = self.bytes.saturating_sub(*size);
        (span >= SPAN_MIN).then(|| Bitrate::of(size, span))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut acked = AckedRate::default();
        assert_eq!(acked.rate(), None);
        for count in 0..100 {
            acked.on_arrival(
                Duration::from_millis(count * 10),
                DataSize::from_bytes(1_250),
            );
        }
        assert_eq!(acked.rate(), Some(Bitrate::from_kbps(1_000)));
        acked.clear();
        assert_eq!(acked.rate(), None);
    }
}
