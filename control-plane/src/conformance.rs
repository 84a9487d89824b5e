//! The suite that every [`Store`] must pass. Each function takes an empty store and asserts.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::error::ControlPlaneError;
use crate::store::{Change, Condition, Entry, Revision, Store, StoreFuture, Swap};

/// Lets time pass for the store: a manual clock moves at once, a real store is waited for.
pub type Wait<'a> = &'a (dyn Fn(Duration) -> StoreFuture<'a, ()> + Sync);

async fn put(store: &dyn Store, key: &str, condition: Condition, value: &str) -> Revision {
    let swap = store.swap(key, condition, value.into(), None).await;
    match swap.expect("the store answers") {
        Swap::Done(revision) => revision,
        Swap::Conflict(entry) => panic!("unexpected conflict with {entry:?}"),
    }
}

async fn get(store: &dyn Store, key: &str) -> Option<Entry> {
    store.get(key).await.expect("the store answers")
}

/// A swap is carried out when its condition holds, and then alone.
///
/// # Panics
/// Where the store does otherwise.
pub async fn swaps_are_conditional(store: &dyn Store) {
    assert_eq!(get(store, "/a").await, None);
    let first = put(store, "/a", Condition::Absent, "1").await;
    let second = put(store, "/a", Condition::At(first), "2").await;
    assert!(second > first, "revisions rise");
    for condition in [Condition::Absent, Condition::At(first)] {
        let swap = store.swap("/a", condition, b"3".into(), None).await;
        let Ok(Swap::Conflict(Some(entry))) = swap else {
            panic!("{condition:?} must not hold: {swap:?}");
        };
        assert_eq!(
            (entry.value.as_slice(), entry.revision),
            (&b"2"[..], second)
        );
    }
    let swap = store.swap("/b", Condition::At(second), b"3".into(), None);
    assert_eq!(swap.await.expect("answers"), Swap::Conflict(None));
    assert_eq!(get(store, "/b").await, None);
}

/// A delete needs the revision, and a key can be made anew after it.
///
/// # Panics
/// Where the store does otherwise.
pub async fn deletes_are_conditional(store: &dyn Store) {
    let first = put(store, "/a", Condition::Absent, "1").await;
    let second = put(store, "/a", Condition::At(first), "2").await;
    let stale = store.delete("/a", first).await.expect("answers");
    assert!(matches!(stale, Swap::Conflict(Some(_))));
    let done = store.delete("/a", second).await.expect("answers");
    assert!(matches!(done, Swap::Done(revision) if revision > second));
    assert_eq!(get(store, "/a").await, None);
    put(store, "/a", Condition::Absent, "3").await;
}

/// A listing holds the keys of its prefix in order.
///
/// # Panics
/// Where the store does otherwise.
pub async fn lists_are_sorted_and_bounded(store: &dyn Store) {
    for key in ["/r/b", "/r/a", "/ra", "/q", "/r/a/x"] {
        put(store, key, Condition::Absent, key).await;
    }
    let listing = store.list("/r/").await.expect("answers");
    let keys: Vec<&str> = listing
        .entries
        .iter()
        .map(|entry| entry.key.as_str())
        .collect();
    assert_eq!(keys, ["/r/a", "/r/a/x", "/r/b"]);
    let latest = listing.entries.iter().map(|entry| entry.revision).max();
    assert!(latest.expect("not empty") <= listing.revision);
    let nothing = store.list("/z").await.expect("answers");
    assert_eq!(nothing.entries, []);
}

/// A watch from a listing sees each later change of its prefix once and in order.
///
/// # Panics
/// Where the store does otherwise.
pub async fn watches_continue_a_listing(store: &dyn Store) {
    put(store, "/w/old", Condition::Absent, "0").await;
    let listing = store.list("/w/").await.expect("answers");
    let mut watch = store.watch("/w/", listing.revision).expect("is there");
    let first = put(store, "/w/new", Condition::Absent, "1").await;
    put(store, "/v", Condition::Absent, "elsewhere").await;
    let second = put(store, "/w/new", Condition::At(first), "2").await;
    store.delete("/w/new", second).await.expect("answers");
    for expected in [Some("1"), Some("2"), None] {
        let change = watch.next().await.expect("goes on");
        let seen = match &change {
            Change::Put(entry) => Some(entry.value.as_slice()),
            Change::Deleted { .. } => None,
        };
        assert_eq!(seen, expected.map(str::as_bytes));
    }
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(watch.poll_next(&mut context), Poll::Pending));
}

/// A key goes with its lease, and stays while that is renewed.
///
/// # Panics
/// Where the store does otherwise.
pub async fn leases_end(store: &dyn Store, wait: Wait<'_>) {
    let ttl = Duration::from_secs(2);
    let lease = store.grant(ttl).await.expect("answers");
    let swap = store.swap("/l", Condition::Absent, b"1".into(), Some(lease));
    assert!(matches!(swap.await.expect("answers"), Swap::Done(_)));
    for _ in 0..3 {
        wait(ttl / 2).await.expect("time passes");
        store.renew(lease).await.expect("is alive");
    }
    let entry = get(store, "/l").await.expect("renewed in time");
    let mut watch = store.watch("/l", entry.revision).expect("is there");
    wait(ttl * 2).await.expect("time passes");
    assert_eq!(get(store, "/l").await, None);
    let change = watch.next().await.expect("goes on");
    assert!(matches!(change, Change::Deleted { key, .. } if key == "/l"));
    let renewed = store.renew(lease).await;
    assert!(matches!(renewed, Err(ControlPlaneError::LeaseLost)));
    let late = store
        .swap("/l", Condition::Absent, b"2".into(), Some(lease))
        .await;
    assert!(matches!(late, Err(ControlPlaneError::LeaseLost)));
}

/// A revoked lease takes its keys with it at once.
///
/// # Panics
/// Where the store does otherwise.
pub async fn a_revoked_lease_is_gone(store: &dyn Store) {
    let lease = store.grant(Duration::from_secs(60)).await.expect("answers");
    for key in ["/l/1", "/l/2"] {
        let swap = store.swap(key, Condition::Absent, b"1".into(), Some(lease));
        swap.await.expect("answers");
    }
    put(store, "/l/3", Condition::Absent, "stays").await;
    store.revoke(lease).await.expect("answers");
    let listing = store.list("/l/").await.expect("answers");
    assert_eq!(listing.entries.len(), 1);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory::MemoryStore;
    use crate::testing::{ManualClock, block_on};

    fn store() -> MemoryStore {
        MemoryStore::new(Arc::new(ManualClock::new()))
    }

    #[test]
    fn the_store_in_memory_conforms() {
        block_on(swaps_are_conditional(&store()));
        block_on(deletes_are_conditional(&store()));
        block_on(lists_are_sorted_and_bounded(&store()));
        block_on(watches_continue_a_listing(&store()));
        block_on(a_revoked_lease_is_gone(&store()));
    }

    #[test]
    fn the_store_in_memory_ends_leases() {
        let clock = Arc::new(ManualClock::new());
        let store = MemoryStore::new(clock.clone());
        let wait = move |time| -> StoreFuture<'_, ()> {
            clock.advance(time);
            Box::pin(async { Ok(()) })
        };
        block_on(leases_end(&store, &wait));
    }
}
