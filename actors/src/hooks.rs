//! What the world outside decides and hears while rooms run: operators' switches, limits, events.

use std::fmt;
use std::sync::Arc;

use control_plane::balance::Decision;
use media_types::{Epoch, Identity, RoomName, WorkerId};
use signaling::{RpcError, ServerMessage};

/// Who wants to come in, with a token; sessions that are taken up again are not asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrance<'a> {
    /// Where.
    pub room: &'a RoomName,
    /// Who.
    pub identity: &'a Identity,
    /// The key that signed the token.
    pub key: &'a str,
}

/// How much video somebody may receive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VideoLimit {
    /// As much as is wanted and fits.
    #[default]
    Free,
    /// Pictures of at most so many lines, where there are layers to choose from.
    Height(u16),
    /// None.
    Off,
}

/// Decides what operators may switch while rooms run. Must not block; asked at any time.
pub trait Policy: Send + Sync {
    /// Whether somebody may come in.
    ///
    /// # Errors
    /// What the client is told.
    fn admits(&self, entrance: &Entrance<'_>) -> Result<(), RpcError> {
        let _ = entrance;
        Ok(())
    }

    /// Whether somebody may chat and react.
    fn may_chat(&self, room: &RoomName, identity: &Identity) -> bool {
        let _ = (room, identity);
        true
    }

    /// How much video somebody may receive. [`crate::System::policy_changed`] says that the answer
    /// is another one.
    fn video(&self, room: &RoomName, identity: &Identity) -> VideoLimit {
        let _ = (room, identity);
        VideoLimit::Free
    }
}

/// Hears what happens to rooms. Must not block.
pub trait Observer: Send + Sync {
    /// A room is this worker's from now on; `before` says who had it in the epoch before. What is
    /// told of it from now on is of that epoch.
    fn room_opened(&self, room: &RoomName, epoch: Epoch, before: Option<WorkerId>) {
        let _ = (room, epoch, before);
    }

    /// A room of this worker's goes on at another one.
    fn room_moved(&self, room: &RoomName, to: WorkerId) {
        let _ = (room, to);
    }

    /// Nothing is left here of a room, or of a part of one.
    fn room_closed(&self, room: &RoomName) {
        let _ = room;
    }

    /// A room of this worker moves by itself, to that worker.
    fn room_moves(&self, room: &RoomName, epoch: Epoch, decision: &Decision) {
        let _ = (room, epoch, decision);
    }

    /// The members of a room were told something.
    fn told(&self, room: &RoomName, epoch: Epoch, message: &ServerMessage) {
        let _ = (room, epoch, message);
    }
}

/// Both, shared by all actors.
#[derive(Clone)]
pub struct Hooks {
    /// Who decides.
    pub policy: Arc<dyn Policy>,
    /// Who hears.
    pub observer: Arc<dyn Observer>,
}

struct Nobody;

impl Policy for Nobody {}
impl Observer for Nobody {}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            policy: Arc::new(Nobody),
            observer: Arc::new(Nobody),
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}
