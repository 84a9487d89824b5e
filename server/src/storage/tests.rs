use std::fs;

use control_plane::testing::ManualClock;

use super::bucket::{Bucket, Conduct};
use super::*;

/// Asks once.
const ONCE: Patience = Patience {
    answer: Duration::from_secs(30),
    retries: 0,
    retry_time: Duration::from_secs(30),
};

impl Storage {
    /// One that asks once.
    pub(crate) fn hasty(config: &S3Config, clock: Arc<dyn Clock>) -> Self {
        Self::patient(config, clock, ONCE).unwrap()
    }
}

struct Fixture {
    bucket: Bucket,
    clock: Arc<ManualClock>,
    storage: Storage,
    dir: tempfile::TempDir,
}

async fn fixture(patience: Patience) -> Fixture {
    let bucket = Bucket::start().await;
    let clock = Arc::new(ManualClock::new());
    let time: Arc<dyn Clock> = clock.clone();
    let storage = Storage::patient(&bucket.config(), time, patience).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.mp4"), b"pictures").unwrap();
    Fixture {
        bucket,
        clock,
        storage,
        dir,
    }
}

impl Fixture {
    async fn put(&self, name: &str) -> Result<(), StorageError> {
        self.storage.put(&self.dir.path().join(name), name).await
    }

    fn asked(&self) -> usize {
        *self.bucket.asked().borrow()
    }
}

#[tokio::test]
async fn what_is_put_is_there() {
    let it = fixture(ONCE).await;
    it.put("a.mp4").await.unwrap();
    assert_eq!(it.bucket.object("rooms/a.mp4").unwrap(), b"pictures");
}

#[tokio::test]
async fn a_refusal_is_the_objects_and_a_failure_the_services() {
    let it = fixture(ONCE).await;
    for status in [400, 403, 404, 413] {
        it.bucket.treat("a.mp4", Conduct::Answer(status));
        let put = it.put("a.mp4").await;
        assert!(matches!(put, Err(StorageError::Refused(_))), "{status}");
    }
    for status in [408, 429, 500, 503] {
        it.bucket.treat("a.mp4", Conduct::Answer(status));
        let put = it.put("a.mp4").await;
        assert!(matches!(put, Err(StorageError::Unreachable(_))), "{status}");
    }
    it.bucket.treat("a.mp4", Conduct::Keep);
    it.put("a.mp4").await.unwrap();
    assert_eq!(it.asked(), 9);
}

#[tokio::test]
async fn a_service_that_hangs_is_not_waited_for() {
    let answer = Duration::from_millis(100);
    let it = fixture(Patience { answer, ..ONCE }).await;
    it.bucket.treat("a.mp4", Conduct::Hang);
    let put = it.put("a.mp4").await;
    assert!(matches!(put, Err(StorageError::Unreachable(_))));
    assert_eq!(it.asked(), 1);
}

#[tokio::test]
async fn nobody_at_the_address_is_a_failure_of_the_service() {
    let it = fixture(ONCE).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut config = it.bucket.config();
    config.endpoint = Some(format!("http://127.0.0.1:{port}"));
    let storage = Storage::hasty(&config, it.clock.clone());
    let put = storage.put(&it.dir.path().join("a.mp4"), "a.mp4").await;
    assert!(matches!(put, Err(StorageError::Unreachable(_))));
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_from_one_that_cannot_be_read() {
    let it = fixture(ONCE).await;
    let gone = it.put("none.mp4").await;
    assert!(matches!(gone, Err(StorageError::Gone(_))));
    fs::create_dir(it.dir.path().join("folder.mp4")).unwrap();
    let unreadable = it.put("folder.mp4").await;
    assert!(matches!(unreadable, Err(StorageError::Unreadable(_))));
    assert_eq!(it.asked(), 0, "the service is not asked");
}

/// As the breaker has it.
const FAILURES_MAX: usize = 5;

#[tokio::test]
async fn a_service_that_fails_again_and_again_is_left_alone_and_tried_once_at_a_time() {
    let it = fixture(ONCE).await;
    it.bucket.treat("a.mp4", Conduct::Answer(503));
    for _ in 0..FAILURES_MAX {
        let put = it.put("a.mp4").await;
        assert!(matches!(put, Err(StorageError::Unreachable(_))));
    }
    let resting = |put: Result<(), StorageError>| match put {
        Err(StorageError::Resting(wait)) => wait,
        other => panic!("{other:?}"),
    };
    assert_eq!(resting(it.put("a.mp4").await), Duration::from_secs(1));
    assert_eq!(it.asked(), FAILURES_MAX, "nothing is asked meanwhile");
    it.clock.advance(Duration::from_secs(1));
    let trial = it.put("a.mp4").await;
    assert!(matches!(trial, Err(StorageError::Unreachable(_))));
    assert_eq!(resting(it.put("a.mp4").await), Duration::from_secs(2));
    assert_eq!(it.asked(), FAILURES_MAX + 1);
    it.bucket.treat("a.mp4", Conduct::Keep);
    it.clock.advance(Duration::from_secs(2));
    it.put("a.mp4").await.unwrap();
    it.put("a.mp4").await.unwrap();
    assert_eq!(it.asked(), FAILURES_MAX + 3);
}

#[tokio::test]
async fn what_is_refused_or_gone_opens_nothing() {
    let it = fixture(ONCE).await;
    it.bucket.treat("a.mp4", Conduct::Answer(403));
    for _ in 0..2 * FAILURES_MAX {
        let refused = it.put("a.mp4").await;
        assert!(matches!(refused, Err(StorageError::Refused(_))));
        let gone = it.put("none.mp4").await;
        assert!(matches!(gone, Err(StorageError::Gone(_))));
    }
    // A refusal in between is an answer, too.
    for status in [503, 503, 503, 503, 403, 503] {
        it.bucket.treat("a.mp4", Conduct::Answer(status));
        it.put("a.mp4").await.unwrap_err();
    }
    it.bucket.treat("a.mp4", Conduct::Keep);
    it.put("a.mp4").await.unwrap();
}
