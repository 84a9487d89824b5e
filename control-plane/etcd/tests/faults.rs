//! What a worker sees when etcd dies, returns, is cut off, slow, forgetful, or ends a lease.
#![allow(missing_docs, reason = "a test has no readers of its documentation")]

mod support;

use std::time::Duration;

use control_plane::{Change, Condition, ControlPlaneError, Revision, Store, Swap};
use control_plane_etcd::{ConnectError, EtcdOptions, EtcdStore};
use support::{Etcd, Path, PathState, connect};
use tokio::time::{Instant, timeout};

/// The store's own deadline is 2 s; five times that on a busy machine.
const ANSWER: Duration = Duration::from_secs(10);

async fn put(store: &EtcdStore, key: &str) -> Revision {
    let swap = store
        .swap(key, Condition::Absent, b"1".to_vec(), None)
        .await;
    let Ok(Swap::Done(revision)) = swap else {
        panic!("{swap:?}");
    };
    revision
}

/// Asks until the store answers again.
async fn back(store: &EtcdStore) {
    let answered = timeout(Duration::from_secs(30), async {
        while store.get("/any").await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    answered.await.expect("the store comes back");
}

#[tokio::test]
async fn a_killed_etcd_is_away_and_comes_back_with_all_that_was_answered() {
    let mut etcd = Etcd::start().await;
    let store = etcd.store().await;
    let first = put(&store, "/kept").await;
    etcd.kill().await;
    let begun = Instant::now();
    let away = store.get("/kept").await;
    assert!(
        matches!(away, Err(ControlPlaneError::Unavailable)),
        "{away:?}"
    );
    assert!(begun.elapsed() < ANSWER);
    etcd.restart().await;
    back(&store).await;
    let entry = store.get("/kept").await.expect("answers").expect("kept");
    assert_eq!((entry.value.as_slice(), entry.revision), (&b"1"[..], first));
}

#[tokio::test]
async fn a_watch_ends_with_etcd_and_a_new_one_misses_nothing() {
    let mut etcd = Etcd::start().await;
    let store = etcd.store().await;
    let first = put(&store, "/w/1").await;
    let mut watch = store.watch("/w/", first).expect("is there");
    let second = put(&store, "/w/2").await;
    let change = watch.next().await.expect("goes on");
    assert_eq!(change.revision(), second);
    etcd.kill().await;
    let ended = timeout(Duration::from_secs(30), watch.next()).await;
    let ended = ended.expect("the end shows");
    assert!(
        matches!(ended, Err(ControlPlaneError::Unavailable)),
        "{ended:?}"
    );
    etcd.restart().await;
    back(&store).await;
    put(&store, "/w/3").await;
    let mut watch = store.watch("/w/", second).expect("is there");
    let change = watch.next().await.expect("goes on");
    assert!(matches!(change, Change::Put(entry) if entry.key == "/w/3"));
}

#[tokio::test]
async fn a_path_that_is_cut_or_slow_costs_a_deadline_and_no_more() {
    let etcd = Etcd::start().await;
    let path = Path::to(etcd.address()).await;
    let store = connect(&path.options()).await;
    let first = put(&store, "/a").await;
    let mut watch = store.watch("/", first).expect("is there");
    for state in [PathState::Cut, PathState::Slow(Duration::from_secs(5))] {
        path.set(state);
        let begun = Instant::now();
        let answer = store.get("/a").await;
        assert!(
            matches!(answer, Err(ControlPlaneError::Unavailable)),
            "{state:?}"
        );
        let took = begun.elapsed();
        println!("{state:?}: away after {took:?}");
        assert!(took < ANSWER, "{state:?}");
        path.set(PathState::Open);
        back(&store).await;
    }
    path.set(PathState::Cut);
    // Nobody says goodbye on a path that was cut: the connection is tried, and then given up.
    let ended = timeout(Duration::from_secs(30), watch.next()).await;
    let ended = ended.expect("the cut shows");
    assert!(
        matches!(ended, Err(ControlPlaneError::Unavailable)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_forgotten_past_cannot_be_watched() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let first = put(&store, "/a").await;
    let last = put(&store, "/b").await;
    etcd.ctl(&["compact", &last.0.to_string()]).await;
    let mut watch = store.watch("/", Revision(first.0 - 1)).expect("is there");
    let ended = watch.next().await;
    assert!(
        matches!(ended, Err(ControlPlaneError::Compacted)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_lease_that_an_operator_ends_is_lost() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let lease = store.grant(Duration::from_secs(60)).await.expect("answers");
    store.renew(lease).await.expect("runs");
    etcd.ctl(&["lease", "revoke", &format!("{:x}", lease.0)])
        .await;
    let renewed = store.renew(lease).await;
    assert!(
        matches!(renewed, Err(ControlPlaneError::LeaseLost)),
        "{renewed:?}"
    );
    store.revoke(lease).await.expect("it is gone, as asked");
}

#[tokio::test]
async fn a_user_must_be_right() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    put(&store, "/a").await;
    etcd.ctl(&["user", "add", "root:secret"]).await;
    etcd.ctl(&["user", "grant-role", "root", "root"]).await;
    etcd.ctl(&["auth", "enable"]).await;
    let user = |password: &str| EtcdOptions {
        user: Some(("root".to_owned(), password.to_owned())),
        ..etcd.options()
    };
    let wrong = EtcdStore::connect(&user("guess")).await;
    assert!(matches!(wrong, Err(ConnectError::Refused(_))));
    let none = EtcdStore::connect(&etcd.options()).await;
    assert!(matches!(none, Err(ConnectError::Refused(_))));
    let right = EtcdStore::connect(&user("secret"))
        .await
        .expect("is let in");
    assert!(right.get("/a").await.expect("answers").is_some());
}
