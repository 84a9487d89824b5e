//! Where rooms and packagers are that are not here, for players of them: remembered for a moment,
//! so that a crowd that a balancer sends here costs the store one question a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use control_plane::{Record, RoomOwner, WorkerRecord, keys};
use media_types::RoomName;
use signaling::RpcError;

use super::Ops;

/// How long an answer is believed: a room that moves is found again after that.
const BELIEVED: Duration = Duration::from_secs(1);
/// Rooms that are remembered; beyond them all are forgotten.
const ROOMS_MAX: usize = 4_096;

/// Until when it is believed, and where the room's worker speaks signalling, if one has it.
type Known = (Instant, Option<String>);

/// Until when it is believed, and where each worker speaks signalling.
type Workers = (Instant, HashMap<String, String>);

/// What the store said last.
#[derive(Debug, Default)]
pub(super) struct Whereabouts {
    rooms: Mutex<HashMap<RoomName, Known>>,
    workers: Mutex<Option<Workers>>,
}

impl Whereabouts {
    fn get(&self, room: &RoomName, now: Instant) -> Option<Option<String>> {
        let known = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(room).filter(|(until, _)| now < *until);
        found.map(|(_, url)| url.clone())
    }

    fn note(&self, room: &RoomName, url: Option<String>, now: Instant) {
        let mut known = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ROOMS_MAX {
            known.clear();
        }
        known.insert(room.clone(), (now + BELIEVED, url));
    }

    /// Where a worker is; the outer `None`: all are to be asked for.
    fn worker(&self, worker: &str, now: Instant) -> Option<Option<String>> {
        let known = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, workers) = known.as_ref().filter(|(until, _)| now < *until)?;
        Some(workers.get(worker).cloned())
    }

    fn note_workers(&self, workers: HashMap<String, String>, now: Instant) {
        let mut known = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((now + BELIEVED, workers));
    }
}

impl Ops {
    /// Where another worker that has a room speaks signalling; `None`: no other one has it.
    ///
    /// # Errors
    /// `unavailable`: the store does not answer.
    pub async fn whereabouts(&self, room: &RoomName) -> Result<Option<String>, RpcError> {
        let now = self.clock.now();
        if let Some(known) = self.whereabouts.get(room, now) {
            return Ok(known);
        }
        let url = self.seek(room).await?;
        self.whereabouts.note(room, url.clone(), now);
        Ok(url)
    }

    /// Where a worker speaks signalling; `None`: its lease has ended, or the store does not answer.
    pub async fn signalling_of(&self, worker: &str) -> Option<String> {
        let now = self.clock.now();
        if let Some(known) = self.whereabouts.worker(worker, now) {
            return known;
        }
        let listing = self.store.list(&keys::workers()).await.ok()?;
        let records = listing.entries.iter();
        let records = records.filter_map(|it| WorkerRecord::decode(&it.key, &it.value).ok());
        let workers: HashMap<_, _> = records.map(|it| (it.id.to_string(), it.url)).collect();
        let found = workers.get(worker).cloned();
        self.whereabouts.note_workers(workers, now);
        found
    }

    async fn seek(&self, room: &RoomName) -> Result<Option<String>, RpcError> {
        let key = keys::room_owner(room);
        let entry = self.store.get(&key).await?;
        let owner = entry.and_then(|entry| RoomOwner::decode(&key, &entry.value).ok());
        let worker = owner.and_then(|owner| owner.worker);
        let Some(worker) = worker.filter(|worker| worker.to_string() != self.worker) else {
            return Ok(None);
        };
        // Its record goes with its lease.
        let key = keys::worker(worker);
        let entry = self.store.get(&key).await?;
        let record = entry.and_then(|entry| WorkerRecord::decode(&key, &entry.value).ok());
        Ok(record.map(|record| record.url))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a real clock")]
mod tests {
    use super::*;

    #[test]
    fn answers_are_believed_for_a_second() {
        let (known, now) = (Whereabouts::default(), Instant::now());
        let [hall, attic]: [RoomName; 2] = ["hall", "attic"].map(|name| name.parse().unwrap());
        assert_eq!(known.get(&hall, now), None);
        known.note(&hall, Some("ws://b".to_owned()), now);
        known.note(&attic, None, now);
        let before = now + BELIEVED - Duration::from_millis(1);
        assert_eq!(known.get(&hall, before), Some(Some("ws://b".to_owned())));
        assert_eq!(known.get(&attic, before), Some(None));
        assert_eq!(known.get(&hall, now + BELIEVED), None);
    }

    #[test]
    fn whoever_is_not_listed_is_not_asked_for_again() {
        let (known, now) = (Whereabouts::default(), Instant::now());
        assert_eq!(known.worker("wk_1", now), None);
        known.note_workers([("wk_1".to_owned(), "ws://b".to_owned())].into(), now);
        assert_eq!(known.worker("wk_1", now), Some(Some("ws://b".to_owned())));
        assert_eq!(known.worker("wk_2", now), Some(None));
        assert_eq!(known.worker("wk_1", now + BELIEVED), None);
    }

    #[test]
    fn a_bounded_number_is_remembered() {
        let (known, now) = (Whereabouts::default(), Instant::now());
        for n in 0..=ROOMS_MAX {
            known.note(&format!("r{n}").parse().unwrap(), None, now);
        }
        assert_eq!(known.rooms.lock().unwrap().len(), 1);
    }
}
