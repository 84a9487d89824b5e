//! On whose word somebody watches, for as long as it goes on.

use std::sync::Arc;
use std::time::Duration;

use media_types::{Clock, Identity};
use signaling::Claims;

use super::Revocations;

/// What names the token, or the key, that opened something. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The name of the API key that signed.
    pub issuer: String,
    /// Whom the token is for; a signed URL is for anybody.
    pub identity: Option<Identity>,
    /// The token's `jti`, where it has one.
    pub token: Option<String>,
}

impl Bearer {
    /// Of who signed a URL.
    #[must_use]
    pub const fn of_key(name: String) -> Self {
        Self {
            issuer: name,
            identity: None,
            token: None,
        }
    }

    /// As a line of text that [`Self::parse`] reads.
    pub(super) fn text(&self) -> String {
        let identity = self.identity.as_ref().map_or("", Identity::as_str);
        let token = self.token.as_deref().unwrap_or_default();
        format!("{}\n{identity}\n{token}", self.issuer)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '\n');
        let (issuer, identity, token) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            issuer: issuer.to_owned(),
            identity: match identity {
                "" => None,
                identity => Some(identity.parse().ok()?),
            },
            token: (!token.is_empty()).then(|| token.to_owned()),
        })
    }
}

impl From<&Claims> for Bearer {
    fn from(claims: &Claims) -> Self {
        Self {
            issuer: claims.iss.clone(),
            identity: Some(claims.sub.clone()),
            token: claims.jti.clone(),
        }
    }
}

/// Whether somebody who watches may still do so. Asked for each thing that is sent: as long as
/// nothing at all was revoked, that costs nothing.
pub struct Standing {
    revoked: Arc<Revocations>,
    bearer: Bearer,
    clock: Arc<dyn Clock>,
    /// How many revocations there were when it was looked at last.
    seen: u64,
}

impl Standing {
    /// Of somebody who was let in just now.
    #[must_use]
    pub fn new(revoked: Arc<Revocations>, bearer: Bearer, clock: Arc<dyn Clock>) -> Self {
        Self {
            revoked,
            bearer,
            clock,
            seen: 0,
        }
    }

    /// Whether what let them in is believed no more.
    pub fn is_revoked(&mut self) -> bool {
        let count = self.revoked.count();
        if count == self.seen {
            return false;
        }
        let now: Duration = self.clock.unix();
        let met = self.revoked.meet_bearer(&self.bearer, now);
        if !met {
            self.seen = count;
        }
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::Revocation;
    use std::time::Instant;

    struct Still(Instant);

    impl Clock for Still {
        fn now(&self) -> Instant {
            self.0
        }

        fn unix(&self) -> Duration {
            Duration::from_secs(1_000)
        }
    }

    #[test]
    fn what_is_revoked_ends_what_it_opened_and_nothing_else() {
        let revoked = Arc::new(Revocations::new(Duration::from_secs(60)));
        #[allow(clippy::disallowed_methods, reason = "a test has a real clock")]
        let clock: Arc<dyn Clock> = Arc::new(Still(Instant::now()));
        let bearer = |identity: &str, token: &str| Bearer {
            issuer: "key".to_owned(),
            identity: identity.parse().ok(),
            token: Some(token.to_owned()),
        };
        let standing = |bearer| Standing::new(Arc::clone(&revoked), bearer, Arc::clone(&clock));
        let (mut ana, mut ben) = (standing(bearer("ana", "1")), standing(bearer("ben", "2")));
        let mut url = standing(Bearer::of_key("key".to_owned()));
        assert!(!ana.is_revoked() && !ben.is_revoked());
        let revoke = |what| revoked.add(what, Duration::from_secs(1_000)).unwrap();
        revoke(Revocation::Token("2".to_owned()));
        assert!(!ana.is_revoked() && ben.is_revoked() && ben.is_revoked());
        revoke(Revocation::Identity("ana".parse().unwrap()));
        assert!(ana.is_revoked() && !url.is_revoked());
        revoke(Revocation::Key("key".to_owned()));
        assert!(url.is_revoked());
    }

    #[test]
    fn bearers_are_read_as_they_were_written() {
        let all = Bearer {
            issuer: "key".to_owned(),
            identity: "ana".parse().ok(),
            token: Some("a\nb".to_owned()),
        };
        for bearer in [all, Bearer::of_key("cdn".to_owned())] {
            assert_eq!(Bearer::parse(&bearer.text()), Some(bearer));
        }
        assert_eq!(Bearer::parse("key"), None);
    }
}
