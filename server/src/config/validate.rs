//! What settings must say together.

use std::time::Duration;

use super::cluster::StoreKind;
use super::error::ConfigError;
use super::http::{ApiKey, KeyAlgorithm};
use super::{Config, DEV_SECRET, check_webhooks};

/// The shortest life of a lease.
const LEASE_TTL_MIN: Duration = Duration::from_secs(3);
/// The shortest secret that is accepted outside `--dev`: as many bits as HS256 signs with.
const SECRET_BYTES_MIN: usize = 32;

/// The lowest priority of a process (`setpriority(2)`).
const NICENESS_MAX: u8 = 19;

/// How long players' frames may wait for others: players hold no more than that themselves.
const GATHER_MAX: Duration = Duration::from_secs(1);

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.validate_keys()?;
        self.validate_tls()?;
        self.validate_store()?;
        check_webhooks(&self.webhooks).map_err(|(index, problem)| {
            ConfigError::unset(&format!("webhooks[{index}]"), problem)
        })?;
        self.validate_bounds()
    }

    fn validate_keys(&self) -> Result<(), ConfigError> {
        let keys = &self.auth.keys;
        if keys.is_empty() {
            let problem = "no key is set; without one nobody can join (or use --dev)";
            return Err(ConfigError::unset("auth.keys", problem));
        }
        for (index, key) in keys.iter().enumerate() {
            let name = |field: &str| format!("auth.keys[{index}].{field}");
            if key.name.is_empty() || keys[..index].iter().any(|other| other.name == key.name) {
                return Err(ConfigError::unset(&name("name"), "is empty or used twice"));
            }
            self.validate_key(key, &name)?;
        }
        let secret = |key: &ApiKey| key.secret.is_some();
        if self.auth.cluster_key.is_none() && !keys.iter().any(secret) {
            let problem = "is missing; resume tokens cannot be signed with public keys";
            return Err(ConfigError::unset("auth.cluster_key", problem));
        }
        Ok(())
    }

    fn validate_key(&self, key: &ApiKey, name: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
        match key.algorithm {
            KeyAlgorithm::Eddsa if key.public_key.is_none() => {
                Err(ConfigError::unset(&name("public_key"), "is missing"))
            }
            KeyAlgorithm::Eddsa => Ok(()),
            KeyAlgorithm::Hs256 => {
                let secret = key.secret.as_ref().map_or("", |secret| secret.expose());
                let problem = match secret {
                    "" => "is missing",
                    _ if self.dev => return Ok(()),
                    DEV_SECRET => "is the secret of --dev, which everybody knows",
                    _ if secret.len() < SECRET_BYTES_MIN => "is shorter than 32 bytes",
                    _ => return Ok(()),
                };
                Err(ConfigError::unset(&name("secret"), problem))
            }
        }
    }

    fn validate_tls(&self) -> Result<(), ConfigError> {
        let (http, admin) = (&self.http, &self.admin);
        for (section, certificate, key) in [
            ("http", &http.tls_certificate, &http.tls_key),
            ("admin", &admin.tls_certificate, &admin.tls_key),
        ] {
            let missing = match (certificate, key) {
                (Some(_), None) => "tls_key",
                (None, Some(_)) => "tls_certificate",
                _ => continue,
            };
            let problem = "is missing; a certificate and its key go together";
            return Err(ConfigError::unset(&format!("{section}.{missing}"), problem));
        }
        let plain = |url: &String| url.starts_with("http://");
        if admin.is_secure() && admin.public_url.as_ref().is_some_and(plain) {
            let problem = "begins with http://, and the listener speaks HTTPS alone";
            return Err(ConfigError::unset("admin.public_url", problem));
        }
        Ok(())
    }

    fn validate_store(&self) -> Result<(), ConfigError> {
        let cluster = &self.cluster;
        // Three renewals must fit into a lease, and etcd grants none below two seconds.
        if cluster.lease_ttl < LEASE_TTL_MIN {
            let problem = "must be at least 3s";
            return Err(ConfigError::unset("cluster.lease_ttl", problem));
        }
        if !(1..=100).contains(&cluster.balance.overload_percent) {
            let problem = "must be from 1 to 100";
            return Err(ConfigError::unset(
                "cluster.balance.overload_percent",
                problem,
            ));
        }
        if cluster.store != StoreKind::Etcd {
            return Ok(());
        }
        if !cfg!(feature = "etcd") {
            let problem = "this binary was built without etcd";
            return Err(ConfigError::unset("cluster.store", problem));
        }
        let etcd = &cluster.etcd;
        let problem = match etcd {
            _ if etcd.endpoints.is_empty() => ("endpoints", "is empty"),
            _ if etcd.user.is_some() != etcd.password.is_some() => {
                ("password", "goes together with the user")
            }
            _ if etcd.certificate.is_some() != etcd.key.is_some() => {
                ("key", "goes together with the certificate")
            }
            _ if etcd.certificate.is_some() && etcd.ca.is_none() => ("ca", "is missing"),
            _ => return Ok(()),
        };
        let key = format!("cluster.etcd.{}", problem.0);
        Err(ConfigError::unset(&key, problem.1))
    }

    fn validate_bounds(&self) -> Result<(), ConfigError> {
        let zero = [
            ("http.workers", self.http.workers),
            ("http.connections_max", self.http.connections_max),
            ("session.out_messages_max", self.session.out_messages_max),
            ("session.out_bytes_max", self.session.out_bytes_max),
            ("session.in_messages_max", self.session.in_messages_max),
            ("webrtc.codecs", self.webrtc.codecs.len()),
        ];
        if let Some((key, _)) = zero.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::unset(key, "must not be zero or empty"));
        }
        if self.transcode.niceness > NICENESS_MAX {
            let problem = "is more than 19, the lowest priority there is";
            return Err(ConfigError::unset("transcode.niceness", problem));
        }
        if self.egress.gather > GATHER_MAX {
            let problem = "is more than a second, which is what players hold";
            return Err(ConfigError::unset("egress.gather", problem));
        }
        let ports_end = u32::from(self.webrtc.port) + u32::from(self.webrtc.shards);
        if ports_end > u32::from(u16::MAX) {
            let problem = "there are not as many ports above it as there are shards";
            return Err(ConfigError::unset("webrtc.port", problem));
        }
        if self.traces.percent > 100 {
            return Err(ConfigError::unset("traces.percent", "is more than 100"));
        }
        let endpoint = self.traces.endpoint.as_deref().unwrap_or("http://");
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let problem = "begins with http:// or https://";
            return Err(ConfigError::unset("traces.endpoint", problem));
        }
        if self.session.heartbeat_interval.is_zero() || self.session.heartbeat_missed == 0 {
            let problem = "must not be zero";
            return Err(ConfigError::unset("session.heartbeat_interval", problem));
        }
        Ok(())
    }
}
