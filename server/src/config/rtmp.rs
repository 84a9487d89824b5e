//! `[rtmp]`: streams from and to encoders.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// RTMP and RTMPS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RtmpConfig {
    /// Whether RTMP is spoken.
    pub enabled: bool,
    /// Where RTMP is served.
    pub listen: SocketAddr,
    /// Where RTMPS is served, with the certificate of `http`; not at all without one.
    pub tls_listen: SocketAddr,
    /// Connections at one time.
    pub connections_max: u32,
    /// Connections of one address at one time.
    pub connections_per_address: u32,
    /// How long a client may take until it publishes or plays.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub setup_timeout: Duration,
    /// How long a publisher may send nothing.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub silence_timeout: Duration,
    /// The longest message, which is a keyframe, in bytes.
    pub message_bytes_max: u32,
}

impl Default for RtmpConfig {
    fn default() -> Self {
        let any = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        Self {
            enabled: true,
            listen: any(1935),
            tls_listen: any(1936),
            connections_max: 2_000,
            connections_per_address: 500,
            setup_timeout: media_ingest::limits::SETUP_TIMEOUT,
            silence_timeout: media_ingest::limits::SILENCE_TIMEOUT,
            message_bytes_max: media_ingest::limits::MESSAGE_BYTES_MAX,
        }
    }
}
