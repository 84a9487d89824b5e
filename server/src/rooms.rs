//! The rooms as the listeners see them, answered by the actors; and what the actors need of us:
//! tokens and the replay guard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::{
    Admission, Consumed, Credentials, Fault, IngestStatus, MoveStatus, Notice, OutboxFull,
    PeerChange, Revocation, SessionKind, ShardMove, System, TellRefused, TokenMinter,
};
use control_plane::MoveReason;
use media_types::{Clock, Identity, PeerId, RoomName, ShardId, TrackId, WorkerId};
use signaling::client_message::{OfferParams, SendParams};
use signaling::rest::{PeerStatus, RoomPatch, RoomSettings, RoomStatus};
use signaling::server_message::OfferResult;
use signaling::view::CloseReason;
use signaling::{Claims, ClientMessage, Outgoing, RequestId, RpcError, Secret};

use crate::auth::{Admitted, Auth};
use crate::http::{
    Answer, JoinRequest, Joined, Outbox, OutboxError, Rooms, Session, SessionHandle, TellError, Via,
};
use crate::telemetry::traces;

/// [`Rooms`] over the tree of actors.
pub struct ActorRooms(System);

impl ActorRooms {
    /// The rooms of this worker.
    #[must_use]
    pub const fn new(system: System) -> Self {
        Self(system)
    }

    /// Asks the tree; the question owns what it needs.
    fn ask<T, F>(&self, question: impl FnOnce(System) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, RpcError>> + 'static,
    {
        Box::pin(question(self.0.clone()))
    }
}

impl Rooms for ActorRooms {
    fn join(&self, request: JoinRequest) -> Answer<Joined> {
        let given = request.params.traceparent.as_deref();
        let cause = given
            .and_then(traces::Context::parse)
            .or_else(traces::current);
        let span = traces::Span::begin("join", traces::Kind::Server, cause).about(&request.room);
        self.ask(|system| {
            span.judge(async move {
                let joined = system.join(translate(request)).await?;
                Ok(Joined {
                    result: joined.result,
                    session: SessionHandle::new(Arc::new(ActorSession(Arc::new(joined.session)))),
                })
            })
        })
    }

    fn list(&self) -> Answer<Vec<RoomStatus>> {
        self.ask(|system| async move { Ok(system.rooms().await) })
    }

    fn get(&self, room: RoomName) -> Answer<RoomStatus> {
        self.ask(|system| async move { system.room(&room).await })
    }

    fn put(&self, room: RoomName, settings: RoomSettings) -> Answer<(RoomStatus, bool)> {
        self.ask(|system| async move { system.open_room(&room, settings).await })
    }

    fn patch(&self, room: RoomName, patch: RoomPatch) -> Answer<RoomStatus> {
        self.ask(|system| async move { system.update_room(&room, patch).await })
    }

    fn close(&self, room: RoomName) -> Answer<()> {
        self.ask(|system| async move { system.close_room(&room).await })
    }

    fn peers(&self, room: RoomName) -> Answer<Vec<PeerStatus>> {
        self.ask(|system| async move { system.peers(&room).await })
    }

    fn kick(&self, room: RoomName, peer: Identity) -> Answer<()> {
        self.ask(|system| async move { system.kick(&room, &peer, CloseReason::Kicked).await })
    }

    fn send(&self, room: RoomName, from: Identity, message: SendParams) -> Answer<u32> {
        self.ask(|system| async move {
            let SendParams {
                to, topic, payload, ..
            } = message;
            system.send(&room, from, to, topic, payload).await
        })
    }

    fn mute(
        &self,
        room: RoomName,
        peer: Identity,
        track: Option<TrackId>,
        muted: bool,
    ) -> Answer<()> {
        self.ask(|system| async move { system.mute(&room, &peer, track, muted).await })
    }

    fn change_peer(&self, room: RoomName, peer: Identity, change: PeerChange) -> Answer<()> {
        self.ask(|system| async move { system.change_peer(&room, &peer, change).await })
    }

    fn revoke(&self, revocation: Revocation) -> Answer<u32> {
        self.ask(|system| async move { Ok(system.revoke(&revocation).await) })
    }

    fn ingests(&self) -> Answer<Vec<IngestStatus>> {
        self.ask(|system| async move { Ok(system.ingests().await) })
    }

    fn close_ingest(&self, id: PeerId) -> Answer<()> {
        self.ask(|system| async move { system.close_ingest(id).await })
    }

    fn migrate(&self, room: RoomName, to: Option<WorkerId>) -> Answer<MoveStatus> {
        let reason = MoveReason::Operator;
        self.ask(|system| async move { system.move_room(&room, to, reason).await })
    }

    fn move_shard(&self, room: RoomName, to: Option<ShardId>) -> Answer<ShardMove> {
        self.ask(|system| async move { system.move_shard(&room, to).await })
    }

    fn migrations(&self) -> Answer<Vec<MoveStatus>> {
        self.ask(|system| async move { Ok(system.moving().await) })
    }

    fn drain(&self) -> Answer<()> {
        self.ask(|system| async move {
            actix_rt::spawn(async move {
                let moved = system.drain_by_moving().await;
                tracing::info!(moved, "the rooms of this worker were moved");
                system.drain().await;
            });
            Ok(())
        })
    }

    fn inject(&self, room: RoomName, fault: Fault) -> Answer<()> {
        self.ask(|system| async move { system.inject(&room, fault).await })
    }
}

fn translate(request: JoinRequest) -> actors::JoinRequest {
    let credentials = match request.resume {
        Some(resume) => Credentials::Resume(Box::new(actors::ResumeClaims {
            room: resume.room,
            identity: resume.sub,
            session: resume.sid,
            grants: resume.grants,
        })),
        None => {
            let reusable = || Claims {
                iss: String::new(),
                sub: request.identity,
                exp: u64::MAX,
                nbf: None,
                iat: None,
                jti: None,
                troupe: request.grants,
            };
            Credentials::Token(Box::new(request.claims.unwrap_or_else(reusable)))
        }
    };
    let kind = match request.via {
        Via::WebSocket => SessionKind::WebSocket,
        Via::Whip => SessionKind::Whip,
        Via::Whep { peer, track } => SessionKind::Whep { peer, track },
    };
    actors::JoinRequest {
        room: request.room,
        credentials,
        params: request.params,
        kind,
        outbox: Arc::new(ListenerOutbox(request.outbox)),
    }
}

/// A listener's queue as the actors see it.
struct ListenerOutbox(Arc<dyn Outbox>);

impl actors::Outbox for ListenerOutbox {
    fn send(&self, frame: Outgoing) -> Result<(), OutboxFull> {
        taken(self.0.send(frame))
    }

    fn send_shared(&self, notice: &Notice) -> Result<(), OutboxFull> {
        taken(self.0.send_text(notice.text()))
    }

    fn heard(&self) -> Option<Instant> {
        self.0.heard()
    }

    fn close(&self, reason: CloseReason) {
        self.0.close(reason);
    }
}

fn taken(result: Result<(), OutboxError>) -> Result<(), OutboxFull> {
    match result {
        // That the socket is gone comes by the session's handle, and the session may resume.
        Ok(()) | Err(OutboxError::Closed) => Ok(()),
        Err(OutboxError::Full) => Err(OutboxFull),
    }
}

/// A session as the listeners see it.
struct ActorSession(Arc<actors::Session>);

impl Session for ActorSession {
    fn tell(&self, id: Option<RequestId>, message: ClientMessage) -> Result<(), TellError> {
        self.0.tell(id, message).map_err(|refused| match refused {
            TellRefused::Full(message) => TellError::Full(message),
            TellRefused::Over => TellError::Closed,
        })
    }

    fn offer(&self, params: OfferParams) -> Answer<OfferResult> {
        let session = Arc::clone(&self.0);
        Box::pin(async move { session.offer(params).await })
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }

    fn socket_lost(&self) {
        self.0.socket_lost();
    }

    fn leave(&self) {
        if self.0.leave().is_err() {
            tracing::debug!("a full peer leaves when its resume window ends");
        }
    }
}

/// The tokens and the guard of [`Auth`], as the actors use them.
pub struct Gatekeeper {
    auth: Arc<Auth>,
    clock: Arc<dyn Clock>,
    token_life_max: Duration,
}

impl Gatekeeper {
    /// `token_life_max` is the longest that a token for one join may live.
    #[must_use]
    pub fn new(auth: Arc<Auth>, clock: Arc<dyn Clock>, token_life_max: Duration) -> Self {
        Self {
            auth,
            clock,
            token_life_max,
        }
    }
}

impl TokenMinter for Gatekeeper {
    fn resume_token(&self, claims: &actors::ResumeClaims) -> Secret {
        let claims = claims.clone();
        let now = self.clock.unix();
        let signer = &self.auth.resume;
        signer.sign(
            claims.identity,
            claims.room,
            claims.session,
            claims.grants,
            now,
        )
    }
}

impl Admission for Gatekeeper {
    fn consume(&self, jti: &str, sub: &Identity, nonce: Option<&str>) -> Consumed {
        let now = self.clock.unix();
        // The token's own end is not known here, so it is remembered for as long as any may live.
        let ends = now.saturating_add(self.token_life_max);
        let claims = Claims {
            iss: String::new(),
            sub: sub.clone(),
            exp: ends.as_secs(),
            nbf: None,
            iat: None,
            jti: Some(jti.to_owned()),
            troupe: signaling::Grants::default(),
        };
        match self.auth.replay.consume(&claims, nonce, now) {
            Ok(Admitted::First) => Consumed::First,
            Ok(Admitted::Repeated) => Consumed::Repeated,
            // A guard that can remember no more lets nobody in rather than somebody twice.
            Err(_refused) => Consumed::Replayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::config::{ApiKey, AuthConfig, KeyAlgorithm};

    fn gatekeeper() -> Gatekeeper {
        let config = AuthConfig {
            keys: vec![ApiKey {
                name: "k".to_owned(),
                algorithm: KeyAlgorithm::Hs256,
                secret: Some(Secret::new("0123456789abcdef0123456789abcdef")),
                public_key: None,
            }],
            ..AuthConfig::default()
        };
        let auth = Arc::new(Auth::new(&config).unwrap());
        Gatekeeper::new(auth, Arc::new(SystemClock), config.join_max_ttl)
    }

    #[test]
    fn a_jti_is_used_once_and_repeated_with_its_nonce() {
        let gate = gatekeeper();
        let (ana, bob) = ("ana".parse().unwrap(), "bob".parse().unwrap());
        assert_eq!(gate.consume("j", &ana, Some("n")), Consumed::First);
        assert_eq!(gate.consume("j", &ana, Some("n")), Consumed::Repeated);
        assert_eq!(gate.consume("j", &ana, None), Consumed::Replayed);
        assert_eq!(gate.consume("j", &bob, Some("n")), Consumed::Replayed);
    }

    #[test]
    fn a_resume_token_says_what_the_session_is() {
        let gate = gatekeeper();
        let claims = actors::ResumeClaims {
            room: "r".parse().unwrap(),
            identity: "ana".parse().unwrap(),
            session: media_types::PeerId::new(7),
            grants: signaling::Grants::default().with(signaling::Grant::Data),
        };
        let token = gate.resume_token(&claims);
        let now = SystemClock.unix();
        let read = gate.auth.resume.verify(token.expose(), now).unwrap();
        assert_eq!((read.sub, read.room), (claims.identity, claims.room));
        assert_eq!((read.sid, read.grants), (claims.session, claims.grants));
    }
}
