//! What all clients here need: a server with a free port, a pinned certificate, tokens, frames.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use media_types::{Codec, EncodedFrame, MediaTime};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::support::{Server, get};

pub(crate) const ROOM: &str = "studio";

/// A server and its QUIC port.
pub(crate) async fn serve(more: &[(&str, &str)]) -> Result<(Server, u16)> {
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let quic = format!("127.0.0.1:{port}");
    let mut environment = vec![
        ("TROUPE_QUIC__LISTEN", quic.as_str()),
        ("TROUPE_RTMP__ENABLED", "false"),
    ];
    environment.extend_from_slice(more);
    Ok((Server::start(&environment).await?, port))
}

/// A token of the command line.
pub(crate) fn token(identity: &str, grant: &str) -> Result<String> {
    let words = ["token", "--dev", "--room", ROOM, "--identity", identity];
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(words)
        .args(["--grant", grant])
        .output()?;
    ensure!(output.status.success(), "no token");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A client of one protocol that takes the certificate by its hash alone. It keeps what it is given
/// to come back with.
pub(crate) async fn endpoint(server: &Server, protocol: &str) -> Result<Endpoint> {
    let told: serde_json::Value = serde_json::from_str(&get(server.url("/v1/quic")).await?)?;
    let hash = told["certificateHashes"][0].as_str().context("a hash")?;
    let mut tls =
        rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(hash.to_owned())))
            .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    tls.enable_early_data = true;
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

pub(crate) async fn connect(endpoint: &Endpoint, port: u16) -> Result<Connection> {
    let address = format!("127.0.0.1:{port}").parse()?;
    Ok(endpoint.connect(address, "localhost")?.await?)
}

/// The client moves to another port, as behind a NAT that forgot it.
pub(crate) fn rebind(endpoint: &Endpoint) -> Result<()> {
    endpoint.rebind(UdpSocket::bind("127.0.0.1:0")?)?;
    Ok(())
}

/// A picture of VP8 that carries its number; each group has 25.
pub(crate) fn picture(number: u32) -> EncodedFrame {
    let keyframe = is_keyframe(number);
    let time = MediaTime {
        ticks: u64::from(number) * 20_000,
        rate: 1_000_000,
    };
    let mut data = if keyframe {
        // RFC 6386, section 9.1: a key frame of 64 by 64.
        vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0]
    } else {
        vec![0x11, 0, 0]
    };
    // A packet or two each.
    data.resize(1_500, 0);
    data.extend_from_slice(&number.to_be_bytes());
    EncodedFrame {
        codec: Codec::Vp8.into(),
        presented: time,
        decoded: time,
        keyframe,
        captured: None,
        data: data.into(),
    }
}

pub(crate) const fn is_keyframe(number: u32) -> bool {
    number.is_multiple_of(25)
}

/// The number of a picture.
pub(crate) fn number_of(data: &[u8]) -> Option<u32> {
    data.last_chunk::<4>()
        .map(|number| u32::from_be_bytes(*number))
}

#[derive(Debug)]
struct Pinned(String);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, certificate);
        let hex: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if hex == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("another certificate".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("QUIC has TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = aws_lc_rs::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
