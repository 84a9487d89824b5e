//! The store: one connection for all, and a deadline for each operation.

use std::time::Duration;

use control_plane::{
    Condition, ControlPlaneError, Entry, LeaseId, Listing, Revision, Store, StoreFuture, Swap,
    Watch,
};
use etcd_client::{Client, GetOptions, KeyValue, ResponseHeader};
use tokio::time::timeout;

use crate::config::EtcdOptions;
use crate::error::{ConnectError, meaning};
use crate::limits::{CONNECT_DEADLINE, OPERATION_DEADLINE};
use crate::watch::EtcdWatch;
use crate::{lease, txn};

/// The store on etcd. Cheap to clone: all clones share one connection, which is made anew by
/// itself where it breaks.
#[derive(Clone)]
pub struct EtcdStore {
    client: Client,
}

impl EtcdStore {
    /// Connects, and asks for one key, so that wrong settings show at start.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(options: &EtcdOptions) -> Result<Self, ConnectError> {
        let refused = |error| ConnectError::Refused(Box::new(error));
        let connect = async {
            let settings = Some(options.connect_options());
            let client = Client::connect(&options.endpoints, settings).await?;
            let root = control_plane::keys::ROOT;
            client.kv_client().get(root, None).await?;
            Ok(Self { client })
        };
        let connected = timeout(CONNECT_DEADLINE + OPERATION_DEADLINE, connect).await;
        connected
            .map_err(|_| ConnectError::Silent)?
            .map_err(refused)
    }
}

/// Gives an operation its deadline.
fn within<'a, T: Send + 'a>(
    operation: impl Future<Output = Result<T, etcd_client::Error>> + Send + 'a,
) -> StoreFuture<'a, T> {
    Box::pin(async move {
        match timeout(OPERATION_DEADLINE, operation).await {
            Ok(done) => done.map_err(|error| meaning(&error)),
            Err(_) => Err(ControlPlaneError::Unavailable),
        }
    })
}

/// etcd counts from 1 and never below; nothing of ours is older than its first revision.
pub(crate) fn revision(number: i64) -> Revision {
    Revision(number.unsigned_abs())
}

/// The revision as etcd writes it.
pub(crate) fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

pub(crate) fn revision_of(header: Option<&ResponseHeader>) -> Revision {
    revision(header.map_or(0, ResponseHeader::revision))
}

/// A key with its value. Keys of ours are text; a foreign one shows as what it resembles.
pub(crate) fn entry(pair: &KeyValue) -> Entry {
    Entry {
        key: String::from_utf8_lossy(pair.key()).into_owned(),
        value: pair.value().to_vec(),
        revision: revision(pair.mod_revision()),
    }
}

impl Store for EtcdStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>> {
        let mut client = self.client.kv_client();
        within(async move {
            let answer = client.get(key, None).await?;
            Ok(answer.kvs().first().map(entry))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing> {
        let mut client = self.client.kv_client();
        within(async move {
            let answer = client
                .get(prefix, Some(GetOptions::new().with_prefix()))
                .await?;
            Ok(Listing {
                entries: answer.kvs().iter().map(entry).collect(),
                revision: revision_of(answer.header()),
            })
        })
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap> {
        let put = txn::put(key, condition, value, lease);
        within(txn::run(self.client.kv_client(), put))
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap> {
        let delete = txn::delete(key, revision);
        within(txn::run(self.client.kv_client(), delete))
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError> {
        let client = self.client.watch_client();
        Ok(Box::new(EtcdWatch::new(client, prefix, after)))
    }

    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId> {
        within(lease::grant(self.client.lease_client(), ttl))
    }

    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        within(lease::renew(self.client.lease_client(), lease))
    }

    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        let revoked = within(lease::revoke(self.client.lease_client(), lease));
        Box::pin(async move {
            match revoked.await {
                // It has ended already, which is all that was asked for.
                Err(ControlPlaneError::LeaseLost) => Ok(()),
                other => other,
            }
        })
    }
}
