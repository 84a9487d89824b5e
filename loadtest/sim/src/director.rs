//! Decides as simply as can be what the actors would decide: everything that is offered is
//! published, and every slot is filled with what somebody else publishes.

use std::collections::BTreeMap;

use media_contract::{
    Action, Command, CommandId, Event, Fact, MediaLine, MediaLineUse, RelayEnd, Subject,
    TransportSettings, TransportUse, Wish,
};
use media_types::{Codec, Identity, MediaKind, Mid, ShardId, TrackId, TrackSource, TransportId};

/// One transport as the director knows it.
struct Seat {
    shard: ShardId,
    identity: Identity,
    /// Slots with what they were filled with.
    slots: Vec<(Mid, MediaKind, Option<TrackId>)>,
}

/// One track as the director knows it.
struct Track {
    publisher: TransportId,
    shard: ShardId,
    kind: MediaKind,
    codec: Option<Codec>,
    /// Shards that have their end of a relay.
    relayed: Vec<ShardId>,
}

#[derive(Default)]
pub(crate) struct Director {
    seats: BTreeMap<TransportId, Seat>,
    tracks: BTreeMap<TrackId, Track>,
    negotiating: BTreeMap<CommandId, TransportId>,
    /// Each shard is a worker of its own.
    pub(crate) spans: bool,
}

impl Director {
    pub(crate) fn join(
        &mut self,
        shard: ShardId,
        transport: TransportId,
        number: u32,
    ) -> TransportSettings {
        let identity: Identity = format!("peer-{number}").parse().expect("a legal name");
        self.seats.insert(
            transport,
            Seat {
                shard,
                identity: identity.clone(),
                slots: Vec::new(),
            },
        );
        let usage = TransportUse::Peer;
        TransportSettings {
            identity,
            usage,
            publish: true,
            subscribe: true,
            data: true,
            codecs: Vec::new(),
        }
    }

    /// Remembers what a command was about, and forgets what it ends.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "all other commands are its own"
    )]
    pub(crate) fn note(&mut self, command: &Command) {
        match &command.action {
            Action::Negotiate { transport, .. } => {
                self.negotiating.insert(command.id, *transport);
            }
            Action::CloseTransport { transport } => self.forget(*transport),
            _ => {}
        }
    }

    /// What follows from an event.
    pub(crate) fn direct(&mut self, shard: ShardId, event: &Event) -> Vec<(ShardId, Action)> {
        match (&event.fact, event.subject) {
            (Fact::Negotiated { command, media, .. }, _) => {
                match self.negotiating.remove(command) {
                    Some(transport) => self.publish(transport, media),
                    None => Vec::new(),
                }
            }
            (Fact::TrackStarted { codec, .. }, Subject::Track(track)) => {
                self.started(shard, track, *codec);
                self.fill()
            }
            (Fact::TransportLost { .. }, Subject::Transport(transport)) => {
                self.forget(transport);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// The slots of a transport that show what another publishes.
    pub(crate) fn slots_showing(&self, transport: TransportId, publisher: TransportId) -> Vec<Mid> {
        let of = |track: &TrackId| {
            let track = self.tracks.get(track);
            track.is_some_and(|track| track.publisher == publisher)
        };
        let seat = self.seats.get(&transport);
        let slots = seat.into_iter().flat_map(|seat| &seat.slots);
        slots
            .filter(|(_, _, shows)| shows.as_ref().is_some_and(of))
            .map(|(mid, ..)| *mid)
            .collect()
    }

    fn forget(&mut self, transport: TransportId) {
        self.seats.remove(&transport);
        self.tracks.retain(|_, track| track.publisher != transport);
        for seat in self.seats.values_mut() {
            for (_, _, shows) in &mut seat.slots {
                *shows = shows.filter(|track| self.tracks.contains_key(track));
            }
        }
    }

    fn publish(&mut self, transport: TransportId, media: &[MediaLine]) -> Vec<(ShardId, Action)> {
        let Some(seat) = self.seats.get_mut(&transport) else {
            return Vec::new();
        };
        let shard = seat.shard;
        let mut actions = Vec::new();
        for line in media {
            let known = seat.slots.iter().any(|(mid, ..)| *mid == line.mid);
            if line.usage == MediaLineUse::Slot && !known {
                seat.slots.push((line.mid, line.kind, None));
            }
            if line.usage == MediaLineUse::Publish {
                let track = TrackId::new(self.tracks.len() as u64 + 1 + (transport.get() << 32));
                let (kind, publisher) = (line.kind, transport);
                let new = Track {
                    publisher,
                    shard,
                    kind,
                    codec: None,
                    relayed: Vec::new(),
                };
                self.tracks.insert(track, new);
                let source = TrackSource::default_for(kind);
                let publish = Action::Publish {
                    transport,
                    mid: line.mid,
                    track,
                    source,
                };
                actions.push((shard, publish));
            }
        }
        actions.extend(self.fill());
        actions
    }

    fn started(&mut self, shard: ShardId, track: TrackId, codec: Codec) {
        if let Some(track) = self
            .tracks
            .get_mut(&track)
            .filter(|track| track.shard == shard)
        {
            track.codec = Some(codec);
        }
    }

    /// Puts every track that flows into a free slot of everyone else.
    fn fill(&mut self) -> Vec<(ShardId, Action)> {
        let mut actions = Vec::new();
        for (id, track) in &mut self.tracks {
            let Some(codec) = track.codec else { continue };
            let publisher = self
                .seats
                .get(&track.publisher)
                .map(|seat| seat.identity.clone());
            let Some(publisher) = publisher else { continue };
            for (transport, seat) in &mut self.seats {
                let shown = seat.slots.iter().any(|(_, _, shows)| *shows == Some(*id));
                if *transport == track.publisher || shown {
                    continue;
                }
                let free = |slot: &&mut (Mid, MediaKind, Option<TrackId>)| {
                    slot.1 == track.kind && slot.2.is_none()
                };
                let Some(slot) = seat.slots.iter_mut().find(free) else {
                    continue;
                };
                slot.2 = Some(*id);
                if seat.shard != track.shard && !track.relayed.contains(&seat.shard) {
                    track.relayed.push(seat.shard);
                    let ends = relay(*id, track, codec, seat.shard, publisher.clone());
                    actions.extend(match self.spans {
                        true => vec![pulled(ends)],
                        false => ends.into(),
                    });
                }
                let (slot, track, wish) = (slot.0, *id, Wish::default());
                let fill = Action::Fill {
                    transport: *transport,
                    slot,
                    track,
                    wish,
                };
                actions.push((seat.shard, fill));
            }
        }
        actions
    }
}

/// Between workers the wanting end alone is opened, and names the other worker.
fn pulled([_, inward]: [(ShardId, Action); 2]) -> (ShardId, Action) {
    let (to, mut action) = inward;
    if let Action::OpenRelay {
        end: RelayEnd::In { from, .. },
        ..
    } = &mut action
        && let Some(shard) = from.here()
    {
        *from = crate::hops::peer(usize::from(shard.0));
    }
    (to, action)
}

fn relay(
    id: TrackId,
    track: &Track,
    codec: Codec,
    to: ShardId,
    publisher: Identity,
) -> [(ShardId, Action); 2] {
    let source = TrackSource::default_for(track.kind);
    let from = track.shard;
    let end = RelayEnd::In {
        from: from.into(),
        kind: track.kind,
        codec,
        source,
        publisher,
    };
    [
        (
            from,
            Action::OpenRelay {
                track: id,
                end: RelayEnd::Out { to: to.into() },
            },
        ),
        (to, Action::OpenRelay { track: id, end }),
    ]
}
