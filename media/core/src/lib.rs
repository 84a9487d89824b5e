//! The shard: routing, layer selection, allocation and forwarding, without a socket or a thread.
//!
//! A [`Shard`] owns the transports of its rooms outright. Datagrams, commands and messages of other
//! shards go in by `handle_*`; datagrams to send, messages to other shards and events come out by
//! `poll_*`; nothing of it fails, blocks or reads a clock. A packet that is of no use is counted
//! under a [`DropReason`]; a command that cannot be carried out is answered `Refused`; a transport
//! that panics is fenced off and lost by itself.
//!
//! It decides what must be decided now: which layer a subscriber gets, when to ask for a keyframe,
//! what to send again, who is heard. What *should be* (rooms, tracks, wishes) it is told.
//!
//! The order of calls of a turn: commands, datagrams, relay, timeout, transmit, events.
//!
//! ```
//! use std::time::Duration;
//! use media_core::{Shard, ShardConfig};
//! use media_types::ShardId;
//! use media_webrtc::{Certificate, TransportConfig};
//!
//! # #[allow(clippy::disallowed_methods, reason = "an example has no other clock")]
//! let now = std::time::Instant::now();
//! let transport = TransportConfig::new(now, Duration::ZERO, Certificate::generate()?, vec![]);
//! let mut shard = Shard::new(now, ShardConfig::new(ShardId(0), transport, [7; 32]));
//! assert_eq!(shard.poll_event(), None);
//! assert!(shard.poll_timeout().is_some());
//! # Ok::<(), media_webrtc::WebRtcError>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

mod allocate;
mod data;
mod demux;
mod error;
mod forward;
mod guard;
mod ingest;
pub mod limits;
mod random;
mod relay;
mod room;
mod shard;
mod slab;
mod speaker;
mod stats;
mod tap;
mod track;

pub use data::Envelope;
pub use demux::{shard_of_ufrag, stun_username};
pub use error::DropReason;
pub use relay::hop::{Delivery, Hop, HopConfig, HopFigures};
pub use relay::wire::{VERSION as RELAY_VERSION, WireError};
pub use relay::{RelayBody, RelayLayers, RelayMessage, RelayPacket};
pub use shard::{Shard, ShardConfig, ShardLimits};
pub use tap::TapPoll;
