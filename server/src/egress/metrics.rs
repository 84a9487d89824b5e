//! Figures of what leaves by HTTP and of recordings.

use metrics::{Counter, Unit, counter, describe_counter, describe_gauge, gauge};

/// Streams that are packaged at present.
pub(crate) const STREAMS: &str = "troupe_egress_streams";
/// Players of continuous formats at present, by format.
pub(crate) const PLAYERS: &str = "troupe_egress_players";
/// Bytes handed to players, by format.
pub(crate) const BYTES: &str = "troupe_egress_bytes_total";
/// Frames that could not be packaged, by reason.
pub(crate) const DROPPED: &str = "troupe_egress_dropped_frames_total";
/// Times that a player fell behind and was moved on to the next keyframe, by format.
pub(crate) const LAGGED: &str = "troupe_egress_lagged_total";
/// Recordings at present, by state.
pub(crate) const RECORDINGS: &str = "troupe_egress_recordings";
/// Bytes of recordings written to the disk.
pub(crate) const RECORDED: &str = "troupe_egress_recorded_bytes_total";
/// Failures to write or to store recordings, by reason.
pub(crate) const RECORDING_ERRORS: &str = "troupe_egress_recording_errors_total";
/// Recordings of a worker that drained, by whether they went on elsewhere.
pub(crate) const RECORDINGS_ONWARD: &str = "troupe_egress_recordings_onward_total";
/// Files that wait for their upload.
pub(crate) const SPOOLED: &str = "troupe_egress_spooled_files";

/// Tells Prometheus what they are.
pub fn describe() {
    describe_gauge!(STREAMS, "Streams that are packaged");
    describe_gauge!(PLAYERS, "Players of continuous formats, by format");
    describe_counter!(BYTES, Unit::Bytes, "Bytes handed to players, by format");
    describe_counter!(DROPPED, "Frames that could not be packaged, by reason");
    describe_counter!(LAGGED, "Players moved on to the next keyframe, by format");
    describe_gauge!(RECORDINGS, "Recordings, by state");
    describe_counter!(RECORDED, Unit::Bytes, "Bytes of recordings written");
    describe_counter!(RECORDING_ERRORS, "Failures of recordings, by reason");
    describe_counter!(
        RECORDINGS_ONWARD,
        "Recordings to go on at another worker, by outcome"
    );
    describe_gauge!(SPOOLED, "Recorded files that wait for their upload");
}

/// Counts bytes handed to a player.
pub(crate) fn bytes_out(format: &'static str, bytes: usize) {
    counter!(BYTES, "format" => format).increment(u64::try_from(bytes).unwrap_or(0));
}

pub(super) fn dropped(reason: &'static str, frames: u64) {
    if frames > 0 {
        counter!(DROPPED, "reason" => reason).increment(frames);
    }
}

/// One player of a continuous format, counted while it lives.
pub(crate) struct Player {
    format: &'static str,
    /// Looked up once: a look-up for each write is dear among hundreds of players.
    bytes: Counter,
}

impl Player {
    /// Counts it.
    pub(crate) fn new(format: &'static str) -> Self {
        gauge!(PLAYERS, "format" => format).increment(1.0);
        let bytes = counter!(BYTES, "format" => format);
        Self { format, bytes }
    }

    /// It fell behind.
    pub(crate) fn lagged(&self) {
        counter!(LAGGED, "format" => self.format).increment(1);
    }

    /// It was handed this much.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.increment(u64::try_from(bytes).unwrap_or(0));
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        gauge!(PLAYERS, "format" => self.format).decrement(1.0);
    }
}
