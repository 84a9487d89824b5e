//! Watching without a token in hand: signed URLs, and the sessions that playlists carry on with.
//!
//! A signed URL holds for one path, or for all below a prefix, around the time it names. What it
//! opens, and what a token opens, hands out a *session*: a short text in the addresses of a
//! playlist that holds for one stream and longer than either, so that a player goes on for hours.
//! It says on whose word, so that it ends when that is believed no more; where that is a key's
//! alone, as of a signed URL, a content network caches one address for all viewers of the same
//! minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use media_types::{Identity, RoomName};
use serde::Deserialize;
use signaling::ErrorType;

use super::Bearer;
use super::keys::cluster_secret;
use super::seconds;
use crate::config::AuthConfig;

/// How far from its time a signed URL holds.
pub(super) const SIGNED_WINDOW: Duration = Duration::from_secs(300);
/// How long a session holds at least; a long evening.
pub(super) const SESSION_LIFE: Duration = Duration::from_secs(6 * 60 * 60);
/// Sessions that begin in the same span are the same, so that their addresses can be cached.
const SESSION_STEP_S: u64 = 600;
/// Keeps sessions apart from whatever else the cluster's key signs.
const SESSION_LABEL: &str = "troupe play session v2";
/// Characters of a nonce and of a prefix that are looked at.
const FIELD_BYTES_MAX: usize = 512;
/// Hexadecimal digits of who a session is for: a `jti`, an identity and the name of a key.
const BEARER_DIGITS_MAX: usize = 4_096;

/// The query of a signed URL.
#[derive(Debug, Clone, Deserialize)]
pub struct SignedQuery {
    /// The time around which it holds, in seconds since the Unix epoch.
    pub exp: u64,
    /// The name of the API key that signed.
    pub kid: String,
    /// Whatever the signer likes.
    pub nonce: String,
    /// HMAC-SHA256 as hexadecimal digits.
    pub sig: String,
    /// The path below which it holds, in place of one path.
    pub prefix: Option<String>,
}

/// Judges signed URLs and sessions.
pub struct PlaySigner {
    keys: BTreeMap<String, hmac::Key>,
    sessions: hmac::Key,
}

impl PlaySigner {
    /// With the secrets of the settings; keys without one sign no URLs.
    #[must_use]
    pub fn new(config: &AuthConfig) -> Self {
        let secret = |key: &crate::config::ApiKey| {
            let secret = key.secret.as_ref()?.expose();
            Some((
                key.name.clone(),
                hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            ))
        };
        Self {
            keys: config.keys.iter().filter_map(secret).collect(),
            sessions: hmac::Key::new(hmac::HMAC_SHA256, &cluster_secret(config)),
        }
    }

    /// Judges a signed URL.
    ///
    /// # Errors
    /// `unauthorized`, whatever the reason.
    pub fn judge_url(
        &self,
        method: &str,
        path: &str,
        query: &SignedQuery,
        now: Duration,
    ) -> Result<(), ErrorType> {
        let good = || {
            let long = query
                .nonce
                .len()
                .max(query.prefix.as_deref().map_or(0, str::len));
            let near = query.exp.abs_diff(seconds(now)) <= SIGNED_WINDOW.as_secs();
            if long > FIELD_BYTES_MAX || !near {
                return None;
            }
            let signed = match &query.prefix {
                Some(prefix) => below(path, prefix).then_some(prefix.as_str())?,
                None => path,
            };
            let key = self.keys.get(&query.kid)?;
            let text = text(method, signed, query);
            hmac::verify(key, text.as_bytes(), &from_hex(&query.sig, 64)?).ok()
        };
        good().ok_or(ErrorType::Unauthorized)
    }

    /// Signs a URL with one of our keys; for tests, examples and tools.
    #[must_use]
    pub fn sign(&self, method: &str, path: &str, query: &SignedQuery) -> Option<String> {
        let key = self.keys.get(&query.kid)?;
        let signed = query.prefix.as_deref().unwrap_or(path);
        let text = text(method, signed, query);
        Some(to_hex(hmac::sign(key, text.as_bytes()).as_ref()))
    }

    /// The session that a viewer of this stream carries on with.
    #[must_use]
    pub fn session(
        &self,
        room: &RoomName,
        stream: &Identity,
        bearer: &Bearer,
        now: Duration,
    ) -> String {
        let who = to_hex(bearer.text().as_bytes());
        let from = seconds(now) / SESSION_STEP_S * SESSION_STEP_S;
        let until = from + SESSION_STEP_S + SESSION_LIFE.as_secs();
        let text = session_text(room, stream, &who, until);
        let tag = hmac::sign(&self.sessions, text.as_bytes());
        let short = tag.as_ref().get(..16).unwrap_or_default();
        format!("{until}-{who}-{}", to_hex(short))
    }

    /// Judges a session; on whose word it holds.
    ///
    /// # Errors
    /// `unauthorized`, whatever the reason.
    pub fn judge_session(
        &self,
        session: &str,
        room: &RoomName,
        stream: &Identity,
        now: Duration,
    ) -> Result<Bearer, ErrorType> {
        let good = || {
            let (until, rest) = session.split_once('-')?;
            let (who, given) = rest.split_once('-')?;
            let until: u64 = until.parse().ok()?;
            let text = session_text(room, stream, who, until);
            let tag = hmac::sign(&self.sessions, text.as_bytes());
            let right = tag.as_ref().get(..16)?;
            let given = from_hex(given, 64)?;
            let same = aws_lc_rs::constant_time::verify_slices_are_equal(right, &given);
            let who = String::from_utf8(from_hex(who, BEARER_DIGITS_MAX)?).ok()?;
            let bearer = Bearer::parse(&who)?;
            (same.is_ok() && until > seconds(now)).then_some(bearer)
        };
        good().ok_or(ErrorType::Unauthorized)
    }
}

fn text(method: &str, path: &str, query: &SignedQuery) -> String {
    format!(
        "{method}\n{path}\n{}\n{}\n{}",
        query.exp, query.kid, query.nonce
    )
}

fn session_text(room: &RoomName, stream: &Identity, who: &str, until: u64) -> String {
    format!("{SESSION_LABEL}\n{room}\n{stream}\n{who}\n{until}")
}

/// Whether the path lies below the prefix: `/live/a` holds for `/live/a/x`, not for `/live/ab`.
fn below(path: &str, prefix: &str) -> bool {
    let whole = prefix.ends_with('/') && prefix.len() > 1;
    path.strip_prefix(prefix)
        .is_some_and(|rest| whole || rest.is_empty() || rest.starts_with(['/', '.']))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str, digits_max: usize) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() > digits_max || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ApiKey, KeyAlgorithm};
    use signaling::Secret;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn signer() -> PlaySigner {
        PlaySigner::new(&AuthConfig {
            keys: vec![ApiKey {
                name: "cdn".to_owned(),
                algorithm: KeyAlgorithm::Hs256,
                secret: Some(Secret::new("a secret of enough bytes to be one")),
                public_key: None,
            }],
            ..AuthConfig::default()
        })
    }

    fn query(prefix: Option<&str>) -> SignedQuery {
        SignedQuery {
            exp: 1_700_000_100,
            kid: "cdn".to_owned(),
            nonce: "n1".to_owned(),
            sig: String::new(),
            prefix: prefix.map(str::to_owned),
        }
    }

    #[test]
    fn a_signed_url_holds_for_its_path_method_and_time() {
        let (signer, path) = (signer(), "/live/r/s/index.m3u8");
        let mut query = query(None);
        query.sig = signer.sign("GET", path, &query).unwrap();
        let refused = Err(ErrorType::Unauthorized);
        assert_eq!(signer.judge_url("GET", path, &query, NOW), Ok(()));
        assert_eq!(signer.judge_url("HEAD", path, &query, NOW), refused);
        assert_eq!(signer.judge_url("GET", "/live/r/s/x", &query, NOW), refused);
        let at = |exp: u64| Duration::from_secs(exp);
        let judged = |at| signer.judge_url("GET", path, &query, at);
        assert_eq!(judged(at(1_700_000_400)), Ok(()));
        assert_eq!(judged(at(1_700_000_401)), refused);
        assert_eq!(judged(at(1_699_999_799)), refused);
        let other = SignedQuery {
            nonce: "n2".to_owned(),
            ..query.clone()
        };
        assert_eq!(signer.judge_url("GET", path, &other, NOW), refused);
    }

    #[test]
    fn a_signed_prefix_holds_for_what_lies_below() {
        let signer = signer();
        let mut query = query(Some("/live/r/s"));
        query.sig = signer.sign("GET", "", &query).unwrap();
        let judged = |path| signer.judge_url("GET", path, &query, NOW).is_ok();
        assert!(judged("/live/r/s/video_1.m4s") && judged("/live/r/s.flv"));
        assert!(!judged("/live/r/sam/video_1.m4s") && !judged("/live/r"));
    }

    #[test]
    fn a_session_holds_for_one_stream_and_is_shared() {
        let signer = signer();
        let (room, stream): (RoomName, Identity) = ("r".parse().unwrap(), "s".parse().unwrap());
        let bearer = Bearer::of_key("cdn".to_owned());
        let session = signer.session(&room, &stream, &bearer, NOW);
        assert_eq!(
            session,
            signer.session(&room, &stream, &bearer, NOW + Duration::from_secs(60))
        );
        let judged = signer.judge_session(&session, &room, &stream, NOW);
        assert_eq!(judged, Ok(bearer));
        let judge = |session: &str, stream: &Identity, now| {
            signer.judge_session(session, &room, stream, now).is_ok()
        };
        assert!(judge(&session, &stream, NOW + SESSION_LIFE));
        assert!(!judge(&session, &stream, NOW + SESSION_LIFE * 2));
        assert!(!judge(&session, &"t".parse().unwrap(), NOW));
        let forged = session.replacen('1', "2", 1);
        assert!(!judge(&forged, &stream, NOW) && !judge("", &stream, NOW));
    }
}
