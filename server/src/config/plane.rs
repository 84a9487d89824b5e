//! `[webrtc]`: the packet core and its sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use media_types::Codec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signaling::Secret;

/// The packet core and its sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebrtcConfig {
    /// The address that media sockets are bound to.
    pub address: IpAddr,
    /// The UDP port of shard 0; shard n has `port` + n. Zero: any free port.
    pub port: u16,
    /// Whether ICE over TCP is offered.
    pub tcp: bool,
    /// The port of ICE over TCP (RFC 6544); may be 443.
    pub tcp_port: u16,
    /// Shards, one thread each; zero: one a core up to four cores, then two fewer than cores.
    pub shards: u16,
    /// Whether shard threads are pinned to cores.
    pub pin: bool,
    /// The addresses under which clients reach the media ports; empty: those of the interfaces.
    pub public_addresses: Vec<IpAddr>,
    /// The codecs that are forwarded, in order of preference.
    #[schemars(with = "Vec<String>")]
    pub codecs: Vec<Codec>,
    /// STUN and TURN servers that clients are told of.
    pub ice_servers: Vec<IceServerConfig>,
}

impl Default for WebrtcConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 7800,
            tcp: true,
            tcp_port: 7800,
            shards: 0,
            pin: false,
            public_addresses: Vec::new(),
            codecs: Codec::ALL.to_vec(),
            ice_servers: Vec::new(),
        }
    }
}

/// A STUN or TURN server that clients are told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IceServerConfig {
    /// Its URLs.
    pub urls: Vec<String>,
    /// TURN's shared secret: credentials are made from it for each client.
    #[serde(default)]
    pub shared_secret: Option<Secret>,
    /// How long those credentials live.
    #[serde(default = "credential_ttl", with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub credential_ttl: Duration,
}

const fn credential_ttl() -> Duration {
    Duration::from_secs(12 * 60 * 60)
}
