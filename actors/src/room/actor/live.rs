//! Live sources, and those who take media out of the room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use media_contract::{Action, Event, Fact, Subject};
use media_types::{Bitrate, PeerId, TrackId};
use signaling::view::PeerState;
use signaling::{ErrorType, RpcError};
use supervision::{Mailbox, Reply};
use tokio::sync::watch;

use super::Room;
use crate::egress::{
    EgressMessage, EgressRequest, EgressSeed, EgressSession, EgressSource, EgressView, close_step,
};
use crate::ingest::{IngestStatus, IngestTrackStatus};
use crate::limits::EGRESSES_PER_ROOM;
use crate::peer::PeerMessage;
use crate::room::message::RoomMessage;
use crate::room::record::PeerRecord;
use crate::room::state::RoomPhase;
use crate::room::supervisor::SupervisorMessage;
use crate::session::SessionKind;

/// The answer to a wish for media.
type Opened = Reply<Result<EgressSession, RpcError>>;

/// What a room knows of live media beyond its members.
#[derive(Default)]
pub(super) struct Live {
    egresses: BTreeMap<PeerId, (Arc<EgressSeed>, Mailbox<EgressMessage>)>,
    /// Wishes whose egress is being started.
    starting: BTreeMap<PeerId, (Opened, watch::Receiver<EgressView>)>,
    /// What live sources bring, as last told.
    rates: BTreeMap<TrackId, Bitrate>,
}

impl Live {
    /// Whether nobody takes media out of the room.
    pub(super) fn is_idle(&self) -> bool {
        self.egresses.is_empty() && self.starting.is_empty()
    }
}

impl Room {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on what is about live media"
    )]
    pub(super) fn take_live(&mut self, now: Instant, message: RoomMessage) {
        match message {
            RoomMessage::OpenEgress(request, reply) => self.open_egress(now, request, reply),
            // A room that closes starts nothing; whoever asked hears that nobody answers.
            RoomMessage::OpenTranscoder(process, reply)
                if self.state.phase != RoomPhase::Closed =>
            {
                self.tell_supervisor(SupervisorMessage::SpawnTranscoder(process, reply));
            }
            RoomMessage::EgressLives(seed, mailbox) => self.egress_lives(now, seed, mailbox),
            RoomMessage::EgressLoad(id) => self.tell_egress(id),
            RoomMessage::EgressGone(id) => self.egress_gone(now, id),
            RoomMessage::Ingests(reply) => reply.send(self.ingests()),
            RoomMessage::PanicEgress(id, reply) => {
                let known = self.live.egresses.get(&id);
                let told = known.map(|(_, mailbox)| mailbox.tell(EgressMessage::Panic));
                reply.send(told.is_some_and(|told| told.is_ok()));
            }
            _ => {}
        }
    }

    fn open_egress(&mut self, now: Instant, request: EgressRequest, reply: Opened) {
        let is_known = request
            .stream
            .as_ref()
            .is_none_or(|stream| self.state.is_in(stream));
        if self.state.phase == RoomPhase::Closed || !is_known {
            reply.send(Err(ErrorType::NotFound.into()));
            return;
        }
        if self.live.egresses.len() + self.live.starting.len() >= EGRESSES_PER_ROOM {
            reply.send(Err(ErrorType::Overloaded.into()));
            return;
        }
        let id = self.seed.context.ids.session();
        let (view, following) = watch::channel(EgressView::default());
        let seed = EgressSeed {
            room: Arc::clone(&self.seed),
            id,
            request,
            view,
        };
        self.live.starting.insert(id, (reply, following));
        self.note_taps(now);
        self.tell_supervisor(SupervisorMessage::SpawnEgress(Arc::new(seed)));
    }

    /// Whether media is taken out decides whether a part of a room stays.
    fn note_taps(&mut self, now: Instant) {
        self.state.tapped = !self.live.is_idle();
        self.state.note_empty(now);
    }

    fn egress_lives(
        &mut self,
        now: Instant,
        seed: Arc<EgressSeed>,
        mailbox: Mailbox<EgressMessage>,
    ) {
        let id = seed.id;
        self.live.egresses.insert(id, (seed, mailbox.clone()));
        self.note_taps(now);
        self.tell_egress(id);
        if let Some((reply, view)) = self.live.starting.remove(&id) {
            reply.send(Ok(EgressSession { id, mailbox, view }));
        }
    }

    /// What an egress that failed for good left open is closed.
    fn egress_gone(&mut self, now: Instant, id: PeerId) {
        self.live.starting.remove(&id);
        let gone = self.live.egresses.remove(&id);
        self.note_taps(now);
        let Some((seed, _)) = gone else {
            return;
        };
        let view = seed.view.send_replace(EgressView {
            taps: Vec::new(),
            ended: true,
        });
        for tap in &view.taps {
            let (shard, action) = close_step(tap);
            self.command(shard, action);
        }
    }

    fn sources(&self) -> Arc<Vec<EgressSource>> {
        let live = self.state.tracks.iter().filter(|entry| entry.view.live);
        let sources = live.filter_map(|entry| {
            let view = &entry.view;
            let (shard, far) = self.state.tap_place(view.track_id)?;
            Some(EgressSource {
                track: view.track_id,
                shard,
                far,
                publisher: view.peer_id.clone(),
                kind: view.kind,
                codec: view.codec,
                source: view.source,
                name: view.name.clone(),
            })
        });
        Arc::new(sources.collect())
    }

    fn tell_egress(&self, id: PeerId) {
        if let Some((_, mailbox)) = self.live.egresses.get(&id) {
            tell_sources(mailbox, self.sources());
        }
    }

    /// The tracks have changed: taps follow.
    pub(super) fn tell_egresses(&self) {
        if self.live.egresses.is_empty() {
            return;
        }
        let sources = self.sources();
        for (_, mailbox) in self.live.egresses.values() {
            tell_sources(mailbox, Arc::clone(&sources));
        }
    }

    /// Passes on to a live source what happened to one of its tracks.
    pub(super) fn tell_feeder(&mut self, event: &Event) {
        let Subject::Track(track) = event.subject else {
            return;
        };
        if let Fact::IngestFigures(figures) = &event.fact {
            self.live.rates.insert(track, figures.rate);
            return;
        }
        let owner = self.state.tracks.get(track).map(|entry| entry.owner);
        let member = owner.and_then(|owner| self.state.members.get(&owner));
        if let Some(owner) = owner
            && member.is_some_and(|member| matches!(member.record.kind, SessionKind::Ingest(_)))
        {
            self.tell(owner, PeerMessage::Event(Box::new(event.clone())));
        }
    }

    /// A live source whose actor failed for good leaves its tracks on the shard.
    pub(super) fn unpublish_fed(&mut self, record: &PeerRecord) {
        if matches!(record.kind, SessionKind::Ingest(_)) {
            for track in &record.tracks {
                let track = track.track;
                self.command(record.shard, Action::Unpublish { track });
            }
        }
    }

    fn ingests(&mut self) -> Vec<IngestStatus> {
        let tracks = &self.state.tracks;
        self.live
            .rates
            .retain(|track, _| tracks.get(*track).is_some());
        let members = self.state.members.values();
        let fed = members.filter_map(|member| match member.record.kind {
            SessionKind::Ingest(protocol) => Some((protocol, &member.record)),
            SessionKind::WebSocket | SessionKind::Whip | SessionKind::Whep { .. } => None,
        });
        let statuses = fed.map(|(protocol, record)| IngestStatus {
            id: record.peer,
            room: self.seed.name.clone(),
            identity: record.identity.clone(),
            protocol,
            connected: record.state == PeerState::Active,
            joined_at_ms: record.joined_at_ms,
            connections: record.attachment,
            tracks: self.ingest_tracks(record),
        });
        statuses.collect()
    }

    fn ingest_tracks(&self, record: &PeerRecord) -> Vec<IngestTrackStatus> {
        let views = self.state.tracks_of(record.peer).into_iter();
        let tracks = views.map(|view| IngestTrackStatus {
            track: view.track_id,
            kind: view.kind,
            codec: view.codec,
            live: view.live && !self.state.tracks.is_stalled(view.track_id),
            rate: self
                .live
                .rates
                .get(&view.track_id)
                .copied()
                .unwrap_or_default(),
        });
        tracks.collect()
    }
}

/// A box that is full has later changes in it that say the same.
fn tell_sources(mailbox: &Mailbox<EgressMessage>, sources: Arc<Vec<EgressSource>>) {
    if mailbox.tell(EgressMessage::Sources(sources)).is_err() {
        tracing::debug!("an egress hears of the tracks at its next reconciling");
    }
}
