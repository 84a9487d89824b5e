//! The thread that writes one recording.
//!
//! A fragment is appended whole or not at all: one that fails half way is cut off again, its file
//! ends there, and the recorder is told to begin another. The manifest says what really lies on the
//! disk; it is written beside and then put in place.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use media_egress::recorder::{Action, Manifest};

use super::Record;
use super::store::Uploader;
use super::view::{Fault, FileView};

/// Orders that may wait for the disk: a minute of a few streams.
const ORDERS_MAX: usize = 256;
/// The name of a recording's manifest.
pub(super) const MANIFEST: &str = "manifest.json";

/// One stream's recorder in a recording.
pub(super) type StreamId = u64;

struct Order {
    stream: StreamId,
    action: Action,
    /// Set when the recorder has to begin another file.
    broken: Arc<AtomicBool>,
}

/// The writer as a recording's task holds it.
pub(super) struct Writer {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
    record: Arc<Record>,
}

impl Writer {
    /// Makes the folder and starts the thread.
    pub(super) fn start(
        dir: PathBuf,
        record: Arc<Record>,
        uploader: Option<Uploader>,
    ) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let mut disk = Disk {
            dir,
            record: Arc::clone(&record),
            uploader,
            open: HashMap::new(),
        };
        disk.write_manifest()?;
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || disk.run(&inbox))?;
        Ok(Self {
            orders,
            thread,
            record,
        })
    }

    /// Hands an order over. Never waits: where the disk is too slow the order is lost, and the
    /// recorder has to begin another file.
    pub(super) fn send(&self, stream: StreamId, action: Action, broken: &Arc<AtomicBool>) {
        let fragment = matches!(action, Action::Append(_));
        let order = Order {
            stream,
            action,
            broken: Arc::clone(broken),
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.orders.try_send(order)
        {
            broken.store(true, Ordering::Release);
            self.record.view().lost_fragments += u64::from(fragment);
            self.record
                .fault(Fault::DiskSlow, "the queue of the disk is full");
        }
    }

    /// Lets the thread finish what it was given.
    pub(super) async fn finish(self) {
        drop(self.orders);
        let _joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

struct OpenFile {
    file: File,
    name: String,
    /// Bytes up to the last whole fragment.
    good: u64,
}

struct Disk {
    dir: PathBuf,
    record: Arc<Record>,
    uploader: Option<Uploader>,
    open: HashMap<StreamId, OpenFile>,
}

impl Disk {
    fn run(&mut self, inbox: &Receiver<Order>) {
        while let Ok(order) = inbox.recv() {
            let fragment = matches!(order.action, Action::Append(_));
            match self.obey(order.stream, order.action) {
                Ok(()) => {}
                Err(error) => {
                    order.broken.store(true, Ordering::Release);
                    self.record.view().lost_fragments += u64::from(fragment);
                    self.record.fault(Fault::of(&error), &error.to_string());
                    self.cut_off(order.stream);
                }
            }
        }
        for stream in self.open.keys().copied().collect::<Vec<_>>() {
            self.cut_off(stream);
        }
        {
            let mut view = self.record.view();
            view.state = super::RecordingState::Done;
        }
        self.save();
        if let Some(uploader) = &self.uploader {
            uploader.queue_all(&self.record);
        }
    }

    fn obey(&mut self, stream: StreamId, action: Action) -> io::Result<()> {
        match action {
            Action::Create(name) => {
                let path = self.dir.join(&name);
                let file = OpenOptions::new()
                    .append(true)
                    .create_new(true)
                    .open(path)?;
                self.open.insert(
                    stream,
                    OpenFile {
                        file,
                        name,
                        good: 0,
                    },
                );
                sync_dir(&self.dir)
            }
            Action::Append(bytes) => {
                let Some(open) = self.open.get_mut(&stream) else {
                    // Its file was cut off; the next one is on its way.
                    return Err(io::Error::other("no file is open"));
                };
                open.file.write_all(&bytes)?;
                let length = u64::try_from(bytes.len()).unwrap_or(0);
                open.good += length;
                metrics::counter!(super::super::metrics::RECORDED).increment(length);
                for fault in [Fault::DiskFull, Fault::DiskError, Fault::DiskSlow] {
                    self.record.mended(fault);
                }
                Ok(())
            }
            Action::Sync => match self.open.get(&stream) {
                Some(open) => open.file.sync_data(),
                None => Ok(()),
            },
            Action::Finish(name) => {
                if self.open.get(&stream).is_some_and(|open| open.name == name) {
                    self.open.remove(&stream);
                }
                Ok(())
            }
            Action::Manifest(manifest) => {
                self.take_manifest(&manifest);
                self.write_manifest()?;
                if let Some(uploader) = &self.uploader {
                    uploader.queue_all(&self.record);
                }
                Ok(())
            }
        }
    }

    /// Ends a file at its last whole fragment.
    fn cut_off(&mut self, stream: StreamId) {
        let Some(open) = self.open.remove(&stream) else {
            return;
        };
        let cut = open
            .file
            .set_len(open.good)
            .and_then(|()| open.file.sync_data());
        if let Err(error) = cut {
            tracing::warn!(file = open.name, %error, "a damaged fragment stays at a file's end");
        }
        let mut view = self.record.view();
        if let Some(found) = view.files.iter_mut().find(|it| it.file.name == open.name) {
            found.file.bytes = open.good;
            found.file.complete = true;
        }
        drop(view);
        self.save();
    }

    fn take_manifest(&mut self, manifest: &Manifest) {
        let mut view = self.record.view();
        for file in &manifest.files {
            let length = fs::metadata(self.dir.join(&file.name)).map(|it| it.len());
            let Ok(length) = length else {
                continue;
            };
            let mut file = file.clone();
            file.bytes = length.min(file.bytes);
            match view.files.iter_mut().find(|it| it.file.name == file.name) {
                // What was cut off stays as it is.
                Some(known) if known.file.complete => {}
                Some(known) => known.file = file,
                None => view.files.push(FileView {
                    file,
                    stored: false,
                    lost: false,
                }),
            }
        }
    }

    fn save(&mut self) {
        if let Err(error) = self.write_manifest() {
            self.record.fault(Fault::of(&error), &error.to_string());
        }
    }

    fn write_manifest(&mut self) -> io::Result<()> {
        let view = self.record.view().clone();
        write_manifest(&self.dir, &view)
    }
}

/// Writes a manifest beside the one before and puts it in its place.
pub(super) fn write_manifest(dir: &Path, view: &super::RecordingView) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(view).map_err(io::Error::other)?;
    let beside = dir.join("manifest.json.new");
    let mut file = File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_data()?;
    fs::rename(&beside, dir.join(MANIFEST))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
