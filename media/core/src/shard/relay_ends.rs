//! The ends of relays: opened, closed, and which other shards the room is linked to.

use std::time::Instant;

use media_contract::{RefusedReason, RelayEnd, RelayPeer};
use media_types::{Epoch, TrackId};

use super::Shard;
use crate::error::DropReason;
use crate::relay::RelayOut;
use crate::room::{Room, RoomIndex};
use crate::track::{Place, Track};

impl Shard {
    /// Names the other shards that hold a part of the room. Workers that are not named any more get
    /// nothing of it from here on.
    pub(super) fn link_room(
        &mut self,
        room: RoomIndex,
        mut peers: Vec<RelayPeer>,
    ) -> Result<(), RefusedReason> {
        peers.retain(|peer| peer.here() != Some(self.config.id));
        let room = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        for track in room.tracks.values_mut() {
            track
                .relays
                .retain(|relay| relay.to.here().is_some() || peers.contains(&relay.to));
        }
        (room.linked, room.linked_since) = (peers, room.epoch);
        Ok(())
    }

    /// Opens one end of a relay, or renews its epoch.
    ///
    /// A track that comes from elsewhere is shown from there until what comes by the new relay can
    /// take over.
    pub(super) fn open_relay(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TrackId,
        end: &RelayEnd,
    ) -> Result<(), RefusedReason> {
        let found = self.rooms.get_mut(room).ok_or(RefusedReason::UnknownRoom)?;
        let epoch = found.epoch;
        let known = found.track_mut(id);
        match end {
            RelayEnd::Out { to } => {
                let track = known.ok_or(RefusedReason::UnknownTrack)?;
                match track.relays.iter_mut().find(|relay| relay.to == *to) {
                    Some(relay) => relay.since = epoch,
                    None => track.relays.push(RelayOut::new(*to, epoch)),
                }
                Ok(())
            }
            RelayEnd::In { from, kind, .. } => {
                let known = known.map(|track| (track.may_be_succeeded(*kind), track));
                if let Some((may_follow, track)) = known {
                    if let Some(since) = track.since_mut(*from) {
                        *since = epoch;
                        return Ok(());
                    }
                    if !may_follow {
                        return Err(RefusedReason::UnknownTrack);
                    }
                }
                let place = found.track_index(id);
                match (Track::relayed(id, end, epoch), place) {
                    (Some(track), Some(place)) => self.begin_next(now, room, place, track),
                    (Some(track), None) => _ = self.add_track(room, track)?,
                    (None, _) => {}
                }
                Ok(())
            }
        }
    }

    /// Closes this shard's end of a relay. If another source was about to take the track over, it
    /// does so with what it has.
    pub(super) fn close_relay(
        &mut self,
        now: Instant,
        room: RoomIndex,
        id: TrackId,
        other: RelayPeer,
    ) {
        let Some(found) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(index) = found.track_index(id) else {
            return;
        };
        let Some(track) = found.tracks.get_mut(index) else {
            return;
        };
        match track.sent_by(other).map(|(place, _)| place) {
            Some(Place::InForce) if track.next.is_some() => self.succeed(now, room, index, None),
            Some(Place::InForce) => self.remove_track(room, id),
            Some(Place::Next) => self.end_next(room, index),
            None => track.relays.retain(|relay| relay.to != other),
        }
    }
}

impl Room {
    /// Whether a message of this epoch may act on what was opened in that one. Shards of one worker
    /// have one owner, whose commands reach them at different times.
    pub(super) fn fence(from: RelayPeer, epoch: Epoch, since: Epoch) -> Result<(), DropReason> {
        match from {
            RelayPeer::Worker { .. } if epoch < since => Err(DropReason::RelayStale),
            RelayPeer::Worker { .. } | RelayPeer::Shard(_) => Ok(()),
        }
    }

    /// Notes an epoch that another worker told of; whether the owner here has to hear of it.
    pub(super) fn note_epoch(&mut self, from: RelayPeer, epoch: Epoch) -> bool {
        let news = from.worker().is_some() && epoch > self.epoch && epoch > self.newer;
        if news {
            self.newer = epoch;
        }
        news
    }

    /// The relay of a track to who asks for it. Another worker's opens itself when it first asks,
    /// if the room is linked to it.
    pub(super) fn relay_to(
        &mut self,
        id: TrackId,
        by: RelayPeer,
        epoch: Epoch,
    ) -> Result<&mut RelayOut, DropReason> {
        let linked = by.worker().is_some() && self.linked.contains(&by);
        let since = self.linked_since;
        let track = self.track_mut(id).ok_or(DropReason::RelayUnknown)?;
        let place = track.relays.iter().position(|relay| relay.to == by);
        if place.is_none() && linked {
            Self::fence(by, epoch, since)?;
            track.relays.push(RelayOut::new(by, since));
        }
        let place = place.unwrap_or(track.relays.len().saturating_sub(1));
        let relay = track.relays.get_mut(place);
        let relay = relay.filter(|relay| relay.to == by);
        let relay = relay.ok_or(DropReason::RelayUnknown)?;
        Self::fence(by, epoch, relay.since)?;
        Ok(relay)
    }
}
