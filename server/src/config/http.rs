//! `[http]`, `[admin]` and `[auth]`: what clients and operators reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signaling::Secret;

/// The listener of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where the web app, signalling, WHIP and WHEP are served.
    pub listen: SocketAddr,
    /// Refuses signalling, WHIP and WHEP over plain HTTP with 426.
    pub require_tls: bool,
    /// A PEM file with the certificate chain; TLS is spoken where it is given.
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the certificate's key.
    pub tls_key: Option<PathBuf>,
    /// The URL under which clients reach this worker, such as `https://a.example`; made from
    /// `listen` where it is not given.
    pub public_url: Option<String>,
    /// Origins whose pages may use this server; `*` for any.
    pub cors_origins: Vec<String>,
    /// Believes `X-Forwarded-Proto`: only behind a proxy that sets it.
    pub trust_proxy: bool,
    /// Threads that serve HTTP.
    pub workers: usize,
    /// Connections at one time, a thread; who comes then waits for a place.
    pub connections_max: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080),
            require_tls: false,
            tls_certificate: None,
            tls_key: None,
            public_url: None,
            cors_origins: vec!["*".to_owned()],
            trust_proxy: false,
            workers: 2,
            connections_max: 25_000,
        }
    }
}

/// The listener of operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Where the admin API, metrics and health are served.
    pub listen: SocketAddr,
    /// The URL under which other workers reach it; made from `listen` where it is not given.
    pub public_url: Option<String>,
    /// A PEM file with the certificate chain; where it is given HTTPS is spoken, and nothing else.
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the certificate's key.
    pub tls_key: Option<PathBuf>,
    /// A PEM file with the authorities that vouch for other workers' listeners, in place of those
    /// that the machine believes.
    pub tls_ca: Option<PathBuf>,
    /// The file of the audit log and of events; its folder is made.
    pub file: PathBuf,
    /// How long the audit log remembers.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub audit_retention: Duration,
    /// How many events are kept for those who were away, in memory and in the file; 512 at least.
    pub events_kept: u32,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090),
            public_url: None,
            tls_certificate: None,
            tls_key: None,
            tls_ca: None,
            file: PathBuf::from("data/admin.redb"),
            audit_retention: Duration::from_secs(30 * 24 * 3_600),
            // Hours of a busy worker, some ten megabytes.
            events_kept: 20_000,
        }
    }
}

impl AdminConfig {
    /// Whether HTTPS is spoken.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.tls_certificate.is_some()
    }

    /// Whether others than this machine may read what is said on it.
    #[must_use]
    pub const fn is_open_and_plain(&self) -> bool {
        !self.is_secure() && !self.listen.ip().is_loopback()
    }

    /// Where other workers reach it.
    #[must_use]
    pub fn url(&self) -> String {
        self.public_url
            .clone()
            .unwrap_or_else(|| self.url_of_listen())
    }

    /// Where this machine reaches it: with TLS under a name that the certificate may be for.
    #[must_use]
    pub fn local_url(&self) -> String {
        match &self.public_url {
            Some(url) if self.is_secure() => url.clone(),
            None if self.is_secure() && self.listen.ip().is_unspecified() => {
                format!("https://localhost:{}", self.listen.port())
            }
            _ => self.url_of_listen(),
        }
    }

    fn url_of_listen(&self) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}", self.listen)
    }
}

/// How a key signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyAlgorithm {
    /// HMAC with SHA-256 over a shared secret (RFC 7518, section 3.2).
    #[default]
    Hs256,
    /// Ed25519; the server knows the public key alone (RFC 8037).
    Eddsa,
}

/// A key that signs tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Its name: `iss` of the tokens that it signs.
    pub name: String,
    /// How it signs.
    #[serde(default)]
    pub algorithm: KeyAlgorithm,
    /// The secret, with `hs256`.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The public key as PEM text, with `eddsa`.
    #[serde(default)]
    pub public_key: Option<String>,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// The keys whose tokens are believed.
    pub keys: Vec<ApiKey>,
    /// Signs resume tokens, the same on all workers; made from the secrets above where it is not
    /// given.
    pub cluster_key: Option<Secret>,
    /// Refuses join tokens without `jti`.
    pub require_jti: bool,
    /// The longest life of a join token.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub join_max_ttl: Duration,
    /// The longest life of a token with the `ingest` grant.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub ingest_max_ttl: Duration,
    /// How far the clocks of who signs may be off.
    #[serde(with = "crate::config::duration")]
    #[schemars(with = "String")]
    pub leeway: Duration,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            cluster_key: None,
            require_jti: false,
            join_max_ttl: Duration::from_secs(15 * 60),
            ingest_max_ttl: Duration::from_secs(30 * 24 * 60 * 60),
            leeway: Duration::from_secs(10),
        }
    }
}
