//! The queues between a shard's thread and everybody else. None of them blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use media_contract::{Command, Event, PlaneError, RelayPeer, ShardLoad};
use media_types::ShardId;
use media_webrtc::Path;
use tokio::sync::Notify;

use super::far::Far;
use super::live::LiveInput;
use super::wake::Wake;
use super::{StreamOut, ThreadFigures};
use crate::limits::{COMMANDS_MAX, LIVE_INPUTS_MAX, RELAY_MAX, REPORTS_MAX, STREAM_INPUTS_MAX};

/// What a shard tells the control threads.
#[derive(Debug)]
pub(crate) enum Report {
    /// The packet core's own.
    Event(Event),
    /// How the thread fared in the last second.
    Figures(Box<ThreadFigures>),
    /// The thread panicked; a fresh shard runs, and everything in the old one is gone.
    Restarted,
    /// It panicked too often; there is no shard any more.
    Spent,
}

/// What an ICE-TCP connection brings to its shard.
#[derive(Debug)]
pub(crate) enum StreamInput {
    /// A connection whose first STUN request named this shard.
    Opened(StreamOut),
    /// One frame.
    Frame {
        /// Whose.
        path: Path,
        /// Its bytes.
        bytes: Vec<u8>,
        /// The connection's count of frames on their way; lowered when this one was taken.
        in_flight: Arc<AtomicU32>,
    },
    /// The connection ended.
    Closed {
        /// Which.
        path: Path,
        /// Its number, since its addresses may already be in use again.
        number: u64,
    },
}

/// The queues into one shard, shared by all who write to it.
#[derive(Debug)]
pub(crate) struct Inbox {
    id: ShardId,
    commands: ArrayQueue<Command>,
    streams: ArrayQueue<StreamInput>,
    live: ArrayQueue<LiveInput>,
    wake: Wake,
    stopping: AtomicBool,
    gone: AtomicBool,
    /// Transports in the upper half, busy millionths in the lower, so that both are of one moment.
    load: AtomicU64,
}

impl Inbox {
    pub(crate) fn new(id: ShardId, wake: Wake) -> Self {
        Self {
            id,
            commands: ArrayQueue::new(COMMANDS_MAX),
            streams: ArrayQueue::new(STREAM_INPUTS_MAX),
            live: ArrayQueue::new(LIVE_INPUTS_MAX),
            wake,
            stopping: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            load: AtomicU64::new(0),
        }
    }

    /// Queues a command.
    pub(crate) fn command(&self, command: Command) -> Result<(), PlaneError> {
        if self.is_gone() {
            return Err(PlaneError::Gone);
        }
        self.commands
            .push(command)
            .map_err(|_refused| PlaneError::Busy)?;
        self.wake.raise();
        Ok(())
    }

    /// Queues what came over TCP; hands it back when there is no room.
    pub(crate) fn stream(&self, input: StreamInput) -> Result<(), StreamInput> {
        self.streams.push(input)?;
        self.wake.raise();
        Ok(())
    }

    /// Queues what live media brings; hands it back when there is no room, or no shard.
    pub(crate) fn live(&self, input: LiveInput) -> Result<(), LiveInput> {
        if self.is_gone() {
            return Err(input);
        }
        self.live.push(input)?;
        self.wake.raise();
        Ok(())
    }

    pub(super) fn next_live(&self) -> Option<LiveInput> {
        self.live.pop()
    }

    /// Asks the thread to take one last turn and end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.raise();
    }

    pub(crate) fn load(&self) -> ShardLoad {
        let packed = self.load.load(Ordering::Relaxed);
        let half = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or(u32::MAX);
        ShardLoad {
            shard: self.id,
            transports: half(packed >> 32),
            busy_ppm: half(packed),
        }
    }

    pub(crate) const fn id(&self) -> ShardId {
        self.id
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    pub(super) fn next_command(&self) -> Option<Command> {
        self.commands.pop()
    }

    pub(super) fn has_no_command(&self) -> bool {
        self.commands.is_empty()
    }

    pub(crate) fn next_stream(&self) -> Option<StreamInput> {
        self.streams.pop()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.commands.is_empty() && self.streams.is_empty() && self.live.is_empty()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn set_load(&self, transports: u32, busy_ppm: u32) {
        let packed = (u64::from(transports) << 32) | u64::from(busy_ppm);
        self.load.store(packed, Ordering::Relaxed);
    }

    pub(super) fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// The shard's end of the queue of reports.
#[derive(Debug)]
pub(crate) struct Reporter {
    reports: rtrb::Producer<Report>,
    /// Dropped after the queue, so that the reader finds it abandoned when it is woken.
    bell: Bell,
    written: bool,
}

/// Rings when there is something to read, and once more at its end.
#[derive(Debug)]
struct Bell(Arc<Notify>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The control threads' end of the queue of reports.
#[derive(Debug)]
pub(crate) struct Reports {
    reports: rtrb::Consumer<Report>,
    waiting: Arc<Notify>,
}

/// The queue of reports.
pub(crate) fn reports() -> (Reporter, Reports) {
    let (producer, consumer) = rtrb::RingBuffer::new(REPORTS_MAX);
    let waiting = Arc::new(Notify::new());
    let reporter = Reporter {
        reports: producer,
        bell: Bell(Arc::clone(&waiting)),
        written: false,
    };
    let reports = Reports {
        reports: consumer,
        waiting,
    };
    (reporter, reports)
}

impl Reporter {
    pub(super) fn has_room(&self) -> bool {
        !self.reports.is_full()
    }

    /// Queues a report; whether there was room.
    pub(super) fn tell(&mut self, report: Report) -> bool {
        let told = self.reports.push(report).is_ok();
        self.written |= told;
        told
    }

    /// Wakes the reader if there is something new.
    pub(super) fn flush(&mut self) {
        if std::mem::take(&mut self.written) {
            self.bell.0.notify_one();
        }
    }
}

impl Reports {
    /// The next report, if there is one.
    pub(crate) fn next(&mut self) -> Option<Report> {
        self.reports.pop().ok()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Waits for more; `false` when nobody will write any.
    pub(crate) async fn more(&mut self) -> bool {
        if self.reports.is_abandoned() {
            return !self.reports.is_empty();
        }
        self.waiting.notified().await;
        true
    }
}

/// One shard's ends of the queues from and to all other shards of its worker.
#[derive(Debug)]
pub(crate) struct Lanes<R> {
    outgoing: Vec<Option<Lane<R>>>,
    incoming: Vec<(ShardId, rtrb::Consumer<R>)>,
    /// From and to other workers, where there may be any.
    far: Option<Far<R>>,
}

#[derive(Debug)]
struct Lane<R> {
    queue: rtrb::Producer<R>,
    to: Arc<Inbox>,
    written: bool,
}

/// Queues between every two of these shards, in the order of their inboxes.
pub(crate) fn lanes<R>(inboxes: &[Arc<Inbox>]) -> Vec<Lanes<R>> {
    let empty = || Lanes {
        outgoing: Vec::new(),
        incoming: Vec::new(),
        far: None,
    };
    let mut all: Vec<Lanes<R>> = inboxes.iter().map(|_| empty()).collect();
    for (from_index, from) in inboxes.iter().enumerate() {
        for (to_index, to) in inboxes.iter().enumerate() {
            if from_index == to_index {
                all[from_index].outgoing.push(None);
                continue;
            }
            let (producer, consumer) = rtrb::RingBuffer::new(RELAY_MAX);
            all[from_index].outgoing.push(Some(Lane {
                queue: producer,
                to: Arc::clone(to),
                written: false,
            }));
            all[to_index].incoming.push((from.id, consumer));
        }
    }
    all
}

impl<R> Lanes<R> {
    /// Adds the queues from and to other workers.
    pub(super) fn set_far(&mut self, far: Far<R>) {
        self.far = Some(far);
    }

    /// Sends to another shard; whether there was room.
    pub(super) fn send(&mut self, to: RelayPeer, message: R) -> bool {
        let RelayPeer::Shard(to) = to else {
            let far = self.far.as_mut();
            return far.is_some_and(|far| far.send(to, message));
        };
        let lane = self.outgoing.get_mut(usize::from(to.0));
        let Some(lane) = lane.and_then(Option::as_mut) else {
            return false;
        };
        lane.written = true;
        lane.queue.push(message).is_ok()
    }

    /// Wakes those who were sent something.
    pub(super) fn flush(&mut self) {
        for lane in self.outgoing.iter_mut().flatten() {
            if std::mem::take(&mut lane.written) {
                lane.to.wake.raise();
            }
        }
        if let Some(far) = &mut self.far {
            far.flush();
        }
    }

    /// Takes at most `budget` messages, each shard its fair part; whether more wait.
    pub(super) fn receive(&mut self, budget: usize, mut take: impl FnMut(RelayPeer, R)) -> bool {
        let share = budget / (self.incoming.len() + usize::from(self.far.is_some())).max(1);
        let far = self.far.as_mut();
        let mut more = far.is_some_and(|far| far.receive(share, &mut take));
        for (from, queue) in &mut self.incoming {
            for _ in 0..share {
                let Ok(message) = queue.pop() else { break };
                take((*from).into(), message);
            }
            more |= !queue.is_empty();
        }
        more
    }

    pub(super) fn is_idle(&self) -> bool {
        let near = self.incoming.iter().all(|(_, queue)| queue.is_empty());
        near && self.far.as_ref().is_none_or(Far::is_idle)
    }
}

#[cfg(test)]
mod tests;
