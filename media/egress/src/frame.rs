//! Frames: as a source made them, and as they stand on the shared clock.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::TrackConfig;

/// A frame as its source stamped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFrame {
    /// When it is decoded: unwrapped ticks of the source, [`TrackConfig::timescale`] a second.
    pub timestamp: u64,
    /// How long after that it is shown, in the same ticks; not zero with reordered frames alone.
    pub composition: i32,
    /// Whether a decoder can start here; always so for sound.
    pub keyframe: bool,
    /// When the last of it came.
    pub arrived: Duration,
    /// What a decoder must know; a change of it is a change of codec, size or layout.
    pub config: Arc<TrackConfig>,
    /// As containers carry it: NAL units behind four bytes of length, AV1 without temporal
    /// delimiters, everything else as it is.
    pub data: Bytes,
}

/// A frame on the clock that all tracks of a publisher share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When it is decoded, in ticks since the start of the timeline; rises with every frame of a
    /// track.
    pub dts: u64,
    /// How long after that it is shown.
    pub composition: i32,
    /// Whether a decoder can start here.
    pub keyframe: bool,
    /// What a decoder must know.
    pub config: Arc<TrackConfig>,
    /// The codec's bytes.
    pub data: Bytes,
}

impl Frame {
    /// When it is shown, in ticks; never before the start.
    #[must_use]
    pub const fn pts(&self) -> u64 {
        self.dts.saturating_add_signed(self.composition as i64)
    }
}

/// Ticks of `rate` a second in a duration.
#[must_use]
pub(crate) fn ticks(time: Duration, rate: u32) -> u64 {
    let ticks = time.as_nanos().saturating_mul(u128::from(rate)) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The duration of ticks of `rate` a second.
#[must_use]
pub(crate) fn duration(ticks: u64, rate: u32) -> Duration {
    let nanos = u128::from(ticks).saturating_mul(1_000_000_000);
    let nanos = nanos.checked_div(u128::from(rate)).unwrap_or(0);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
