//! Short names of tracks on one link. Who wants a track gives it one.

use std::collections::BTreeMap;
use std::time::Instant;

use media_types::{RoomId, ShardId, TrackId};

use crate::limits::{HOP_LABEL_LIFE, HOP_LABELS_MAX};

/// A track between one of our shards and one of the other worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) room: RoomId,
    pub(super) track: TrackId,
    pub(super) here: ShardId,
    pub(super) there: ShardId,
}

/// Labels that we gave, and those that we were given.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Ours, by what they stand for and the other way round, with their last use.
    given: BTreeMap<Key, u32>,
    tracks: BTreeMap<u32, (Key, Instant)>,
    next: u32,
    /// The other worker's, with when they were last told.
    told: BTreeMap<Key, (u32, Instant)>,
}

impl Labels {
    /// The label of a track that we want; `None` when there are too many.
    pub(super) fn demand(&mut self, now: Instant, key: Key) -> Option<u32> {
        if let Some(&label) = self.given.get(&key) {
            self.tracks.insert(label, (key, now));
            return Some(label);
        }
        if self.given.len() >= HOP_LABELS_MAX {
            return None;
        }
        // Never one again: what is still under way must not be taken for another track.
        self.next = self.next.checked_add(1)?;
        self.given.insert(key, self.next);
        self.tracks.insert(self.next, (key, now));
        Some(self.next)
    }

    /// The other worker wants a track under this label.
    pub(super) fn told(&mut self, now: Instant, key: Key, label: u32) {
        if self.told.len() < HOP_LABELS_MAX || self.told.contains_key(&key) {
            self.told.insert(key, (label, now));
        }
    }

    /// Under which label the other worker wants a track.
    pub(super) fn theirs(&self, key: &Key) -> Option<u32> {
        self.told.get(key).map(|(label, _)| *label)
    }

    /// What a label stands for that we gave.
    pub(super) fn ours(&mut self, now: Instant, label: u32) -> Option<Key> {
        let (key, used) = self.tracks.get_mut(&label)?;
        *used = now;
        Some(*key)
    }

    /// Forgets what nobody uses any more.
    pub(super) fn sweep(&mut self, now: Instant) {
        let fresh = |at: Instant| now.saturating_duration_since(at) < HOP_LABEL_LIFE;
        self.tracks.retain(|_, (_, used)| fresh(*used));
        let tracks = &self.tracks;
        self.given.retain(|_, label| tracks.contains_key(label));
        self.told.retain(|_, (_, at)| fresh(*at));
    }
}
