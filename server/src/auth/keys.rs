//! The keys that sign tokens.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::config::{ApiKey, AuthConfig, KeyAlgorithm};

/// Keeps what is signed with the cluster's key apart from what API keys sign.
const CLUSTER_LABEL: &[u8] = b"troupe cluster key v1";

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("auth.keys: the key \"{name}\" cannot be used")]
pub struct KeyError {
    /// Its name.
    pub name: String,
}

/// The keys by their names. A key signs with one algorithm, whatever a token's header says.
pub struct KeyRing {
    keys: BTreeMap<String, (Algorithm, DecodingKey)>,
}

impl KeyRing {
    /// Reads the keys.
    ///
    /// # Errors
    /// The first that has no secret, or whose public key is no Ed25519 key in PEM.
    pub fn new(keys: &[ApiKey]) -> Result<Self, KeyError> {
        let keys = keys.iter().map(|key| {
            let read = read(key).ok_or_else(|| KeyError {
                name: key.name.clone(),
            })?;
            Ok((key.name.clone(), read))
        });
        let keys = keys.collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    pub(super) fn get(&self, name: &str) -> Option<&(Algorithm, DecodingKey)> {
        self.keys.get(name)
    }
}

fn read(key: &ApiKey) -> Option<(Algorithm, DecodingKey)> {
    match key.algorithm {
        KeyAlgorithm::Hs256 => {
            let secret = key.secret.as_ref()?.expose();
            Some((
                Algorithm::HS256,
                DecodingKey::from_secret(secret.as_bytes()),
            ))
        }
        KeyAlgorithm::Eddsa => {
            let pem = key.public_key.as_ref()?;
            let key = DecodingKey::from_ed_pem(pem.as_bytes()).ok()?;
            Some((Algorithm::EdDSA, key))
        }
    }
}

/// The cluster's key: derived, so that it never equals a secret that signs something else.
pub(super) fn cluster_secret(config: &AuthConfig) -> [u8; 32] {
    let mut material = Vec::new();
    match &config.cluster_key {
        Some(key) => material.extend_from_slice(key.expose().as_bytes()),
        None => {
            let mut secrets: Vec<&str> = config
                .keys
                .iter()
                .filter_map(|key| key.secret.as_ref())
                .map(|secret| secret.expose())
                .collect();
            secrets.sort_unstable();
            for secret in secrets {
                material.extend_from_slice(secret.as_bytes());
                material.push(0);
            }
        }
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &material);
    let tag = hmac::sign(&key, CLUSTER_LABEL);
    let mut secret = [0; 32];
    secret.copy_from_slice(tag.as_ref());
    secret
}
