//! The STUN and TURN servers that clients are told of.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use media_types::Identity;
use signaling::view::IceServer;

use crate::config::IceServerConfig;

/// Makes the list for one client: TURN gets credentials that end by themselves (the shared-secret
/// scheme of the TURN REST API, which coturn and others speak).
pub(super) fn for_client(
    servers: &[IceServerConfig],
    identity: &Identity,
    now: Duration,
) -> Vec<IceServer> {
    let make = |server: &IceServerConfig| {
        let (username, credential) = server
            .shared_secret
            .as_ref()
            .map(|secret| {
                let ends = now.saturating_add(server.credential_ttl).as_secs();
                let username = format!("{ends}:{identity}");
                let secret = secret.expose().as_bytes();
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
                let tag = hmac::sign(&key, username.as_bytes());
                (username, BASE64_STANDARD.encode(tag.as_ref()))
            })
            .unzip();
        IceServer {
            urls: server.urls.clone(),
            username,
            credential,
        }
    };
    servers.iter().map(make).collect()
}

/// The `Link` headers of WHIP and WHEP (RFC 9725, section 4.6).
pub(super) fn links(servers: &[IceServer]) -> impl Iterator<Item = String> {
    servers.iter().flat_map(|server| {
        server.urls.iter().map(|url| {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(name), Some(credential)) = (&server.username, &server.credential) {
                link.push_str(&format!(
                    "; username=\"{name}\"; credential=\"{credential}\"; \
                     credential-type=\"password\""
                ));
            }
            link
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_credentials_are_made_for_one_client() {
        let config = IceServerConfig {
            urls: vec!["turn:t.example:3478".to_owned()],
            shared_secret: Some(signaling::Secret::new("north")),
            credential_ttl: Duration::from_secs(3_600),
        };
        let ana = "ana".parse().unwrap();
        let servers = for_client(&[config], &ana, Duration::from_secs(1_000));
        assert_eq!(servers[0].username.as_deref(), Some("4600:ana"));
        // printf 4600:ana | openssl dgst -sha1 -hmac north -binary | base64
        let credential = servers[0].credential.as_deref();
        assert_eq!(credential, Some("zKOHg0F52IHaX9iun788IZExpKo="));
        let link: Vec<_> = links(&servers).collect();
        assert_eq!(
            link,
            [
                "<turn:t.example:3478>; rel=\"ice-server\"; username=\"4600:ana\"; \
              credential=\"zKOHg0F52IHaX9iun788IZExpKo=\"; credential-type=\"password\""
            ]
        );
    }

    #[test]
    fn stun_needs_none() {
        let config = IceServerConfig {
            urls: vec!["stun:s.example".to_owned()],
            shared_secret: None,
            credential_ttl: Duration::ZERO,
        };
        let servers = for_client(&[config], &"a".parse().unwrap(), Duration::ZERO);
        let link: Vec<_> = links(&servers).collect();
        assert_eq!(link, ["<stun:s.example>; rel=\"ice-server\""]);
    }
}
