//! Verification of tokens: signature, times, rooms and grants.

use std::time::Duration;

use jsonwebtoken::{Validation, decode};
use media_types::RoomName;
use serde::Deserialize;
use signaling::limits::TOKEN_BYTES_MAX;
use signaling::{AdminRole, Claims, ErrorType, Grant};

use super::keys::KeyRing;
use super::seconds;
use crate::config::AuthConfig;

/// What somebody wants to do with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Join by signalling.
    Join,
    /// Publish by WHIP.
    Whip,
    /// Publish by RTMP or QUIC, where the identity is the stream.
    Ingest,
    /// Watch by WHEP.
    Whep,
    /// Watch by HLS, DASH, FLV and the like.
    Play,
    /// Use the admin API.
    Admin(AdminRole),
}

/// Judges tokens that API keys signed.
pub struct Verifier {
    keys: KeyRing,
    leeway: u64,
    join_max_ttl: u64,
    ingest_max_ttl: u64,
    require_jti: bool,
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

impl Verifier {
    pub(super) fn new(keys: KeyRing, config: &AuthConfig) -> Self {
        Self {
            keys,
            leeway: seconds(config.leeway),
            join_max_ttl: seconds(config.join_max_ttl),
            ingest_max_ttl: seconds(config.ingest_max_ttl),
            require_jti: config.require_jti,
        }
    }

    /// Checks signature and times, and whether a token may be used this way at all. Rooms and
    /// grants are [`authorize`]'s.
    ///
    /// # Errors
    /// `unauthorized`, whatever the reason.
    pub fn verify(&self, token: &str, access: Access, now: Duration) -> Result<Claims, ErrorType> {
        let claims = self.signed(token).ok_or(ErrorType::Unauthorized)?;
        let checks = [
            ("times", self.in_time(&claims, seconds(now))),
            ("life", self.short_enough(&claims, access, seconds(now))),
            (
                "jti",
                access != Access::Join || !self.require_jti || claims.jti.is_some(),
            ),
        ];
        match checks.iter().find(|(_, holds)| !holds) {
            None => Ok(claims),
            Some((check, _)) => {
                tracing::debug!(check, "token refused");
                Err(ErrorType::Unauthorized)
            }
        }
    }

    fn signed(&self, token: &str) -> Option<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        // Only to choose the key; nothing of it is believed before the signature holds.
        let issuer: Issuer = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        let (algorithm, key) = self.keys.get(&issuer.iss)?;
        let mut validation = Validation::new(*algorithm);
        // Times are judged by our own clock, below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        decode::<Claims>(token, key, &validation)
            .ok()
            .map(|token| token.claims)
    }

    fn in_time(&self, claims: &Claims, now: u64) -> bool {
        let soonest = now.saturating_add(self.leeway);
        claims.exp.saturating_add(self.leeway) > now
            && claims.nbf.is_none_or(|nbf| nbf <= soonest)
            && claims.iat.is_none_or(|iat| iat <= soonest)
    }

    fn short_enough(&self, claims: &Claims, access: Access, now: u64) -> bool {
        let born = claims.iat.unwrap_or(now);
        let most = match access {
            Access::Join | Access::Whep | Access::Play => self.join_max_ttl,
            Access::Ingest => self.ingest_max_ttl,
            Access::Whip if claims.troupe.ingest => self.ingest_max_ttl,
            Access::Whip => self.join_max_ttl,
            Access::Admin(_) => self.ingest_max_ttl,
        };
        claims.exp.saturating_sub(born) <= most
    }
}

/// Whether verified claims allow this in this room.
///
/// # Errors
/// `forbidden`: no grant, or another room.
pub fn authorize(claims: &Claims, access: Access, room: &RoomName) -> Result<(), ErrorType> {
    let grants = &claims.troupe;
    let granted = match access {
        // A member that may do nothing at all is still a member: it sees who is there.
        Access::Join => true,
        Access::Whip => grants.allows(Grant::Publish) || grants.allows(Grant::Ingest),
        Access::Ingest => grants.allows(Grant::Ingest),
        Access::Whep => grants.allows(Grant::Subscribe),
        Access::Play => grants.allows(Grant::Play),
        Access::Admin(role) => return admin(claims, role),
    };
    if granted && grants.covers(room) {
        Ok(())
    } else {
        Err(ErrorType::Forbidden)
    }
}

fn admin(claims: &Claims, role: AdminRole) -> Result<(), ErrorType> {
    if claims.troupe.admits(role) {
        Ok(())
    } else {
        Err(ErrorType::Forbidden)
    }
}
