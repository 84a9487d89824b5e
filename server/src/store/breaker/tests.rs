use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use control_plane::{MemoryStore, conformance};

use super::*;

/// The clock of the test's runtime, which stands unless something waits.
struct Paused;

impl Clock for Paused {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix(&self) -> Duration {
        Duration::ZERO
    }
}

/// A way to the store that can be cut: what is asked then is never answered.
struct Way {
    store: MemoryStore,
    cut: AtomicBool,
}

impl Way {
    fn to<'a, T: Send + 'a>(&'a self, there: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match self.cut.load(Ordering::Relaxed) {
            true => Box::pin(std::future::pending()),
            false => there,
        }
    }
}

impl Store for Way {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Entry>> {
        self.to(self.store.get(key))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> StoreFuture<'a, Listing> {
        self.to(self.store.list(prefix))
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        condition: Condition,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> StoreFuture<'a, Swap> {
        self.to(self.store.swap(key, condition, value, lease))
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> StoreFuture<'a, Swap> {
        self.to(self.store.delete(key, revision))
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, ControlPlaneError> {
        self.store.watch(prefix, after)
    }

    fn grant(&self, ttl: Duration) -> StoreFuture<'_, LeaseId> {
        self.to(self.store.grant(ttl))
    }

    fn renew(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.to(self.store.renew(lease))
    }

    fn revoke(&self, lease: LeaseId) -> StoreFuture<'_, ()> {
        self.to(self.store.revoke(lease))
    }
}

fn world() -> (Arc<Way>, BreakerStore) {
    let way = Arc::new(Way {
        store: MemoryStore::new(Arc::new(Paused)),
        cut: AtomicBool::new(false),
    });
    let store = BreakerStore::new(Arc::clone(&way) as Arc<dyn Store>, Arc::new(Paused));
    (way, store)
}

fn is_away<T>(answer: &Result<T, ControlPlaneError>) -> bool {
    matches!(answer, Err(ControlPlaneError::Unavailable))
}

/// Takes the store away and asks until nothing is asked any more.
async fn open(way: &Way, store: &BreakerStore) {
    way.store.set_down(true);
    let before = way.store.faulted();
    while !store.breaker.is_open() {
        assert!(is_away(&store.get("/a").await));
    }
    assert_eq!(way.store.faulted() - before, 5);
}

#[tokio::test(start_paused = true)]
async fn all_that_is_asked_is_refused_at_once_and_leases_and_watches_are_not() {
    let (way, store) = world();
    let lease = store.grant(Duration::from_secs(60)).await.unwrap();
    open(&way, &store).await;
    let (asked, began) = (way.store.faulted(), Paused.now());
    assert!(is_away(&store.get("/a").await));
    assert!(is_away(&store.list("/").await));
    let swap = store.swap("/a", Condition::Absent, vec![1], None).await;
    assert!(is_away(&swap));
    assert!(is_away(&store.delete("/a", Revision(1)).await));
    assert_eq!((way.store.faulted(), Paused.now()), (asked, began));

    assert!(store.watch("/", Revision(0)).is_ok());
    assert!(is_away(&store.renew(lease).await));
    assert!(is_away(&store.grant(Duration::from_secs(1)).await));
    assert!(is_away(&store.revoke(lease).await));
    assert_eq!(way.store.faulted(), asked + 3);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_succeeds_opens_the_way_for_all() {
    let (way, store) = world();
    let lease = store.grant(Duration::from_secs(60)).await.unwrap();
    open(&way, &store).await;
    way.store.set_down(false);
    assert!(is_away(&store.get("/a").await), "nobody has tried yet");
    store.renew(lease).await.unwrap();
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_a_watch_brings_opens_the_way_too_and_its_end_closes_none() {
    let (way, store) = world();
    let mut watch = store.watch("/", Revision(0)).unwrap();
    open(&way, &store).await;
    way.store.set_down(false);
    let swap = way.store.swap("/a", Condition::Absent, vec![1], None);
    swap.await.unwrap();
    watch.next().await.unwrap();
    assert!(!store.breaker.is_open());

    // As many changes as a store in memory forgets, so that all the watches end.
    let mut watches: Vec<_> = (0..10)
        .map(|_| store.watch("/", Revision(1)).unwrap())
        .collect();
    for n in 0..5_000 {
        let key = format!("/{n}");
        let swap = way.store.swap(&key, Condition::Absent, vec![1], None);
        swap.await.unwrap();
    }
    for watch in &mut watches {
        let ended = watch.next().await;
        assert!(matches!(ended, Err(ControlPlaneError::Compacted)));
    }
    assert!(store.get("/a").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_tries_after_each_rest_and_a_rest_is_a_second_at_the_most() {
    let (way, store) = world();
    open(&way, &store).await;
    let before = way.store.faulted();
    let began = Paused.now();
    let mut refused = 0;
    while Paused.now() - began < Duration::from_secs(10) {
        refused += 1;
        assert!(is_away(&store.get("/a").await));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // After 0.5 s and then each second.
    assert_eq!((refused, way.store.faulted() - before), (1_000, 10));
    way.store.set_down(false);
    let back = Paused.now();
    while store.get("/a").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(Paused.now() - back <= STORE_RETRY_AFTER);
    assert!(!store.breaker.is_open());
}

#[tokio::test(start_paused = true)]
async fn conflicts_and_leases_that_have_ended_are_answers() {
    let (way, store) = world();
    for _ in 0..10 {
        let at = Condition::At(Revision(7));
        let swap = store.swap("/a", at, vec![1], None).await;
        assert!(matches!(swap, Ok(Swap::Conflict(None))));
        let renewed = store.renew(LeaseId(7)).await;
        assert!(matches!(renewed, Err(ControlPlaneError::LeaseLost)));
    }
    assert!(!store.breaker.is_open());
    // One of them among failures: they are not in a row.
    way.store.set_down(true);
    for _ in 0..4 {
        assert!(is_away(&store.get("/a").await));
    }
    way.store.set_down(false);
    assert!(store.renew(LeaseId(7)).await.is_err());
    way.store.set_down(true);
    for _ in 0..4 {
        assert!(is_away(&store.get("/a").await));
    }
    assert!(!store.breaker.is_open());
}

#[tokio::test(start_paused = true)]
async fn who_tries_is_answered_soon_where_nothing_answers() {
    let (way, store) = world();
    open(&way, &store).await;
    way.store.set_down(false);
    way.cut.store(true, Ordering::Relaxed);
    tokio::time::sleep(RESTS.first).await;
    let began = Paused.now();
    let (trial, other) = tokio::join!(store.get("/a"), store.get("/b"));
    assert!(is_away(&trial) && is_away(&other));
    assert_eq!(Paused.now() - began, TRIAL_MAX);
    way.cut.store(false, Ordering::Relaxed);
    tokio::time::sleep(RESTS.longest).await;
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_its_caller_gives_up_is_not_waited_for() {
    let (way, store) = world();
    open(&way, &store).await;
    way.store.set_down(false);
    way.cut.store(true, Ordering::Relaxed);
    tokio::time::sleep(RESTS.first).await;
    let dropped = timeout(TRIAL_MAX / 2, store.get("/a")).await;
    assert!(dropped.is_err());
    way.cut.store(false, Ordering::Relaxed);
    tokio::time::sleep(RESTS.first).await;
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_it_opened_fails_without_prolonging_it() {
    let (way, store) = world();
    way.cut.store(true, Ordering::Relaxed);
    let mut under_way: Vec<_> = (0..10).map(|_| store.get("/a")).collect();
    for asked in &mut under_way {
        assert!(timeout(Duration::from_millis(1), asked).await.is_err());
    }
    way.cut.store(false, Ordering::Relaxed);
    open(&way, &store).await;
    way.store.set_down(false);
    tokio::time::sleep(RESTS.first / 2).await;
    drop(under_way);
    for _ in 0..10 {
        store.note::<()>(&Err(ControlPlaneError::Unavailable));
    }
    tokio::time::sleep(RESTS.first / 2).await;
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn it_is_a_store_as_the_others() {
    conformance::swaps_are_conditional(&world().1).await;
    conformance::deletes_are_conditional(&world().1).await;
    conformance::lists_are_sorted_and_bounded(&world().1).await;
    conformance::watches_continue_a_listing(&world().1).await;
    conformance::a_revoked_lease_is_gone(&world().1).await;
    let wait = |time| -> StoreFuture<'_, ()> {
        Box::pin(async move {
            tokio::time::sleep(time).await;
            Ok(())
        })
    };
    conformance::leases_end(&world().1, &wait).await;
}
