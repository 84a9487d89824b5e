//! Leases.

use std::time::Duration;

use control_plane::LeaseId;
use etcd_client::{Error, LeaseClient};

/// A new lease. etcd counts whole seconds: a part of one more counts as one.
pub(crate) async fn grant(mut client: LeaseClient, ttl: Duration) -> Result<LeaseId, Error> {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Ok(LeaseId(client.grant(seconds, None).await?.id()))
}

/// Renews once. The stream that etcd offers for it is used for one message: every few seconds it
/// is no cost, and there is none that could break unnoticed.
pub(crate) async fn renew(mut client: LeaseClient, lease: LeaseId) -> Result<(), Error> {
    client.keep_alive(lease.0).await.map(|_| ())
}

/// Ends a lease with all that is bound to it.
pub(crate) async fn revoke(mut client: LeaseClient, lease: LeaseId) -> Result<(), Error> {
    client.revoke(lease.0).await.map(|_| ())
}
