//! Figures of what comes in from encoders, and goes out to players of the same protocols.

use std::time::Duration;

use media_ingest::clock::Mended;
use media_types::MediaKind;
use metrics::{
    Counter, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Connections open now.
const CONNECTIONS: &str = "troupe_ingest_connections";
/// Bytes by direction.
const BYTES: &str = "troupe_ingest_bytes_total";
/// Frames taken, by kind.
const FRAMES: &str = "troupe_ingest_frames_total";
/// Frames that could not be cut for RTP.
const DROPPED: &str = "troupe_ingest_dropped_frames_total";
/// Timestamps that had to be mended, by what was wrong.
const MENDED: &str = "troupe_ingest_mended_timestamps_total";
/// Requests that were refused, by reason.
const REFUSED: &str = "troupe_ingest_refused_total";
/// Connections that ended, by reason.
const ENDED: &str = "troupe_ingest_ended_total";
/// Seconds between keyframes.
const GROUP_SECONDS: &str = "troupe_ingest_gop_seconds";
/// Seconds from the grant to the first keyframe.
const FIRST_FRAME_SECONDS: &str = "troupe_ingest_first_frame_seconds";

/// Says what they are.
pub fn describe() {
    describe_gauge!(CONNECTIONS, "RTMP connections open now");
    describe_counter!(
        BYTES,
        Unit::Bytes,
        "Bytes of RTMP connections, by direction"
    );
    describe_counter!(FRAMES, "Frames taken from encoders, by kind");
    describe_counter!(DROPPED, "Frames that could not be cut for RTP");
    describe_counter!(MENDED, "Timestamps that were mended, by what was wrong");
    describe_counter!(
        REFUSED,
        "Requests to publish or play that were refused, by reason"
    );
    describe_counter!(ENDED, "RTMP connections that ended, by reason");
    describe_histogram!(
        GROUP_SECONDS,
        Unit::Seconds,
        "Time between keyframes of a source"
    );
    describe_histogram!(
        FIRST_FRAME_SECONDS,
        Unit::Seconds,
        "From the grant to publish until the first keyframe"
    );
}

/// A connection, for as long as it is open.
pub(super) struct Open(());

impl Open {
    pub(super) fn new() -> Self {
        gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1.0);
    }
}

/// The bytes of a connection, looked up once: a look-up for each read and write is dear among
/// hundreds of connections.
pub(super) struct Traffic {
    read: Counter,
    written: Counter,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            read: counter!(BYTES, "direction" => "in"),
            written: counter!(BYTES, "direction" => "out"),
        }
    }

    /// Counts what somebody else writes to the connection.
    pub(super) fn writer(&self) -> Counter {
        self.written.clone()
    }

    pub(super) fn read(&self, count: usize) {
        self.read.increment(u64::try_from(count).unwrap_or(0));
    }

    pub(super) fn written(&self, count: usize) {
        self.written.increment(u64::try_from(count).unwrap_or(0));
    }
}

pub(super) fn frame(kind: MediaKind) {
    let kind = match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    counter!(FRAMES, "kind" => kind).increment(1);
}

pub(super) fn dropped() {
    counter!(DROPPED).increment(1);
}

pub(super) fn mended(what: Mended) {
    let what = match what {
        Mended::Jumped => "jumped",
        Mended::Frozen => "frozen",
        Mended::Backwards => "backwards",
    };
    counter!(MENDED, "what" => what).increment(1);
}

pub(super) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

pub(super) fn ended(reason: &'static str) {
    counter!(ENDED, "reason" => reason).increment(1);
}

pub(super) fn group(length: Duration) {
    histogram!(GROUP_SECONDS).record(length.as_secs_f64());
}

pub(super) fn first_frame(after: Duration) {
    histogram!(FIRST_FRAME_SECONDS).record(after.as_secs_f64());
}
