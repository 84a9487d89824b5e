//! One room of a table shard.

use std::collections::{BTreeMap, BTreeSet};

use media_contract::{
    Action, CommandId, Fact, MediaLine, MediaLineUse, RefusedReason, RelayEnd, RelayPeer,
    SlotSnapshot, SlotState, Snapshot, TrackOrigin, TrackSnapshot, TransportSettings,
    TransportSnapshot, Wish,
};
use media_types::{Codec, Epoch, LayerSet, MediaKind, Mid, RoomId, ShardId, TrackId, TransportId};

#[derive(Default)]
pub(super) struct Room {
    pub(super) epoch: Epoch,
    pub(super) transports: BTreeMap<TransportId, Transport>,
    pub(super) tracks: BTreeMap<TrackId, Track>,
}

pub(super) struct Transport {
    pub(super) settings: TransportSettings,
    pub(super) media: Vec<MediaLine>,
    pub(super) slots: BTreeMap<Mid, (TrackId, Wish)>,
}

pub(super) struct Track {
    pub(super) publisher: Option<(TransportId, Mid)>,
    pub(super) codec: Option<Codec>,
    pub(super) muted: bool,
    pub(super) relayed_to: BTreeSet<ShardId>,
    /// Where it comes from by relays: the last one takes over from those before.
    pub(super) from: Vec<RelayPeer>,
}

impl Track {
    fn new(publisher: Option<(TransportId, Mid)>, codec: Option<Codec>) -> Self {
        Self {
            publisher,
            codec,
            muted: false,
            relayed_to: BTreeSet::new(),
            from: Vec::new(),
        }
    }
}

/// `send a0 audio, slot v0 video, idle x0 audio`; video lines know VP8 and H.264 unless the line
/// ends in the name of its one codec.
fn lines(sdp: &str) -> Result<Vec<MediaLine>, RefusedReason> {
    let bad = || RefusedReason::BadSdp(sdp.to_owned());
    let mut media = Vec::new();
    for line in sdp.split(',') {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [usage, mid, kind, rest @ ..] = words.as_slice() else {
            return Err(bad());
        };
        let kind = match *kind {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            _ => return Err(bad()),
        };
        let named = rest
            .first()
            .map(|name| Codec::ALL.into_iter().find(|c| c.name() == *name));
        let codecs = match (named, kind) {
            (Some(codec), _) => vec![codec.ok_or_else(bad)?],
            (None, MediaKind::Audio) => vec![Codec::Opus],
            (None, MediaKind::Video) => vec![Codec::Vp8, Codec::H264],
        };
        media.push(MediaLine {
            mid: mid.parse().map_err(|_| bad())?,
            kind,
            usage: match *usage {
                "send" => MediaLineUse::Publish,
                "slot" => MediaLineUse::Slot,
                "both" => MediaLineUse::Both,
                "idle" => MediaLineUse::Idle,
                _ => return Err(bad()),
            },
            codecs,
            rids: Vec::new(),
        });
    }
    Ok(media)
}

impl Room {
    fn transport(&mut self, id: TransportId) -> Result<&mut Transport, RefusedReason> {
        self.transports
            .get_mut(&id)
            .ok_or(RefusedReason::UnknownTransport)
    }

    fn track(&mut self, id: TrackId) -> Result<&mut Track, RefusedReason> {
        self.tracks.get_mut(&id).ok_or(RefusedReason::UnknownTrack)
    }

    pub(super) fn act(
        &mut self,
        command: CommandId,
        action: Action,
    ) -> Result<Fact, RefusedReason> {
        match action {
            Action::OpenTransport {
                transport,
                settings,
            } => {
                self.transports.entry(transport).or_insert(Transport {
                    settings,
                    media: Vec::new(),
                    slots: BTreeMap::new(),
                });
            }
            Action::Negotiate {
                transport, offer, ..
            } => {
                let mut media = lines(&offer)?;
                let opened = self.transport(transport)?;
                for line in &mut media {
                    let allowed = &opened.settings.codecs;
                    line.codecs
                        .retain(|codec| allowed.is_empty() || allowed.contains(codec));
                    if line.codecs.is_empty() {
                        line.usage = MediaLineUse::Idle;
                    }
                }
                opened.media.clone_from(&media);
                return Ok(Fact::Negotiated {
                    command,
                    answer: format!("answer to {offer}"),
                    media,
                    data: false,
                });
            }
            Action::Publish {
                transport,
                mid,
                track,
                ..
            } => {
                self.transport(transport)?;
                let here = Some((transport, mid));
                let new = Track::new(here, None);
                let track = self.tracks.entry(track).or_insert(new);
                track.publisher = track.publisher.or(here);
            }
            other => self.act_on_tracks(other)?,
        }
        Ok(Fact::Done { command })
    }

    fn act_on_tracks(&mut self, action: Action) -> Result<(), RefusedReason> {
        match action {
            Action::Unpublish { track } => {
                self.track(track)?;
                self.tracks.remove(&track);
            }
            Action::OpenIngest(ingest) => {
                let new = Track::new(None, Some(ingest.codec));
                self.tracks.entry(ingest.track).or_insert(new);
            }
            Action::Empty { transport, slot } => {
                self.transport(transport)?.slots.remove(&slot);
            }
            Action::SetWish {
                transport,
                slot,
                wish,
            } => {
                let slots = &mut self.transport(transport)?.slots;
                slots.get_mut(&slot).ok_or(RefusedReason::UnknownMid)?.1 = wish;
            }
            Action::Mute { track, muted } => self.track(track)?.muted = muted,
            Action::OpenRelay { track, end } => match end {
                RelayEnd::Out { to } => {
                    self.track(track)?.relayed_to.extend(to.here());
                }
                RelayEnd::In { codec, from, .. } => {
                    let new = Track::new(None, Some(codec));
                    let track = self.tracks.entry(track).or_insert(new);
                    track.from.retain(|known| *known != from);
                    track.from.push(from);
                }
            },
            Action::CloseRelay { track, other } => {
                if let Some(found) = self.tracks.get_mut(&track) {
                    if let Some(other) = other.here() {
                        found.relayed_to.remove(&other);
                    }
                    found.from.retain(|known| *known != other);
                    if found.publisher.is_none() && found.from.is_empty() {
                        self.tracks.remove(&track);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn fill(
        &mut self,
        transport: TransportId,
        slot: Mid,
        track: TrackId,
        wish: Wish,
    ) -> Result<SlotState, RefusedReason> {
        let found = self.track(track)?;
        let (codec, muted) = (found.codec, found.muted);
        let transport = self.transport(transport)?;
        let line = transport.media.iter().find(|line| line.mid == slot);
        let line = line.ok_or(RefusedReason::UnknownMid)?;
        let decodes = codec.is_none_or(|codec| line.codecs.contains(&codec));
        transport.slots.insert(slot, (track, wish));
        Ok(match (decodes, muted, codec) {
            (false, ..) => SlotState::Unsupported,
            (_, true, _) => SlotState::Muted,
            (_, _, None) => SlotState::Waiting,
            _ => SlotState::Live,
        })
    }

    pub(super) fn snapshot(&self, room: RoomId) -> Snapshot {
        let transports = self
            .transports
            .iter()
            .map(|(id, transport)| TransportSnapshot {
                transport: *id,
                settings: transport.settings.clone(),
                connected: true,
                media: transport.media.clone(),
                slots: transport
                    .slots
                    .iter()
                    .map(|(mid, (track, wish))| SlotSnapshot {
                        mid: *mid,
                        track: *track,
                        wish: *wish,
                        state: SlotState::Live,
                    })
                    .collect(),
            });
        let tracks = self.tracks.iter().map(|(id, track)| TrackSnapshot {
            track: *id,
            origin: track.publisher.map_or(TrackOrigin::Relay, |(by, mid)| {
                TrackOrigin::Transport(by, mid)
            }),
            codec: track.codec,
            layers: LayerSet::EMPTY,
            muted: track.muted,
        });
        Snapshot {
            room,
            epoch: self.epoch,
            transports: transports.collect(),
            tracks: tracks.collect(),
            taps: Vec::new(),
        }
    }
}
