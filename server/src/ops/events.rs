//! What happens here, in order: kept for who was away, told to who listens.
//!
//! An event's `id` only rises on one worker, also over restarts; `epoch` and `seq` together only
//! rise for one room, whichever worker has it. Of a room that several workers have parts of each
//! numbers what it tells by itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control_plane::{Condition, ControlPlaneError, Revision, Store, Swap};
use media_types::{Clock, Epoch, RoomName, WorkerId};
use metrics::counter;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::telemetry::{EVENTS, EVENTS_UNSAVED};

mod rooms;

use rooms::Rooms;

/// Events written to the disk at once.
const BATCH_MAX: usize = 512;
/// How long an event may wait for its batch: one sync to the disk then does for all of them.
const BATCH_WAIT: Duration = Duration::from_millis(100);
const PREFIX: &str = "events/";
/// A room has become a worker's; `from` in its data names whose it was.
pub(super) const ROOM_OPENED: &str = "room.opened";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its number on this worker: microseconds since the Unix epoch, but that it always rises.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// What, as in `peer.joined`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where.
    pub worker: String,
    /// In which room, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The number of the room's ownership.
    #[serde(default)]
    pub epoch: u64,
    /// Its number in the room, under that ownership.
    #[serde(default)]
    pub seq: u64,
    /// What more there is to say.
    #[serde(default)]
    pub data: Value,
}

/// Events after some number.
#[derive(Debug, Clone, Default)]
pub struct Since {
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// Whether some after that number are kept no more.
    pub lost: bool,
}

/// The worker's events.
pub struct Journal {
    worker: String,
    clock: Arc<dyn Clock>,
    /// How many are kept.
    kept_max: usize,
    inner: Mutex<Inner>,
    last: watch::Sender<u64>,
    /// What a life before this one has kept is here.
    loaded: watch::Sender<bool>,
}

/// An event as it lies here: its text takes a fraction of what its parts would.
#[derive(Clone)]
struct Kept {
    id: u64,
    text: Arc<str>,
}

impl Kept {
    fn of(event: &Event) -> Option<Self> {
        let text = serde_json::to_string(event).ok()?;
        Some(Self {
            id: event.id,
            text: text.into(),
        })
    }
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Kept>,
    last: u64,
    /// The newest that is kept no more.
    forgotten: u64,
    saved: u64,
    rooms: Rooms,
}

impl Journal {
    /// Keeps so many events, and a batch at least.
    pub(crate) fn new(worker: String, clock: Arc<dyn Clock>, kept: u32) -> Self {
        Self {
            worker,
            clock,
            kept_max: usize::try_from(kept).unwrap_or(usize::MAX).max(BATCH_MAX),
            inner: Mutex::new(Inner::default()),
            last: watch::Sender::new(0),
            loaded: watch::Sender::new(false),
        }
    }

    /// Notes that something happened.
    pub fn emit(&self, kind: &str, room: Option<(&RoomName, Epoch)>, data: Value) {
        self.note(kind, room.map(|(name, _)| name), |rooms| {
            let numbers = room.map(|(name, epoch)| rooms.number(name, epoch));
            Some((numbers.unwrap_or_default(), data))
        });
    }

    /// A room is this worker's from now on, and was another one's in the epoch before.
    pub fn room_opened(&self, name: &RoomName, epoch: Epoch, before: Option<WorkerId>) {
        let before = before.map(|before| before.to_string());
        let before = before.filter(|before| *before != self.worker);
        self.note(ROOM_OPENED, Some(name), |rooms| {
            let opened = rooms.open(name, epoch)?;
            let from = before.filter(|_| opened.is_first);
            let data = from.map_or(Value::Null, |from| json!({ "from": from }));
            Some((opened.numbers, data))
        });
    }

    /// A room that was this worker's is another one's.
    pub fn room_moved(&self, name: &RoomName, to: WorkerId) {
        self.note("room.moved", Some(name), |rooms| {
            Some((rooms.leave(name)?, json!({ "to": to.to_string() })))
        });
    }

    /// A room that was this worker's is over.
    pub fn room_closed(&self, name: &RoomName) {
        self.note("room.closed", Some(name), |rooms| {
            Some((rooms.leave(name)?, Value::Null))
        });
    }

    /// Whether a room is this worker's in an epoch below that one.
    #[must_use]
    pub fn is_owned_below(&self, room: &RoomName, epoch: u64) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rooms.is_owned_below(room, epoch)
    }

    /// Notes an event, if there is one to be.
    fn note(
        &self,
        kind: &str,
        room: Option<&RoomName>,
        says: impl FnOnce(&mut Rooms) -> Option<((u64, u64), Value)>,
    ) {
        let unix = self.clock.unix();
        let now = u64::try_from(unix.as_micros()).unwrap_or(u64::MAX);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(((epoch, seq), data)) = says(&mut inner.rooms) else {
            return;
        };
        let id = now.max(inner.last.saturating_add(1));
        let kept = Kept::of(&Event {
            id,
            at: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            kind: kind.to_owned(),
            worker: self.worker.clone(),
            room: room.map(ToString::to_string),
            epoch,
            seq,
            data,
        });
        if let Some(kept) = kept {
            inner.push(kept, self.kept_max);
        }
        drop(inner);
        counter!(EVENTS).increment(1);
        self.last.send_replace(id);
    }

    /// One of them, while it is kept.
    pub(super) fn get(&self, id: u64) -> Option<Event> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let place = inner.events.binary_search_by_key(&id, |event| event.id);
        let kept = inner.events.get(place.ok()?).cloned();
        drop(inner);
        serde_json::from_str(&kept?.text).ok()
    }

    /// Waits until what a life before this one has kept is here.
    pub(super) async fn loaded(&self) {
        // It does not fail: the journal holds the other end.
        let _ = self.loaded.subscribe().wait_for(|loaded| *loaded).await;
    }

    /// What came after a number, at most so many.
    #[must_use]
    pub fn since(&self, after: u64, limit: usize) -> Since {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = after < inner.forgotten;
        let found = inner.after(after, limit);
        drop(inner);
        let parsed = found
            .iter()
            .filter_map(|kept| serde_json::from_str(&kept.text).ok());
        Since {
            events: parsed.map(Arc::new).collect(),
            lost,
        }
    }

    /// The number of the newest, and of each that comes.
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Whether all that happened is on the disk, for the next process to tell.
    pub(super) fn is_saved(&self) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let last = inner.events.back();
        last.is_none_or(|event| event.id <= inner.saved)
    }

    fn unsaved(&self) -> Vec<Kept> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.after(inner.saved, BATCH_MAX)
    }

    fn load(&self, events: Vec<Event>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // What happened since the start stands behind what was kept.
        let fresh: Vec<_> = inner.events.drain(..).collect();
        inner.saved = events.last().map_or(0, |event| event.id);
        for kept in events.iter().filter_map(Kept::of).chain(fresh) {
            inner.push(kept, self.kept_max);
        }
        let last = inner.last;
        drop(inner);
        self.last.send_replace(last);
        self.loaded.send_replace(true);
    }

    fn saved(&self, id: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.saved = inner.saved.max(id);
    }
}

impl Inner {
    fn after(&self, id: u64, limit: usize) -> Vec<Kept> {
        let first = self.events.partition_point(|event| event.id <= id);
        self.events.range(first..).take(limit).cloned().collect()
    }

    fn push(&mut self, event: Kept, kept_max: usize) {
        self.last = self.last.max(event.id);
        self.events.push_back(event);
        while self.events.len() > kept_max {
            if let Some(old) = self.events.pop_front() {
                self.forgotten = old.id;
            }
        }
    }
}

/// Reads what was kept, then writes what happens, a batch at a time.
pub(super) async fn keep(journal: Arc<Journal>, store: Arc<dyn Store>) {
    let mut batches = load(&journal, &*store).await;
    let mut news = journal.listen();
    loop {
        let batch = journal.unsaved();
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            if news.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(BATCH_WAIT).await;
            continue;
        };
        let key = format!("{PREFIX}{:020}", first.id);
        let texts: Vec<&str> = batch.iter().map(|event| &*event.text).collect();
        let value = format!("[{}]", texts.join(",")).into_bytes();
        match store.swap(&key, Condition::Absent, value, None).await {
            Ok(Swap::Done(revision)) => batches.push_back((key, revision, batch.len())),
            Ok(Swap::Conflict(_)) => {}
            Err(error) => {
                counter!(EVENTS_UNSAVED).increment(1);
                tracing::warn!(%error, "events cannot be kept");
                tokio::time::sleep(BATCH_WAIT * 10).await;
                continue;
            }
        }
        journal.saved(last.id);
        if let Err(error) = trim(&mut batches, journal.kept_max, &*store).await {
            tracing::warn!(%error, "old events cannot be forgotten");
        }
    }
}

type Batches = VecDeque<(String, Revision, usize)>;

async fn load(journal: &Journal, store: &dyn Store) -> Batches {
    let listing = store.list(PREFIX).await.unwrap_or_default();
    let mut all = Vec::new();
    let mut batches = Batches::new();
    for entry in listing.entries {
        let events: Vec<Event> = serde_json::from_slice(&entry.value).unwrap_or_default();
        batches.push_back((entry.key, entry.revision, events.len()));
        all.extend(events);
    }
    journal.load(all);
    batches
}

async fn trim(
    batches: &mut Batches,
    kept_max: usize,
    store: &dyn Store,
) -> Result<(), ControlPlaneError> {
    let mut kept: usize = batches.iter().map(|(.., count)| count).sum();
    while kept > kept_max
        && let Some((key, revision, count)) = batches.pop_front()
    {
        store.delete(&key, revision).await?;
        kept = kept.saturating_sub(count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use control_plane::MemoryStore;

    use super::*;
    use crate::clock::SystemClock;

    fn journal() -> Arc<Journal> {
        Arc::new(Journal::new("wk".to_owned(), Arc::new(SystemClock), 0))
    }

    #[test]
    fn the_oldest_give_way_and_who_missed_them_is_told() {
        let journal = journal();
        for n in 0..BATCH_MAX + 3 {
            journal.emit("a", None, json!({ "n": n }));
        }
        let kept = journal.since(0, usize::MAX);
        assert!(kept.lost);
        let numbers: Vec<_> = kept.events.iter().map(|e| e.data["n"].as_u64()).collect();
        let expected: Vec<_> = (3..BATCH_MAX + 3).map(|n| u64::try_from(n).ok()).collect();
        assert_eq!(numbers, expected);
        assert!(!journal.since(kept.events[0].id, 1).lost);
    }

    #[test]
    fn numbers_rise_for_the_worker_and_for_each_room() {
        let journal = journal();
        let (lobby, attic): (RoomName, RoomName) =
            ("lobby".parse().unwrap(), "attic".parse().unwrap());
        for n in 0..3 {
            journal.emit("a", Some((&lobby, Epoch(1))), json!(n));
            journal.emit("b", Some((&attic, Epoch(4))), Value::Null);
        }
        journal.emit("c", Some((&lobby, Epoch(2))), Value::Null);
        let all = journal.since(0, 100).events;
        assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
        let numbers = |room: &str| -> Vec<(u64, u64)> {
            let of = all.iter().filter(|e| e.room.as_deref() == Some(room));
            of.map(|e| (e.epoch, e.seq)).collect()
        };
        assert_eq!(numbers("lobby"), [(1, 1), (1, 2), (1, 3), (2, 1)]);
        assert_eq!(numbers("attic"), [(4, 1), (4, 2), (4, 3)]);
        let rest = journal.since(all[4].id, 100).events;
        assert_eq!(rest, all[5..].to_vec());
    }

    #[tokio::test]
    async fn what_happened_outlives_the_process() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let first = journal();
        assert!(first.is_saved());
        let kept = tokio::spawn(keep(Arc::clone(&first), Arc::clone(&store)));
        first.emit("a", None, json!({"n": 1}));
        first.emit("b", None, Value::Null);
        assert!(!first.is_saved());
        let limit = Duration::from_secs(5);
        let saved = async {
            while !first.is_saved() {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(limit, saved).await.unwrap();
        kept.abort();
        let second = journal();
        load(&second, &*store).await;
        assert_eq!(second.since(0, 10).events, first.since(0, 10).events);
        second.emit("c", None, Value::Null);
        let ids: Vec<u64> = second.since(0, 10).events.iter().map(|e| e.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }
}
