//! Recordings: who records what, what became of it, and where it lies (docs/recording.md).
//!
//! A recording is a folder with a manifest. Its task reads frames as any other player does, and
//! says what to write; a thread of its own writes it, so that a slow disk delays nobody. Files
//! that are finished are stored elsewhere where the settings say so, and wait on the disk until
//! they are.

mod job;
mod news;
mod onward;
mod store;
#[cfg(test)]
mod tests;
mod turns;
#[cfg(test)]
mod uploads;
mod view;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use media_egress::hls::playlist::date_time;
use media_egress::recorder::RecorderSettings;
use signaling::{ErrorType, RpcError};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::SteadyClock;
use crate::auth::random_id;
use crate::config::RecordingConfig;
use crate::live::Live;
use crate::storage::Storage;
use job::Job;
pub use news::News;
use store::Uploader;
pub use view::{Fault, RecordingBody, RecordingState, RecordingView};
use writer::Writer;

/// What a recording's task, its writer and the API share.
pub(super) struct Record {
    view: Mutex<RecordingView>,
    news: News,
    stop: watch::Sender<bool>,
    /// The last that storage gets of it is there, or given up.
    manifest_settled: AtomicBool,
}

impl Record {
    fn new(view: RecordingView, news: News) -> Arc<Self> {
        Arc::new(Self {
            view: Mutex::new(view),
            news,
            stop: watch::Sender::new(false),
            manifest_settled: AtomicBool::new(false),
        })
    }

    fn view(&self) -> MutexGuard<'_, RecordingView> {
        self.view
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    /// Notes what went wrong, for the API, the metrics, the log and the events; in these two once
    /// until it is mended.
    fn fault(&self, fault: Fault, detail: &str) {
        let mut view = self.view();
        let first = view.fault != Some(fault);
        view.fault = Some(fault);
        let view = view.clone();
        metrics::counter!(super::metrics::RECORDING_ERRORS, "reason" => fault.word()).increment(1);
        if first {
            tracing::error!(
                recording = view.id,
                reason = fault.word(),
                detail,
                "recording suffers"
            );
            self.news.fault(&view);
        }
    }

    /// What went wrong is mended.
    fn mended(&self, fault: Fault) {
        let mut view = self.view();
        if view.fault == Some(fault) {
            view.fault = view.lasting_fault();
            tracing::info!(
                recording = view.id,
                reason = fault.word(),
                "recording recovered"
            );
            self.news.fault(&view);
        }
    }
}

/// All recordings of this worker, running and finished.
pub struct Recordings {
    worker: String,
    news: News,
    config: RecordingConfig,
    live: Live,
    clock: SteadyClock,
    runtime: Handle,
    records: Mutex<BTreeMap<String, Arc<Record>>>,
    uploader: Option<Uploader>,
}

impl Recordings {
    /// Finds what earlier runs left, and goes on storing it: all of it is this worker's now.
    ///
    /// # Errors
    /// Storage whose settings cannot be used.
    pub fn new(
        (worker, news): (String, News),
        config: RecordingConfig,
        live: Live,
        clock: SteadyClock,
        runtime: Handle,
    ) -> io::Result<Self> {
        let storage = |s3| Storage::new(s3, clock.monotonic());
        let storage = config.s3.as_ref().map(storage).transpose()?;
        let records: BTreeMap<_, _> = store::earlier(&config.dir, &worker)
            .into_iter()
            .map(|found| {
                if found.is_news {
                    news.ended(&found.view);
                }
                let id = found.view.id.clone();
                (id, Record::new(found.view, news.clone()))
            })
            .collect();
        let uploader = storage.map(|storage| {
            let dir = config.dir.clone();
            let uploader = Uploader::start(storage, dir, clock.monotonic(), &runtime);
            for record in records.values() {
                uploader.queue_all(record);
            }
            uploader
        });
        Ok(Self {
            worker,
            news,
            config,
            live,
            clock,
            runtime,
            records: Mutex::new(records),
            uploader,
        })
    }

    /// Begins a recording.
    ///
    /// # Errors
    /// `not_found` where there is nothing to record, `overloaded`, or `unavailable` where the disk
    /// takes nothing.
    pub async fn start(&self, request: RecordingBody) -> Result<RecordingView, RpcError> {
        if let Some(begun) = self.that_continues(request.continues.as_deref()) {
            return Ok(begun);
        }
        let running = self
            .lock()
            .values()
            .filter(|it| it.view().state.is_running())
            .count();
        if running >= usize::try_from(self.config.recordings_max).unwrap_or(usize::MAX) {
            return Err(ErrorType::Overloaded.into());
        }
        let now = self.clock.now();
        let stamp: String = date_time(now)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let id = format!("{stamp}-{}", random_id().get(..8).unwrap_or_default());
        let view = RecordingView {
            id: id.clone(),
            worker: self.worker.clone(),
            room: request.room.clone(),
            stream: request.stream.clone(),
            tracks: request.tracks.clone(),
            rotation_s: request.rotation_s,
            continues: request.continues.clone(),
            state: RecordingState::Active,
            fault: None,
            started_at: date_time(now),
            ended_at: None,
            lost_fragments: 0,
            files: Vec::new(),
        };
        let record = Record::new(view, self.news.clone());
        let settings = RecorderSettings {
            fragment: self.config.fragment,
            rotation: request.rotation().unwrap_or(self.config.rotation),
            sync: self.config.sync,
        };
        let uploader = self.uploader.clone();
        let job = Job::open(&self.live, request, settings, self.clock.clone()).await?;
        let dir = self.config.dir.join(&id);
        let writer = Writer::start(dir, Arc::clone(&record), uploader).map_err(|error| {
            record.fault(Fault::of(&error), &error.to_string());
            RpcError::with_message(ErrorType::Unavailable, "the recording cannot be written")
        })?;
        self.lock().insert(id, Arc::clone(&record));
        let view = record.view().clone();
        self.news.started(&view);
        let clock = self.clock.clone();
        self.runtime.spawn(async move {
            job.run(&record, writer, record.stop.subscribe()).await;
            record.view().ended_at = Some(date_time(clock.now()));
            let view = record.view().clone();
            record.news.ended(&view);
        });
        self.count();
        Ok(view)
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<RecordingView> {
        self.count();
        self.lock()
            .values()
            .map(|record| record.view().clone())
            .collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// `not_found`.
    pub fn get(&self, id: &str) -> Result<RecordingView, RpcError> {
        Ok(self.find(id)?.view().clone())
    }

    /// Ends a recording; what was recorded is finished and stored after the answer.
    ///
    /// # Errors
    /// `not_found`.
    pub fn stop(&self, id: &str) -> Result<RecordingView, RpcError> {
        let record = self.find(id)?;
        if record.view().state == RecordingState::Active {
            record.view().state = RecordingState::Stopping;
        }
        record.stop.send_replace(true);
        let view = record.view().clone();
        Ok(view)
    }

    /// Removes a recording that has ended, with its files here; what is stored elsewhere stays.
    ///
    /// # Errors
    /// `not_found`, or `conflict` while it runs.
    pub fn delete(&self, id: &str) -> Result<(), RpcError> {
        let record = self.find(id)?;
        if record.view().state.is_running() {
            let text = "the recording runs; stop it first";
            return Err(RpcError::with_message(ErrorType::Conflict, text));
        }
        self.lock().remove(id);
        // Before its files, so that nobody takes them for lost.
        drop(record);
        if let Some(uploader) = &self.uploader {
            uploader.forget();
        }
        if let Err(error) = std::fs::remove_dir_all(self.config.dir.join(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(recording = id, %error, "files of a recording stay behind");
        }
        self.count();
        Ok(())
    }

    /// Ends all of them and waits until they are finished; for the end of the worker.
    pub async fn stop_all(&self, limit: Duration) {
        let ids: Vec<String> = self.lock().keys().cloned().collect();
        for id in &ids {
            let _gone = self.stop(id);
        }
        let done = async {
            while self.lock().values().any(|it| it.view().state.is_running()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _late = tokio::time::timeout(limit, done).await;
    }

    /// What goes on from another one, which is asked for until it was answered: begun once, also
    /// where it has ended since.
    fn that_continues(&self, other: Option<&str>) -> Option<RecordingView> {
        let other = other?;
        let records = self.lock();
        let mut views = records.values().map(|it| it.view().clone());
        views.find(|view| view.continues.as_deref() == Some(other))
    }

    fn find(&self, id: &str) -> Result<Arc<Record>, RpcError> {
        let found = self.lock().get(id).cloned();
        found.ok_or_else(|| ErrorType::NotFound.into())
    }

    fn count(&self) {
        let states: Vec<_> = self.lock().values().map(|it| it.view().state).collect();
        for state in RecordingState::ALL {
            let count = states.iter().filter(|it| **it == state).count();
            let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            metrics::gauge!(super::metrics::RECORDINGS, "state" => state.word()).set(count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Record>>> {
        self.records
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }
}
