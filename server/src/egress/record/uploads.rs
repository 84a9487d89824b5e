//! Finished files on their way to a service on a real socket.

use std::fs;
use std::path::Path;
use std::time::Duration;

use control_plane::testing::ManualClock;
use media_egress::recorder::RecordedFile;

use super::store::Uploader;
use super::view::FileView;
use super::*;
use crate::clock::SystemClock;
use crate::storage::bucket::{Bucket, Conduct};
use media_types::Clock;

/// Never reached.
const LIMIT: Duration = Duration::from_secs(30);

struct Fixture {
    bucket: Bucket,
    uploader: Uploader,
    dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    timed(Arc::new(SystemClock)).await
}

async fn timed(clock: Arc<dyn Clock>) -> Fixture {
    let bucket = Bucket::start().await;
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::hasty(&bucket.config(), Arc::clone(&clock));
    let path = dir.path().to_owned();
    let uploader = Uploader::start(storage, path, clock, &Handle::current());
    Fixture {
        bucket,
        uploader,
        dir,
    }
}

fn file(name: &str) -> FileView {
    FileView {
        file: RecordedFile {
            name: name.to_owned(),
            started_at: date_time(Duration::ZERO),
            started_ms: 0,
            duration_ms: 1_000,
            bytes: 8,
            complete: true,
            tracks: Vec::new(),
        },
        stored: false,
        lost: false,
    }
}

impl Fixture {
    /// A recording that has ended, with its files on the disk.
    fn ended(&self, id: &str, names: &[&str]) -> Arc<Record> {
        let folder = self.folder(id);
        fs::create_dir(&folder).unwrap();
        for name in names {
            fs::write(folder.join(name), b"pictures").unwrap();
        }
        let view = RecordingView {
            id: id.to_owned(),
            worker: "wk".to_owned(),
            room: "r".parse().unwrap(),
            stream: None,
            tracks: Vec::new(),
            rotation_s: None,
            continues: None,
            state: RecordingState::Done,
            fault: None,
            started_at: date_time(Duration::ZERO),
            ended_at: None,
            lost_fragments: 0,
            files: names.iter().map(|name| file(name)).collect(),
        };
        Record::new(view, super::tests::news())
    }

    fn folder(&self, id: &str) -> std::path::PathBuf {
        self.dir.path().join(id)
    }

    /// Waits until the bucket has been asked often enough that this holds.
    async fn until(&self, holds: impl Fn() -> bool) {
        let looking = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, looking).await.unwrap();
    }

    async fn until_settled(&self, record: &Record) {
        let settled = || {
            record
                .manifest_settled
                .load(std::sync::atomic::Ordering::Relaxed)
        };
        self.until(settled).await;
    }
}

fn on_disk(folder: &Path) -> RecordingView {
    serde_json::from_slice(&fs::read(folder.join(writer::MANIFEST)).unwrap()).unwrap()
}

#[tokio::test]
async fn a_file_that_is_refused_holds_nobody_up() {
    let it = fixture().await;
    it.bucket.treat("a/0.mp4", Conduct::Answer(403));
    let bad = it.ended("a", &["0.mp4", "1.mp4"]);
    let good = it.ended("b", &["0.mp4"]);
    it.uploader.queue_all(&bad);
    it.uploader.queue_all(&good);
    it.until_settled(&good).await;
    it.until(|| bad.view().files[1].stored).await;
    let keys = ["rooms/a/1.mp4", "rooms/b/0.mp4", "rooms/b/manifest.json"];
    assert_eq!(it.bucket.keys(), keys);
    assert_eq!(bad.view().fault, Some(Fault::StorageRefuses));
    assert_eq!(good.view().fault, None);
    // It is tried again, and the fault clears.
    it.bucket.treat("a/0.mp4", Conduct::Keep);
    it.until_settled(&bad).await;
    assert_eq!(bad.view().fault, None);
    assert_eq!(on_disk(&it.folder("a")), *bad.view());
    assert_eq!(it.bucket.object("rooms/a/0.mp4").unwrap(), b"pictures");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_holds_nobody_up() {
    let it = fixture().await;
    let bad = it.ended("a", &["0.mp4"]);
    let path = it.folder("a").join("0.mp4");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let good = it.ended("b", &["0.mp4"]);
    it.uploader.queue_all(&bad);
    it.uploader.queue_all(&good);
    it.until_settled(&good).await;
    assert_eq!(bad.view().fault, Some(Fault::FileUnreadable));
    assert!(!bad.view().files[0].is_settled());
}

#[tokio::test]
async fn a_file_that_is_gone_is_given_up_and_said_to_be_lost() {
    let it = fixture().await;
    let record = it.ended("a", &["0.mp4", "1.mp4"]);
    fs::remove_file(it.folder("a").join("0.mp4")).unwrap();
    it.uploader.queue_all(&record);
    it.until_settled(&record).await;
    let view = record.view().clone();
    assert_eq!(view.fault, Some(Fault::FileLost));
    let files: Vec<_> = view.files.iter().map(|it| (it.stored, it.lost)).collect();
    assert_eq!(files, [(false, true), (true, false)]);
    // What is stored says so, too, and so does what the next run reads.
    let stored = it.bucket.object("rooms/a/manifest.json").unwrap();
    assert_eq!(
        serde_json::from_slice::<RecordingView>(&stored).unwrap(),
        view
    );
    assert_eq!(on_disk(&it.folder("a")), view);
}

#[tokio::test]
async fn what_is_deleted_is_not_tried_again() {
    let it = fixture().await;
    it.bucket.treat("a/0.mp4", Conduct::Answer(403));
    let gone = it.ended("a", &["0.mp4"]);
    it.uploader.queue_all(&gone);
    it.until(|| gone.view().fault.is_some()).await;
    drop(gone);
    it.uploader.forget();
    // More than one back-off of it passes while another one is tried again and again.
    it.bucket.treat("b/0.mp4", Conduct::Answer(403));
    let other = it.ended("b", &["0.mp4"]);
    it.uploader.queue_all(&other);
    let mut asked = it.bucket.asked();
    let three = asked.wait_for(|asked| *asked >= 3);
    let count = *tokio::time::timeout(LIMIT, three).await.unwrap().unwrap();
    assert_eq!(count, 3, "once for what is gone, twice for the other");
    assert_eq!(it.bucket.asked_of("rooms/a/0.mp4"), 1);
}

#[tokio::test]
async fn storage_that_fails_again_and_again_is_left_alone_and_files_wait() {
    let clock = Arc::new(ManualClock::new());
    let it = timed(clock.clone()).await;
    it.bucket.treat("", Conduct::Answer(503));
    let ids = ["a", "b", "c", "d", "e", "f", "g"];
    let all: Vec<_> = ids.iter().map(|id| it.ended(id, &["0.mp4"])).collect();
    for record in &all {
        it.uploader.queue_all(record);
    }
    let suffers = |it: &Arc<Record>| it.view().fault == Some(Fault::StorageUnreachable);
    it.until(|| all.iter().all(suffers)).await;
    assert_eq!(
        *it.bucket.asked().borrow(),
        5,
        "two were told without being tried"
    );
    // Who comes meanwhile is told as well.
    let late = it.ended("h", &["0.mp4"]);
    it.uploader.queue_all(&late);
    it.until(|| suffers(&late)).await;
    assert_eq!(*it.bucket.asked().borrow(), 5);
    // One trial, and all others follow.
    it.bucket.treat("", Conduct::Keep);
    clock.advance(Duration::from_secs(1));
    it.uploader.forget();
    for record in all.iter().chain([&late]) {
        it.until_settled(record).await;
        assert_eq!(record.view().fault, None);
        assert!(record.view().files[0].stored);
    }
    assert_eq!(*it.bucket.asked().borrow(), 5 + 2 * 8);
}
