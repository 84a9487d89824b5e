use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use signaling::{AdminRole, Claims, ErrorType, Grant, Grants, Secret};

use super::*;
use crate::config::{ApiKey, KeyAlgorithm};

const NOW: Duration = Duration::from_secs(1_800_000_000);
/// What precedes an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0];

/// A fresh Ed25519 key: what signs, and the PEM text of what verifies.
fn ed25519() -> (EncodingKey, String) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let private = pair.to_pkcs8().unwrap();
    let public = [&SPKI, pair.public_key().as_ref()].concat();
    let body = base64::prelude::BASE64_STANDARD.encode(public);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    (EncodingKey::from_ed_der(private.as_ref()), pem)
}

fn key() -> ApiKey {
    ApiKey {
        name: "k".to_owned(),
        algorithm: KeyAlgorithm::Hs256,
        secret: Some(Secret::new("0123456789abcdef0123456789abcdef")),
        public_key: None,
    }
}

fn config() -> AuthConfig {
    AuthConfig {
        keys: vec![key()],
        ..AuthConfig::default()
    }
}

fn grants(room: &str) -> Grants {
    Grants::for_room(room.parse().unwrap()).with(Grant::Publish)
}

fn request() -> TokenRequest {
    TokenRequest {
        identity: "ana".parse().unwrap(),
        grants: grants("r"),
        ttl: Duration::from_secs(900),
        once: true,
    }
}

fn join(auth: &Auth, token: &str, now: Duration) -> Result<Claims, ErrorType> {
    auth.verifier.verify(token, Access::Join, now)
}

fn signed(claims: &serde_json::Value, algorithm: Algorithm, secret: &[u8]) -> String {
    let key = EncodingKey::from_secret(secret);
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

#[test]
fn an_issued_token_is_believed_until_it_ends() {
    let auth = Auth::new(&config()).unwrap();
    let token = issue(&key(), request(), NOW).unwrap();
    let claims = join(&auth, &token, NOW).unwrap();
    assert_eq!(claims.sub.as_str(), "ana");
    assert_eq!(claims.jti.as_ref().unwrap().len(), 32);
    assert!(join(&auth, &token, NOW + Duration::from_secs(909)).is_ok());
    let late = NOW + Duration::from_secs(910);
    assert_eq!(join(&auth, &token, late), Err(ErrorType::Unauthorized));
    let early = NOW - Duration::from_secs(11);
    assert_eq!(join(&auth, &token, early), Err(ErrorType::Unauthorized));
}

#[test]
fn what_is_wrong_with_a_token_is_not_told() {
    let auth = Auth::new(&config()).unwrap();
    let now = NOW.as_secs();
    let claims = serde_json::json!({"iss": "k", "sub": "ana", "exp": now + 60, "iat": now});
    let secret = key().secret.unwrap();
    let good = signed(&claims, Algorithm::HS256, secret.expose().as_bytes());
    assert!(join(&auth, &good, NOW).is_ok());
    let mut broken = good.clone();
    broken.replace_range(broken.len() - 4.., "AAAA");
    let mut other = claims.clone();
    other["iss"] = "unknown".into();
    let mut bad_name = claims.clone();
    bad_name["sub"] = "a/b".into();
    let mut no_end = claims.clone();
    no_end.as_object_mut().unwrap().remove("exp");
    let hs256 = |claims| signed(claims, Algorithm::HS256, secret.expose().as_bytes());
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    for token in [
        String::new(),
        "a.b.c".to_owned(),
        "x".repeat(20_000),
        broken,
        unsigned,
        signed(&claims, Algorithm::HS256, b"another secret"),
        signed(&claims, Algorithm::HS512, secret.expose().as_bytes()),
        hs256(&other),
        hs256(&bad_name),
        hs256(&no_end),
    ] {
        assert_eq!(
            join(&auth, &token, NOW),
            Err(ErrorType::Unauthorized),
            "{token}"
        );
    }
}

#[test]
fn a_public_key_cannot_be_used_as_a_secret() {
    let (private, pem) = ed25519();
    let mut settings = config();
    settings.keys.push(ApiKey {
        name: "ed".to_owned(),
        algorithm: KeyAlgorithm::Eddsa,
        secret: None,
        public_key: Some(pem.clone()),
    });
    let auth = Auth::new(&settings).unwrap();
    let now = NOW.as_secs();
    let claims = serde_json::json!({"iss": "ed", "sub": "ana", "exp": now + 60, "iat": now});
    let good = encode(&Header::new(Algorithm::EdDSA), &claims, &private).unwrap();
    assert_eq!(join(&auth, &good, NOW).unwrap().iss, "ed");
    let forged = signed(&claims, Algorithm::HS256, pem.as_bytes());
    assert_eq!(join(&auth, &forged, NOW), Err(ErrorType::Unauthorized));
}

#[test]
fn long_lives_are_for_ingest_alone() {
    let auth = Auth::new(&config()).unwrap();
    let mut long = request();
    long.ttl = Duration::from_secs(86_400);
    long.grants = grants("r").with(Grant::Ingest);
    let token = issue(&key(), long, NOW).unwrap();
    assert_eq!(join(&auth, &token, NOW), Err(ErrorType::Unauthorized));
    assert!(auth.verifier.verify(&token, Access::Whip, NOW).is_ok());
}

#[test]
fn a_jti_can_be_demanded() {
    let strict = AuthConfig {
        require_jti: true,
        ..config()
    };
    let auth = Auth::new(&strict).unwrap();
    let mut reusable = request();
    reusable.once = false;
    let token = issue(&key(), reusable, NOW).unwrap();
    assert_eq!(join(&auth, &token, NOW), Err(ErrorType::Unauthorized));
    assert!(auth.verifier.verify(&token, Access::Whip, NOW).is_ok());
}

#[test]
fn grants_and_rooms_are_checked() {
    let auth = Auth::new(&config()).unwrap();
    let token = issue(&key(), request(), NOW).unwrap();
    let claims = join(&auth, &token, NOW).unwrap();
    let [room, other] = ["r", "other"].map(|name| name.parse().unwrap());
    assert_eq!(authorize(&claims, Access::Join, &room), Ok(()));
    assert_eq!(authorize(&claims, Access::Whip, &room), Ok(()));
    let forbidden = Err(ErrorType::Forbidden);
    assert_eq!(authorize(&claims, Access::Join, &other), forbidden);
    assert_eq!(authorize(&claims, Access::Whep, &room), forbidden);
    let viewer = Access::Admin(AdminRole::Viewer);
    assert_eq!(authorize(&claims, viewer, &room), forbidden);
}

#[test]
fn a_token_joins_once() {
    let auth = Auth::new(&config()).unwrap();
    let token = issue(&key(), request(), NOW).unwrap();
    let claims = join(&auth, &token, NOW).unwrap();
    let guard = &auth.replay;
    let seconds = |s| NOW + Duration::from_secs(s);
    assert_eq!(guard.consume(&claims, Some("n"), NOW), Ok(Admitted::First));
    let replayed = Err(ErrorType::Replayed);
    assert_eq!(guard.consume(&claims, None, NOW), replayed);
    assert_eq!(guard.consume(&claims, Some("m"), NOW), replayed);
    let repeated = guard.consume(&claims, Some("n"), seconds(60));
    assert_eq!(repeated, Ok(Admitted::Repeated));
    assert_eq!(guard.consume(&claims, Some("n"), seconds(61)), replayed);
    let mut stolen = claims.clone();
    stolen.sub = "eve".parse().unwrap();
    assert_eq!(guard.consume(&stolen, Some("n"), NOW), replayed);
    assert_eq!(guard.len(), 1);
    // Long after its end it is forgotten; by then the token itself is refused.
    let mut reusable = claims;
    reusable.jti = Some("another".to_owned());
    guard.consume(&reusable, None, seconds(2_000)).unwrap();
    assert_eq!(guard.len(), 1);
}

#[test]
fn a_resume_token_is_no_join_token() {
    let auth = Auth::new(&config()).unwrap();
    let sid = media_types::PeerId::new(7);
    let [sub, room] = ["ana", "r"];
    let (sub, room) = (sub.parse().unwrap(), room.parse().unwrap());
    let token = auth.resume.sign(sub, room, sid, grants("r"), NOW);
    let claims = auth.resume.verify(token.expose(), NOW).unwrap();
    assert_eq!((claims.sid, claims.grants), (sid, grants("r")));
    assert_eq!(
        join(&auth, token.expose(), NOW),
        Err(ErrorType::Unauthorized)
    );
    let joined = issue(&key(), request(), NOW).unwrap();
    let refused = auth.resume.verify(&joined, NOW);
    assert_eq!(refused, Err(ErrorType::Unauthorized));
    let late = NOW + Duration::from_secs(2 * 86_400);
    let refused = auth.resume.verify(token.expose(), late);
    assert_eq!(refused, Err(ErrorType::Unauthorized));
    // Another worker with the same settings takes it.
    let elsewhere = Auth::new(&config()).unwrap();
    assert!(elsewhere.resume.verify(token.expose(), NOW).is_ok());
    let foreign = AuthConfig {
        cluster_key: Some(Secret::new("another cluster")),
        ..config()
    };
    let foreign = Auth::new(&foreign).unwrap();
    assert!(foreign.resume.verify(token.expose(), NOW).is_err());
}
