//! Figures of transcoding.

use media_transcode::Job;
use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Jobs at present, by job.
pub(crate) const JOBS: &str = "troupe_transcode_jobs";
/// Frames that codec processes took, by job.
pub(crate) const FRAMES_IN: &str = "troupe_transcode_frames_in_total";
/// Frames that codec processes made, by job.
pub(crate) const FRAMES_OUT: &str = "troupe_transcode_frames_out_total";
/// Frames dropped because a process was behind or gone, by job.
pub(crate) const DROPPED: &str = "troupe_transcode_dropped_frames_total";
/// Codec processes that failed, by job.
pub(crate) const FAILURES: &str = "troupe_transcode_failures_total";
/// Jobs that were given up, by job.
pub(crate) const GIVEN_UP: &str = "troupe_transcode_given_up_total";

/// Tells Prometheus what they are.
pub fn describe() {
    describe_gauge!(JOBS, "Transcoding jobs, by job");
    describe_counter!(FRAMES_IN, "Frames that codec processes took, by job");
    describe_counter!(FRAMES_OUT, "Frames that codec processes made, by job");
    describe_counter!(DROPPED, "Frames dropped before a codec process, by job");
    describe_counter!(FAILURES, "Codec processes that failed, by job");
    describe_counter!(GIVEN_UP, "Transcoding jobs that were given up, by job");
}

pub(super) fn opened(job: &Job) {
    gauge!(JOBS, "job" => job.name()).increment(1.0);
}

pub(super) fn closed(job: &Job) {
    gauge!(JOBS, "job" => job.name()).decrement(1.0);
}

/// Adds to one of the counters.
pub(super) fn count(name: &'static str, job: &Job, by: u64) {
    counter!(name, "job" => job.name()).increment(by);
}
