//! `[egress]` and `[recording]`: what leaves by HTTP, and what is kept.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signaling::Secret;

/// Streams that are watched by HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// The length of a part of LL-HLS.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub part: Duration,
    /// The least length of a segment; sources with rarer keyframes get longer ones.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub segment: Duration,
    /// Complete segments that a playlist offers.
    pub segments: u32,
    /// How long sound and pictures wait for those that they leave with, for players of FLV and
    /// RTMP: fewer writes, later pictures. "0ms" sends each at once.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub gather: Duration,
    /// How long a stream stays packaged that nobody asks for.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// Streams packaged at one time.
    pub streams_max: u32,
    /// Players of FLV and progressive MP4 at one time.
    pub players_max: u32,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            part: Duration::from_millis(200),
            segment: Duration::from_secs(2),
            segments: 7,
            gather: Duration::from_millis(100),
            idle_timeout: Duration::from_secs(20),
            streams_max: 500,
            players_max: 10_000,
        }
    }
}

/// Recordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    /// Where recordings are written, and wait for their upload.
    pub dir: PathBuf,
    /// The length of a fragment: what a crash may take.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub fragment: Duration,
    /// How much may be written between two syncs to the disk; "0ms" syncs every fragment.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub sync: Duration,
    /// The length of a file, where a request does not say.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub rotation: Duration,
    /// Recordings that run at one time.
    pub recordings_max: u32,
    /// Where finished files go; they stay in `dir` alone where it is not given.
    pub s3: Option<S3Config>,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("data/recordings"),
            fragment: Duration::from_secs(1),
            sync: Duration::from_secs(1),
            rotation: Duration::from_secs(3_600),
            recordings_max: 100,
            s3: None,
        }
    }
}

/// Storage that speaks the protocol of Amazon S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// The URL of the service; Amazon's own where it is not given.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Put before every key.
    #[serde(default)]
    pub prefix: String,
    /// The name of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// Removes local files once they are stored.
    #[serde(default)]
    pub delete_local: bool,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}
