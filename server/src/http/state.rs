//! What all handlers share.

use std::sync::Arc;
use std::time::Duration;

use media_types::Clock;
use signaling::ErrorType;

use super::health::Health;
use super::rooms::Rooms;
use super::whip_sessions::WhipSessions;
use crate::auth::Auth;
use crate::config::Config;
use crate::egress::Egress;
use crate::egress::record::Recordings;
use crate::ops::Ops;
use crate::quic::QuicReach;
use crate::telemetry::Metrics;
use crate::transcode::Jobs;

/// What all handlers share.
pub struct AppState {
    /// The settings.
    pub config: Arc<Config>,
    /// Judges tokens.
    pub auth: Arc<Auth>,
    /// The rooms.
    pub rooms: Arc<dyn Rooms>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The figures for Prometheus.
    pub metrics: Metrics,
    /// Whether this worker takes joins.
    pub health: Arc<Health>,
    /// WHIP and WHEP sessions by their URLs.
    pub whip: Arc<WhipSessions>,
    /// Streams that are watched by HTTP.
    pub egress: Option<Arc<Egress>>,
    /// Recordings.
    pub recordings: Option<Arc<Recordings>>,
    /// The transcoding jobs of this worker.
    pub transcoders: Arc<dyn Jobs>,
    /// What the cluster is operated by.
    pub ops: Arc<Ops>,
    /// Where QUIC is spoken, if it is.
    pub quic: Option<QuicReach>,
}

impl AppState {
    /// What packages streams; absent where no media runs.
    pub(super) fn egress(&self) -> Result<&Egress, ErrorType> {
        self.egress.as_deref().ok_or(ErrorType::NotFound)
    }

    /// What records; absent where no media runs.
    pub(super) fn recordings(&self) -> Result<&Recordings, ErrorType> {
        self.recordings.as_deref().ok_or(ErrorType::NotFound)
    }

    /// The wall clock, as tokens and clients count it.
    #[must_use]
    pub fn unix(&self) -> Duration {
        self.clock.unix()
    }
}
