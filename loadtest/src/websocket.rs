//! WebSockets, plain and over TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Of a socket's two buffers each, which are cleared at every read: thousands are to fit.
const BUFFER_BYTES: usize = 4_096;
/// Where systems keep the authorities that they believe.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Bytes in order, both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A WebSocket over whatever lies below.
pub type Socket = WebSocketStream<Box<dyn Duplex>>;

/// Which certificates are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that the system believes.
    #[default]
    System,
    /// Those of the authorities in a PEM file.
    Authorities(PathBuf),
    /// All: for servers under test, whose certificates nobody signed.
    All,
}

impl Trust {
    /// The settings of a client.
    ///
    /// # Errors
    /// When there are no authorities.
    pub fn client(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match self {
            Self::All => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Believer(provider)))
                .with_no_client_auth(),
            Self::Authorities(file) => builder
                .with_root_certificates(authorities(file)?)
                .with_no_client_auth(),
            Self::System => {
                let found = AUTHORITIES.iter().map(Path::new).find(|file| file.exists());
                let file = found.context("no authorities of the system: give --ca FILE")?;
                builder
                    .with_root_certificates(authorities(file)?)
                    .with_no_client_auth()
            }
        };
        Ok(Arc::new(config))
    }
}

fn authorities(file: &Path) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(file).with_context(|| file.display().to_string())?;
    store.add_parsable_certificates(read.flatten());
    if store.is_empty() {
        bail!("{}: no certificate in it", file.display());
    }
    Ok(store)
}

/// Connects to a `ws://` or `wss://` URL with a subprotocol.
///
/// # Errors
/// When the TCP, TLS or WebSocket handshake fails.
pub async fn connect(url: &str, protocol: &'static str, tls: &Arc<ClientConfig>) -> Result<Socket> {
    let mut request = url.into_client_request()?;
    let uri = request.uri();
    let secure = uri.scheme_str() == Some("wss");
    let host = uri.host().context("a host")?.to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(protocol));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Duplex> = if secure {
        let name = ServerName::try_from(bare.to_owned())?;
        let connector = TlsConnector::from(Arc::clone(tls));
        Box::new(connector.connect(name, stream).await.context("TLS")?)
    } else {
        Box::new(stream)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    Ok(socket)
}

/// Believes every certificate, but not every signature.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_no_authority() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("none.pem");
        std::fs::write(&file, "nothing\n").unwrap();
        assert!(Trust::Authorities(file).client().is_err());
        assert!(Trust::All.client().is_ok());
    }
}
