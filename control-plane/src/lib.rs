//! Who is a member of the cluster, who owns which room, and where a new room goes.
//!
//! Everything durable is a versioned record ([`model`]) under one key layout ([`keys`]), written by
//! compare-and-swap through a [`Store`]. The store in memory ([`MemoryStore`]) serves one worker,
//! tests and the simulator; etcd is another crate behind the same trait, and [`conformance`] is
//! the suite that both must pass. Nothing here opens a socket or reads a clock by itself.
//!
//! ```
//! use std::sync::Arc;
//! use control_plane::{Claim, MemoryStore, Ownership};
//! use media_types::{Epoch, WorkerId};
//! # use control_plane::testing::{block_on, ManualClock};
//!
//! let store = Arc::new(MemoryStore::new(Arc::new(ManualClock::new())));
//! let ownership = Ownership::new(store, WorkerId::new(1));
//! let claim = block_on(ownership.claim(&"lobby".parse().unwrap())).unwrap();
//! assert!(matches!(claim, Claim::Owned(owned) if owned.record.epoch == Epoch::FIRST));
//! ```
#![forbid(unsafe_code)]

pub mod balance;
pub mod conformance;
pub mod error;
pub mod keys;
pub mod membership;
pub mod memory;
pub mod migration;
pub mod model;
pub mod ownership;
pub mod placement;
pub mod store;
pub mod testing;

pub use error::ControlPlaneError;
pub use membership::Membership;
pub use memory::{Fault, Journal, MemoryStore};
pub use migration::{Handover, MigrationRecord, MoveReason, Moves};
pub use model::{Record, RoomOwner, RoomSpec, WorkerRecord};
pub use ownership::{Claim, Owned, Ownership};
pub use store::{
    Change, Condition, Entry, LeaseId, Listing, Revision, Store, StoreFuture, Swap, Watch,
};
