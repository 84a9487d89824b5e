//! Following a prefix of the store: all of it at first, then each change as it comes.

use std::sync::Arc;
use std::time::Duration;

use control_plane::{Change, ControlPlaneError, Entry, Store};

/// Before a store that does not answer is asked again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause: a store that comes back is heard within two seconds.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What one learns by following.
#[derive(Debug)]
pub(super) enum News {
    /// All that there is; what was known before and is not here is gone.
    All(Vec<Entry>),
    /// One key was written.
    Put(Entry),
    /// One key went.
    Gone(String),
}

/// Follows until the runtime ends. A watch that breaks is begun anew with a list, so that nothing
/// is missed for longer than the store is away.
pub(super) async fn follow(store: Arc<dyn Store>, prefix: String, mut hear: impl FnMut(News)) {
    let mut pause = PAUSE_MIN;
    loop {
        let ended = follow_once(&*store, &prefix, &mut hear, &mut pause).await;
        if let Err(error) = ended {
            tracing::debug!(%error, prefix, "a watch ended, and is begun anew");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn follow_once(
    store: &dyn Store,
    prefix: &str,
    hear: &mut impl FnMut(News),
    pause: &mut Duration,
) -> Result<(), ControlPlaneError> {
    let listing = store.list(prefix).await?;
    hear(News::All(listing.entries));
    let mut watch = store.watch(prefix, listing.revision)?;
    loop {
        let change = watch.next().await?;
        *pause = PAUSE_MIN;
        hear(match change {
            Change::Put(entry) => News::Put(entry),
            Change::Deleted { key, .. } => News::Gone(key),
        });
    }
}
