//! The store of a worker that stands alone: durable in one file, no server beside it.
//!
//! Everything is read from memory ([`control_plane::MemoryStore`]); a write is in the file, and on
//! the disk, before it is answered. Keys that are bound to a lease are not kept: leases end with
//! the process that held them. One thread makes the writes, so that no caller waits for a disk
//! but by awaiting.
//!
//! ```
//! use std::sync::Arc;
//! use control_plane::{Condition, Store};
//! use control_plane::testing::ManualClock;
//! use control_plane_embedded::EmbeddedStore;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! let file = folder.path().join("store.redb");
//! let store = EmbeddedStore::open(&file, Arc::new(ManualClock::new()))?;
//! store.swap("/a", Condition::Absent, b"1".to_vec(), None).await.unwrap();
//! # Ok::<(), control_plane_embedded::OpenError>(())
//! # }).unwrap();
//! ```
#![forbid(unsafe_code)]

mod file;
mod limits;
mod store;

pub use file::OpenError;
pub use store::EmbeddedStore;
