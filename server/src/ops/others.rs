//! The other workers, for what one of them is asked about all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::{Record, RoomOwner, WorkerRecord, keys};
use media_types::RoomName;
use tokio::sync::Mutex;

use super::Ops;
use crate::auth::WorkerAsk;

/// How long it is believed who there is, by who asks again and again.
const BELIEVED: Duration = Duration::from_secs(1);

/// Until when it is believed, and what.
pub(super) type Lately = Mutex<Option<(Instant, Known)>>;

/// What is known of the other workers.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Those that there are.
    pub(super) others: Arc<Vec<Other>>,
    /// The store says so; it does not answer, and they are those of before, or none.
    pub(super) is_fresh: bool,
}

/// Another worker whose lease runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its id.
    pub worker: String,
    /// Where its admin API is.
    pub url: String,
}

impl Ops {
    /// The other workers; as they were last known, where the store does not answer.
    pub async fn others(&self) -> Arc<Vec<Other>> {
        self.ask_store().await.others
    }

    /// The worker that owns a room; `None` too where the store does not answer.
    pub async fn owner_of(&self, room: &RoomName) -> Option<String> {
        let key = keys::room_owner(room);
        let entry = self.store.get(&key).await.ok()??;
        let owner = RoomOwner::decode(&key, &entry.value).ok()?;
        Some(owner.worker?.to_string())
    }

    /// Signs what this worker asks another one by itself.
    pub fn signed(&self, ask: WorkerAsk, text: &str) -> String {
        self.signer.sign(ask, text, self.clock.unix())
    }

    async fn ask_store(&self) -> Known {
        let (listing, heads) = (self.store.list(&keys::workers()).await, self.heads().await);
        let (Ok(listing), Ok(heads)) = (listing, heads) else {
            return Known {
                others: self.known.load_full(),
                is_fresh: false,
            };
        };
        let records = listing.entries.iter();
        let records = records.filter_map(|it| WorkerRecord::decode(&it.key, &it.value).ok());
        let alive: Vec<String> = records.map(|record| record.id.to_string()).collect();
        let others = heads.into_iter().filter_map(|head| {
            let other = head.worker != self.worker && alive.contains(&head.worker);
            other.then(|| Other {
                worker: head.worker,
                url: head.url.trim_end_matches('/').to_owned(),
            })
        });
        let others = Arc::new(others.collect::<Vec<_>>());
        self.known.store(Arc::clone(&others));
        let is_fresh = true;
        Known { others, is_fresh }
    }

    /// The same, of the last second: however many ask, the store is asked once.
    pub(super) async fn others_lately(&self) -> Known {
        let mut lately = self.lately.lock().await;
        if let Some((until, known)) = &*lately
            && self.clock.now() < *until
        {
            return known.clone();
        }
        let known = self.ask_store().await;
        *lately = Some((self.clock.now() + BELIEVED, known.clone()));
        known
    }
}
