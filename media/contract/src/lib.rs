//! The only bridge between actors and the packet core.
//!
//! An actor sends [`Command`]s to a shard through a [`Plane`]; the shard answers and tells what
//! happened with [`Event`]s. Commands say what *should be* and are idempotent: applying one twice
//! equals applying it once, so a restarted actor may repeat all of them. Events say what *is*.
//! [`Snapshot`] lists everything that exists in one room, for reconciling the two.
//!
//! All types are closed enums and plain values; none of them holds a socket, a lock or an address
//! of an actor.
#![forbid(unsafe_code)]

mod command;
mod event;
mod plane;
mod snapshot;
mod stats;

pub use command::{
    Action, Command, CommandId, DataTarget, IngestTrack, RelayEnd, RelayPeer, TapWish,
    TransportSettings, TransportUse, Wish,
};
pub use event::{
    Event, Fact, LostReason, MediaLine, MediaLineUse, RefusedReason, SlotState, Speaker, Subject,
};
pub use plane::{Plane, PlaneError, ShardLoad};
pub use snapshot::{
    SlotSnapshot, Snapshot, TapSnapshot, TrackOrigin, TrackSnapshot, TransportSnapshot,
};
pub use stats::{LayerFigures, ShardFigures, SlotFigures, TrackFigures, TransportFigures};
