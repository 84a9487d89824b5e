//! Rooms and peers as supervised actors.
//!
//! Actors hold what *should be*: who is in a room, what they publish, what they want to see. The
//! packet core holds what *is*. Commands and events of `media-contract` connect the two, and no
//! packet ever enters a mailbox. Every actor that restarts loads its record, asks for what exists
//! and reconciles the two, so that a crash here costs nobody a frame.
//!
//! - [`System`] is the handle: [`System::start`], [`System::deliver`] for the shards' events,
//!   [`System::join`] for the gateways, and what operators ask.
//! - [`Session`] is one peer as its connection holds it; the way back is an [`Outbox`].
//! - [`Environment`] is what the actors need of the world, [`ActorsConfig`] what they are told.
//!
//! The tree: a worker's root over the plane (one actor a shard) and, for each control thread, the
//! rooms; each room's supervisor over its room and its peers.
//!
//! ```
//! use actors::{ActorsConfig, Credentials, ResumeClaims};
//!
//! let config = ActorsConfig::default();
//! assert_eq!(config.heartbeat_interval * config.heartbeat_missed, config.resume_window / 2);
//! let claims = ResumeClaims {
//!     room: "lobby".parse().unwrap(),
//!     identity: "ana".parse().unwrap(),
//!     session: media_types::PeerId::new(7),
//!     grants: signaling::Grants::default(),
//! };
//! assert_eq!(Credentials::Resume(Box::new(claims)).identity().as_str(), "ana");
//! ```
//!
//! No sockets, no session descriptions, no signatures: those belong to `server`, `media-webrtc` and
//! whoever holds the keys.
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

mod config;
mod context;
mod directory;
mod egress;
mod error;
mod hooks;
mod ingest;
pub mod limits;
pub mod metrics;
mod migration;
mod part;
mod peer;
mod plane;
mod room;
mod rooms;
mod session;
mod system;
mod transcoder;
mod worker;

pub use config::{ActorsConfig, Admission, Consumed, Environment, ResumeClaims, TokenMinter};
pub use egress::{EgressPurpose, EgressRequest, EgressSession, EgressTap, EgressView};
pub use error::ActorsError;
pub use hooks::{Entrance, Hooks, Observer, Policy, VideoLimit};
pub use ingest::{
    IngestPlace, IngestProtocol, IngestRequest, IngestSession, IngestSink, IngestSpec,
    IngestStatus, IngestTrackStatus,
};
pub use migration::MoveStatus;
pub use part::{
    Allot, ClusterLink, Deed, FarPeer, FarQuality, FarSpeaker, FarTrack, Hold, NoCluster, OpenPart,
    PartAllots, PartBody, PartHolds, PartLetter, PartRoster, Said,
};
pub use room::message::{GrantChange, PeerChange, Revocation};
pub use rooms::ShardMove;
pub use session::{
    Credentials, JoinRequest, Joined, Notice, Outbox, OutboxFull, Session, SessionKind, TellRefused,
};
pub use system::{Fault, System};
pub use transcoder::{
    CodecProcess, Transcoder, TranscoderAction, TranscoderMessage, TranscoderPhase, TranscoderState,
};
