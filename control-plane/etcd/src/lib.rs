//! The control plane's store on etcd v3, over TLS and with a user where the operator says so.
//!
//! [`EtcdStore`] is [`control_plane::Store`] and nothing more: what the keys mean is said in
//! `control-plane`. Each operation has a deadline, since a cluster that is cut off does not refuse
//! but keeps silent; a watch that breaks says so and is begun anew by whoever watches. Run inside
//! a tokio runtime that outlives the store.
//!
//! ```no_run
//! use std::time::Duration;
//! use control_plane::Store;
//! use control_plane_etcd::{EtcdOptions, EtcdStore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = EtcdOptions::new(["http://127.0.0.1:2379"]);
//! let store = EtcdStore::connect(&options).await?;
//! let lease = store.grant(Duration::from_secs(10)).await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod client;
mod config;
mod error;
mod lease;
mod limits;
mod txn;
mod watch;

pub use client::EtcdStore;
pub use config::{EtcdOptions, EtcdTls};
pub use error::ConnectError;
