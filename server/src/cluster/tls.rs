//! Who may speak with us: workers with a certificate of the cluster's authority.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::ClusterTlsConfig;

/// What both ends have to speak, with its version.
const ALPN: &[u8] = b"troupe-relay/1";
/// The name of the authority that is made on first use.
const AUTHORITY: &str = "Troupe cluster";
const AUTHORITY_FILE: &str = "ca.pem";
const AUTHORITY_KEY_FILE: &str = "ca.key";

/// Why no link can be secured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterTlsError {
    /// A PEM file that cannot be read, or holds nothing of use.
    #[error("cluster.tls: {path} cannot be used: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Some of `ca`, `certificate` and `key` are missing.
    #[error("cluster.tls needs ca, certificate and key, or a directory")]
    Incomplete,
    /// The certificate and the key do not go together, or the authority cannot be used.
    #[error("cluster.tls cannot be used: {0}")]
    Unusable(String),
}

/// A worker's certificate, and the authority that vouches for the others.
#[derive(Debug)]
pub struct ClusterIdentity {
    authority: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    server_name: String,
}

impl ClusterIdentity {
    /// As the settings say: files, or a directory with the cluster's authority, which is made on
    /// first use; with that every worker makes its own certificate at start.
    ///
    /// # Errors
    /// See [`ClusterTlsError`].
    pub fn from_config(config: &ClusterTlsConfig) -> Result<Self, ClusterTlsError> {
        let server_name = config.server_name.clone();
        match (&config.ca, &config.certificate, &config.key) {
            (Some(ca), Some(certificate), Some(key)) => Ok(Self {
                authority: certificates(ca)?,
                chain: certificates(certificate)?,
                key: PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(key, &e))?,
                server_name,
            }),
            (None, None, None) => match &config.directory {
                Some(directory) => Self::made(directory, server_name),
                None => Err(ClusterTlsError::Incomplete),
            },
            _ => Err(ClusterTlsError::Incomplete),
        }
    }

    fn made(directory: &Path, server_name: String) -> Result<Self, ClusterTlsError> {
        let (authority, key) = authority_of(directory)?;
        let failed = |error: rcgen::Error| ClusterTlsError::Unusable(error.to_string());
        let issuer = Issuer::new(authority_params()?, key);
        let own = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(vec![server_name.clone()]).map_err(failed)?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&own, &issuer).map_err(failed)?;
        Ok(Self {
            authority: vec![authority],
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(own.serialize_der()).into(),
            server_name,
        })
    }

    /// The name that the others' certificates are made for.
    pub(super) fn server_name(&self) -> &str {
        &self.server_name
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, ClusterTlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.authority {
            roots.add(certificate.clone()).map_err(broken)?;
        }
        Ok(Arc::new(roots))
    }

    /// For links that others dial: who has no certificate of the authority is refused.
    pub(super) fn server(&self) -> Result<QuicServerConfig, ClusterTlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = self.roots()?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let verifier = verifier.build().map_err(broken)?;
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(broken)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(broken)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        QuicServerConfig::try_from(tls).map_err(broken)
    }

    /// For links that we dial.
    pub(super) fn client(&self) -> Result<QuicClientConfig, ClusterTlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(broken)?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(broken)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        QuicClientConfig::try_from(tls).map_err(broken)
    }
}

fn authority_params() -> Result<CertificateParams, ClusterTlsError> {
    let params = CertificateParams::new(Vec::new());
    let mut params = params.map_err(|error| ClusterTlsError::Unusable(error.to_string()))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
        .distinguished_name
        .push(DnType::CommonName, AUTHORITY);
    Ok(params)
}

/// The authority of a directory and its key. Who comes first makes them; the key is written before
/// the certificate, and neither is ever replaced, so that workers that start together agree.
fn authority_of(directory: &Path) -> Result<(CertificateDer<'static>, KeyPair), ClusterTlsError> {
    let key_path = directory.join(AUTHORITY_KEY_FILE);
    let path = directory.join(AUTHORITY_FILE);
    fs::create_dir_all(directory).map_err(|error| unusable(directory, &error))?;
    let made = KeyPair::generate().map_err(|error| unusable(&key_path, &error))?;
    write_once(&key_path, &made.serialize_pem()).map_err(|error| unusable(&key_path, &error))?;
    let pem = fs::read_to_string(&key_path).map_err(|error| unusable(&key_path, &error))?;
    let key = KeyPair::from_pem(&pem).map_err(|error| unusable(&key_path, &error))?;
    let made = authority_params()?.self_signed(&key);
    let made = made.map_err(|error| unusable(&path, &error))?;
    write_once(&path, &made.pem()).map_err(|error| unusable(&path, &error))?;
    let mut found = certificates(&path)?;
    match found.pop() {
        Some(certificate) => Ok((certificate, key)),
        None => Err(unusable(&path, &"no certificate")),
    }
}

/// Writes a file that nobody but us may read, whole or not at all, unless it is there.
fn write_once(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if path.exists() {
        return Ok(());
    }
    let thread = std::thread::current().id();
    let own = path.with_extension(format!("{}-{thread:?}.tmp", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&own)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A link fails where the name is taken; a rename would replace it.
    let linked = fs::hard_link(&own, path);
    fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClusterTlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, &error))?;
    match chain.is_empty() {
        true => Err(unusable(path, &"no certificate")),
        false => Ok(chain),
    }
}

fn unusable(path: &Path, problem: &impl ToString) -> ClusterTlsError {
    ClusterTlsError::File {
        path: path.display().to_string(),
        problem: problem.to_string(),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn broken(error: impl ToString) -> ClusterTlsError {
    ClusterTlsError::Unusable(error.to_string())
}
