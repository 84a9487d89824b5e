//! A track that goes on from elsewhere: its publisher has come here, or is at another part now.
//!
//! Shards exchange the sources without a gap: the one before stays until packets of the next one
//! flow (`docs/packet-core.md`). Here is kept which those are, so that none stays for good.

use media_contract::{Action, RelayPeer};
use media_types::{ShardId, TrackId};

use super::record::PeerRecord;
use super::state::{Effect, RoomState};

/// Where a track came from until it began to come from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before {
    from: RelayPeer,
    /// Our shards that had it from there.
    shards: Vec<ShardId>,
}

impl RoomState {
    /// Remembers that a track of another part, which comes from elsewhere from now on, is still
    /// being had from there.
    pub(super) fn supersede(&mut self, track: TrackId) {
        let Some(from) = self.tracks.far_home(track) else {
            return;
        };
        let shards = self.tracks.relayed_to(track);
        let older = self.tracks.before.insert(track, Before { from, shards });
        if let Some(older) = older.filter(|older| older.from != from) {
            self.close_before(track, older);
        }
    }

    /// A track of another part is published here from now on; it comes from there until it flows.
    pub(super) fn bring_home(&mut self, record: &PeerRecord, track: TrackId) {
        self.supersede(track);
        self.tracks.take_home(track, record.shard);
        if let Some(entry) = self.tracks.get_mut(track) {
            entry.owner = record.peer;
        }
    }

    /// Packets of a track flow here: other shards have it from here, if they had it from elsewhere.
    pub(super) fn note_arrived(&mut self, track: TrackId) {
        if self.tracks.arriving.remove(&track) {
            self.parts.touch();
            self.relay_everywhere(track);
        }
    }

    /// Closes what tracks came from before, where that has them no more.
    pub(super) fn forget_sources(&mut self) {
        let gone: Vec<TrackId> = self
            .tracks
            .before
            .iter()
            .filter(|(track, before)| !self.offers(before.from, **track))
            .map(|(track, _)| *track)
            .collect();
        for track in gone {
            self.drop_before(track);
        }
    }

    /// Whether a part says that it has the track on that shard.
    fn offers(&self, from: RelayPeer, track: TrackId) -> bool {
        let RelayPeer::Worker { worker, shard } = from else {
            return false;
        };
        let peers = self.parts.part(worker).map(|roster| &roster.peers);
        let mut tracks = peers.into_iter().flatten().flat_map(|far| &far.tracks);
        tracks.any(|far| far.track.track_id == track && far.shard == shard.0)
    }

    /// Closes what a track came from before.
    pub(super) fn drop_before(&mut self, track: TrackId) {
        if let Some(before) = self.tracks.before.remove(&track) {
            self.close_before(track, before);
        }
    }

    fn close_before(&mut self, track: TrackId, before: Before) {
        let other = before.from;
        for shard in before.shards {
            let close = Action::CloseRelay { track, other };
            self.effects.push(Effect::Command(shard, close));
        }
    }
}
