//! What members show at the door.

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use signaling::token::{Grant, RoomPattern};
use signaling::{Claims, Grants};

/// How long a token lives that is made for one join, in seconds.
const TOKEN_LIFE_S: u64 = 600;

/// Where tokens come from.
#[derive(Clone)]
pub enum Tokens {
    /// Made for each member with a key of the server's.
    Key {
        /// Its name.
        name: String,
        /// Its secret.
        secret: String,
    },
    /// One for all.
    Fixed(String),
    /// None are shown.
    None,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key { .. } => "Key",
            Self::Fixed(_) => "Fixed",
            Self::None => "None",
        })
    }
}

impl Tokens {
    /// A token for one member; `now` is seconds since 1970.
    ///
    /// # Errors
    /// When the names are none that a token may carry.
    pub fn issue(&self, room: &str, identity: &str, now: u64) -> Result<Option<String>> {
        let (name, secret) = match self {
            Self::Key { name, secret } => (name, secret),
            Self::Fixed(token) => return Ok(Some(token.clone())),
            Self::None => return Ok(None),
        };
        let grants = [Grant::Publish, Grant::Subscribe, Grant::Data];
        let room = RoomPattern::Exact(room.parse()?);
        let granted = grants
            .into_iter()
            .fold(Grants::for_room(room), Grants::with);
        let claims = Claims {
            iss: name.clone(),
            sub: identity.parse()?,
            exp: now + TOKEN_LIFE_S,
            nbf: None,
            iat: Some(now),
            jti: None,
            troupe: granted,
        };
        let key = EncodingKey::from_secret(secret.as_bytes());
        Ok(Some(encode(&Header::new(Algorithm::HS256), &claims, &key)?))
    }
}
