//! A store whose calls are spans, and the steps of moves as they are written into it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control_plane::migration::{MigrationRecord, Phase};
use control_plane::{
    Condition, ControlPlaneError, Entry, LeaseId, Listing, Record, Revision, Store, StoreFuture,
    Swap, Watch, keys,
};
use media_types::{Clock, RoomName};

use super::{Context, Kind, Span, current, of_room};

/// Moves that are followed; of more, no steps are told.
const MOVES_MAX: usize = 10_000;

struct Traced {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// When the step before was written, of each room that moves.
    moves: Mutex<HashMap<RoomName, (MigrationRecord, Duration)>>,
}

/// The same store, with spans of what a request or a join causes, and of moves.
pub(crate) fn traced(inner: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    Arc::new(Traced {
        inner,
        clock,
        moves: Mutex::default(),
    })
}

/// The room that a key is about.
fn room_of(key: &str) -> Option<RoomName> {
    let rest = key.strip_prefix(&keys::rooms())?;
    rest.split('/').next()?.parse().ok()
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Planned => "planned",
        Phase::Prepared => "prepared",
        Phase::Committed => "committed",
        Phase::Moving => "moving",
    }
}

impl Traced {
    fn around<'a, T: Send + 'a>(
        &self,
        call: &'static str,
        key: &str,
        work: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        // What nobody waits for, as the lease's renewal, is no span.
        let cause = current().or_else(|| of_room(&room_of(key)?));
        let Some(cause) = cause else {
            return work;
        };
        let span = Span::begin(call, Kind::Client, Some(cause)).with("db.key", key);
        Box::pin(span.judge(work))
    }

    /// A step of a move was written.
    fn moved(&self, key: &str, value: &[u8]) {
        let Some(room) = room_of(key).filter(|room| keys::room_migration(room) == key) else {
            return;
        };
        let Ok(record) = MigrationRecord::decode(key, value) else {
            return;
        };
        let now = self.clock.unix();
        let mut moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = Duration::from_millis(record.planned_at_ms);
        let before = moves.get(&room).map_or(planned, |(_, at)| *at);
        step(&room, &record, word(record.phase), before);
        if moves.len() < MOVES_MAX || moves.contains_key(&room) {
            moves.insert(room, (record, now));
        }
    }

    /// The owner of a room that moves was written: that decides its move.
    fn decided(&self, key: &str) {
        let Some(room) = room_of(key).filter(|room| keys::room_owner(room) == key) else {
            return;
        };
        let now = self.clock.unix();
        let mut moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((record, at)) = moves.get_mut(&room)
            && record.phase < Phase::Committed
        {
            record.phase = Phase::Committed;
            step(&room, record, word(Phase::Committed), *at);
            *at = now;
        }
    }

    /// The record of a move was deleted: it is over.
    fn ended(&self, key: &str) {
        let Some(room) = room_of(key).filter(|room| keys::room_migration(room) == key) else {
            return;
        };
        let mut moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((record, before)) = moves.remove(&room) else {
            return;
        };
        let how = if record.phase >= Phase::Committed {
            "drained"
        } else {
            "abandoned"
        };
        step(&room, &record, how, before);
        let root = root_of(&room, &record);
        let planned = Duration::from_millis(record.planned_at_ms);
        let whole = Span::begin("migration", Kind::Internal, None).known(root, None, planned);
        drop(describe(whole, &room, &record).with("troupe.outcome", how));
    }
}

/// All workers that have a part in a move name it alike.
fn root_of(room: &RoomName, record: &MigrationRecord) -> Context {
    Context::of(&format!("migration/{room}/{}", record.planned_at_ms))
}

fn step(room: &RoomName, record: &MigrationRecord, name: &str, begun: Duration) {
    let root = root_of(room, record);
    let span = Span::begin(format!("migration {name}"), Kind::Internal, Some(root));
    let Some(context) = span.context() else {
        return;
    };
    let mut span = describe(span.known(context, Some(root.span), begun), room, record);
    if let Some(cause) = current().or_else(|| of_room(room)) {
        span.link(cause);
    }
}

fn describe(span: Span, room: &RoomName, record: &MigrationRecord) -> Span {
    span.with("troupe.room", room)
        .with("troupe.from", record.from)
        .with("troupe.to", record.to)
}

impl Store for Traced {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>> {
        self.around("store get", key, self.inner.get(key))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing> {
        self.around("store list", prefix, self.inner.list(prefix))
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap> {
        let step = key.ends_with("/migration") || key.ends_with("/owner");
        let written = if step { value.clone() } else { Vec::new() };
        let work = self.inner.swap(key, condition, value, lease);
        let work: StoreFuture<'a, Swap> = if step {
            Box::pin(async move {
                let done = work.await?;
                if matches!(done, Swap::Done(_)) {
                    self.moved(key, &written);
                    self.decided(key);
                }
                Ok(done)
            })
        } else {
            work
        };
        self.around("store swap", key, work)
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap> {
        let work = self.inner.delete(key, revision);
        let work: StoreFuture<'a, Swap> = Box::pin(async move {
            let done = work.await?;
            if matches!(done, Swap::Done(_)) {
                self.ended(key);
            }
            Ok(done)
        });
        self.around("store delete", key, work)
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError> {
        self.inner.watch(prefix, after)
    }

    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId> {
        self.inner.grant(ttl)
    }

    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.inner.renew(lease)
    }

    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.inner.revoke(lease)
    }
}
