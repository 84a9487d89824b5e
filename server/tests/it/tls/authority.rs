//! Certificates as an operator's own authority makes them.

use std::path::PathBuf;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Who vouches, and the folder with what it made.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// A certificate and its key as files, and the certificate as a listener shows it.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) shown: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // No two are of one name, which is what a certificate says of who made it.
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        let authority = Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            folder,
        };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem())?;
        Ok(authority)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file of its own certificate.
    pub(crate) fn file(&self) -> String {
        self.path("ca.pem").display().to_string()
    }

    /// Its own certificate, for a client that believes it alone.
    pub(crate) fn trusted(&self) -> Result<reqwest::Certificate> {
        Ok(reqwest::Certificate::from_pem(
            self.issuer.pem().as_bytes(),
        )?)
    }

    /// Writes a certificate for this machine, over the one of the same name.
    pub(crate) fn issue(&self, name: &str) -> Result<Issued> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate()?;
        let made = CertificateParams::new(names)?.signed_by(&key, &self.issuer)?;
        let [at, key_at] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
        std::fs::write(&at, made.pem())?;
        std::fs::write(&key_at, key.serialize_pem())?;
        Ok(Issued {
            certificate: at.display().to_string(),
            key: key_at.display().to_string(),
            shown: made.der().to_vec(),
        })
    }
}
