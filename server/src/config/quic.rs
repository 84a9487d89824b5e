//! `[quic]`: streams from and to encoders and browsers by QUIC.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Media over QUIC, WebTransport, and RTMP over QUIC, on one UDP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuicConfig {
    /// Whether QUIC is spoken. It needs the certificate of `http`; `--dev` makes one.
    pub enabled: bool,
    /// The UDP port.
    pub listen: SocketAddr,
    /// Connections at one time.
    pub connections_max: u32,
    /// Connections of one address at one time.
    pub connections_per_address: u32,
    /// Handshakes in progress from which on clients first have to show that they own their address
    /// (a retry, RFC 9000, section 8.1.2). Four times as many, and further ones are not answered.
    pub retry_above: u32,
    /// How long a client may take until it has asked for something.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub setup_timeout: Duration,
    /// How long a connection may be silent. Keep-alives go out at a third of it.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// Whether a client may change its address.
    pub migration: bool,
    /// Whether clients that have been here may begin their set-up in the first flight (0-RTT).
    pub early_data: bool,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 4443),
            connections_max: 2_000,
            connections_per_address: 500,
            retry_above: 100,
            setup_timeout: media_ingest::limits::SETUP_TIMEOUT,
            idle_timeout: Duration::from_secs(15),
            migration: true,
            early_data: true,
        }
    }
}
