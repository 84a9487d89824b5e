//! Tokens that we sign ourselves: for `troupe token`, `--dev` and tests.

use std::fmt::Write;
use std::time::Duration;

use aws_lc_rs::rand;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use media_types::Identity;
use signaling::{Claims, Grants};

use super::keys::KeyError;
use super::seconds;
use crate::config::{ApiKey, KeyAlgorithm};

/// What a token shall say.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Whom it is for.
    pub identity: Identity,
    /// The rooms and grants.
    pub grants: Grants,
    /// How long it lives.
    pub ttl: Duration,
    /// Whether it is for one `join` alone.
    pub once: bool,
}

/// Signs a token.
///
/// # Errors
/// The key's name where it is public, or has no secret.
pub fn issue(key: &ApiKey, request: TokenRequest, now: Duration) -> Result<String, KeyError> {
    let unusable = || KeyError {
        name: key.name.clone(),
    };
    let secret = match key.algorithm {
        KeyAlgorithm::Hs256 => key.secret.as_ref().ok_or_else(unusable)?,
        KeyAlgorithm::Eddsa => return Err(unusable()),
    };
    let now = seconds(now);
    let claims = Claims {
        iss: key.name.clone(),
        sub: request.identity,
        exp: now.saturating_add(seconds(request.ttl)),
        nbf: None,
        iat: Some(now),
        jti: request.once.then(random_id),
        troupe: request.grants,
    };
    let signer = EncodingKey::from_secret(secret.expose().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &signer).map_err(|_| unusable())
}

/// 128 random bits as hexadecimal digits.
pub(crate) fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
