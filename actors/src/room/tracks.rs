//! What is published: the table that peers choose from, who is heard, and relays between shards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use media_contract::{Action, RelayEnd, RelayPeer, Speaker};
use media_types::{Codec, PeerId, ShardId, TrackId};
use signaling::ServerMessage;
use signaling::server_message::{
    SpeakersParams, TrackMutedParams, TrackPublishedParams, TrackUnpublishedParams,
};
use signaling::view::{Speaker as SpeakerView, Track};

use super::layers::Wanted;
use super::message::Audience;
use super::record::{PeerRecord, RoomView, TrackEntry, TrackRecord};
use super::state::{Effect, RoomState};
use super::succession::Before;
use crate::limits::CODEC_PERIOD;

/// Who among the loudest counts as having spoken.
const HEARD_AT_ONCE: usize = 3;
/// Speakers in one notice to clients.
const SPEAKERS_TOLD: usize = 8;
/// −127 dBov is silence (RFC 6464).
const SILENCE: f64 = 127.0;

/// The tracks of a room in the order of publication.
#[derive(Debug, Default)]
pub(crate) struct TrackTable {
    entries: Vec<TrackEntry>,
    /// Where each is published.
    shards: BTreeMap<TrackId, ShardId>,
    /// Where those of other workers are.
    far: BTreeMap<TrackId, RelayPeer>,
    /// Which other shards each is relayed to.
    relays: BTreeSet<(TrackId, ShardId)>,
    /// What of each publishers are to send.
    wanted: BTreeMap<TrackId, Wanted>,
    /// Tracks that should flow and do not.
    stalled: BTreeSet<TrackId>,
    /// What some come from until they flow from where they are now.
    pub(super) before: BTreeMap<TrackId, Before>,
    /// Of those, the ones that are published here now.
    pub(super) arriving: BTreeSet<TrackId>,
    /// When publishers were told that somebody cannot decode a track.
    undecoded: BTreeMap<TrackId, Instant>,
}

impl TrackTable {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &TrackEntry> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, track: TrackId) -> Option<&TrackEntry> {
        self.entries.iter().find(|e| e.view.track_id == track)
    }

    pub(super) fn get_mut(&mut self, track: TrackId) -> Option<&mut TrackEntry> {
        self.entries.iter_mut().find(|e| e.view.track_id == track)
    }

    /// The shard on which a track is published.
    pub(crate) fn home(&self, track: TrackId) -> Option<ShardId> {
        self.shards.get(&track).copied()
    }

    /// Where a track of another worker is.
    pub(crate) fn far_home(&self, track: TrackId) -> Option<RelayPeer> {
        self.far.get(&track).copied()
    }

    pub(super) fn set_far(&mut self, track: TrackId, home: RelayPeer) {
        self.far.insert(track, home);
    }

    /// What was another worker's is published here.
    pub(super) fn take_home(&mut self, track: TrackId, shard: ShardId) {
        self.far.remove(&track);
        self.relays.retain(|(relayed, _)| *relayed != track);
        self.shards.insert(track, shard);
        self.arriving.insert(track);
    }

    /// Whether a track of another part, which does not flow there by what was told now, is only on
    /// its way: its publisher has just come there from where it flowed.
    pub(super) fn comes_late(&mut self, track: TrackId, moved: bool, flows: bool) -> bool {
        let flowed = self.get(track).is_some_and(|entry| entry.view.live);
        let late = !flows && flowed && (moved || self.arriving.contains(&track));
        match late {
            true => self.arriving.insert(track),
            false => self.arriving.remove(&track),
        };
        late
    }

    /// Whether a track can be had here: not if it still comes by another worker.
    pub(crate) fn has_arrived(&self, track: TrackId) -> bool {
        !self.arriving.contains(&track)
    }

    /// The tracks of other workers.
    pub(crate) fn far_ids(&self) -> Vec<TrackId> {
        self.far.keys().copied().collect()
    }

    pub(super) fn list(&mut self, entry: TrackEntry) {
        self.entries.push(entry);
    }

    /// What of a track its publisher is to send; `None` where no shard has said so.
    pub(crate) fn wanted(&self, track: TrackId) -> Option<&Wanted> {
        self.wanted.get(&track)
    }

    /// Notes them; whether that is news.
    pub(crate) fn set_wanted(&mut self, track: TrackId, wanted: Wanted) -> bool {
        let before = self.wanted.insert(track, wanted);
        before.as_ref() != self.wanted(track)
    }

    /// Notes that somebody cannot decode a track; whether its publisher is to hear of it now.
    pub(crate) fn note_undecoded(&mut self, now: Instant, track: TrackId) -> bool {
        let told = self.undecoded.get(&track);
        let due = told.is_none_or(|at| now.saturating_duration_since(*at) >= CODEC_PERIOD);
        if due {
            self.undecoded.insert(track, now);
        }
        due
    }

    /// Whether a track should flow and does not.
    pub(crate) fn is_stalled(&self, track: TrackId) -> bool {
        self.stalled.contains(&track)
    }

    /// Shards that a track is relayed to.
    pub(crate) fn relayed_to(&self, track: TrackId) -> Vec<ShardId> {
        let relays = self.relays.iter();
        relays
            .filter(|(t, _)| *t == track)
            .map(|(_, to)| *to)
            .collect()
    }
}

fn entry_of(record: &PeerRecord, track: &TrackRecord, heard: u64) -> TrackEntry {
    TrackEntry {
        view: Track {
            track_id: track.track,
            peer_id: record.identity.clone(),
            kind: track.kind,
            codec: track.codec,
            source: track.source,
            name: track.name.clone(),
            muted: track.muted,
            live: false,
        },
        owner: record.peer,
        heard,
    }
}

impl RoomState {
    /// Tells what a peer's tracks have become.
    pub(super) fn compare_tracks(&mut self, before: &PeerRecord, after: &PeerRecord) {
        self.parts.touch();
        let mut changed = false;
        for old in &before.tracks {
            if !after.tracks.iter().any(|new| new.track == old.track) {
                changed |= self.drop_track(old.track);
            }
        }
        for new in &after.tracks {
            changed |= self.place_track(after, new);
        }
        if changed {
            self.push_view();
        }
    }

    /// Lists a track, or takes over what changed of it.
    fn place_track(&mut self, record: &PeerRecord, new: &TrackRecord) -> bool {
        let peer_id = record.identity.clone();
        let track_id = new.track;
        let Some(entry) = self.tracks.get_mut(track_id) else {
            let heard = self.heard.get(&peer_id).copied().unwrap_or(0);
            let entry = entry_of(record, new, heard);
            let track = entry.view.clone();
            self.tracks.shards.insert(track_id, record.shard);
            self.tracks.entries.push(entry);
            let message = ServerMessage::TrackPublished(TrackPublishedParams { track });
            self.notify(Audience::Except(record.peer), message);
            return true;
        };
        let same = entry.view.muted == new.muted;
        let comes_home = self.tracks.far.contains_key(&track_id);
        if comes_home {
            self.bring_home(record, track_id);
        }
        let Some(entry) = self.tracks.get_mut(track_id).filter(|_| !same) else {
            return comes_home;
        };
        entry.view.muted = new.muted;
        self.tracks.stalled.remove(&track_id);
        let message = ServerMessage::TrackMuted(TrackMutedParams {
            track_id,
            peer_id,
            muted: new.muted,
        });
        self.notify(Audience::Except(record.peer), message);
        true
    }

    /// Lists a peer's tracks without telling anybody.
    pub(super) fn recall_tracks(&mut self, record: &PeerRecord) {
        for track in &record.tracks {
            let mut entry = entry_of(record, track, 0);
            // Until a shard says otherwise: who takes a living track for a dead one stops its
            // media.
            entry.view.live = true;
            self.tracks.shards.insert(track.track, record.shard);
            self.tracks.entries.push(entry);
        }
    }

    /// Puts recalled tracks in the order in which their publishers came, whoever answered the
    /// roll-call first: in another order slots would show others than before.
    pub(crate) fn sort_recalled(&mut self) {
        let Self {
            members, tracks, ..
        } = self;
        let came = |owner: PeerId| members.get(&owner).map(|member| member.record.transport);
        tracks.entries.sort_by_key(|entry| {
            let came = came(entry.owner);
            (came.is_none(), came)
        });
    }

    /// Unlists all tracks of a peer that goes.
    pub(super) fn drop_tracks_of(&mut self, record: &PeerRecord) {
        let mut changed = false;
        for track in &record.tracks {
            changed |= self.drop_track(track.track);
        }
        if changed {
            self.push_view();
        }
    }

    pub(super) fn drop_track(&mut self, track: TrackId) -> bool {
        self.close_relays(track);
        self.drop_before(track);
        self.tracks.arriving.remove(&track);
        let far = self.tracks.far.remove(&track).is_some();
        self.parts.touch();
        self.tracks.shards.remove(&track);
        self.tracks.wanted.remove(&track);
        self.tracks.stalled.remove(&track);
        self.tracks.undecoded.remove(&track);
        let Some(place) = self
            .tracks
            .entries
            .iter()
            .position(|e| e.view.track_id == track)
        else {
            return false;
        };
        let entry = self.tracks.entries.remove(place);
        let message = ServerMessage::TrackUnpublished(TrackUnpublishedParams {
            track_id: track,
            peer_id: entry.view.peer_id,
        });
        match far {
            true => self.pass(Audience::All, message),
            false => self.notify(Audience::Except(entry.owner), message),
        }
        true
    }

    /// Packets that should flow do not.
    pub(crate) fn track_stalled(&mut self, shard: ShardId, track: TrackId) {
        if self.tracks.home(track) == Some(shard) {
            self.tracks.stalled.insert(track);
        }
    }

    /// Packets flow.
    pub(crate) fn track_started(&mut self, shard: ShardId, track: TrackId, codec: Codec) {
        if self.tracks.home(track) != Some(shard) {
            return;
        }
        self.tracks.stalled.remove(&track);
        self.note_arrived(track);
        let Some(entry) = self.tracks.get_mut(track) else {
            return;
        };
        if entry.view.live && entry.view.codec == codec {
            return;
        }
        entry.view.live = true;
        entry.view.codec = codec;
        let (view, owner) = (entry.view.clone(), entry.owner);
        self.parts.touch();
        self.relay_everywhere(track);
        let message = ServerMessage::TrackPublished(TrackPublishedParams { track: view });
        self.notify(Audience::Except(owner), message);
        self.push_view();
    }

    /// Packets flowed already when the room came back: nobody is told. Returns whether that is
    /// news.
    pub(crate) fn track_flows(&mut self, track: TrackId, codec: Codec) -> bool {
        let Some(entry) = self.tracks.get_mut(track) else {
            return false;
        };
        let changed = !entry.view.live || entry.view.codec != codec;
        entry.view.live = true;
        entry.view.codec = codec;
        changed
    }

    /// Who is heard on one shard, loudest first.
    pub(crate) fn speakers_changed(&mut self, shard: ShardId, speakers: Vec<Speaker>) {
        self.loudest.insert(shard, speakers);
        self.tell_heard();
        self.hear();
    }

    /// Tells who is heard now, wherever.
    pub(super) fn hear(&mut self) {
        let merged = self.merged_speakers();
        // The loudest gets the highest number.
        for speaker in merged.iter().take(HEARD_AT_ONCE).rev() {
            self.heard_clock += 1;
            self.heard
                .insert(speaker.identity.clone(), self.heard_clock);
        }
        for entry in &mut self.tracks.entries {
            entry.heard = self.heard.get(&entry.view.peer_id).copied().unwrap_or(0);
        }
        let speakers = merged
            .iter()
            .take(SPEAKERS_TOLD)
            .map(|speaker| SpeakerView {
                peer_id: speaker.identity.clone(),
                level: (SILENCE - f64::from(speaker.level.min(127))) / SILENCE,
            });
        let speakers = speakers.collect();
        let message = ServerMessage::Speakers(SpeakersParams { speakers });
        self.notify(Audience::All, message);
        self.push_view();
    }

    /// Speakers of all shards, loudest first; a relayed voice counts once.
    fn merged_speakers(&self) -> Vec<Speaker> {
        let mut merged: Vec<Speaker> = self
            .loudest
            .values()
            .chain(self.parts.heard.values())
            .flatten()
            .filter(|speaker| self.tracks.get(speaker.track).is_some())
            .cloned()
            .collect();
        merged.sort_by_key(|speaker| (speaker.level, speaker.track));
        let mut seen = BTreeSet::new();
        merged.retain(|speaker| seen.insert(speaker.track));
        merged
    }

    /// What peers choose from.
    pub(crate) fn room_view(&self) -> Arc<RoomView> {
        let loudest = self
            .merged_speakers()
            .into_iter()
            .map(|s| s.track)
            .collect();
        let tracks = self.tracks.entries.clone();
        Arc::new(RoomView { tracks, loudest })
    }

    pub(crate) fn push_view(&mut self) {
        let view = self.room_view();
        self.effects.push(Effect::View(view));
    }

    /// Opens the room on a shard, if it is not open there, and relays what flows to it.
    pub(crate) fn open_shard(&mut self, shard: ShardId) {
        if self.shards.contains(&shard) {
            return;
        }
        self.shards.push(shard);
        self.parts.touch();
        self.effects.push(Effect::Command(shard, Action::OpenRoom));
        self.link_shards();
        self.reopen_relays(shard);
    }

    /// Relays a track to every shard that the room is open on.
    pub(super) fn relay_everywhere(&mut self, track: TrackId) {
        for to in self.shards.clone() {
            self.relay(track, to);
        }
    }

    /// Opens, or opens again, all relays from and to a shard.
    pub(super) fn reopen_relays(&mut self, shard: ShardId) {
        let live: Vec<TrackId> = self
            .tracks
            .entries
            .iter()
            .filter(|entry| entry.view.live)
            .map(|entry| entry.view.track_id)
            .collect();
        for track in live {
            if self.tracks.home(track) == Some(shard) {
                self.relay_everywhere(track);
            } else {
                self.relay(track, shard);
            }
        }
    }

    fn relay(&mut self, track: TrackId, to: ShardId) {
        let home = self.tracks.home(track);
        let from = home.map(RelayPeer::from).or(self.tracks.far_home(track));
        let (Some(from), Some(entry)) = (from, self.tracks.get(track)) else {
            return;
        };
        if from == to.into() {
            return;
        }
        let inward = RelayEnd::In {
            from,
            kind: entry.view.kind,
            codec: entry.view.codec,
            source: entry.view.source,
            publisher: entry.view.peer_id.clone(),
        };
        self.tracks.relays.insert((track, to));
        let end = inward;
        let open = Action::OpenRelay { track, end };
        self.effects.push(Effect::Command(to, open));
        // Another worker's end opens by itself.
        if let Some(from) = home {
            let end = RelayEnd::Out { to: to.into() };
            let open = Action::OpenRelay { track, end };
            self.effects.push(Effect::Command(from, open));
        }
    }

    pub(super) fn close_relays(&mut self, track: TrackId) {
        if let Some(other) = self.tracks.far_home(track) {
            for to in self.tracks.relayed_to(track) {
                self.tracks.relays.remove(&(track, to));
                let close = Action::CloseRelay { track, other };
                self.effects.push(Effect::Command(to, close));
            }
            return;
        }
        let Some(from) = self.tracks.home(track) else {
            return;
        };
        for to in self.tracks.relayed_to(track) {
            self.tracks.relays.remove(&(track, to));
            for (shard, other) in [(to, from), (from, to)] {
                let other = other.into();
                let close = Action::CloseRelay { track, other };
                self.effects.push(Effect::Command(shard, close));
            }
        }
    }

    /// Tracks of one identity, for the admin API.
    pub(crate) fn tracks_of(&self, peer: PeerId) -> Vec<Track> {
        let entries = self.tracks.iter().filter(|entry| entry.owner == peer);
        entries.map(|entry| entry.view.clone()).collect()
    }
}
