//! What members tell of their lives.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::histogram::Histogram;
use crate::light::Record;

/// What a member is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Publishes.
    Publisher,
    /// Only watches.
    Subscriber,
}

/// One member's life; times are microseconds since the start of the run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// What it was there for.
    pub role: Role,
    /// The room's number.
    pub room: u32,
    /// It began to connect.
    pub began: u64,
    /// It was in: the answer to `join`, or to the `POST`.
    pub joined: Option<u64>,
    /// The answer to its offer was there.
    pub answered: Option<u64>,
    /// Its media, if it had any.
    pub media: Option<Record>,
    /// Whether it had slots for pictures.
    pub watches_video: bool,
    /// What went wrong.
    pub error: Option<String>,
}

impl MemberRecord {
    pub(super) fn new(role: Role, room: u32, began: u64) -> Self {
        Self {
            role,
            room,
            began,
            joined: None,
            answered: None,
            media: None,
            watches_video: false,
            error: None,
        }
    }
}

/// What was counted by signalling.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Members that began to connect.
    pub began: u64,
    /// Members that got in.
    pub joined: u64,
    /// Members that went wrong.
    pub failed: u64,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
    /// Messages of the server that no member had asked for, by name.
    pub notifications: BTreeMap<String, u64>,
    /// Chat messages sent.
    pub chats_sent: u64,
    /// Chat messages that should have come, where members did not come and go.
    pub chats_expected: u64,
    /// Chat messages that came.
    pub chats_received: u64,
    /// Data messages sent.
    pub data_sent: u64,
    /// Data messages that the server says it delivered.
    pub data_expected: u64,
    /// Data messages that came.
    pub data_received: u64,
    /// Requests that the server refused, by word.
    pub refused: BTreeMap<String, u64>,
    /// From sending a chat or data message to its arrival.
    #[serde(skip)]
    pub message_latency: Histogram,
    /// From a ping to its answer.
    #[serde(skip)]
    pub ping: Histogram,
}

/// The shared account.
#[derive(Default)]
pub struct Tally {
    began: AtomicU64,
    joined: AtomicU64,
    failed: AtomicU64,
    settled: AtomicU64,
    counts: Mutex<Counts>,
    records: Mutex<Vec<MemberRecord>>,
}

impl Tally {
    pub(super) fn began(&self) {
        self.began.fetch_add(1, Relaxed);
    }

    pub(super) fn joined(&self) {
        self.joined.fetch_add(1, Relaxed);
    }

    /// A member has all it came for, or will never have.
    pub(super) fn settle(&self) {
        self.settled.fetch_add(1, Relaxed);
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Relaxed)
    }

    pub(super) fn with(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    pub(super) fn put(&self, record: MemberRecord) {
        if let Some(error) = &record.error {
            self.failed.fetch_add(1, Relaxed);
            *lock(&self.counts).errors.entry(error.clone()).or_default() += 1;
        }
        lock(&self.records).push(record);
    }

    pub(super) fn take_records(&self) -> Vec<MemberRecord> {
        std::mem::take(&mut lock(&self.records))
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            began: self.began.load(Relaxed),
            joined: self.joined.load(Relaxed),
            failed: self.failed.load(Relaxed),
            ..lock(&self.counts).clone()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
