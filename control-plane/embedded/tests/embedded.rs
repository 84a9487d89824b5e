//! The suite of every store, and what only a durable one must do.
#![allow(missing_docs, reason = "a test has no readers of its documentation")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control_plane::testing::ManualClock;
use control_plane::{Claim, Condition, Ownership, Store, StoreFuture, Swap, conformance};
use control_plane_embedded::{EmbeddedStore, OpenError};
use media_types::{Epoch, WorkerId};

fn open(folder: &Path) -> EmbeddedStore {
    let path = folder.join("deep/store.redb");
    EmbeddedStore::open(&path, Arc::new(ManualClock::new())).expect("opens")
}

/// A store of its own for each part of the suite.
struct Fresh {
    _folder: tempfile::TempDir,
    store: EmbeddedStore,
}

impl Fresh {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            store: open(folder.path()),
            _folder: folder,
        }
    }
}

#[tokio::test]
async fn the_store_in_a_file_conforms() {
    conformance::swaps_are_conditional(&Fresh::new().store).await;
    conformance::deletes_are_conditional(&Fresh::new().store).await;
    conformance::lists_are_sorted_and_bounded(&Fresh::new().store).await;
    conformance::watches_continue_a_listing(&Fresh::new().store).await;
    conformance::a_revoked_lease_is_gone(&Fresh::new().store).await;
}

#[tokio::test]
async fn the_store_in_a_file_ends_leases() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new());
    let store = EmbeddedStore::open(&folder.path().join("s"), clock.clone()).expect("opens");
    let wait = move |time| -> StoreFuture<'_, ()> {
        clock.advance(time);
        Box::pin(async { Ok(()) })
    };
    conformance::leases_end(&store, &wait).await;
}

async fn put(store: &EmbeddedStore, key: &str, lease: bool) {
    let lease = match lease {
        true => Some(store.grant(Duration::from_secs(9)).await.expect("answers")),
        false => None,
    };
    let swap = store.swap(key, Condition::Absent, key.into(), lease).await;
    assert!(matches!(swap, Ok(Swap::Done(_))), "{swap:?}");
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart_and_leases_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    put(&store, "/kept", false).await;
    put(&store, "/leased", true).await;
    put(&store, "/gone", false).await;
    let gone = store.get("/gone").await.expect("answers").expect("written");
    let deleted = store.delete("/gone", gone.revision).await;
    assert!(matches!(deleted, Ok(Swap::Done(_))));
    drop(store);
    let listing = open(folder.path()).list("/").await.expect("answers");
    let entries: Vec<_> = listing
        .entries
        .iter()
        .map(|e| (&*e.key, &*e.value))
        .collect();
    assert_eq!(entries, [("/kept", &b"/kept"[..])]);
}

#[tokio::test]
async fn epochs_rise_over_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let room = "lobby".parse().expect("a name");
    for (worker, epoch) in [(1, Epoch::FIRST), (2, Epoch(Epoch::FIRST.0 + 1))] {
        let store = Arc::new(open(folder.path()));
        let ownership = Ownership::new(store.clone(), WorkerId::new(worker));
        let mut claim = ownership.claim(&room).await.expect("answers");
        if let Claim::Elsewhere { epoch, alive, .. } = claim {
            assert!(!alive, "the earlier process has ended");
            claim = ownership.take_over(&room, epoch).await.expect("answers");
        }
        let Claim::Owned(owned) = claim else {
            panic!("{claim:?}");
        };
        assert_eq!(owned.record.epoch, epoch);
    }
}

#[test]
fn a_file_has_one_process_and_a_foreign_file_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let clock = Arc::new(ManualClock::new());
    let first = EmbeddedStore::open(&path, clock.clone()).expect("opens");
    let second = EmbeddedStore::open(&path, clock.clone());
    assert!(matches!(second, Err(OpenError::File { .. })));
    drop(first);
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a store").expect("writes");
    let wrong = EmbeddedStore::open(&text, clock);
    assert!(matches!(wrong, Err(OpenError::File { .. })));
    assert_eq!(std::fs::read(&text).expect("reads"), b"not a store");
}
