//! Certificates, and the one crypto provider of the process.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::HttpConfig;

mod reload;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file that cannot be read, or holds nothing of use.
    #[error("{key}: {path} cannot be used: {problem}")]
    File {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key do not go together.
    #[error("http.tls_certificate and http.tls_key cannot be used together")]
    Pair(#[source] rustls::Error),
    /// No thread to follow the files by.
    #[error("no thread to follow certificates by")]
    Thread(#[source] std::io::Error),
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[source] rcgen::Error),
}

/// Makes aws-lc-rs the process's crypto provider. Called first of all; repeating it does nothing.
pub fn install_provider() {
    // The error says that one is installed already.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// TLS as the settings want it; `None` where they want none. The listener adds ALPN.
///
/// # Errors
/// See [`TlsError`].
pub fn from_config(config: &HttpConfig) -> Result<Option<ServerConfig>, TlsError> {
    let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) else {
        return Ok(None);
    };
    let resolver = reload::follow(certificate, key)?;
    let built = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let built = built.with_no_client_auth().with_cert_resolver(resolver);
    Ok(Some(built))
}

/// Reads a certificate's chain and its key, and checks that they go together.
fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("http.tls_certificate", certificate, &error))?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("http.tls_key", key, &error))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Pair)
}

fn provider() -> Arc<CryptoProvider> {
    match CryptoProvider::get_default() {
        Some(provider) => Arc::clone(provider),
        None => Arc::new(aws_lc_rs::default_provider()),
    }
}

/// TLS with a certificate made now, for these names and addresses: `--dev --lan`.
///
/// # Errors
/// See [`TlsError`].
pub fn self_signed(names: Vec<String>) -> Result<ServerConfig, TlsError> {
    let made = rcgen::generate_simple_self_signed(names).map_err(TlsError::Make)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    server_config(vec![made.cert.into()], key.into())
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(TlsError::Pair)
}

fn unusable(key: &'static str, path: &Path, problem: &impl ToString) -> TlsError {
    TlsError::File {
        key,
        path: path.display().to_string(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_for_names_and_addresses() {
        let names = ["localhost", "127.0.0.1", "192.0.2.7"];
        assert!(self_signed(names.map(str::to_owned).to_vec()).is_ok());
    }

    #[test]
    fn a_missing_file_is_named_with_its_setting() {
        let config = HttpConfig {
            tls_certificate: Some("/nowhere/cert.pem".into()),
            tls_key: Some("/nowhere/key.pem".into()),
            ..HttpConfig::default()
        };
        let error = from_config(&config).unwrap_err().to_string();
        assert!(
            error.starts_with("http.tls_certificate: /nowhere/cert.pem"),
            "{error}"
        );
        assert!(from_config(&HttpConfig::default()).unwrap().is_none());
    }
}
