//! Requests that we make: who has to vouch for whom we ask.

use std::path::Path;

use reqwest::{Certificate, Client};

use super::{TlsError, certificates, unusable};

/// The setting that names the authority of the workers' admin listeners.
pub const CA_SETTING: &str = "admin.tls_ca";

/// Asks whom the machine's authorities vouch for. Where it has none, nobody is believed, and what
/// speaks plain HTTP is asked all the same.
///
/// # Errors
/// What the library refuses.
pub fn machine_client() -> Result<Client, TlsError> {
    Client::builder()
        .build()
        .or_else(|error| {
            tracing::debug!(%error, "no authorities are believed");
            Client::builder().tls_certs_only([]).build()
        })
        .map_err(TlsError::Client)
}

/// Asks admin listeners that the authorities of a PEM file vouch for, and those alone: what is
/// asked carries an operator's token. Without a file it is the machine's that count.
///
/// # Errors
/// A file that cannot be used, with the setting that names it.
pub fn client(setting: &str, authority: Option<&Path>) -> Result<Client, TlsError> {
    let Some(path) = authority else {
        return machine_client();
    };
    let wrong = |error: reqwest::Error| unusable(setting, path, &error);
    let trusted = certificates(setting, path)?
        .iter()
        .map(|certificate| Certificate::from_der(certificate))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    let client = Client::builder().tls_certs_only(trusted);
    client.build().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let refused = client(CA_SETTING, Some(&path)).unwrap_err().to_string();
            let named = format!("admin.tls_ca: {} cannot be used: ", path.display());
            refused.strip_prefix(&named).unwrap().to_owned()
        };
        assert_eq!(refused("no PEM at all"), "no certificate");
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused(no_certificate).contains("builder error"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert!(client(CA_SETTING, Some(&path)).is_ok());
        assert!(client(CA_SETTING, None).is_ok());
    }
}
