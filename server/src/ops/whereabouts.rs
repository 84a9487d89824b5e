//! Where rooms are that are not here, for players of them: remembered for a moment, so that a
//! crowd that a balancer sends here costs the store one question a second.

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

/// What the store said last.
#[derive(Debug, Default)]
pub(super) struct Whereabouts(Mutex<HashMap<RoomName, Known>>);

impl Whereabouts {
    fn get(&self, room: &RoomName, now: Instant) -> Option<Option<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(room).filter(|(until, _)| now < *until);
        found.map(|(_, url)| url.clone())
    }

    fn note(&self, room: &RoomName, url: Option<String>, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ROOMS_MAX {
            known.clear();
        }
        known.insert(room.clone(), (now + BELIEVED, url));
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
    fn a_bounded_number_is_remembered() {
        let (known, now) = (Whereabouts::default(), Instant::now());
        for n in 0..=ROOMS_MAX {
            known.note(&format!("r{n}").parse().unwrap(), None, now);
        }
        assert_eq!(known.0.lock().unwrap().len(), 1);
    }
}
