//! Rooms that remember what they were asked and say what a test wants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web;
use actors::{Fault, PeerChange, Revocation};
use media_types::{Identity, PeerId, RoomName, TrackId};
use serde_json::Value;
use signaling::client_message::{OfferParams, SendParams};
use signaling::rest::{PeerStatus, RoomPatch, RoomSettings, RoomStatus, SessionKind};
use signaling::server_message::{Heartbeat, JoinResult, OfferResult};
use signaling::view::{PeerState, Room};
use signaling::{
    ClientMessage, ErrorType, Grant, Grants, Outgoing, Reply, RequestId, RpcError, Secret,
};

use crate::auth::{Auth, TokenRequest, issue};
use crate::clock::SystemClock;
use crate::config::{ApiKey, Config, KeyAlgorithm};
use crate::http::{
    Answer, AppState, Health, JoinRequest, Joined, Outbox, Rooms, Session, SessionHandle,
    TellError, WhipSessions,
};
use crate::ops::{Ops, Parts};
use crate::telemetry::start_metrics;
use crate::transcode::TranscoderStatus;

pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(super) const ANSWER: &str = "v=0\r\na=ice-lite\r\na=ice-ufrag:serv\r\n\
    a=ice-pwd:serverserverserver1234\r\na=candidate:1 1 udp 1 192.0.2.9 7800 typ host\r\n";

/// One session of the made-up rooms.
pub(super) struct FakeSession {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) told: Mutex<Vec<ClientMessage>>,
    pub(super) offers: Mutex<Vec<String>>,
    pub(super) lost: AtomicU64,
    pub(super) left: AtomicBool,
    /// It has ended without a word.
    pub(super) over: AtomicBool,
    /// Takes nothing.
    pub(super) stuck: Arc<AtomicBool>,
}

impl Session for FakeSession {
    fn tell(&self, id: Option<RequestId>, message: ClientMessage) -> Result<(), TellError> {
        if self.stuck.load(Ordering::SeqCst) {
            return Err(TellError::Full(Box::new(message)));
        }
        self.told.lock().unwrap().push(message);
        if let Some(id) = id {
            let _ = self.outbox.send(Outgoing::answer(id, Ok(Reply::EMPTY)));
        }
        Ok(())
    }

    fn offer(&self, params: OfferParams) -> Answer<OfferResult> {
        let bad = !params.sdp.starts_with("v=0");
        self.offers.lock().unwrap().push(params.sdp);
        Box::pin(async move {
            if bad {
                return Err(ErrorType::BadSdp.into());
            }
            let sdp = ANSWER.to_owned();
            Ok(OfferResult {
                sdp,
                tracks: Vec::new(),
            })
        })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn socket_lost(&self) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
    }
}

/// What a join was asked with, as far as it can be kept.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) identity: Identity,
    pub(super) room: RoomName,
    pub(super) via: crate::http::Via,
    pub(super) once: bool,
    pub(super) resumes: bool,
}

#[derive(Default)]
pub(super) struct FakeRooms {
    pub(super) asked: Mutex<Vec<Asked>>,
    pub(super) sessions: Mutex<Vec<Arc<FakeSession>>>,
    pub(super) settings: Mutex<BTreeMap<RoomName, RoomSettings>>,
    pub(super) refusal: Mutex<Option<RpcError>>,
    /// Said into the outbox before the join is answered.
    pub(super) early: Mutex<Vec<Outgoing>>,
    pub(super) stuck: Arc<AtomicBool>,
    pub(super) faults: Mutex<Vec<Fault>>,
    /// What operators did, in words.
    pub(super) acts: Mutex<Vec<String>>,
}

impl FakeRooms {
    pub(super) fn session(&self) -> Arc<FakeSession> {
        self.sessions.lock().unwrap().last().unwrap().clone()
    }

    fn status(name: &RoomName, settings: &RoomSettings) -> RoomStatus {
        RoomStatus {
            name: name.clone(),
            settings: settings.clone(),
            peers: 1,
            publishers: 0,
            tracks: 0,
            opened_at: 1,
            shards: vec![0],
            worker: "wk".to_owned(),
            epoch: 1,
        }
    }

    fn act(&self, what: String) {
        self.acts.lock().unwrap().push(what);
    }

    fn find(&self, room: &RoomName) -> Result<RoomStatus, RpcError> {
        let settings = self.settings.lock().unwrap();
        let found = settings.get(room).ok_or(ErrorType::NotFound)?;
        Ok(Self::status(room, found))
    }
}

fn ready<T: 'static>(result: Result<T, RpcError>) -> Answer<T> {
    Box::pin(std::future::ready(result))
}

impl Rooms for FakeRooms {
    fn join(&self, request: JoinRequest) -> Answer<Joined> {
        self.asked.lock().unwrap().push(Asked {
            identity: request.identity.clone(),
            room: request.room.clone(),
            via: request.via.clone(),
            once: request
                .claims
                .as_ref()
                .is_some_and(|claims| claims.jti.is_some()),
            resumes: request.resume.is_some(),
        });
        if let Some(error) = self.refusal.lock().unwrap().take() {
            return ready(Err(error));
        }
        for message in self.early.lock().unwrap().drain(..) {
            request.outbox.send(message).unwrap();
        }
        let session = Arc::new(FakeSession {
            outbox: request.outbox,
            told: Mutex::default(),
            offers: Mutex::default(),
            lost: AtomicU64::new(0),
            left: AtomicBool::new(false),
            over: AtomicBool::new(false),
            stuck: self.stuck.clone(),
        });
        self.sessions.lock().unwrap().push(session.clone());
        let room = Room {
            name: request.room,
            metadata: Value::Null,
            peers: Vec::new(),
            tracks: Vec::new(),
            audience: 0,
        };
        let result = JoinResult {
            peer_id: request.identity,
            session_id: PeerId::new(7),
            resume_token: Secret::new("resume"),
            resumed: request.resume.is_some(),
            room,
            ice_servers: Vec::new(),
            heartbeat: Heartbeat {
                interval_ms: 5_000,
                missed: 2,
            },
            worker: "wk".to_owned(),
            endpoints: Vec::new(),
        };
        let session = SessionHandle::new(session);
        ready(Ok(Joined { result, session }))
    }

    fn list(&self) -> Answer<Vec<RoomStatus>> {
        let settings = self.settings.lock().unwrap();
        let rooms = settings.iter().map(|(name, set)| Self::status(name, set));
        ready(Ok(rooms.collect()))
    }

    fn get(&self, room: RoomName) -> Answer<RoomStatus> {
        ready(self.find(&room))
    }

    fn put(&self, room: RoomName, settings: RoomSettings) -> Answer<(RoomStatus, bool)> {
        let status = Self::status(&room, &settings);
        let old = self.settings.lock().unwrap().insert(room, settings);
        ready(Ok((status, old.is_none())))
    }

    fn patch(&self, room: RoomName, patch: RoomPatch) -> Answer<RoomStatus> {
        let patched = self.find(&room).map(|status| {
            let settings = patch.apply(status.settings);
            let mut all = self.settings.lock().unwrap();
            all.insert(room.clone(), settings.clone());
            Self::status(&room, &settings)
        });
        ready(patched)
    }

    fn close(&self, room: RoomName) -> Answer<()> {
        let removed = self.settings.lock().unwrap().remove(&room);
        ready(removed.map(|_| ()).ok_or(ErrorType::NotFound.into()))
    }

    fn peers(&self, room: RoomName) -> Answer<Vec<PeerStatus>> {
        let peers = self.find(&room).map(|_| {
            vec![PeerStatus {
                peer_id: "ana".parse().unwrap(),
                session_id: PeerId::new(1),
                name: None,
                metadata: Value::Null,
                state: PeerState::Active,
                via: SessionKind::WebSocket,
                joined_at: 1,
                tracks: Vec::new(),
                quality: None,
                quality_reason: None,
            }]
        });
        ready(peers)
    }

    fn kick(&self, room: RoomName, peer: Identity) -> Answer<()> {
        let known = self.find(&room).and_then(|_| match peer.as_str() {
            "ana" => Ok(()),
            _ => Err(ErrorType::NotFound.into()),
        });
        ready(known)
    }

    fn send(&self, _room: RoomName, from: Identity, message: SendParams) -> Answer<u32> {
        self.act(format!("{from} to {}: {}", message.to, message.topic));
        ready(Ok(3))
    }

    fn mute(
        &self,
        _room: RoomName,
        peer: Identity,
        track: Option<TrackId>,
        muted: bool,
    ) -> Answer<()> {
        self.act(format!("mute {peer} {track:?} {muted}"));
        ready(Ok(()))
    }

    fn change_peer(&self, _room: RoomName, peer: Identity, change: PeerChange) -> Answer<()> {
        self.act(format!(
            "change {peer} {:?} {:?}",
            change.name, change.metadata
        ));
        ready(Ok(()))
    }

    fn revoke(&self, revocation: Revocation) -> Answer<u32> {
        self.act(format!("revoke {revocation:?}"));
        ready(Ok(2))
    }

    fn inject(&self, _room: RoomName, fault: Fault) -> Answer<()> {
        self.faults.lock().unwrap().push(fault);
        ready(Ok(()))
    }
}

pub(super) struct World {
    pub(super) state: web::Data<AppState>,
    pub(super) rooms: Arc<FakeRooms>,
}

pub(super) fn key() -> ApiKey {
    ApiKey {
        name: "k".to_owned(),
        algorithm: KeyAlgorithm::Hs256,
        secret: Some(Secret::new(SECRET)),
        public_key: None,
    }
}

pub(super) fn world(change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::default();
    config.auth.keys = vec![key()];
    let local = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    config.http.listen = local(0);
    config.http.workers = 1;
    config.admin.listen = local(0);
    change(&mut config);
    let rooms = Arc::new(FakeRooms::default());
    let health = Arc::new(Health::default());
    health.set_ready(true);
    let auth = Arc::new(Auth::new(&config.auth).unwrap());
    let config = Arc::new(config);
    let clock: Arc<dyn media_types::Clock> = Arc::new(SystemClock);
    let store = || Arc::new(control_plane::MemoryStore::new(Arc::new(SystemClock)));
    let ops = Ops::new(Parts {
        config: Arc::clone(&config),
        store: store(),
        own: store(),
        clock,
        revoked: Arc::clone(&auth.revoked),
        worker: "wk".to_owned(),
        url: "http://127.0.0.1:1".to_owned(),
        client: reqwest::Client::new(),
        poster: reqwest::Client::new(),
    });
    let state = web::Data::new(AppState {
        auth,
        config,
        rooms: rooms.clone(),
        clock: Arc::new(SystemClock),
        metrics: start_metrics(),
        health,
        whip: WhipSessions::new(),
        egress: None,
        recordings: None,
        transcoders: Arc::new(vec![transcoder()]),
        ops,
        quic: None,
    });
    World { state, rooms }
}

/// A job that was given up.
fn transcoder() -> TranscoderStatus {
    TranscoderStatus {
        id: 7,
        room: "lobby".to_owned(),
        stream: "ana".to_owned(),
        job: "aac-opus",
        state: "given_up",
        pid: None,
        failures: 4,
        failure: Some("it has ended".to_owned()),
        taken: 90,
        made: 80,
        dropped: 10,
    }
}

impl World {
    /// A token of `ana`.
    pub(super) fn token(&self, grants: Grants) -> String {
        let request = TokenRequest {
            identity: "ana".parse().unwrap(),
            grants,
            ttl: Duration::from_secs(60),
            once: true,
        };
        issue(&key(), request, self.state.unix()).unwrap()
    }

    pub(super) fn member(&self, room: &str) -> String {
        let grants = Grants::for_room(room.parse().unwrap());
        self.token(grants.with(Grant::Publish).with(Grant::Subscribe))
    }
}
