//! The other workers, for what one of them is asked about all.

use std::sync::Arc;

use control_plane::{Record, WorkerRecord, keys};

use super::Ops;

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
}
