//! Finished files on their way to storage, and what earlier runs left on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::view::{Fault, RecordingState};
use super::writer::{MANIFEST, write_manifest};
use super::{Record, RecordingView};
use crate::storage::Storage;

/// The first and the longest wait after a failure to store.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Stores files one after the other, as long as it takes.
#[derive(Clone)]
pub(super) struct Uploader {
    queue: mpsc::UnboundedSender<Weak<Record>>,
}

impl Uploader {
    /// Starts its task.
    pub(super) fn start(storage: Storage, dir: PathBuf, runtime: &Handle) -> Self {
        // Bounded by the number of files, which the rotation bounds.
        let (queue, inbox) = mpsc::unbounded_channel();
        runtime.spawn(run(storage, dir, inbox));
        Self { queue }
    }

    /// Queues what is finished of a recording.
    pub(super) fn queue_all(&self, record: &Arc<Record>) {
        let _stopped = self.queue.send(Arc::downgrade(record));
    }
}

async fn run(storage: Storage, dir: PathBuf, mut inbox: mpsc::UnboundedReceiver<Weak<Record>>) {
    while let Some(record) = inbox.recv().await {
        let mut wait = RETRY.0;
        while let Some(record) = record.upgrade() {
            let Some(name) = pending(&record) else {
                break;
            };
            let id = record.view().id.clone();
            let file = dir.join(&id).join(&name);
            match storage.put(&file, &format!("{id}/{name}")).await {
                Ok(()) => {
                    wait = RETRY.0;
                    record.mended(Fault::StorageUnreachable);
                    if name == MANIFEST {
                        record.manifest_stored.store(true, Ordering::Relaxed);
                        break;
                    }
                    mark(&record, &dir, &name);
                    if storage.deletes_local() {
                        let _gone = fs::remove_file(file);
                    }
                }
                Err(error) => {
                    record.fault(Fault::StorageUnreachable, &error.to_string());
                    drop(record);
                    tokio::time::sleep(wait).await;
                    wait = wait.saturating_mul(2).min(RETRY.1);
                }
            }
        }
    }
}

/// The first finished file that is not stored yet; the manifest of a recording that has ended, when
/// all its files are.
fn pending(record: &Record) -> Option<String> {
    let view = record.view();
    let waiting: Vec<&str> = view
        .files
        .iter()
        .filter(|it| it.file.complete && !it.stored)
        .map(|it| it.file.name.as_str())
        .collect();
    let count = f64::from(u32::try_from(waiting.len()).unwrap_or(u32::MAX));
    metrics::gauge!(super::super::metrics::SPOOLED).set(count);
    if let Some(name) = waiting.first() {
        return Some((*name).to_owned());
    }
    let whole = !view.state.is_running() && view.files.iter().all(|it| it.stored);
    let due = whole && !record.manifest_stored.load(Ordering::Relaxed);
    due.then(|| MANIFEST.to_owned())
}

fn mark(record: &Record, dir: &Path, name: &str) {
    let mut view = record.view();
    if let Some(found) = view.files.iter_mut().find(|it| it.file.name == name) {
        found.stored = true;
    }
    let view = view.clone();
    if let Err(error) = write_manifest(&dir.join(&view.id), &view) {
        tracing::warn!(recording = view.id, %error, "a manifest is not written");
    }
}

/// What earlier runs left. A recording that was being written then was interrupted: its files are
/// as long as they are, and end with a whole fragment or with the rest of one that players ignore.
pub(super) fn earlier(dir: &Path) -> Vec<RecordingView> {
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
        if view.state.is_running() {
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
        all.push(view);
    }
    all
}
