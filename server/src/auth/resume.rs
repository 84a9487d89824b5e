//! Resume tokens: what takes a session up again, on this worker or another.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use media_types::{Identity, PeerId, RoomName};
use serde::{Deserialize, Serialize};
use signaling::limits::TOKEN_BYTES_MAX;
use signaling::{ErrorType, Grants, Secret};

use super::seconds;

/// A session's longest life without joining anew, and five minutes: each resumption renews it.
pub(super) const LIFE: Duration = Duration::from_secs(24 * 60 * 60 + 5 * 60);

/// What a resume token says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResumeClaims {
    /// The peer.
    pub sub: Identity,
    /// The room.
    pub room: RoomName,
    /// The session.
    pub sid: PeerId,
    /// What the join token granted.
    pub grants: Grants,
    /// Not valid from then on, in seconds since the Unix epoch.
    pub exp: u64,
}

/// Signs and judges resume tokens with the cluster's key, which signs nothing else.
pub struct ResumeSigner {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl ResumeSigner {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }

    /// Signs a token for a session.
    #[must_use]
    pub fn sign(
        &self,
        sub: Identity,
        room: RoomName,
        sid: PeerId,
        grants: Grants,
        now: Duration,
    ) -> Secret {
        let claims = ResumeClaims {
            sub,
            room,
            sid,
            grants,
            exp: seconds(now.saturating_add(LIFE)),
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.encoding);
        // HMAC over a tree that serialises cannot fail; an empty token would merely not resume.
        Secret::new(token.unwrap_or_default())
    }

    /// Judges a token.
    ///
    /// # Errors
    /// `unauthorized`, whatever the reason.
    pub fn verify(&self, token: &str, now: Duration) -> Result<ResumeClaims, ErrorType> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorType::Unauthorized);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let token = decode::<ResumeClaims>(token, &self.decoding, &validation)
            .map_err(|_| ErrorType::Unauthorized)?;
        if token.claims.exp > seconds(now) {
            Ok(token.claims)
        } else {
            Err(ErrorType::Unauthorized)
        }
    }
}
