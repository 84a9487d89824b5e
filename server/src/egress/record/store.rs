//! Finished files on their way to storage, and what earlier runs left on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use media_types::Clock;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::turns::{FileKey, Next, Turns};
use super::view::{Fault, FileView, RecordingState};
use super::writer::{MANIFEST, write_manifest};
use super::{Record, RecordingView};
use crate::storage::{Storage, StorageError};

/// Stores files one after the other, as long as it takes.
#[derive(Clone)]
pub(super) struct Uploader {
    queue: mpsc::UnboundedSender<Weak<Record>>,
}

impl Uploader {
    /// Starts its task.
    pub(super) fn start(
        storage: Storage,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Self {
        // Bounded by the number of files, which the rotation bounds.
        let (queue, inbox) = mpsc::unbounded_channel();
        let task = Uploads {
            storage,
            dir,
            clock,
            turns: Turns::default(),
            records: BTreeMap::new(),
        };
        runtime.spawn(task.run(inbox));
        Self { queue }
    }

    /// Queues what is finished of a recording.
    pub(super) fn queue_all(&self, record: &Arc<Record>) {
        let _stopped = self.queue.send(Arc::downgrade(record));
    }

    /// A recording is gone; nothing of it waits any more.
    pub(super) fn forget(&self) {
        let _stopped = self.queue.send(Weak::new());
    }
}

struct Uploads {
    storage: Storage,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    turns: Turns,
    records: BTreeMap<String, Weak<Record>>,
}

impl Uploads {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Weak<Record>>) {
        loop {
            while let Ok(record) = inbox.try_recv() {
                self.hear(&record);
            }
            let heard = match self.turns.next(self.clock.now()) {
                Next::Store(file) => {
                    self.store(&file).await;
                    continue;
                }
                Next::Wait(wait) => match tokio::time::timeout(wait, inbox.recv()).await {
                    Ok(heard) => heard,
                    Err(_due) => continue,
                },
                Next::Idle => inbox.recv().await,
            };
            match heard {
                Some(record) => self.hear(&record),
                None => return,
            }
        }
    }

    fn hear(&mut self, record: &Weak<Record>) {
        if let Some(record) = record.upgrade() {
            let id = record.view().id.clone();
            self.records.insert(id, Arc::downgrade(&record));
            self.add(&record);
        }
        self.records.retain(|_, record| record.strong_count() > 0);
        let records = &self.records;
        self.turns.keep(|id| records.contains_key(id));
        self.count();
        if self.turns.rests(self.clock.now()) {
            self.tell_all();
        }
    }

    /// What is finished and not settled; the manifest of what has ended, when all else is.
    fn add(&mut self, record: &Record) {
        let now = self.clock.now();
        let view = record.view();
        let file = |name: &str| FileKey {
            recording: view.id.clone(),
            name: name.to_owned(),
        };
        for it in view
            .files
            .iter()
            .filter(|it| it.file.complete && !it.is_settled())
        {
            self.turns.add(file(&it.file.name), now);
        }
        let whole = !view.state.is_running() && view.files.iter().all(FileView::is_settled);
        if whole && !record.manifest_settled.load(Ordering::Relaxed) {
            self.turns.add(file(MANIFEST), now);
        }
    }

    async fn store(&mut self, file: &FileKey) {
        let path = self.dir.join(&file.recording).join(&file.name);
        let name = format!("{}/{}", file.recording, file.name);
        // Nothing is held of the recording meanwhile: whoever deletes it does not wait.
        let put = self.storage.put(&path, &name).await;
        let record = self.records.get(&file.recording).and_then(Weak::upgrade);
        let Some(record) = record else {
            self.turns.done(file);
            return self.count();
        };
        match put {
            Ok(()) => self.stored(&record, file),
            Err(StorageError::Gone(error)) => self.give_up(&record, file, &error.to_string()),
            Err(StorageError::Resting(wait)) => {
                self.turns.rest(self.clock.now() + wait);
                self.tell_all();
            }
            Err(error @ StorageError::Unreachable(_)) => {
                self.turns.put_off(file, self.clock.now());
                record.fault(fault_of(&error), &format!("{}: {error}", file.name));
            }
            Err(error @ (StorageError::Unreadable(_) | StorageError::Refused(_))) => {
                self.turns.failed(file, self.clock.now());
                record.fault(fault_of(&error), &format!("{}: {error}", file.name));
            }
        }
    }

    /// Storage is left alone: what waits suffers from that, whether it was tried or not.
    fn tell_all(&self) {
        for id in self.turns.recordings() {
            let record = self.records.get(&id).and_then(Weak::upgrade);
            if let Some(record) = record.filter(|it| it.view().fault.is_none()) {
                record.fault(Fault::StorageUnreachable, "storage is left alone");
            }
        }
    }

    fn stored(&mut self, record: &Record, file: &FileKey) {
        self.turns.done(file);
        self.count();
        record.mended(Fault::StorageUnreachable);
        if !self.turns.suffers(&file.recording) {
            record.mended(Fault::StorageRefuses);
            record.mended(Fault::FileUnreadable);
        }
        let kept = self.settle(record, file, |it| it.stored = true);
        if kept && !file.is_manifest() && self.storage.deletes_local() {
            let _gone = fs::remove_file(self.dir.join(&file.recording).join(&file.name));
        }
    }

    /// A file that is gone does not come back.
    fn give_up(&mut self, record: &Record, file: &FileKey, why: &str) {
        self.turns.done(file);
        self.count();
        record.fault(Fault::FileLost, &format!("{}: {why}", file.name));
        self.settle(record, file, |it| it.lost = true);
    }

    /// Notes what became of a file; tells whether the manifest on the disk says so.
    fn settle(&mut self, record: &Record, file: &FileKey, note: impl Fn(&mut FileView)) -> bool {
        if file.is_manifest() {
            record.manifest_settled.store(true, Ordering::Relaxed);
            return true;
        }
        let mut view = record.view();
        let found = view.files.iter_mut().find(|it| it.file.name == file.name);
        found.into_iter().for_each(note);
        let copy = view.clone();
        drop(view);
        let written = write_manifest(&self.dir.join(&copy.id), &copy);
        if let Err(error) = &written {
            tracing::warn!(recording = copy.id, %error, "a manifest is not written");
        }
        self.add(record);
        written.is_ok()
    }

    fn count(&self) {
        let count = f64::from(u32::try_from(self.turns.files()).unwrap_or(u32::MAX));
        metrics::gauge!(super::super::metrics::SPOOLED).set(count);
    }
}

const fn fault_of(error: &StorageError) -> Fault {
    match error {
        StorageError::Gone(_) => Fault::FileLost,
        StorageError::Unreadable(_) => Fault::FileUnreadable,
        StorageError::Refused(_) => Fault::StorageRefuses,
        StorageError::Unreachable(_) | StorageError::Resting(_) => Fault::StorageUnreachable,
    }
}

/// What an earlier run left.
pub(super) struct Found {
    pub(super) view: RecordingView,
    /// It was being written when that run ended, and nobody has said so yet.
    pub(super) is_news: bool,
}

/// What earlier runs left. A recording that was being written then was interrupted: its files are
/// as long as they are, and end with a whole fragment or with the rest of one that players ignore.
///
/// A worker has another id after each start, and disks go from one to another.
pub(super) fn earlier(dir: &Path, worker: &str) -> Vec<Found> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let folder = entry.path();
        let text = fs::read(folder.join(MANIFEST)).unwrap_or_default();
        let Ok(mut view) = serde_json::from_slice::<RecordingView>(&text) else {
            continue;
        };
        worker.clone_into(&mut view.worker);
        let is_news = view.state.is_running();
        if is_news {
            view.state = RecordingState::Interrupted;
            for found in view.files.iter_mut().filter(|it| !it.file.complete) {
                found.file.complete = true;
                if let Ok(metadata) = fs::metadata(folder.join(&found.file.name)) {
                    found.file.bytes = metadata.len();
                }
            }
            if let Err(error) = write_manifest(&folder, &view) {
                tracing::warn!(recording = view.id, %error, "a manifest is not written");
            }
        }
        all.push(Found { view, is_news });
    }
    all
}
