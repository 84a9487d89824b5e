//! Letting somebody in: the part of a join that is not pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use media_types::PeerId;
use signaling::server_message::{Heartbeat, JoinResult};
use signaling::view::PeerState;
use signaling::{ErrorType, RpcError, Secret};
use supervision::Mailbox;

use super::Room;
use crate::config::{Consumed, ResumeClaims};
use crate::limits::{MOVE_TICK, SEAT_WAIT};
use crate::metrics;
use crate::peer::PeerMessage;
use crate::room::message::{Destination, JoinAsk, JoinRefused, JoinReply, Move};
use crate::room::record::{MediaPhase, PeerRecord};
use crate::room::roster::Entry;
use crate::room::state::RoomPhase;
use crate::room::supervisor::SupervisorMessage;
use crate::session::{Credentials, JoinRequest, Joined, Session, SessionKind};

/// Joins whose peers are being started.
#[derive(Default)]
pub(super) struct Joins(BTreeMap<PeerId, JoinReply>);

impl Joins {
    /// The peer will not come.
    pub(super) fn fail(&mut self, peer: PeerId) {
        if let Some(reply) = self.0.remove(&peer) {
            reply.send(Err(JoinRefused::No(ErrorType::Unavailable.into())));
        }
    }
}

impl Room {
    pub(super) fn join(&mut self, now: Instant, ask: JoinAsk) {
        self.join_until(now, ask, now + SEAT_WAIT);
    }

    /// The same; until when it may wait for a place.
    pub(super) fn join_until(&mut self, now: Instant, ask: JoinAsk, until: Instant) {
        let JoinAsk { request, reply } = ask;
        if self.state.phase == RoomPhase::Closed {
            reply.send(Err(JoinRefused::Closing(Box::new(request))));
            return;
        }
        let error = self.not_here(&request);
        if let Some(error) = error.or_else(|| self.elsewhere(now, &request)) {
            reply.send(Err(JoinRefused::No(error)));
            return;
        }
        match self.entry(&request) {
            Ok(Entry::Resume(peer)) => self.resume(peer, request, reply),
            Ok(Entry::New) => self.admit(now, request, reply),
            Ok(Entry::Wait) => self.wait(now, JoinAsk { request, reply }, until),
            Err(error) => {
                let outcome = error.kind().word();
                ::metrics::counter!(metrics::JOINS, "outcome" => outcome).increment(1);
                reply.send(Err(JoinRefused::No(error)));
            }
        }
    }

    /// While the room moves it takes nobody new, so that nobody is in at both ends but who moves.
    fn not_here(&self, request: &JoinRequest) -> Option<RpcError> {
        let stays = match &request.credentials {
            Credentials::Resume(claims) => self.state.members.contains_key(&claims.session),
            Credentials::Token(_) => false,
        };
        let soon = || RpcError::new(ErrorType::Unavailable).retry_after(MOVE_TICK);
        match (self.state.phase, &self.state.stage.leaving) {
            // Its life on the other shard has the room's name in a moment.
            (
                RoomPhase::Handover,
                Some((
                    Move {
                        to: Destination::Shard(_),
                        ..
                    },
                    _,
                )),
            ) => (!stays).then(soon),
            (RoomPhase::Handover, Some((to, _))) if !stays => Some(RpcError::moved(&*to.url)),
            (RoomPhase::Standby, _) => Some(soon()),
            // Who could not follow the room does not come to one that is about to go.
            _ => {
                let follows = request.kind == SessionKind::WebSocket;
                let goes = self.seed.context.is_draining() && !follows;
                goes.then(|| ErrorType::Draining.into())
            }
        }
    }

    /// Checks limits first and consumes the token last, so that an error costs no token.
    fn entry(&mut self, request: &JoinRequest) -> Result<Entry, RpcError> {
        let identity = request.credentials.identity();
        let (resume, claims) = match &request.credentials {
            Credentials::Resume(claims) => (Some(claims.session), None),
            Credentials::Token(claims) => (None, Some(claims)),
        };
        let entry = self.state.entry(identity, &request.kind, resume)?;
        if entry == Entry::Wait {
            return Ok(entry);
        }
        // Encoders reconnect with what they were given (SPEC 3).
        let reusable = request.kind != SessionKind::WebSocket;
        let jti = claims.and_then(|claims| claims.jti.as_deref());
        let (Some(jti), false) = (jti, reusable) else {
            return Ok(entry);
        };
        let admission = &self.seed.context.environment.admission;
        match admission.consume(jti, identity, request.params.nonce.as_deref()) {
            Consumed::First => {
                self.state.note_used(jti, identity);
                Ok(entry)
            }
            Consumed::Repeated => Ok(match self.state.joined_with(identity, jti) {
                Some(peer) => Entry::Resume(peer),
                None => entry,
            }),
            Consumed::Replayed => Err(ErrorType::Replayed.into()),
        }
    }

    fn admit(&mut self, now: Instant, request: JoinRequest, reply: JoinReply) {
        let context = &self.seed.context;
        let grants = request.credentials.grants().clone();
        let (jti, key) = match &request.credentials {
            Credentials::Token(claims) => (claims.jti.clone(), Some(claims.iss.clone())),
            Credentials::Resume(_) => (None, None),
        };
        let loads = context.environment.plane.loads();
        let own_metadata = request.params.metadata.unwrap_or_default();
        let mut record = PeerRecord {
            peer: context.ids.session(),
            identity: request.credentials.identity().clone(),
            kind: request.kind,
            jti,
            key,
            name: grants.name.clone().or(request.params.name),
            metadata: grants.metadata.clone().unwrap_or(own_metadata),
            grants,
            joined_at_ms: context.unix_ms(),
            shard: self.state.choose_shard(&loads),
            transport: context.ids.transport(),
            state: PeerState::Active,
            media: MediaPhase::None,
            tracks: Vec::new(),
            handed: Vec::new(),
            pins: Vec::new(),
            sizes: BTreeMap::new(),
            pairs: Vec::new(),
            outbox: request.outbox,
            attachment: 1,
        };
        if let Some((_, far)) = self.state.parts.peers.get(&record.identity) {
            // Whatever the clocks of the two workers say, this session is the later one.
            record.joined_at_ms = record.joined_at_ms.max(far.joined_at_ms.saturating_add(1));
        }
        self.joins.0.insert(record.peer, reply);
        let handed = match &request.credentials {
            Credentials::Resume(claims) => self.state.handed(&claims.identity, claims.session),
            Credentials::Token(_) => None,
        };
        let Some(handed) = handed.cloned() else {
            self.state.admit(now, record);
            return;
        };
        record.name = handed.name;
        record.metadata = handed.metadata;
        record.joined_at_ms = handed.joined_at_ms;
        (record.jti, record.key) = (handed.jti, handed.key);
        record.handed = handed.tracks;
        self.state.admit_handed(now, record);
        self.keep_stage();
    }

    pub(super) fn spawn(&mut self, peer: PeerId) {
        let Some(member) = self.state.members.get(&peer) else {
            return;
        };
        let identity = member.record.identity.clone();
        let transport = member.record.transport;
        self.tell_supervisor(match member.record.kind {
            SessionKind::Ingest(_) => SupervisorMessage::SpawnIngest(peer, identity, transport),
            SessionKind::WebSocket | SessionKind::Whip | SessionKind::Whep { .. } => {
                SupervisorMessage::Spawn(peer, identity, transport)
            }
        });
    }

    /// The peer runs: whoever waits for it is in.
    pub(super) fn spawned(&mut self, peer: PeerId, mailbox: Mailbox<PeerMessage>) {
        if !self.state.members.contains_key(&peer) {
            self.tell_supervisor(SupervisorMessage::Stop(peer));
            return;
        }
        self.peers.insert(peer, mailbox.clone());
        if let Some(reply) = self.joins.0.remove(&peer) {
            self.answer(peer, mailbox, reply, false);
        }
    }

    fn resume(&mut self, peer: PeerId, request: JoinRequest, reply: JoinReply) {
        let resumed = matches!(request.credentials, Credentials::Resume(_));
        if !self.state.resume(peer, request.outbox) {
            reply.send(Err(JoinRefused::No(ErrorType::NotFound.into())));
            return;
        }
        match self.peers.get(&peer).cloned() {
            Some(mailbox) => self.answer(peer, mailbox, reply, resumed),
            // The first answer is still on its way: this connection gets it.
            None => {
                self.joins.0.insert(peer, reply);
            }
        }
    }

    fn answer(&self, peer: PeerId, mailbox: Mailbox<PeerMessage>, reply: JoinReply, resumed: bool) {
        let Some(member) = self.state.members.get(&peer) else {
            return;
        };
        let record = &member.record;
        let result = self.join_result(record, resumed);
        ::metrics::counter!(metrics::JOINS, "outcome" => if resumed { "resumed" } else { "ok" })
            .increment(1);
        let session = Session {
            peer: mailbox,
            id: peer,
            attachment: record.attachment,
        };
        reply.send(Ok(Joined { result, session }));
    }

    fn join_result(&self, record: &PeerRecord, resumed: bool) -> JoinResult {
        let context = &self.seed.context;
        let config = &context.config;
        let interval_ms = config.heartbeat_interval.as_millis();
        JoinResult {
            peer_id: record.identity.clone(),
            session_id: record.peer,
            resume_token: self.resume_token(record),
            resumed,
            room: self.state.view_for(record.peer),
            ice_servers: config.ice_servers.clone(),
            heartbeat: Heartbeat {
                interval_ms: u64::try_from(interval_ms).unwrap_or(u64::MAX),
                missed: config.heartbeat_missed,
            },
            worker: config.worker.to_string(),
            endpoints: context.endpoints(),
        }
    }

    pub(super) fn resume_token(&self, record: &PeerRecord) -> Secret {
        let claims = ResumeClaims {
            room: self.seed.name.clone(),
            identity: record.identity.clone(),
            session: record.peer,
            grants: record.grants.clone(),
        };
        let tokens = &self.seed.context.environment.tokens;
        tokens.resume_token(&claims)
    }

    /// The peer hears that another connection speaks for its client.
    pub(super) fn attach(&mut self, peer: PeerId) {
        let Some(member) = self.state.members.get(&peer) else {
            return;
        };
        let attach = PeerMessage::Attach {
            outbox: Arc::clone(&member.record.outbox),
            attachment: member.record.attachment,
        };
        self.tell(peer, attach);
    }
}
