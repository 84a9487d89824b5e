use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use media_egress::recorder::{Action, Manifest, RecordedFile};

use super::store::earlier;
use super::writer::{MANIFEST, Writer};
use super::*;
use crate::ops::events::Journal;

/// Events that nobody reads.
pub(super) fn news() -> News {
    let clock = Arc::new(crate::clock::SystemClock);
    News::new(Arc::new(Journal::new("wk".to_owned(), clock, 0)))
}

fn record() -> Arc<Record> {
    let view = RecordingView {
        id: "rec".to_owned(),
        worker: "wk".to_owned(),
        room: "r".parse().unwrap(),
        stream: None,
        tracks: Vec::new(),
        rotation_s: None,
        continues: None,
        state: RecordingState::Active,
        fault: None,
        started_at: date_time(Duration::ZERO),
        ended_at: None,
        lost_fragments: 0,
        files: Vec::new(),
    };
    Record::new(view, news())
}

fn manifest(name: &str, bytes: u64, complete: bool) -> Action {
    Action::Manifest(Manifest {
        version: 1,
        name: "a".to_owned(),
        files: vec![RecordedFile {
            name: name.to_owned(),
            started_at: date_time(Duration::ZERO),
            started_ms: 0,
            duration_ms: 1_000,
            bytes,
            complete,
            tracks: Vec::new(),
        }],
    })
}

fn on_disk(dir: &Path) -> RecordingView {
    serde_json::from_slice(&fs::read(dir.join(MANIFEST)).unwrap()).unwrap()
}

async fn write(dir: &Path, record: &Arc<Record>, actions: Vec<Action>) -> bool {
    let writer = Writer::start(dir.to_owned(), Arc::clone(record), None).unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    for action in actions {
        writer.send(0, action, &broken);
    }
    writer.finish().await;
    broken.load(Ordering::Acquire)
}

#[tokio::test]
async fn what_is_appended_lies_on_the_disk_and_in_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let record = record();
    let actions = vec![
        Action::Create("a-00000.mp4".to_owned()),
        Action::Append(Bytes::from_static(b"head")),
        manifest("a-00000.mp4", 4, false),
        Action::Append(Bytes::from_static(b"fragment")),
        Action::Sync,
        Action::Finish("a-00000.mp4".to_owned()),
        manifest("a-00000.mp4", 12, true),
    ];
    assert!(!write(dir.path(), &record, actions).await);
    let written = fs::read(dir.path().join("a-00000.mp4")).unwrap();
    assert_eq!(written, b"headfragment");
    let view = on_disk(dir.path());
    assert_eq!((view.state, view.fault), (RecordingState::Done, None));
    assert_eq!(
        (view.files[0].file.bytes, view.files[0].file.complete),
        (12, true)
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_made_loses_fragments_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a-00000.mp4"), b"somebody's").unwrap();
    let record = record();
    let actions = vec![
        Action::Create("a-00000.mp4".to_owned()),
        Action::Append(Bytes::from_static(b"head")),
    ];
    assert!(
        write(dir.path(), &record, actions).await,
        "another file is to be begun"
    );
    assert_eq!(record.view().lost_fragments, 1);
    assert_eq!(record.view().fault, Some(Fault::DiskError));
    let kept = fs::read(dir.path().join("a-00000.mp4")).unwrap();
    assert_eq!(kept, b"somebody's", "nothing that was there is touched");
    // The next file works, and the fault clears.
    let actions = vec![
        Action::Create("a-00001.mp4".to_owned()),
        Action::Append(Bytes::from_static(b"head")),
    ];
    assert!(!write(dir.path(), &record, actions).await);
    assert_eq!(record.view().fault, None);
}

#[test]
fn what_a_killed_process_left_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("rec");
    fs::create_dir(&folder).unwrap();
    let mut view = record().view().clone();
    let Action::Manifest(left) = manifest("a-00000.mp4", 0, false) else {
        panic!("a manifest");
    };
    let file = left.files[0].clone();
    view.files.push(view::FileView {
        file,
        stored: false,
        lost: false,
    });
    fs::write(folder.join("a-00000.mp4"), [0; 100]).unwrap();
    writer::write_manifest(&folder, &view).unwrap();
    fs::create_dir(dir.path().join("no recording")).unwrap();
    let found = earlier(dir.path(), "next");
    assert_eq!(found.len(), 1);
    assert!(found[0].is_news);
    let view = &found[0].view;
    assert_eq!(view.worker, "next");
    assert_eq!(view.state, RecordingState::Interrupted);
    let file = &view.files[0].file;
    assert_eq!((file.bytes, file.complete), (100, true));
    assert_eq!(on_disk(&folder), *view);
    assert!(!earlier(dir.path(), "next")[0].is_news, "told once");
}

#[test]
fn operators_hear_of_what_changes_and_once() {
    let clock = Arc::new(crate::clock::SystemClock);
    let journal = Arc::new(Journal::new("wk".to_owned(), clock, 0));
    let view = record().view().clone();
    let record = Record::new(view, News::new(Arc::clone(&journal)));
    record.fault(Fault::DiskFull, "no space");
    record.fault(Fault::DiskFull, "no space");
    record.fault(Fault::StorageUnreachable, "no answer");
    record.mended(Fault::DiskFull);
    record.mended(Fault::StorageUnreachable);
    record.view().state = RecordingState::Done;
    record.news.ended(&record.view());
    let told = journal.since(0, 10).events;
    let told: Vec<_> = told
        .iter()
        .map(|event| (event.kind.as_str(), event.data.clone()))
        .collect();
    let fault = |word: serde_json::Value| {
        let data = serde_json::json!({"id": "rec", "room": "r", "fault": word});
        ("recording.fault", data)
    };
    let ended = serde_json::json!({
        "id": "rec", "room": "r", "state": "done", "fault": null,
        "files": 0, "bytes": 0, "lostFragments": 0,
    });
    let expected = [
        fault("disk_full".into()),
        fault("storage_unreachable".into()),
        fault(serde_json::Value::Null),
        ("recording.ended", ended),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_recording_is_of_the_worker_that_has_its_disk() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("rec");
    fs::create_dir(&folder).unwrap();
    let mut view = record().view().clone();
    view.state = RecordingState::Done;
    // Manifests of before name none.
    let mut before = serde_json::to_value(&view).unwrap();
    before.as_object_mut().unwrap().remove("worker").unwrap();
    for manifest in [serde_json::to_value(&view).unwrap(), before] {
        fs::write(folder.join(MANIFEST), manifest.to_string()).unwrap();
        let found = earlier(dir.path(), "next");
        view.worker = "next".to_owned();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].view, view);
    }
}

#[test]
fn faults_are_told_apart() {
    let of = |code| Fault::of(&io::Error::from_raw_os_error(code));
    assert_eq!((of(28), of(122)), (Fault::DiskFull, Fault::DiskFull));
    assert_eq!(of(5), Fault::DiskError);
}
