//! Figures of QUIC.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::time::Duration;

use super::path::PathState;

/// Connections by protocol.
const CONNECTIONS: &str = "troupe_quic_connections";
/// Handshakes in progress.
const HANDSHAKES: &str = "troupe_quic_handshakes";
/// Seconds of a handshake.
const HANDSHAKE_SECONDS: &str = "troupe_quic_handshake_seconds";
/// Clients that were asked to show their address first.
const RETRIES: &str = "troupe_quic_retries_total";
/// Clients that were not let in, by reason.
const REFUSED: &str = "troupe_quic_refused_total";
/// Connections that began in the first flight.
const EARLY: &str = "troupe_quic_early_data_total";
/// Connections by the state of their path.
const PATHS: &str = "troupe_quic_paths";
/// Steps of paths, by the state that was entered.
const PATH_CHANGES: &str = "troupe_quic_path_changes_total";
/// MoQ broadcasts at present, by direction.
const BROADCASTS: &str = "troupe_quic_broadcasts";
/// Frames of MoQ, by direction.
const FRAMES: &str = "troupe_quic_frames_total";
/// Groups of MoQ that were missing when later ones came.
const GROUPS_LOST: &str = "troupe_quic_groups_lost_total";

/// Says what they are.
pub fn describe() {
    describe_gauge!(CONNECTIONS, "QUIC connections open now, by protocol");
    describe_gauge!(HANDSHAKES, "QUIC handshakes in progress");
    describe_histogram!(
        HANDSHAKE_SECONDS,
        Unit::Seconds,
        "Time that handshakes take"
    );
    describe_counter!(RETRIES, "Clients asked to show their address first");
    describe_counter!(REFUSED, "Clients that were not let in, by reason");
    describe_counter!(EARLY, "Connections that began in their first flight");
    describe_gauge!(PATHS, "Connections by the state of their path");
    describe_counter!(PATH_CHANGES, "Steps of paths, by the state entered");
    describe_gauge!(BROADCASTS, "MoQ broadcasts at present, by direction");
    describe_counter!(FRAMES, "Frames of MoQ broadcasts, by direction");
    describe_counter!(GROUPS_LOST, "Groups of MoQ that did not come in time");
}

/// One more of a gauge, for as long as it lives.
pub(super) struct One(metrics::Gauge);

impl One {
    fn of(gauge: metrics::Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }

    pub(super) fn connection(protocol: &'static str) -> Self {
        Self::of(gauge!(CONNECTIONS, "protocol" => protocol))
    }

    pub(super) fn handshake() -> Self {
        Self::of(gauge!(HANDSHAKES))
    }

    pub(super) fn path(state: PathState) -> Self {
        Self::of(gauge!(PATHS, "state" => state.word()))
    }

    pub(super) fn broadcast(direction: &'static str) -> Self {
        Self::of(gauge!(BROADCASTS, "direction" => direction))
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

pub(super) fn handshake_took(time: Duration) {
    histogram!(HANDSHAKE_SECONDS).record(time.as_secs_f64());
}

pub(super) fn retried() {
    counter!(RETRIES).increment(1);
}

pub(super) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

pub(super) fn early() {
    counter!(EARLY).increment(1);
}

pub(super) fn path_changed(to: PathState) {
    counter!(PATH_CHANGES, "to" => to.word()).increment(1);
}

pub(super) fn frame(direction: &'static str) {
    counter!(FRAMES, "direction" => direction).increment(1);
}

pub(super) fn groups_lost(count: u64) {
    counter!(GROUPS_LOST).increment(count);
}
