//! How a job is, for the API.

use serde::Serialize;

/// One job, as `GET transcoders` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TranscoderStatus {
    /// Counts jobs of this worker.
    pub id: u64,
    /// The room of the stream.
    pub room: String,
    /// The stream, which is the identity of its publisher.
    pub stream: String,
    /// `aac-opus`, `opus-aac` or `h264`.
    pub job: &'static str,
    /// `starting`, `running`, `waiting` or `given_up`.
    pub state: &'static str,
    /// The codec process, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Codec processes that failed.
    pub failures: u32,
    /// Why the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Frames taken by codec processes.
    pub taken: u64,
    /// Frames that came back.
    pub made: u64,
    /// Frames dropped because a process was behind or gone.
    pub dropped: u64,
}
