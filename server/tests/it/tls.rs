//! Certificates that are renewed while the worker runs, as a client sees them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::{Bot, Plan, Signalling};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::support::Server;

mod admin;
mod authority;
mod store;

/// Takes any certificate: which one it is, is what is looked at.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}

/// Writes a fresh pair; gives the certificate.
fn renew(folder: &Path) -> Result<Vec<u8>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(folder.join("cert.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().to_vec())
}

/// What a new connection is shown, and the protocol that was agreed on.
async fn shown(url: &str) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (_, address) = url.split_once("://").context("an address")?;
    let socket = TcpStream::connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into()?, socket).await?;
    let (_, connection) = stream.get_ref();
    let chain = connection.peer_certificates().context("a certificate")?;
    let first = chain.first().context("a certificate")?.to_vec();
    Ok((first, connection.alpn_protocol().map(<[u8]>::to_vec)))
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = renew(folder.path())?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    let server = Server::start(&[
        ("TROUPE_HTTP__TLS_CERTIFICATE", &certificate),
        ("TROUPE_HTTP__TLS_KEY", &key),
    ])
    .await?;
    assert_eq!(
        shown(&server.url("")).await?,
        (first.clone(), Some(b"h2".to_vec()))
    );

    // A pair that does not go together leaves the one before.
    std::fs::write(&key, "no key")?;
    let refused = (
        "troupe_http_certificate_reloads_total",
        "outcome=\"refused\"",
    );
    let end = Instant::now() + Duration::from_secs(20);
    while server.metric(refused.0, refused.1).await? < 1.0 {
        ensure!(Instant::now() < end, "the bad pair is not noticed");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(shown(&server.url("")).await?.0, first);

    let second = renew(folder.path())?;
    server.signal("HUP")?;
    let end = Instant::now() + Duration::from_secs(20);
    while shown(&server.url("")).await?.0 != second {
        ensure!(Instant::now() < end, "the new certificate is not shown");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_joins_by_wss() -> Result<()> {
    let folder = tempfile::tempdir()?;
    renew(folder.path())?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let server = Server::start(&[
        ("TROUPE_HTTP__TLS_CERTIFICATE", &path("cert.pem")),
        ("TROUPE_HTTP__TLS_KEY", &path("key.pem")),
        ("TROUPE_HTTP__REQUIRE_TLS", "true"),
    ])
    .await?;
    let words = "token --dev --room hall --identity ann";
    let made = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(words.split(' '))
        .output()?;
    ensure!(made.status.success(), "no token");
    let token = String::from_utf8(made.stdout)?.trim().to_owned();
    let plain = server.signalling();
    ensure!(
        Signalling::connect(&plain).await.is_err(),
        "plain text is taken"
    );
    let url = plain.replacen("ws://", "wss://", 1);
    let mut bot = Bot::join(&url, &token).await?;
    assert_eq!(bot.joined["peerId"], "ann");
    let plan = Plan {
        publish: true,
        slots: 0,
    };
    bot.open_media(plan).await?;
    bot.leave().await
}
