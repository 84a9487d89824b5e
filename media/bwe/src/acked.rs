//! How much arrives: the rate at which feedback acknowledges bytes.
//!
//! A sliding window over the receiver's clock, as in libwebrtc's `RobustThroughputEstimator`: long
//! enough to hold several pictures. When the path is full a shorter one is read, since then packets
//! arrive back to back and the path may just have become narrow.

use std::collections::VecDeque;
use std::time::Duration;

use media_types::{Bitrate, DataSize};

use crate::limits::RATE_PACKETS_MAX;

/// Long enough to hold several pictures, short enough to follow a path that changes.
const WINDOW: Duration = Duration::from_millis(500);
/// What a full path is judged by.
const WINDOW_SHORT: Duration = Duration::from_millis(150);
/// A shorter span says nothing yet.
const SPAN_MIN: Duration = Duration::from_millis(100);

/// A sliding window over moments and sizes.
#[derive(Debug, Default)]
pub(crate) struct RateWindow {
    packets: VecDeque<(Duration, DataSize)>,
    bytes: DataSize,
}

impl RateWindow {
    /// Takes a packet; moments do not go backwards by more than reordering makes them.
    pub(crate) fn on_packet(&mut self, at: Duration, size: DataSize) {
        let last = self.packets.back().map_or(at, |(last, _)| *last);
        if last.saturating_sub(at) > WINDOW {
            // The far end's clock wrapped or began anew.
            self.clear();
        }
        self.packets.push_back((at, size));
        self.bytes = self.bytes.saturating_add(size);
        while let Some(&(oldest, size)) = self.packets.front() {
            let within = at.saturating_sub(oldest) <= WINDOW;
            if within && self.packets.len() <= RATE_PACKETS_MAX {
                break;
            }
            self.bytes = self.bytes.saturating_sub(size);
            self.packets.pop_front();
        }
    }

    /// The rate over half a second; `None` before there is enough to tell.
    pub(crate) fn rate(&self) -> Option<Bitrate> {
        let (first, _) = self.packets.front()?;
        let (last, size) = self.packets.back()?;
        let span = last.saturating_sub(*first);
        // The last packet's bytes lie after the span.
        let size = self.bytes.saturating_sub(*size);
        (span >= SPAN_MIN).then(|| Bitrate::of(size, span))
    }

    /// The rate of what came last.
    pub(crate) fn recent(&self) -> Option<Bitrate> {
        let (last, _) = self.packets.back()?;
        let mut packets = self.packets.iter().rev();
        let mut bytes = DataSize::ZERO;
        // Before the oldest packet that counts its bytes were on the way, so it is left out.
        let oldest = loop {
            let (at, size) = packets.next()?;
            if last.saturating_sub(*at) >= WINDOW_SHORT {
                break at;
            }
            bytes = bytes.saturating_add(*size);
        };
        Some(Bitrate::of(bytes, last.saturating_sub(*oldest)))
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
        self.bytes = DataSize::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(window: &mut RateWindow, from: u64, count: u64, each_ms: u64) {
        for packet in 0..count {
            let at = Duration::from_millis(from + packet * each_ms);
            window.on_packet(at, DataSize::from_bytes(1_250));
        }
    }

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut window = RateWindow::default();
        assert_eq!((window.rate(), window.recent()), (None, None));
        feed(&mut window, 0, 100, 10);
        assert_eq!(window.rate(), Some(Bitrate::from_kbps(1_000)));
        assert_eq!(window.recent(), Some(Bitrate::from_kbps(1_000)));
        // Half as much from now on: the recent rate knows it first.
        feed(&mut window, 1_010, 10, 20);
        assert_eq!(window.recent(), Some(Bitrate::from_kbps(500)));
        assert!(window.rate() > Some(Bitrate::from_kbps(700)));
        window.clear();
        assert_eq!(window.rate(), None);
    }
}
