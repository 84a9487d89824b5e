//! What an estimate is made of, for statistics.

use media_types::Bitrate;

/// The parts of an estimate at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatorFigures {
    /// The estimate itself.
    pub estimate: Bitrate,
    /// What the far end acknowledges; `None` before there is enough to tell.
    pub acknowledged: Option<Bitrate>,
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
