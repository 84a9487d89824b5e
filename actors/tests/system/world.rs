//! A worker's actors on a paused clock, over a shard made of tables.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_rt::ArbiterHandle;
use actors::{
    ActorsConfig, Admission, ClusterLink, Consumed, Credentials, Environment, JoinRequest, Joined,
    NoCluster, Outbox, OutboxFull, ResumeClaims, Session, SessionKind, System, TokenMinter,
};
use control_plane::{MemoryStore, Store, testing::ManualClock};
use media_types::{Clock, Identity, RoomName};
use serde_json::Value;
use signaling::client_message::JoinParams;
use signaling::view::CloseReason;
use signaling::{Claims, Grants, Outgoing, RequestId, RpcError, Secret};
use signaling::{ServerMessage, server_message::Reply};

use crate::shard::FakePlane;

/// What a client has received.
#[derive(Default)]
pub(crate) struct Inbox {
    frames: Mutex<Vec<Outgoing>>,
    closed: Mutex<Option<CloseReason>>,
    /// Frames that fit; the client reads none of them.
    pub(crate) room_for: Mutex<Option<usize>>,
    /// When the connection answered a ping.
    pub(crate) pinged: Mutex<Option<Instant>>,
}

impl Outbox for Inbox {
    fn send(&self, frame: Outgoing) -> Result<(), OutboxFull> {
        let mut frames = self.frames.lock().unwrap();
        if self
            .room_for
            .lock()
            .unwrap()
            .is_some_and(|max| frames.len() >= max)
        {
            return Err(OutboxFull);
        }
        frames.push(frame);
        Ok(())
    }

    fn heard(&self) -> Option<Instant> {
        *self.pinged.lock().unwrap()
    }

    fn close(&self, reason: CloseReason) {
        self.closed.lock().unwrap().get_or_insert(reason);
    }
}

impl Inbox {
    /// Takes the notifications as JSON, `method` and `params`.
    pub(crate) fn take(&self) -> Vec<(String, Value)> {
        let frames = std::mem::take(&mut *self.frames.lock().unwrap());
        let notices = frames.into_iter().filter_map(|frame| match frame {
            Outgoing::Notify(message) => Some(named(&message)),
            _ => None,
        });
        notices.collect()
    }

    /// Takes the notifications of these methods; others are dropped.
    pub(crate) fn take_only(&self, methods: &[&str]) -> Vec<(String, Value)> {
        let mut all = self.take();
        all.retain(|(method, _)| methods.contains(&method.as_str()));
        all
    }

    /// The answer to a request.
    pub(crate) fn answer(&self, id: i64) -> Option<Result<Reply, RpcError>> {
        let wanted = RequestId::Number(id);
        let frames = self.frames.lock().unwrap();
        frames.iter().find_map(|frame| match frame {
            Outgoing::Result { id, value } if *id == wanted => Some(Ok(value.clone())),
            Outgoing::Error { id, error } if *id == wanted => Some(Err(error.clone())),
            _ => None,
        })
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        *self.closed.lock().unwrap()
    }
}

fn named(message: &ServerMessage) -> (String, Value) {
    let json = serde_json::to_value(message).unwrap();
    let params = json.get("params").cloned().unwrap_or_default();
    (message.method().to_owned(), params)
}

struct Tokens;
impl TokenMinter for Tokens {
    fn resume_token(&self, claims: &ResumeClaims) -> Secret {
        Secret::new(format!(
            "{}/{}/{}",
            claims.room, claims.identity, claims.session
        ))
    }
}

/// A replay guard that remembers for ever.
#[derive(Default)]
struct Guard(Mutex<Vec<(String, Option<String>)>>);
impl Admission for Guard {
    fn consume(&self, jti: &str, _: &Identity, nonce: Option<&str>) -> Consumed {
        let mut used = self.0.lock().unwrap();
        let nonce = nonce.map(str::to_owned);
        match used.iter().find(|(known, _)| known == jti) {
            None => {
                used.push((jti.to_owned(), nonce));
                Consumed::First
            }
            Some((_, first)) if first.is_some() && *first == nonce => Consumed::Repeated,
            Some(_) => Consumed::Replayed,
        }
    }
}

/// Tokio's clock, as the actors see it.
struct TokioClock;
impl Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
    fn unix(&self) -> Duration {
        Duration::from_secs(1_700_000_000)
    }
}

pub(crate) struct World {
    pub(crate) system: System,
    pub(crate) plane: Arc<FakePlane>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) fatal: Arc<Mutex<Vec<String>>>,
}

/// Runs a test in an actix system on a paused clock. Panics that the test injects are not printed.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    actix_rt::System::with_tokio_rt(runtime).block_on(test);
}

pub(crate) fn config() -> ActorsConfig {
    ActorsConfig {
        url: "wss://here/v1/signal".into(),
        endpoints: vec!["wss://here/v1/signal".into()],
        debug_faults: true,
        id_seed: 1,
        ..ActorsConfig::default()
    }
}

impl World {
    pub(crate) fn new(shards: u16, config: ActorsConfig) -> Self {
        Self::on(shards, config, &[])
    }

    /// On threads of their own.
    pub(crate) fn on(shards: u16, config: ActorsConfig, arbiters: &[ArbiterHandle]) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(ManualClock::new())));
        Self::over(shards, config, arbiters, store)
    }

    /// On a store that others have, too.
    pub(crate) fn over(
        shards: u16,
        config: ActorsConfig,
        arbiters: &[ArbiterHandle],
        store: Arc<MemoryStore>,
    ) -> Self {
        let way = Arc::clone(&store);
        Self::linked(shards, config, arbiters, (store, way, Arc::new(NoCluster)))
    }

    /// With a way to the store, and one to others.
    pub(crate) fn linked(
        shards: u16,
        config: ActorsConfig,
        arbiters: &[ArbiterHandle],
        (store, way, cluster): (Arc<MemoryStore>, Arc<dyn Store>, Arc<dyn ClusterLink>),
    ) -> Self {
        let plane = FakePlane::new(shards);
        let fatal: Arc<Mutex<Vec<String>>> = Arc::default();
        let failed = Arc::clone(&fatal);
        let environment = Environment {
            plane: plane.clone(),
            clock: Arc::new(TokioClock),
            store: way,
            tokens: Arc::new(Tokens),
            admission: Arc::new(Guard::default()),
            cluster,
            fatal: Arc::new(move |reason| failed.lock().unwrap().push(reason.to_owned())),
        };
        let system = System::start(config, environment, arbiters);
        Self {
            system,
            plane,
            store,
            fatal,
        }
    }

    /// Lets everything happen that needs no more than some milliseconds.
    pub(crate) async fn settle(&self) {
        self.pass(Duration::from_millis(20)).await;
    }

    /// Lets time pass; events of the shards are delivered every 2 ms at first, then less often.
    pub(crate) async fn pass(&self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        let mut step = Duration::from_millis(2);
        loop {
            for (shard, event) in self.plane.take_events() {
                self.system.deliver(shard, event);
            }
            let now = tokio::time::Instant::now();
            if now >= until {
                return;
            }
            tokio::time::sleep(step.min(until - now)).await;
            step = (step * 2).min(Duration::from_millis(50));
        }
    }

    pub(crate) async fn join(&self, room: &str, identity: &str) -> Client {
        self.try_join(request(room, identity)).await.unwrap()
    }

    pub(crate) async fn try_join(&self, mut request: JoinRequest) -> Result<Client, RpcError> {
        let inbox = Arc::new(Inbox::default());
        request.outbox = inbox.clone();
        let room = request.room.clone();
        let identity = request.credentials.identity().clone();
        let joined = self.system.join(request).await?;
        self.settle().await;
        Ok(Client {
            room,
            identity,
            inbox,
            joined,
        })
    }

    /// Comes back with the resume token of a client.
    pub(crate) async fn resume(&self, client: &Client) -> Result<Client, RpcError> {
        let mut wish = request(client.room.as_str(), client.identity.as_str());
        wish.credentials = Credentials::Resume(Box::new(ResumeClaims {
            room: client.room.clone(),
            identity: client.identity.clone(),
            session: client.joined.result.session_id,
            grants: grants(),
        }));
        self.try_join(wish).await
    }
}

pub(crate) fn grants() -> Grants {
    Grants {
        room: Some("*".parse().unwrap()),
        publish: true,
        subscribe: true,
        data: true,
        ..Grants::default()
    }
}

pub(crate) fn claims(identity: &str) -> Claims {
    Claims {
        iss: "devkey".into(),
        sub: identity.parse().unwrap(),
        exp: u64::MAX,
        nbf: None,
        iat: None,
        jti: None,
        troupe: grants(),
    }
}

pub(crate) fn request(room: &str, identity: &str) -> JoinRequest {
    JoinRequest {
        room: room.parse::<RoomName>().unwrap(),
        credentials: Credentials::Token(Box::new(claims(identity))),
        params: JoinParams::default(),
        kind: SessionKind::WebSocket,
        outbox: Arc::new(Inbox::default()),
    }
}

pub(crate) struct Client {
    pub(crate) room: RoomName,
    pub(crate) identity: Identity,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) joined: Joined,
}

impl Client {
    pub(crate) fn session(&self) -> &Session {
        &self.joined.session
    }

    /// Sends a request as JSON.
    pub(crate) fn tell(&self, id: i64, method: &str, params: Value) {
        let frame = serde_json::json!({
            "jsonrpc": "2.0", "id": id, "method": method, "params": params,
        });
        let incoming = signaling::parse(&frame.to_string()).unwrap();
        self.session().tell(incoming.id, incoming.message).unwrap();
    }

    /// Offers m-lines in the fake shard's language, as `send a0 audio, slot v1 video`.
    pub(crate) fn offer(&self, id: i64, sdp: &str) {
        self.tell(id, "offer", serde_json::json!({ "sdp": sdp }));
    }
}

pub(crate) fn methods(notices: &[(String, Value)]) -> Vec<&str> {
    notices.iter().map(|(method, _)| method.as_str()).collect()
}
