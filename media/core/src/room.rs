//! One room's table on this shard: tracks with their subscriptions, stored for iteration.

use std::collections::{BTreeMap, BTreeSet};

use media_contract::RelayPeer;
use media_types::{Epoch, Identity, RoomId, TrackId, TransportId};

use crate::demux::LinkIndex;
use crate::shard::deadline::TimerId;
use crate::slab::Slab;
use crate::speaker::{Dominant, Speakers};
use crate::track::{Publisher, Track};

/// Index of a room within its shard.
pub(crate) type RoomIndex = u32;
/// Index of a track within its room.
pub(crate) type TrackIndex = u32;

/// One room.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) epoch: Epoch,
    pub(crate) timer: TimerId,
    pub(crate) links: BTreeMap<TransportId, LinkIndex>,
    pub(crate) tracks: Slab<Track>,
    pub(crate) track_ids: BTreeMap<TrackId, TrackIndex>,
    pub(crate) speakers: Speakers<TrackId>,
    /// Whose picture goes before others.
    pub(crate) dominant: Dominant<Identity>,
    /// Other shards that were named as holding a part of it, and the epoch in which they were.
    pub(crate) linked: Vec<RelayPeer>,
    pub(crate) linked_since: Epoch,
    /// The highest epoch that another worker told of and the owner here was told of.
    pub(crate) newer: Epoch,
}

impl Room {
    pub(crate) fn new(id: RoomId, epoch: Epoch, timer: TimerId) -> Self {
        Self {
            id,
            epoch,
            timer,
            links: BTreeMap::new(),
            tracks: Slab::default(),
            track_ids: BTreeMap::new(),
            speakers: Speakers::default(),
            dominant: Dominant::default(),
            linked: Vec::new(),
            linked_since: epoch,
            newer: epoch,
        }
    }

    /// The index of a track.
    pub(crate) fn track_index(&self, track: TrackId) -> Option<TrackIndex> {
        self.track_ids.get(&track).copied()
    }

    /// A track.
    pub(crate) fn track(&self, track: TrackId) -> Option<&Track> {
        self.tracks.get(self.track_index(track)?)
    }

    /// A track, to be changed.
    pub(crate) fn track_mut(&mut self, track: TrackId) -> Option<&mut Track> {
        let index = self.track_index(track)?;
        self.tracks.get_mut(index)
    }

    /// Adds a track.
    pub(crate) fn insert_track(&mut self, track: Track) -> TrackIndex {
        let id = track.id;
        let index = self.tracks.insert_with(|_| track);
        self.track_ids.insert(id, index);
        index
    }

    /// Takes a track out.
    pub(crate) fn remove_track(&mut self, track: TrackId) -> Option<Track> {
        let index = self.track_ids.remove(&track)?;
        self.tracks.remove(index)
    }

    /// The other shards that hold a part of this room: those that were named, and those that relays
    /// show.
    pub(crate) fn other_shards(&self) -> BTreeSet<RelayPeer> {
        let mut shards: BTreeSet<_> = self.linked.iter().copied().collect();
        for track in self.tracks.values() {
            shards.extend(track.relays.iter().map(|relay| relay.to));
            for source in [Some(track), track.next.as_deref()].into_iter().flatten() {
                if let Publisher::Relay { from, .. } = source.publisher {
                    shards.insert(from);
                }
            }
        }
        shards
    }
}
