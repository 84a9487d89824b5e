//! What an estimate is made of, for statistics.

use std::time::Duration;

use media_types::Bitrate;

use crate::aimd::RateState;
use crate::overuse::Usage;

/// The parts of an estimate at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatorFigures {
    /// The estimate itself.
    pub estimate: Bitrate,
    /// What the delay allows.
    pub by_delay: Bitrate,
    /// What loss allows; `None` while it does not limit.
    pub by_loss: Option<Bitrate>,
    /// What the far end's own estimate allows; `None` without a recent REMB.
    pub by_remb: Option<Bitrate>,
    /// What the far end acknowledges; `None` before there is enough to tell.
    pub acknowledged: Option<Bitrate>,
    /// What the path carried when it was full; `None` before that.
    pub capacity: Option<Bitrate>,
    /// What the delay says of the path.
    pub usage: Usage,
    /// What the rate control does about it.
    pub state: RateState,
    /// The slope of one-way delay, scaled as the detector sees it, in milliseconds …
    pub trend_ms: f64,
    /// … and the threshold above which it is overuse.
    pub threshold_ms: f64,
    /// The path's queue: by how much packets are later than the quickest of late.
    pub queue: Duration,
    /// The share that is lost whatever the rate, from 0 to 1.
    pub inherent_loss: f64,
    /// Whether the application sends less than it may.
    pub application_limited: bool,
    /// What probes have shown.
    pub probes: ProbeFigures,
}

/// What probes have shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProbeFigures {
    /// Clusters asked for.
    pub sent: u32,
    /// Clusters of which enough arrived to tell a rate.
    pub answered: u32,
    /// The last one's result.
    pub last: Option<Bitrate>,
}
