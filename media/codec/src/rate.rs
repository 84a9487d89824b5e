//! What a video source sends, so that its copy can follow it.

use std::collections::VecDeque;
use std::time::Duration;

use media_transcode::limits::{VIDEO_BPS_MAX, VIDEO_BPS_MIN};
use media_types::Bitrate;

/// What is looked at: a group of pictures, so that its keyframe counts once.
const WINDOW: Duration = Duration::from_secs(3);
/// From then on what was seen says more than the size of the picture.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// Pictures looked at, were their times all the same.
const PICTURES_MAX: usize = 1_000;
/// What the copy needs for as good a picture without B-frames and CABAC.
const COPY_PERCENT: u64 = 125;
/// A change of less is not worth telling the encoder.
const STEP_PERCENT: u64 = 10;

/// Watches what comes in.
#[derive(Debug, Default)]
pub(crate) struct SourceRate {
    recent: VecDeque<(Duration, u64)>,
    bytes: u64,
}

impl SourceRate {
    /// A frame came, to be decoded at this time.
    pub(crate) fn handle_frame(&mut self, decoded: Duration, bytes: usize) {
        let jumped = |(last, _): &(Duration, u64)| decoded < *last || decoded - *last > WINDOW;
        if self.recent.back().is_some_and(jumped) {
            self.recent.clear();
            self.bytes = 0;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.recent.push_back((decoded, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
        while let Some(&(first, bytes)) = self.recent.front() {
            if self.recent.len() <= PICTURES_MAX && decoded - first <= WINDOW {
                break;
            }
            self.recent.pop_front();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// What the copy should have, once enough was seen.
    pub(crate) fn bitrate(&self) -> Option<Bitrate> {
        let span = self.span()?;
        // The first picture's time is the span's beginning, its bytes belong to the span before.
        let bytes = self.bytes.saturating_sub(self.recent.front()?.1);
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        let bps = bits.checked_div(span.as_nanos())?;
        let bps = u64::try_from(bps).unwrap_or(u64::MAX).min(VIDEO_BPS_MAX);
        let copy = Bitrate::from_bps(bps).percent(COPY_PERCENT);
        Some(clamped(copy))
    }

    /// Pictures in a thousand seconds, once enough was seen.
    pub(crate) fn pictures_per_1000_s(&self) -> Option<u64> {
        let span = self.span()?;
        let pictures = u128::try_from(self.recent.len().saturating_sub(1)).ok()?;
        u64::try_from((pictures * 1_000_000_000_000).checked_div(span.as_nanos())?).ok()
    }

    fn span(&self) -> Option<Duration> {
        let span = self.recent.back()?.0.saturating_sub(self.recent.front()?.0);
        (span >= WINDOW_MIN).then_some(span)
    }
}

/// Within what an encoder takes.
pub(crate) fn clamped(bitrate: Bitrate) -> Bitrate {
    Bitrate::from_bps(bitrate.bps().clamp(VIDEO_BPS_MIN, VIDEO_BPS_MAX))
}

/// Whether the encoder should be told.
pub(crate) fn differs(old: Bitrate, new: Bitrate) -> bool {
    new.bps().abs_diff(old.bps()) > old.percent(STEP_PERCENT).bps()
}

/// What to begin with: a tenth of a bit for each pixel of thirty pictures a second.
pub(crate) fn guess(width: u32, height: u32) -> Bitrate {
    clamped(Bitrate::from_bps(u64::from(width) * u64::from(height) * 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(pictures: u64, per_second: u64, bytes: usize) -> SourceRate {
        let mut rate = SourceRate::default();
        for index in 0..pictures {
            let decoded = Duration::from_micros(index * 1_000_000 / per_second);
            rate.handle_frame(decoded, bytes);
        }
        rate
    }

    #[test]
    fn a_steady_source_is_measured() {
        let rate = fed(300, 25, 10_000);
        assert_eq!(rate.pictures_per_1000_s(), Some(25_000));
        // 25 pictures of 80 kbit, and a quarter more.
        assert_eq!(rate.bitrate(), Some(Bitrate::from_kbps(2_500)));
    }

    #[test]
    fn a_second_must_have_passed() {
        assert_eq!(fed(25, 25, 10_000).bitrate(), None);
        assert!(fed(26, 25, 10_000).bitrate().is_some());
    }

    #[test]
    fn only_the_last_seconds_count() {
        let mut rate = fed(300, 25, 10_000);
        for index in 300..400 {
            rate.handle_frame(Duration::from_millis(index * 40), 1_000);
        }
        assert_eq!(rate.bitrate(), Some(Bitrate::from_kbps(250)));
    }

    #[test]
    fn a_jump_begins_anew() {
        let mut rate = fed(300, 25, 10_000);
        rate.handle_frame(Duration::from_secs(3_600), 1_000);
        assert_eq!((rate.bitrate(), rate.bytes), (None, 1_000));
        rate.handle_frame(Duration::ZERO, 500);
        assert_eq!((rate.bitrate(), rate.bytes), (None, 500));
    }

    #[test]
    fn times_that_stand_still_cost_nothing() {
        let mut rate = SourceRate::default();
        (0..10_000).for_each(|_| rate.handle_frame(Duration::ZERO, 10));
        assert_eq!(rate.recent.len(), PICTURES_MAX);
        assert_eq!(rate.bitrate(), None);
    }

    #[test]
    fn what_an_encoder_takes() {
        assert_eq!(
            fed(300, 25, 10).bitrate(),
            Some(Bitrate::from_bps(VIDEO_BPS_MIN))
        );
        assert_eq!(guess(1_280, 720), Bitrate::from_bps(2_764_800));
        assert!(differs(Bitrate::from_kbps(100), Bitrate::from_kbps(111)));
        assert!(!differs(Bitrate::from_kbps(100), Bitrate::from_kbps(110)));
    }
}
