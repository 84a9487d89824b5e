//! What etcd's errors mean to us.

use control_plane::ControlPlaneError;
use etcd_client::Error;

/// Why there is no connection to etcd at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The settings make no sense, or etcd refuses the user.
    #[error("etcd refuses the connection")]
    Refused(#[source] Box<Error>),
    /// Nothing answered in time.
    #[error("etcd does not answer")]
    Silent,
}

/// What etcd says of a lease that it does not know; the same text in all its versions of v3.
const LEASE_UNKNOWN: &str = "lease not found";
/// And of a revision that it has forgotten.
const COMPACTED: &str = "required revision has been compacted";

/// Sorts an error into what a caller can do about it.
pub(crate) fn meaning(error: &Error) -> ControlPlaneError {
    let text = error.to_string();
    if text.contains(LEASE_UNKNOWN) {
        ControlPlaneError::LeaseLost
    } else if text.contains(COMPACTED) {
        ControlPlaneError::Compacted
    } else {
        tracing::debug!(%error, "etcd does not do it");
        ControlPlaneError::Unavailable
    }
}
