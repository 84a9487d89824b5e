//! The control plane's store as the settings want it.
//!
//! All parts of a worker ask one store. Before etcd stands one breaker for all of them: while etcd
//! is away nobody waits for its deadlines. The other two need none: a store in memory always
//! answers, and that in a file refuses at once what its disk does not take, and reads on.

#[cfg(feature = "etcd")]
mod breaker;

#[cfg(feature = "etcd")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use control_plane::{MemoryStore, Store};
use control_plane_embedded::{EmbeddedStore, OpenError};
#[cfg(feature = "etcd")]
use control_plane_etcd::{ConnectError, EtcdOptions, EtcdStore, EtcdTls};
use media_types::Clock;

use crate::config::{ClusterConfig, EtcdConfig, StoreKind};
#[cfg(feature = "etcd")]
use breaker::BreakerStore;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file of the embedded store.
    #[error("cluster.file: {0}")]
    Embedded(#[from] OpenError),
    /// etcd.
    #[cfg(feature = "etcd")]
    #[error("cluster.etcd: {0}")]
    Etcd(#[source] ConnectError),
    /// etcd, to which we show no certificate. Its refusal comes when the handshake is over for us,
    /// so that the reason is lost more often than not.
    #[cfg(feature = "etcd")]
    #[error(
        "cluster.etcd: {0} (where it asks for a certificate, cluster.etcd.certificate and \
         cluster.etcd.key name ours)"
    )]
    EtcdUnshown(#[source] ConnectError),
    /// A PEM file.
    #[error("{key}: {path} cannot be read")]
    File {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// etcd, in a binary that was built without it.
    #[error("cluster.store: this binary was built without etcd")]
    Missing,
}

/// Opens the store.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn open(
    config: &ClusterConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StoreError> {
    match config.store {
        StoreKind::Memory => Ok(Arc::new(MemoryStore::new(Arc::clone(clock)))),
        StoreKind::Embedded => {
            let store = EmbeddedStore::open(&config.file, Arc::clone(clock))?;
            Ok(Arc::new(store))
        }
        StoreKind::Etcd => connect(&config.etcd, clock).await,
    }
}

#[cfg(feature = "etcd")]
async fn connect(
    config: &EtcdConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StoreError> {
    let connected = EtcdStore::connect(&options(config)?).await;
    let refused = match config.ca.is_some() && config.certificate.is_none() {
        true => StoreError::EtcdUnshown,
        false => StoreError::Etcd,
    };
    let store = Arc::new(connected.map_err(refused)?);
    Ok(Arc::new(BreakerStore::new(store, Arc::clone(clock))))
}

#[cfg(not(feature = "etcd"))]
async fn connect(_: &EtcdConfig, _: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::Missing)
}

#[cfg(feature = "etcd")]
fn options(config: &EtcdConfig) -> Result<EtcdOptions, StoreError> {
    let user = config.user.clone().zip(config.password.as_ref());
    let tls = match &config.ca {
        None => None,
        Some(ca) => {
            let identity = match (&config.certificate, &config.key) {
                (Some(certificate), Some(key)) => Some((
                    read("cluster.etcd.certificate", certificate)?,
                    read("cluster.etcd.key", key)?,
                )),
                _ => None,
            };
            Some(EtcdTls {
                authority: read("cluster.etcd.ca", ca)?,
                identity,
                server_name: config.server_name.clone(),
            })
        }
    };
    Ok(EtcdOptions {
        endpoints: config.endpoints.clone(),
        user: user.map(|(user, password)| (user, password.expose().to_owned())),
        tls,
    })
}

#[cfg(feature = "etcd")]
fn read(key: &'static str, path: &Path) -> Result<String, StoreError> {
    std::fs::read_to_string(path).map_err(|source| StoreError::File {
        key,
        path: path.to_owned(),
        source,
    })
}
