//! One receiver: what it has yet to take, and how that is shown.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use media_types::RoomName;
use metrics::counter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::queue::{Job, Queue};
use crate::config::WebhookConfig;
use crate::ops::breaker::Breaker;
use crate::ops::events::{Event, Journal, ROOM_OPENED};
use crate::telemetry::WEBHOOK_LOST;

/// Attempts that are under way to one receiver at one time.
const ATTEMPTS_MAX: usize = 64;

/// Events that are read at once.
const READ_MAX: usize = 512;
/// What is told of rooms and has its order: who wants none of it waits for nobody.
const OF_ROOMS: [&str; 10] = [
    ROOM_OPENED,
    "room.moved",
    "room.closed",
    "room.moving",
    "peer.joined",
    "peer.left",
    "peer.updated",
    "track.published",
    "track.unpublished",
    "track.muted",
];

/// A receiver of webhooks, as operators and other workers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverStatus {
    /// Whose events are posted.
    pub worker: String,
    /// Where to.
    pub url: String,
    /// All events up to that number are taken, or given up; absent while that is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// How many wait.
    pub waiting: usize,
    /// How many rooms wait for the worker that had them before.
    pub held: usize,
    /// Whether it is left alone for a while, since it fails again and again.
    pub breaker_open: bool,
    /// The room that was asked for; absent while that is read, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomStanding>,
}

/// What is left of a room in epochs below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomStanding {
    /// How much is to be done of it: events to be posted, and workers to be waited for.
    pub waiting: usize,
    /// Whether the worker has the room in such an epoch, so that there may be more.
    pub owned: bool,
}

/// A receiver that is posted to.
pub(in crate::ops) struct Route {
    pub(super) hook: WebhookConfig,
    pub(super) breaker: Breaker,
    attempts: Semaphore,
    /// `None` until its place is known.
    queue: Mutex<Option<Queue>>,
    /// The place that was written down.
    kept: AtomicU64,
    /// Events are gone that it did not take, and it has taken none since.
    loses: AtomicBool,
}

impl Route {
    pub(super) fn new(hook: WebhookConfig) -> Self {
        Self {
            hook,
            breaker: Breaker::new("webhook"),
            attempts: Semaphore::new(ATTEMPTS_MAX),
            queue: Mutex::new(None),
            kept: AtomicU64::new(0),
            loses: AtomicBool::new(false),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Option<Queue>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn to try; who pauses has none, so that others are tried meanwhile.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.attempts.acquire().await.ok()
    }

    /// It has had all up to there.
    pub(super) fn begin(&self, place: u64) {
        *self.queue() = Some(Queue::new(place));
        self.note_kept(place);
    }

    /// That place was written down.
    pub(super) fn note_kept(&self, place: u64) {
        self.kept.store(place, Ordering::Release);
    }

    /// Whether all there is was taken, and that was written down; what fails again and again is
    /// not waited for.
    pub(super) fn has_posted(&self, journal: &Journal) -> bool {
        let mut queue = self.queue();
        let Some(queue) = queue.as_mut() else {
            return true;
        };
        self.read(queue, journal);
        let kept = self.kept.load(Ordering::Acquire);
        self.breaker.is_open() || queue.place() == kept && queue.is_done()
    }

    /// Reads what is new in the journal, and says what can be done.
    pub(super) fn jobs(&self, journal: &Journal) -> Vec<Job> {
        let mut queue = self.queue();
        let Some(queue) = queue.as_mut() else {
            return Vec::new();
        };
        self.read(queue, journal);
        std::iter::from_fn(|| queue.next()).collect()
    }

    pub(super) fn done(&self, job: &Job) {
        if let Some(queue) = self.queue().as_mut() {
            queue.done(job);
        }
    }

    /// All up to there is done.
    pub(super) fn place(&self) -> Option<u64> {
        self.queue().as_ref().map(Queue::place)
    }

    fn read(&self, queue: &mut Queue, journal: &Journal) {
        loop {
            let since = journal.since(queue.read(), READ_MAX);
            if since.lost {
                self.note_lost();
            }
            if since.events.is_empty() {
                return;
            }
            for event in &since.events {
                queue.add(event, self.hook.wants(&event.kind), self.waits_for(event));
            }
        }
    }

    /// Events are kept no more that it has not taken.
    pub(super) fn note_lost(&self) {
        if self.loses.swap(true, Ordering::Relaxed) {
            return;
        }
        counter!(WEBHOOK_LOST).increment(1);
        let url = &self.hook.url;
        tracing::warn!(url, "a receiver was away for longer than events are kept");
    }

    /// It has taken one.
    pub(super) fn note_taken(&self) {
        self.loses.store(false, Ordering::Relaxed);
    }

    /// Whose events go before this one.
    fn waits_for<'a>(&self, event: &'a Event) -> Option<&'a str> {
        let from = event.data["from"].as_str();
        let from = from.filter(|_| event.kind == ROOM_OPENED && event.room.is_some())?;
        let wanted = OF_ROOMS.iter().any(|kind| self.hook.wants(kind));
        wanted.then_some(from)
    }

    /// How it is, and what is left of a room in epochs below one.
    pub(in crate::ops) fn status(
        &self,
        worker: &str,
        journal: &Journal,
        about: Option<(&RoomName, u64)>,
    ) -> ReceiverStatus {
        // Before the journal is read: what is told as a room goes is found there.
        let owned = about.is_some_and(|(room, epoch)| journal.is_owned_below(room, epoch));
        let mut queue = self.queue();
        if let Some(queue) = queue.as_mut() {
            self.read(queue, journal);
        }
        let queue = queue.as_ref();
        let room = queue.zip(about).map(|(queue, (room, epoch))| RoomStanding {
            waiting: queue.below(room.as_str(), epoch),
            owned,
        });
        ReceiverStatus {
            worker: worker.to_owned(),
            url: self.hook.url.clone(),
            at: queue.map(Queue::place),
            waiting: queue.map_or(0, Queue::waiting),
            held: queue.map_or(0, Queue::held),
            breaker_open: self.breaker.is_open(),
            room,
        }
    }
}
