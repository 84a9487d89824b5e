//! The other workers, for what one of them is asked about all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::{Record, WorkerRecord, keys};
use tokio::sync::Mutex;

use super::Ops;

/// How long it is believed who there is, by who asks again and again.
const BELIEVED: Duration = Duration::from_secs(1);

/// Until when it is believed, and the other workers.
pub(super) type Lately = Mutex<Option<(Instant, Arc<Vec<Other>>)>>;

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
        let (listing, heads) = (self.store.list(&keys::workers()).await, self.heads().await);
        let (Ok(listing), Ok(heads)) = (listing, heads) else {
            return self.known.load_full();
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
        others
    }

    /// The same, of the last second: however many ask, the store is asked once.
    pub(super) async fn others_lately(&self) -> Arc<Vec<Other>> {
        let mut lately = self.lately.lock().await;
        if let Some((until, others)) = &*lately
            && self.clock.now() < *until
        {
            return Arc::clone(others);
        }
        let others = self.others().await;
        *lately = Some((self.clock.now() + BELIEVED, Arc::clone(&others)));
        others
    }
}
