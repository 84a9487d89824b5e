//! A room: who is in it, what they publish, what they say.
//!
//! `state.rs` and its parts are pure; `actor.rs` carries their effects out; `record.rs` is what
//! outlives a crash of a peer; `reconcile.rs` compares what should be with what a shard has;
//! `supervisor.rs` starts and buries.

pub(crate) mod actor;
mod layers;
pub(crate) mod message;
pub(crate) mod moving;
pub(crate) mod parts;
pub(crate) mod quality;
mod reconcile;
pub(crate) mod record;
mod roster;
pub(crate) mod state;
mod succession;
pub(crate) mod supervisor;
mod talk;
mod tracks;

pub(crate) use message::{RoomMessage, Speech};
pub(crate) use record::{MediaPhase, PeerRecord, Pin, RoomView, TrackEntry, TrackRecord};
