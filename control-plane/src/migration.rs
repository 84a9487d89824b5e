//! Moving a room from one worker to another, as a saga over the store (DESIGN B.6).
//!
//! No worker sends another one letters: both see one record under one key, the owner under another,
//! and do whatever brings them on. [`decide`] is that whatever: it looks at what is, remembers
//! nothing, and names one step; the host carries it out and looks again. So there is no separate
//! path for what a crash left behind: source, target and store may go at any moment, and whoever
//! looks next goes on or undoes.
//!
//! ```text
//!            source                    store                      target
//!   plan ──────────────▶ migration: planned ──────────▶ opens the room in standby
//!                        migration: prepared ◀────────── says so
//!   writes the roster ─▶ handover
//!   gives it away ─────▶ owner: target, epoch + 1 ────▶ takes joins
//!   invites its clients, who connect there and settle
//!   lets them go ──────▶ (deleted)
//! ```
//!
//! Before the owner's key is written the move can be abandoned at no cost. After that the source
//! serves its clients until they have settled, and takes the room back should the target die.

use media_types::{
    Codec, Epoch, Identity, MediaKind, PeerId, RoomId, TrackId, TrackSource, WorkerId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Record, RoomOwner, RoomSpec};

mod moves;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use moves::{Look, Moves, Planned};

/// How long a target may take until it stands by, in milliseconds: opening a room takes a few, a
/// store that is being restarted some seconds.
pub const PREPARE_MAX_MS: u64 = 10_000;
/// How long after its deadline a record that nobody cleared is in the way of the next move.
pub const STALE_AFTER_MS: u64 = 60_000;

/// How far a move is. What follows `Moving`, *drained*, is the record's absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Somebody wants it.
    Planned,
    /// The target has opened the room in standby.
    Prepared,
    /// The owner's key names the target.
    Committed,
    /// Clients were told.
    Moving,
}

/// Why a room moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MoveReason {
    /// Its worker is being emptied.
    Drain,
    /// Load is spread.
    Balance,
    /// An operator asked.
    Operator,
}

/// A room's move, while it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationRecord {
    /// Who owns the room.
    pub from: WorkerId,
    /// Who shall.
    pub to: WorkerId,
    /// The room, which keeps its id: relays find it by that.
    pub room: RoomId,
    /// How far it is.
    pub phase: Phase,
    /// The source's epoch; the target's is the next.
    pub epoch: Epoch,
    /// When it was planned, in milliseconds since the Unix epoch.
    pub planned_at_ms: u64,
    /// When clients that have not followed are let go, likewise.
    pub deadline_ms: u64,
    /// Why.
    pub reason: MoveReason,
}

impl Record for MigrationRecord {
    const VERSION: u32 = 1;
}

/// What the target must know of the room. Written right before the owner's key is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// The epoch that ends; a handover of another one is void.
    pub epoch: Epoch,
    /// Settings, which need not be in the store.
    pub settings: RoomSpec,
    /// Who is expected.
    pub peers: Vec<HandedPeer>,
    /// Tokens for one use that were used (SPEC 3), of those who are in.
    pub used: Vec<UsedToken>,
    /// Workers that hold a part of the room, and go on with the next owner.
    #[serde(default)]
    pub parts: Vec<WorkerId>,
}

impl Record for Handover {
    const VERSION: u32 = 1;
}

/// Somebody who is expected at the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedPeer {
    /// Who.
    pub identity: Identity,
    /// The session at the source, which the token that leads here names.
    pub session: PeerId,
    /// Whether the others know it by name.
    pub named: bool,
    /// Its display name.
    pub name: Option<String>,
    /// What the application keeps with it.
    #[serde(default)]
    pub metadata: Value,
    /// When it joined, in milliseconds since the Unix epoch.
    pub joined_at_ms: u64,
    /// Of its join token.
    pub jti: Option<String>,
    /// The key that signed it.
    pub key: Option<String>,
    /// What it publishes.
    pub tracks: Vec<HandedTrack>,
}

/// A track that keeps its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedTrack {
    /// Its id.
    pub track: TrackId,
    /// Sound or picture.
    pub kind: MediaKind,
    /// What it was last sent with.
    pub codec: Codec,
    /// What it shows.
    pub source: TrackSource,
    /// The publisher's name for it.
    pub name: Option<String>,
    /// Whether its publisher has muted it.
    pub muted: bool,
}

/// A token for one use, used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsedToken {
    /// Its id.
    pub jti: String,
    /// Whose it was.
    pub sub: Identity,
}

/// How a room is on the worker that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// Not open.
    Absent,
    /// Open for a move to here; takes nobody.
    Standby,
    /// Open, in this epoch.
    Active(Epoch),
    /// Its clients are on their way to another worker.
    Handover {
        /// All that can have settled there.
        settled: bool,
    },
}

/// What is, as one worker sees it.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Who looks.
    pub me: WorkerId,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The move; `None` where there is none.
    pub record: Option<MigrationRecord>,
    /// The owner; epoch 0 where there never was one.
    pub owner: RoomOwner,
    /// Whether the source's lease runs.
    pub from_alive: bool,
    /// Whether the target's lease runs.
    pub to_alive: bool,
    /// The room here.
    pub local: Local,
}

/// What to do next. Each may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing now.
    Wait,
    /// Open the room in standby.
    Prepare,
    /// Write the record with this phase.
    Note(Phase),
    /// Write the roster, then give the room to the target: owner, epoch + 1.
    Commit,
    /// Take the room, which its worker left behind: owner, epoch + 1.
    Take,
    /// Open the room's doors, in this epoch.
    Activate(Epoch),
    /// Stop deciding, and invite the clients to the worker that owns the room.
    HandOver(WorkerId),
    /// Let the clients go and close the room.
    Release,
    /// Close the room in standby.
    Dismantle,
    /// Give the move up: delete the record.
    Abandon,
    /// The move is over: delete the record.
    Forget,
}

/// Names the next step of the worker that looks.
#[must_use]
pub fn decide(view: &View) -> Step {
    let Some(record) = view.record else {
        return without_record(view);
    };
    let uncommitted = (Some(record.from), record.epoch);
    let committed = (Some(record.to), record.epoch.next());
    match (view.owner.worker, view.owner.epoch) {
        owner if owner == uncommitted => before_commit(view, &record),
        owner if owner == committed => after_commit(view, &record),
        _ => overtaken(view, &record),
    }
}

/// Whether a record says nothing about the room's present: another move may take its place.
#[must_use]
pub fn is_stale(record: &MigrationRecord, owner: &RoomOwner, now_ms: u64) -> bool {
    let source = (Some(record.from), record.epoch);
    let target = (Some(record.to), record.epoch.next());
    let holder = (owner.worker, owner.epoch);
    let late = now_ms > record.deadline_ms.saturating_add(STALE_AFTER_MS);
    late || (holder != source && holder != target)
}

/// Standby without a move, or a room that went to another worker behind our back.
fn without_record(view: &View) -> Step {
    match (view.local, view.owner.worker) {
        (Local::Standby, _) => Step::Dismantle,
        (Local::Handover { settled: true }, Some(owner)) if owner != view.me => Step::Release,
        (local, Some(owner)) => as_owned(view, local, owner).unwrap_or(Step::Wait),
        (_, None) => Step::Wait,
    }
}

/// A room that is open here in another way than the owner's key says follows the key.
fn as_owned(view: &View, local: Local, owner: WorkerId) -> Option<Step> {
    let mine = owner == view.me;
    let epoch = view.owner.epoch;
    match local {
        Local::Active(old) if epoch > old && mine => Some(Step::Activate(epoch)),
        Local::Active(old) if epoch > old => Some(Step::HandOver(owner)),
        Local::Standby | Local::Handover { .. } if mine => Some(Step::Activate(epoch)),
        Local::Absent | Local::Standby | Local::Active(_) | Local::Handover { .. } => None,
    }
}

fn before_commit(view: &View, record: &MigrationRecord) -> Step {
    let late = view.now_ms > record.planned_at_ms.saturating_add(PREPARE_MAX_MS);
    if view.me == record.from {
        return match (view.local, record.phase) {
            (Local::Active(_), Phase::Prepared) if view.to_alive && !late => Step::Commit,
            (Local::Active(_), Phase::Planned) if view.to_alive && !late => Step::Wait,
            _ => Step::Abandon,
        };
    }
    if view.me != record.to {
        return Step::Wait;
    }
    match (view.local, record.phase) {
        // The source died with the room: who stands by takes it.
        (Local::Standby, _) if !view.from_alive => Step::Take,
        _ if !view.from_alive || late => Step::Abandon,
        (Local::Absent, Phase::Planned | Phase::Prepared) => Step::Prepare,
        (Local::Standby, Phase::Planned) => Step::Note(Phase::Prepared),
        _ => Step::Wait,
    }
}

fn after_commit(view: &View, record: &MigrationRecord) -> Step {
    let epoch = record.epoch.next();
    let late = view.now_ms > record.deadline_ms;
    if view.me == record.to {
        return match view.local {
            Local::Standby => Step::Activate(epoch),
            _ if !view.from_alive => Step::Forget,
            _ if view.now_ms > record.deadline_ms.saturating_add(STALE_AFTER_MS) => Step::Forget,
            Local::Absent | Local::Active(_) | Local::Handover { .. } => Step::Wait,
        };
    }
    if view.me != record.from {
        return Step::Wait;
    }
    match view.local {
        Local::Active(_) if !view.to_alive => Step::Take,
        Local::Active(_) => Step::HandOver(record.to),
        Local::Handover { .. } if !view.to_alive => Step::Take,
        // Noted of those as well that are gone by now: who follows a move sees each of its steps.
        Local::Handover { .. } if record.phase < Phase::Moving && !late => {
            Step::Note(Phase::Moving)
        }
        Local::Handover { settled } if settled || late => Step::Release,
        Local::Handover { .. } => Step::Wait,
        Local::Absent | Local::Standby => Step::Forget,
    }
}

/// A third one took the room, or one of the two in a later epoch.
fn overtaken(view: &View, record: &MigrationRecord) -> Step {
    let owned = view
        .owner
        .worker
        .and_then(|owner| as_owned(view, view.local, owner));
    match (owned, view.local) {
        (Some(step), _) => step,
        (None, Local::Standby) => Step::Dismantle,
        (None, _) if view.me == record.from || view.me == record.to => Step::Forget,
        (None, _) => Step::Wait,
    }
}
