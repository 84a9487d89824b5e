use control_plane::MemoryStore;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::SystemClock;

fn deed(n: u64) -> Deed {
    Deed {
        actor: "ann".to_owned(),
        key: "main".to_owned(),
        action: format!("PUT /admin/v1/flags/f{n}"),
        status: 200,
        detail: json!({"n": n}),
    }
}

fn audit(store: &Arc<MemoryStore>, retention: Duration) -> Audit {
    let store = Arc::clone(store) as Arc<dyn Store>;
    Audit::new(store, Arc::new(SystemClock), "wk".to_owned(), retention)
}

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(Arc::new(SystemClock)))
}

const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);

#[tokio::test]
async fn a_chain_goes_on_over_a_restart() {
    let store = store();
    let first = audit(&store, MONTH);
    first.write(deed(1)).await.unwrap();
    first.write(deed(2)).await.unwrap();
    let head = first.head("http://a").await.unwrap();
    let second = audit(&store, MONTH);
    second.write(deed(3)).await.unwrap();
    let records = second.records().await.unwrap();
    assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(records[0].prev, GENESIS);
    assert_eq!(verify(&records, Some((head.seq, &head.hash))), Ok(()));
    assert_eq!(second.head("").await.unwrap().chain, head.chain);
    // A log that ends before what the store remembers was cut.
    assert_eq!(
        verify(&records[..1], Some((2, &head.hash))),
        Err(Broken::Head(2))
    );
    assert_eq!(verify(&records[1..], None), Ok(()));
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_the_rest_still_holds() {
    let store = store();
    let log = audit(&store, Duration::ZERO);
    for n in 1..=3 {
        log.write(deed(n)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(3)).await;
    log.forget().await.unwrap();
    assert_eq!(log.records().await.unwrap(), []);
    let later = audit(&store, MONTH);
    later.write(deed(4)).await.unwrap();
    let records = later.records().await.unwrap();
    assert_eq!(records[0].seq, 4);
    assert_ne!(records[0].prev, GENESIS);
    assert_eq!(verify(&records, None), Ok(()));
}

proptest! {
    /// Whatever is changed in whichever entry is found at that entry, or at the next.
    #[test]
    fn a_changed_entry_is_found(which in 0..5_usize, what in 0..4_u8, with in "[a-z]{1,8}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = store();
        let log = audit(&store, MONTH);
        let mut records = runtime.block_on(async {
            for n in 0..5 {
                log.write(deed(n)).await.unwrap();
            }
            log.records().await.unwrap()
        });
        let record = &mut records[which];
        match what {
            0 => record.body = record.body.replace("ann", &format!("not-{with}")),
            1 => record.hash = hash_of(&record.prev, &with),
            2 => record.prev = hash_of(&with, ""),
            _ => {
                // A forger that makes the entry whole again is found at the next.
                record.body = record.body.replace("ann", &format!("not-{with}"));
                record.hash = hash_of(&record.prev, &record.body);
            }
        }
        let head = records.last().map(|_| (5, "the head of before"));
        let found = verify(&records, head.filter(|_| which == 4));
        let at = u64::try_from(which).unwrap() + 1;
        let expected = [
            Err(Broken::Changed(at)),
            Err(Broken::Gap(at + 1)),
            Err(Broken::Head(5)),
        ];
        prop_assert!(expected.contains(&found), "{found:?}");
    }
}
