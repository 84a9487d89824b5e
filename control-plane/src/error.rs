//! What can go wrong between a worker and the store.

/// What can go wrong between a worker and the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlPlaneError {
    /// The store does not answer. Whether a write was carried out is unknown.
    #[error("the store does not answer")]
    Unavailable,
    /// The lease has ended: the worker is no member any more.
    #[error("the lease has ended")]
    LeaseLost,
    /// The watch asked for a past that the store has forgotten: list, and watch from there.
    #[error("the store has forgotten that revision")]
    Compacted,
    /// Somebody else wrote first, again and again.
    #[error("too many others write this key")]
    Contended,
    /// A record cannot be read.
    #[error("the record under {key} cannot be read")]
    Record {
        /// Where it lies.
        key: String,
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
    /// A record of a version that this worker does not know.
    #[error("the record under {key} has version {found}")]
    Version {
        /// Where it lies.
        key: String,
        /// Its version.
        found: u32,
    },
}
