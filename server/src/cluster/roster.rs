//! Where the other workers are, by their records in the store.

use std::net::SocketAddr;
use std::sync::Arc;

use control_plane::{Store, WorkerRecord, membership};
use tokio::sync::watch;

use super::Roster;
use crate::limits::CLUSTER_ROSTER_PERIOD;

/// Reads the list of workers again and again until nobody wants it. While the store is away what
/// was known stays: links need no store.
pub(crate) async fn follow(store: Arc<dyn Store>, roster: watch::Sender<Roster>) {
    let mut tick = tokio::time::interval(CLUSTER_ROSTER_PERIOD);
    while !roster.is_closed() {
        tick.tick().await;
        match membership::workers(&*store).await {
            Ok(records) => {
                let mut found = Roster::new();
                for record in &records {
                    found.insert(record.id, addresses(record).await);
                }
                roster.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
            }
            Err(error) => tracing::debug!(%error, "the list of workers cannot be read"),
        }
    }
}

/// The addresses that a worker is reached by; names are looked up, since they may move.
async fn addresses(record: &WorkerRecord) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for text in &record.relay {
        match tokio::net::lookup_host(text).await {
            Ok(addresses) => found.extend(addresses),
            Err(error) => {
                tracing::debug!(worker = %record.id, text, %error, "an address of no use");
            }
        }
    }
    found
}
