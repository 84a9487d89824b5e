use super::*;
use crate::testing::{ManualClock, block_on};

#[test]
fn faults_fire_as_planned() {
    let store = MemoryStore::new(Arc::new(ManualClock::new()));
    store.plan([Fault::None, Fault::Unavailable, Fault::AnswerLost]);
    let put = |value: &[u8]| block_on(store.swap("k", Condition::Absent, value.into(), None));
    assert_eq!(block_on(store.get("k")).unwrap(), None);
    assert!(matches!(put(b"a"), Err(ControlPlaneError::Unavailable)));
    assert!(matches!(put(b"b"), Err(ControlPlaneError::Unavailable)));
    let entry = block_on(store.get("k")).unwrap().unwrap();
    assert_eq!(entry.value, b"b");
    assert_eq!(store.faulted(), 2);
    store.set_down(true);
    assert!(block_on(store.get("k")).is_err());
    store.set_down(false);
    assert!(block_on(store.get("k")).is_ok());
}

/// Keeps in a map, and fails on demand.
#[derive(Clone, Default)]
struct Kept {
    entries: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    broken: Arc<std::sync::atomic::AtomicBool>,
}

impl Kept {
    fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        self.entries.lock().unwrap().clone()
    }

    fn check(&self) -> Result<(), ControlPlaneError> {
        let broken = self.broken.load(std::sync::atomic::Ordering::Relaxed);
        (!broken)
            .then_some(())
            .ok_or(ControlPlaneError::Unavailable)
    }
}

impl Journal for Kept {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), ControlPlaneError> {
        self.check()?;
        let mut entries = self.entries.lock().unwrap();
        entries.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Result<(), ControlPlaneError> {
        self.check()?;
        self.entries.lock().unwrap().remove(key);
        Ok(())
    }
}

#[test]
fn what_is_bound_to_no_lease_is_kept() {
    let clock = Arc::new(ManualClock::new());
    let journal = Kept::default();
    let open = || {
        let kept = journal.entries();
        MemoryStore::with_journal(clock.clone(), kept, Box::new(journal.clone()))
    };
    let store = open();
    let lease = block_on(store.grant(Duration::from_secs(10))).unwrap();
    let put = |store: &MemoryStore, key: &str, lease| {
        let swap = block_on(store.swap(key, Condition::Absent, key.into(), lease));
        let Ok(Swap::Done(revision)) = swap else {
            panic!("{swap:?}");
        };
        revision
    };
    put(&store, "/kept", None);
    put(&store, "/leased", Some(lease));
    let gone = put(&store, "/gone", None);
    block_on(store.delete("/gone", gone)).unwrap();
    let store = open();
    let listing = block_on(store.list("/")).unwrap();
    let keys: Vec<_> = listing.entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["/kept"]);
    assert_eq!(listing.entries[0].value, b"/kept");
}

#[test]
fn what_cannot_be_kept_is_not_written() {
    let journal = Kept::default();
    let clock = Arc::new(ManualClock::new());
    let store = MemoryStore::with_journal(clock, [], Box::new(journal.clone()));
    journal
        .broken
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let swap = block_on(store.swap("/a", Condition::Absent, b"1".into(), None));
    assert!(matches!(swap, Err(ControlPlaneError::Unavailable)));
    assert_eq!(block_on(store.get("/a")).unwrap(), None);
}

#[test]
fn a_forgotten_past_cannot_be_watched() {
    let store = MemoryStore::new(Arc::new(ManualClock::new()));
    for _ in 0..=HISTORY_MAX {
        let swap = block_on(store.swap("k", Condition::Absent, Vec::new(), None));
        let Ok(Swap::Done(revision)) = swap else {
            panic!("{swap:?}");
        };
        block_on(store.delete("k", revision)).unwrap();
    }
    let watch = store.watch("k", Revision(1));
    assert!(matches!(watch, Err(ControlPlaneError::Compacted)));
}

#[test]
fn a_past_of_large_values_is_forgotten_sooner() {
    let store = MemoryStore::new(Arc::new(ManualClock::new()));
    let value = vec![0; HISTORY_BYTES_MAX / 4];
    for number in 0..8 {
        let key = format!("k{number}");
        let swap = block_on(store.swap(&key, Condition::Absent, value.clone(), None));
        assert_eq!(swap.unwrap(), Swap::Done(Revision(number + 1)));
    }
    // With their keys four do not fit: the last three are there.
    assert!(matches!(
        store.watch("k", Revision(4)),
        Err(ControlPlaneError::Compacted)
    ));
    let mut watch = store.watch("k", Revision(5)).unwrap();
    for number in 6..=8 {
        let next = std::future::poll_fn(|context| watch.poll_next(context));
        let change = block_on(next).unwrap();
        assert_eq!(change.revision(), Revision(number));
    }
}
