//! Certificates, and the one crypto provider of the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::{AdminConfig, HttpConfig};

mod reload;
mod trust;

pub use trust::{CA_SETTING, client, machine_client};

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file that cannot be read, or holds nothing of use.
    #[error("{key}: {path} cannot be used: {problem}")]
    File {
        /// The setting that names it.
        key: String,
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key do not go together.
    #[error("{section}.tls_certificate and {section}.tls_key cannot be used together: {problem}")]
    Pair {
        /// The section of the settings that names both.
        section: &'static str,
        /// What is wrong.
        problem: rustls::Error,
    },
    /// The library refuses what we made.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    /// Nobody can be asked.
    #[error("no client for requests can be made")]
    Client(#[source] reqwest::Error),
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

/// Two PEM files that a section of the settings names.
#[derive(Debug, Clone)]
struct Pair {
    section: &'static str,
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// `None` unless both are there; settings are checked for one alone.
    fn new(
        section: &'static str,
        certificate: Option<&PathBuf>,
        key: Option<&PathBuf>,
    ) -> Option<Self> {
        let (certificate, key) = (certificate?.clone(), key?.clone());
        Some(Self {
            section,
            certificate,
            key,
        })
    }

    /// Reads a certificate's chain and its key, and checks that they go together.
    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let setting = |name: &str| format!("{}.{name}", self.section);
        let chain = certificates(&setting("tls_certificate"), &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unusable(&setting("tls_key"), &self.key, &error))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|problem| TlsError::Pair {
            section: self.section,
            problem,
        })
    }

    /// TLS with what the files hold, also when that changes.
    fn serve(self) -> Result<ServerConfig, TlsError> {
        let resolver = reload::follow(self)?;
        let built = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        Ok(built.with_no_client_auth().with_cert_resolver(resolver))
    }
}

/// TLS of the clients' listener as the settings want it; `None` where they want none. The listener
/// adds ALPN.
///
/// # Errors
/// See [`TlsError`].
pub fn of_clients(config: &HttpConfig) -> Result<Option<ServerConfig>, TlsError> {
    let (certificate, key) = (config.tls_certificate.as_ref(), config.tls_key.as_ref());
    Pair::new("http", certificate, key)
        .map(Pair::serve)
        .transpose()
}

/// The same for the operators' listener.
///
/// # Errors
/// See [`TlsError`].
pub fn of_operators(config: &AdminConfig) -> Result<Option<ServerConfig>, TlsError> {
    let (certificate, key) = (config.tls_certificate.as_ref(), config.tls_key.as_ref());
    Pair::new("admin", certificate, key)
        .map(Pair::serve)
        .transpose()
}

/// The certificates of a PEM file, one at least.
fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(setting, path, &error))?;
    match found.is_empty() {
        true => Err(unusable(setting, path, &"no certificate")),
        false => Ok(found),
    }
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
        .map_err(TlsError::Setup)
}

fn unusable(setting: &str, path: &Path, problem: &impl ToString) -> TlsError {
    TlsError::File {
        key: setting.to_owned(),
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
        let paths = ["/nowhere/cert.pem", "/nowhere/key.pem"].map(PathBuf::from);
        let [certificate, key] = paths.map(Some);
        let clients = HttpConfig {
            tls_certificate: certificate.clone(),
            tls_key: key.clone(),
            ..HttpConfig::default()
        };
        let operators = AdminConfig {
            tls_certificate: certificate,
            tls_key: key,
            ..AdminConfig::default()
        };
        for (refused, expected) in [
            (
                of_clients(&clients),
                "http.tls_certificate: /nowhere/cert.pem",
            ),
            (
                of_operators(&operators),
                "admin.tls_certificate: /nowhere/cert.pem",
            ),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(of_clients(&HttpConfig::default()).unwrap().is_none());
        assert!(of_operators(&AdminConfig::default()).unwrap().is_none());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made().cert.pem()).unwrap();
        std::fs::write(&key, made().signing_key.serialize_pem()).unwrap();
        let config = AdminConfig {
            tls_certificate: Some(certificate),
            tls_key: Some(key),
            ..AdminConfig::default()
        };
        let expected = "admin.tls_certificate and admin.tls_key cannot be used together: ";
        let error = of_operators(&config).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
