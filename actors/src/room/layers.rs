//! Which simulcast layers somebody watches, and whether somebody cannot, for those who send them.

use std::time::Instant;

use media_contract::{Action, RelayPeer};
use media_types::{Bitrate, PeerId, Rid, ShardId, TrackId};
use signaling::ServerMessage;
use signaling::server_message::{CodecUnsupportedParams, PublishLayersParams};

use super::message::Audience;
use super::state::{Effect, RoomState};

/// What a publisher is to send of a track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The layers that somebody watches.
    pub(crate) active: Vec<Rid>,
    /// What layers are to be kept under.
    pub(crate) bounds: Vec<(Rid, Bitrate)>,
}

impl RoomState {
    /// A shard says what of a track is wanted. Only the publisher's own shard knows.
    pub(crate) fn layers_wanted(&mut self, shard: ShardId, track: TrackId, wanted: Wanted) {
        if self.tracks.home(track) == Some(shard) && self.tracks.set_wanted(track, wanted) {
            self.tell_layers(track);
        }
    }

    /// A publisher whose connection was away hears again of each of its tracks: a notice may have
    /// been lost with the connection.
    pub(crate) fn tell_layers_again(&mut self, peer: PeerId) {
        let own = self.tracks.iter().filter(|entry| entry.owner == peer);
        let own: Vec<TrackId> = own.map(|entry| entry.view.track_id).collect();
        for track in own {
            self.tell_layers(track);
        }
    }

    fn tell_layers(&mut self, track_id: TrackId) {
        let (Some(entry), Some(wanted)) = (self.tracks.get(track_id), self.tracks.wanted(track_id))
        else {
            return;
        };
        let active = wanted.active.iter().map(ToString::to_string);
        let bounds = wanted.bounds.iter();
        let owner = Audience::One(entry.owner);
        let message = ServerMessage::PublishLayers(PublishLayersParams {
            track_id,
            active: active.collect(),
            max_bitrates: bounds
                .map(|(rid, bound)| (rid.to_string(), bound.bps()))
                .collect(),
        });
        self.notify(owner, message);
    }

    /// Its publisher may send a track in another codec: somebody cannot decode this one.
    pub(crate) fn codec_unsupported(&mut self, now: Instant, track_id: TrackId) {
        let Some(owner) = self.tracks.get(track_id).map(|entry| entry.owner) else {
            return;
        };
        if self.tracks.note_undecoded(now, track_id) {
            let params = CodecUnsupportedParams { track_id };
            self.notify(
                Audience::One(owner),
                ServerMessage::CodecUnsupported(params),
            );
        }
    }

    /// Each shard learns which others hold a part of the room, so that data messages cross.
    pub(super) fn link_shards(&mut self) {
        for shard in self.shards.clone() {
            self.link_shard(shard);
        }
    }

    /// One shard learns it.
    pub(super) fn link_shard(&mut self, shard: ShardId) {
        let far: Vec<RelayPeer> = self.parts.far_shards().collect();
        if self.shards.len() > 1 || self.parts.linked || !far.is_empty() {
            self.parts.linked |= !far.is_empty();
            let others = self.shards.iter().copied().filter(|other| *other != shard);
            let link = Action::LinkRoom {
                peers: others.map(RelayPeer::from).chain(far).collect(),
            };
            self.effects.push(Effect::Command(shard, link));
        }
    }
}
