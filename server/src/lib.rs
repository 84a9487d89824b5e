//! The Troupe server: sockets, threads, clocks, HTTP and wiring.
//!
//! Everything that can be replayed from a seed lives in other crates; here is what touches the
//! machine. [`run`](mod@run) starts a worker in a fixed order and ends it; [`shard`] gives each
//! packet core its thread and its socket; [`plane`] carries commands there; [`ice_tcp`] is the way
//! in for clients whose network lets no UDP out; [`cli`] is what operators type.
//!
//! The other half are the listeners: `http` with its WebSocket, WHIP and admin routes, `auth`,
//! `config`, `telemetry` and `tls`; [`ops`] is what a cluster is operated by.
#![forbid(unsafe_code)]

pub mod auth;
pub mod banner;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod egress;
pub mod http;
pub mod ice_tcp;
pub mod ingest;
pub mod limits;
pub mod live;
mod membership;
pub mod net;
pub mod ops;
pub mod plane;
pub mod quic;
pub mod rooms;
pub mod run;
pub mod shard;
pub mod shutdown;
pub mod storage;
mod store;
pub mod telemetry;
pub mod tls;
pub mod transcode;
