//! Where etcd is and who we are to it.

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::limits::{CONNECT_DEADLINE, KEEP_ALIVE_DEADLINE, KEEP_ALIVE_INTERVAL};

/// Certificates as PEM text.
#[derive(Clone, Default)]
pub struct EtcdTls {
    /// Who may vouch for etcd.
    pub authority: String,
    /// Our certificate and key, where etcd asks for one.
    pub identity: Option<(String, String)>,
    /// The name that etcd's certificate must have; the endpoint's host where none is given.
    pub server_name: Option<String>,
}

/// Where etcd is and who we are to it.
#[derive(Clone)]
pub struct EtcdOptions {
    /// URLs of its members, `http://` or `https://`; one that answers is enough.
    pub endpoints: Vec<String>,
    /// User and password, where etcd asks for them.
    pub user: Option<(String, String)>,
    /// For `https://` endpoints.
    pub tls: Option<EtcdTls>,
}

impl EtcdOptions {
    /// These members, without a user and without TLS.
    #[must_use]
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            tls: None,
        }
    }

    pub(crate) fn connect_options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_DEADLINE)
            .with_keep_alive(KEEP_ALIVE_INTERVAL, KEEP_ALIVE_DEADLINE)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((name, password)) = &self.user {
            options = options.with_user(name, password);
        }
        if let Some(tls) = &self.tls {
            options = options.with_tls(tls.options());
        }
        options
    }
}

impl EtcdTls {
    fn options(&self) -> TlsOptions {
        let authority = Certificate::from_pem(&self.authority);
        let mut options = TlsOptions::new().ca_certificate(authority);
        if let Some((certificate, key)) = &self.identity {
            options = options.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &self.server_name {
            options = options.domain_name(name);
        }
        options
    }
}
