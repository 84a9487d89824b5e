//! `[cluster]`, `[shutdown]`, `[log]` and `[debug]`: the life of the process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signaling::Secret;

use super::balance::BalanceConfig;

/// Where ownership of rooms, their settings and the list of workers are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// With the process: a restart knows of nothing.
    Memory,
    /// In one file, for one worker.
    #[default]
    Embedded,
    /// In etcd, for any number of workers.
    Etcd,
}

/// etcd, where `cluster.store` is `etcd`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EtcdConfig {
    /// URLs of its members, `http://` or `https://`; one that answers is enough.
    pub endpoints: Vec<String>,
    /// The user that we are, where etcd asks for one.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// PEM file of the authority that vouches for etcd, for `https://`.
    pub ca: Option<PathBuf>,
    /// PEM file of our certificate, where etcd asks for one.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// The name in etcd's certificate, where it is not the endpoint's host.
    pub server_name: Option<String>,
}

/// This worker among others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Where ownership of rooms, their settings and the list of workers are kept.
    pub store: StoreKind,
    /// The file of the embedded store; its folder is made.
    pub file: PathBuf,
    /// etcd, where that is the store.
    pub etcd: EtcdConfig,
    /// How long a worker that does not renew its lease counts as alive.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub lease_ttl: Duration,
    /// How long clients of a room that moves may take to follow it.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub move_deadline: Duration,
    /// Where this worker stands, for placing rooms near their peers.
    pub region: String,
    /// Where other workers reach this one by QUIC, to relay rooms; none: it takes no part.
    pub listen: Option<SocketAddr>,
    /// `host:port` at which they find it, the best first; empty: the addresses of the interfaces.
    pub advertise: Vec<String>,
    /// Certificates of workers for each other.
    pub tls: ClusterTlsConfig,
    /// When rooms move by themselves.
    pub balance: BalanceConfig,
}

/// Certificates of workers for each other: three files, or a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterTlsConfig {
    /// PEM file of the authority that vouches for all workers.
    pub ca: Option<PathBuf>,
    /// PEM file of our certificate, for both directions.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// A directory that all workers of this machine share: the authority is made there on first
    /// use, and each worker makes its own certificate at start. Who can read it is of the cluster.
    pub directory: Option<PathBuf>,
    /// The name in the certificates of all workers.
    pub server_name: String,
}

impl Default for ClusterTlsConfig {
    fn default() -> Self {
        Self {
            ca: None,
            certificate: None,
            key: None,
            directory: None,
            server_name: "troupe-worker".to_owned(),
        }
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            store: StoreKind::default(),
            file: PathBuf::from("data/store.redb"),
            etcd: EtcdConfig::default(),
            lease_ttl: Duration::from_secs(10),
            move_deadline: Duration::from_secs(30),
            region: String::new(),
            listen: None,
            advertise: Vec::new(),
            tls: ClusterTlsConfig::default(),
            balance: BalanceConfig::default(),
        }
    }
}

/// How the worker ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// How long a drain may take.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub drain_deadline: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            drain_deadline: Duration::from_secs(120),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Levels by target, as in `info,troupe_server=debug`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info,actix_server=warn".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// What only tests and developers want.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// Lets the admin API inject panics, to show that supervision holds.
    pub faults: bool,
}
