//! Transcoding jobs of this worker: each a codec process of its own, and never a codec in ours.
//!
//! [`Transcoding::open`] starts a job. Frames go in by a [`TranscodeHandle`] and come out of a
//! [`TranscodeOutput`]; in between, one task a job, on a thread that all of them share, moves them
//! over the process's socket, and a [`Transcoder`](actors::Transcoder) starts the process, watches
//! it, and gives the job up when it fails too often. A process that is killed costs its stream a
//! fraction of a second; what the source sent meanwhile, and what the old process had not given
//! back, goes to the new one.

mod metrics;
mod process;
mod pump;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actors::{CodecProcess, TranscoderMessage};
use dashmap::DashMap;
use futures_util::future::BoxFuture;
use media_transcode::Job;
use media_types::{Bitrate, EncodedFrame, MediaKind, RoomName};
use signaling::RpcError;
use supervision::Child;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::config::TranscodeConfig;
use crate::limits::{TRANSCODE_INPUTS_MAX, TRANSCODE_ORDERS_MAX, TRANSCODE_OUTPUTS_MAX};

pub use metrics::describe;
pub use status::TranscoderStatus;

use process::Program;
use pump::{Desk, Pump};

/// What goes to the task of a job.
pub(crate) enum Input {
    /// From the source.
    Frame(EncodedFrame),
    /// The next picture is to be a keyframe.
    Keyframe,
    /// The bitrate from here on.
    Bitrate(Bitrate),
}

/// Why a job is not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscodeError {
    /// There is no codec process to start.
    #[error("there is no {}: install troupe-codec there or set transcode.program", path.display())]
    NoProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// `transcode.jobs_max` of them run.
    #[error("{max} transcoding jobs run, which is transcode.jobs_max")]
    TooManyJobs {
        /// The setting.
        max: usize,
    },
    /// The description is none that a codec process would take.
    #[error("a number of the job is out of range")]
    Invalid,
}

/// Where the actors of jobs live.
pub trait Nursery: Send + Sync {
    /// Starts the actor of a job of that room.
    fn adopt(&self, room: &RoomName, process: Arc<dyn CodecProcess>) -> Adopted;
}

/// The actor of a job, or why there is none.
pub type Adopted = BoxFuture<'static, Result<Child<TranscoderMessage>, RpcError>>;

/// Under the supervisor of the room, with which they end.
impl Nursery for actors::System {
    fn adopt(&self, room: &RoomName, process: Arc<dyn CodecProcess>) -> Adopted {
        let (system, room) = (self.clone(), room.clone());
        Box::pin(async move { system.open_transcoder(&room, process).await })
    }
}

/// All jobs of the worker. Cheap to clone.
#[derive(Clone)]
pub struct Transcoding {
    shared: Arc<Shared>,
}

struct Shared {
    program: Program,
    jobs_max: usize,
    nursery: Arc<dyn Nursery>,
    runtime: Handle,
    next: AtomicU64,
    jobs: DashMap<u64, Arc<Desk>>,
}

impl Transcoding {
    /// Makes the place for jobs; none is running. What moves their frames lives on a thread that
    /// is started here.
    ///
    /// # Errors
    /// A thread that the system refuses.
    pub fn start(config: &TranscodeConfig, nursery: Arc<dyn Nursery>) -> std::io::Result<Self> {
        let runtime = process::start_thread()?;
        Ok(Self {
            shared: Arc::new(Shared {
                program: Program::new(config),
                jobs_max: config.jobs_max,
                nursery,
                runtime,
                next: AtomicU64::new(1),
                jobs: DashMap::new(),
            }),
        })
    }

    /// Begins a job for a stream of a room that is open here: else nothing will come of it.
    ///
    /// # Errors
    /// See [`TranscodeError`].
    pub fn open(
        &self,
        room: &RoomName,
        stream: &str,
        job: Job,
    ) -> Result<(TranscodeHandle, TranscodeOutput), TranscodeError> {
        let shared = &self.shared;
        shared.program.check()?;
        if !job.is_valid() {
            return Err(TranscodeError::Invalid);
        }
        let max = shared.jobs_max;
        if shared.jobs.len() >= max {
            return Err(TranscodeError::TooManyJobs { max });
        }
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        let (inputs, to_pump) = mpsc::channel(TRANSCODE_INPUTS_MAX);
        let (orders, to_obey) = mpsc::channel(TRANSCODE_ORDERS_MAX);
        let (made, output) = mpsc::channel(TRANSCODE_OUTPUTS_MAX);
        let desk = Arc::new(Desk::new(
            room.clone(),
            stream.to_owned(),
            job.clone(),
            orders,
            inputs.downgrade(),
        ));
        shared.jobs.insert(id, Arc::clone(&desk));
        let kind = job.kind();
        metrics::opened(&job);
        let adopted = shared.nursery.adopt(room, desk.clone());
        let (program, ended) = (shared.program.clone(), self.clone());
        shared.runtime.spawn(async move {
            match adopted.await {
                Ok(actor) => {
                    let pump = Pump::new(job, program, desk, made, actor.mailbox);
                    pump.run(to_pump, to_obey).await;
                    actor.stopper.stop();
                }
                Err(error) => tracing::warn!(?error, "a transcoding job has no room"),
            }
            ended.forget(id);
        });
        let handle = TranscodeHandle {
            inputs,
            kind,
            broken: Arc::new(AtomicBool::new(false)),
        };
        Ok((handle, TranscodeOutput { frames: output }))
    }

    /// How every job is, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<TranscoderStatus> {
        let jobs = self.shared.jobs.iter();
        let mut list: Vec<_> = jobs.map(|job| job.value().status(*job.key())).collect();
        list.sort_by_key(|status| status.id);
        list
    }

    /// Sets what a job's encoder aims at from here on. `None` where there is no such job, `false`
    /// where it takes no such rate, or nothing at the moment.
    #[must_use]
    pub fn set_bitrate(&self, id: u64, bitrate: Bitrate) -> Option<bool> {
        let jobs = &self.shared.jobs;
        jobs.get(&id).map(|desk| desk.set_bitrate(bitrate))
    }

    fn forget(&self, id: u64) {
        if let Some((_, desk)) = self.shared.jobs.remove(&id) {
            metrics::closed(desk.job());
        }
    }
}

/// What operators see of jobs, and change.
pub trait Jobs: Send + Sync {
    /// How every job of this worker is, oldest first.
    fn list(&self) -> Vec<TranscoderStatus>;
    /// See [`Transcoding::set_bitrate`].
    fn set_bitrate(&self, id: u64, bitrate: Bitrate) -> Option<bool>;
}

impl Jobs for Transcoding {
    fn list(&self) -> Vec<TranscoderStatus> {
        Self::list(self)
    }

    fn set_bitrate(&self, id: u64, bitrate: Bitrate) -> Option<bool> {
        Self::set_bitrate(self, id, bitrate)
    }
}

/// Jobs of which no process is left: those of a worker that has none.
impl Jobs for Vec<TranscoderStatus> {
    fn list(&self) -> Vec<TranscoderStatus> {
        self.clone()
    }

    fn set_bitrate(&self, id: u64, _: Bitrate) -> Option<bool> {
        self.iter().any(|job| job.id == id).then_some(false)
    }
}

/// The way into a job; when the last clone is dropped the job ends.
#[derive(Clone)]
pub struct TranscodeHandle {
    inputs: mpsc::Sender<Input>,
    kind: MediaKind,
    /// A picture was dropped here: what refers to it is no use.
    broken: Arc<AtomicBool>,
}

impl TranscodeHandle {
    /// Hands on a frame, in order of decoding. Never waits; `false` where it is dropped, as the
    /// rest of its group of pictures then is.
    #[must_use]
    pub fn push(&self, frame: EncodedFrame) -> bool {
        let video = self.kind == MediaKind::Video;
        if video && !frame.keyframe && self.broken.load(Ordering::Relaxed) {
            return false;
        }
        let pushed = self.inputs.try_send(Input::Frame(frame)).is_ok();
        self.broken.store(video && !pushed, Ordering::Relaxed);
        pushed
    }

    /// Has the next picture be a keyframe.
    pub fn keyframe(&self) {
        let _ = self.inputs.try_send(Input::Keyframe);
    }

    /// Sets the bitrate from here on; one that the job's encoder does not take changes nothing.
    pub fn set_bitrate(&self, bitrate: Bitrate) {
        let _ = self.inputs.try_send(Input::Bitrate(bitrate));
    }
}

/// The way out of a job.
pub struct TranscodeOutput {
    frames: mpsc::Receiver<EncodedFrame>,
}

impl TranscodeOutput {
    /// The next frame, in order; `None` once the job was given up, or its handles are gone. After
    /// a process was replaced the first picture is a keyframe.
    pub async fn recv(&mut self) -> Option<EncodedFrame> {
        self.frames.recv().await
    }
}
