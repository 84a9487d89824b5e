//! Settings: defaults, then the file, then the environment, then flags.
//!
//! Everything is parsed into its type at start, or refused with the file, the line and the key.
//! [`Config`] is passed down by value; nobody reads it from a global.

pub mod balance;
pub mod cluster;
pub mod duration;
pub mod egress;
mod error;
pub mod http;
mod load;
pub mod ops;
pub mod plane;
pub mod quic;
pub mod room;
pub mod rtmp;
pub mod transcode;
mod validate;

pub use balance::BalanceConfig;
pub use cluster::{
    ClusterConfig, ClusterTlsConfig, DebugConfig, EtcdConfig, LogConfig, LogFormat, ShutdownConfig,
    StoreKind,
};
pub use egress::{EgressConfig, RecordingConfig, S3Config};
pub use error::{ConfigError, Origin};
pub use http::{AdminConfig, ApiKey, AuthConfig, HttpConfig, KeyAlgorithm};
pub use load::Sources;
pub use ops::{LimitsConfig, Rate, TracesConfig, WebhookConfig, check_webhooks};
pub use plane::{IceServerConfig, WebrtcConfig};
pub use quic::QuicConfig;
pub use room::{RoomConfig, SessionConfig};
pub use rtmp::RtmpConfig;
pub use transcode::TranscodeConfig;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The documented default file, every key with its default.
pub const REFERENCE: &str = include_str!("../config/reference.toml");
/// What `--dev` sets before anything else.
pub const DEV: &str = include_str!("../config/dev.toml");
/// The name of the key of `--dev`.
pub const DEV_KEY: &str = "devkey";
/// The secret of `--dev`; refused without it.
pub const DEV_SECRET: &str = "devsecret";

/// All settings of a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The listener of clients.
    pub http: HttpConfig,
    /// The listener of operators.
    pub admin: AdminConfig,
    /// Who may do what.
    pub auth: AuthConfig,
    /// The packet core and its sockets.
    pub webrtc: WebrtcConfig,
    /// How often clients may come in.
    pub limits: LimitsConfig,
    /// Where events are posted to.
    pub webhooks: Vec<WebhookConfig>,
    /// Streams from and to encoders by RTMP.
    pub rtmp: RtmpConfig,
    /// Streams from and to encoders and browsers by QUIC.
    pub quic: QuicConfig,
    /// What a room gets by default.
    pub room: RoomConfig,
    /// Signalling sessions.
    pub session: SessionConfig,
    /// Streams that are watched by HTTP.
    pub egress: EgressConfig,
    /// Recordings.
    pub recording: RecordingConfig,
    /// Codec processes.
    pub transcode: TranscodeConfig,
    /// This worker among others.
    pub cluster: ClusterConfig,
    /// How the worker ends.
    pub shutdown: ShutdownConfig,
    /// What is logged.
    pub log: LogConfig,
    /// Where spans are sent.
    pub traces: TracesConfig,
    /// What only tests and developers want.
    pub debug: DebugConfig,
    /// Whether this is `--dev`: the known keys are accepted and tokens handed out.
    #[serde(skip)]
    pub dev: bool,
    /// Whether this is `--dev --lan`: HTTPS with a certificate made at start.
    #[serde(skip)]
    pub lan: bool,
}

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

#[cfg(test)]
mod tests;
