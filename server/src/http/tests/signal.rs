use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use signaling::server_message::{AudienceParams, ClosingParams};
use signaling::view::CloseReason;
use signaling::{ErrorType, Grants, Outgoing, RpcError, ServerMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::fake::{World, world};
use crate::http::{ListenersTls, run};

/// A test that waits longer than this has failed; nothing here waits on purpose.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server over real sockets, and clients of it.
pub(super) struct Live {
    pub(super) world: World,
    address: std::net::SocketAddr,
    handle: actix_web::dev::ServerHandle,
}

pub(super) struct Client {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Live {
    pub(super) fn start(world: World) -> Self {
        let listeners = run(world.state.clone(), ListenersTls::default()).unwrap();
        let handle = listeners.clients.handle();
        actix_web::rt::spawn(listeners.clients);
        actix_web::rt::spawn(listeners.operators);
        Self {
            world,
            address: listeners.client_address,
            handle,
        }
    }

    pub(super) async fn connect(&self) -> Client {
        self.connect_to("", Some("troupe.v1")).await.unwrap()
    }

    pub(super) async fn connect_to(
        &self,
        query: &str,
        protocol: Option<&'static str>,
    ) -> Result<Client, tungstenite::Error> {
        let url = format!("ws://{}/v1/signal{query}", self.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(protocol) = protocol {
            let value = protocol.parse().unwrap();
            request
                .headers_mut()
                .insert("sec-websocket-protocol", value);
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Client { socket })
    }

    pub(super) async fn joined(&self) -> Client {
        let mut client = self.connect().await;
        client.join(&self.world.member("r")).await;
        let answer = client.receive().await;
        assert_eq!(answer["result"]["peerId"], "ana", "{answer}");
        client
    }

    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
    }
}

impl Client {
    pub(super) async fn send(&mut self, text: impl ToString) {
        let message = Message::text(text.to_string());
        self.socket.send(message).await.unwrap();
    }

    pub(super) async fn request(&mut self, id: i64, method: &str, params: Value) {
        let frame = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(frame).await;
    }

    pub(super) async fn join(&mut self, token: &str) {
        self.request(1, "join", json!({"token": token})).await;
    }

    pub(super) async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        next.expect("in time").expect("open").expect("readable")
    }

    pub(super) async fn receive(&mut self) -> Value {
        let message = self.next().await;
        let Message::Text(text) = message else {
            panic!("{message:?}");
        };
        serde_json::from_str(&text).unwrap()
    }

    /// The error's word that answers what was sent last.
    pub(super) async fn refused(&mut self) -> String {
        let answer = self.receive().await;
        let word = answer["error"]["data"]["type"].as_str();
        word.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// `closing`'s reason and the close code, after whatever comes before.
    pub(super) async fn closed(&mut self) -> (Option<String>, u16) {
        let mut reason = None;
        loop {
            let message = self.next().await;
            if let Message::Close(frame) = message {
                return (reason, frame.unwrap().code.into());
            }
            let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if frame["method"] == "closing" {
                reason = frame["params"]["reason"].as_str().map(str::to_owned);
            }
        }
    }
}

#[actix_web::test]
async fn the_answer_to_join_comes_before_what_the_room_says() {
    let live = Live::start(world(|_| {}));
    let audience = ServerMessage::Audience(AudienceParams { audience: 3 });
    live.world.rooms.early.lock().unwrap().push(audience.into());
    let mut client = live.joined().await;
    let notice = client.receive().await;
    assert_eq!(notice["method"], "audience");
    client.request(2, "ping", json!({})).await;
    let answer = json!({"jsonrpc": "2.0", "id": 2, "result": {}});
    assert_eq!(client.receive().await, answer);
    let asked = live.world.rooms.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.room.as_str(), "r");
    assert!(asked.once && !asked.resumes);
    live.stop().await;
}

#[actix_web::test]
async fn a_stranger_is_asked_to_join_and_may_try_again() {
    let live = Live::start(world(|_| {}));
    let mut client = live.connect().await;
    client.request(1, "chat", json!({"text": "hi"})).await;
    assert_eq!(client.refused().await, "not_joined");
    client.join("a.b.c").await;
    assert_eq!(client.refused().await, "unauthorized");
    client.request(2, "join", json!({})).await;
    assert_eq!(client.refused().await, "unauthorized");
    client.request(3, "join", json!({"resume": "x.y.z"})).await;
    assert_eq!(client.refused().await, "unauthorized");
    let full = RpcError::new(ErrorType::RoomFull);
    *live.world.rooms.refusal.lock().unwrap() = Some(full);
    client.join(&live.world.member("r")).await;
    assert_eq!(client.refused().await, "room_full");
    client.join(&live.world.member("r")).await;
    assert_eq!(client.receive().await["result"]["resumed"], false);
    client.join(&live.world.member("r")).await;
    assert_eq!(client.refused().await, "conflict");
    live.stop().await;
}

#[actix_web::test]
async fn a_room_elsewhere_is_told_with_its_url() {
    let live = Live::start(world(|_| {}));
    let moved = RpcError::moved("wss://b.example/v1/signal");
    *live.world.rooms.refusal.lock().unwrap() = Some(moved);
    let mut client = live.connect().await;
    client.join(&live.world.member("r")).await;
    let answer = client.receive().await;
    assert_eq!(answer["error"]["data"]["type"], "moved");
    assert_eq!(answer["error"]["data"]["url"], "wss://b.example/v1/signal");
    live.stop().await;
}

#[actix_web::test]
async fn the_token_may_come_with_the_url() {
    let live = Live::start(world(|_| {}));
    let many = live
        .world
        .token(Grants::for_room("class-*".parse().unwrap()));
    let named = format!("?access_token={many}&room=class-7");
    let mut client = live.connect_to(&named, None).await.unwrap();
    client.request(1, "join", json!({})).await;
    assert_eq!(client.receive().await["result"]["room"]["name"], "class-7");
    for (query, word) in [("", "invalid_params"), ("&room=lab-1", "forbidden")] {
        let query = format!("?access_token={many}{query}");
        let mut client = live.connect_to(&query, None).await.unwrap();
        client.request(1, "join", json!({})).await;
        assert_eq!(client.refused().await, word);
    }
    live.stop().await;
}

#[actix_web::test]
async fn a_session_is_taken_up_again_even_while_draining() {
    let live = Live::start(world(|_| {}));
    let state = &live.world.state;
    let sid = media_types::PeerId::new(7);
    let names = ("ana".parse().unwrap(), "r".parse().unwrap());
    let resume = &state.auth.resume;
    let token = resume.sign(names.0, names.1, sid, Grants::default(), state.unix());
    state.health.set_draining();
    *live.world.rooms.refusal.lock().unwrap() = Some(ErrorType::Draining.into());
    let mut client = live.connect().await;
    client.join(&live.world.member("r")).await;
    assert_eq!(client.refused().await, "draining");
    client
        .request(2, "join", json!({"resume": token.expose()}))
        .await;
    assert_eq!(client.receive().await["result"]["resumed"], true);
    live.stop().await;
}

#[actix_web::test]
async fn a_lost_socket_is_told_to_its_session_once() {
    let live = Live::start(world(|_| {}));
    let client = live.joined().await;
    let session = live.world.rooms.session();
    drop(client);
    let noticed = async {
        while session.lost.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.unwrap();
    assert_eq!(session.lost.load(Ordering::SeqCst), 1);
    assert_eq!(
        session
            .outbox
            .send(ServerMessage::Audience(AudienceParams { audience: 1 }).into()),
        Err(crate::http::OutboxError::Closed)
    );
    live.stop().await;
}

#[actix_web::test]
async fn the_room_closes_with_its_reason() {
    let live = Live::start(world(|_| {}));
    for (reason, word, code) in [
        (CloseReason::Kicked, "kicked", 1008),
        (CloseReason::Draining, "draining", 1001),
        (CloseReason::Moved, "moved", 1001),
        (CloseReason::ShardRestarted, "shard_restarted", 1012),
        (CloseReason::TransportFailed, "transport_failed", 1011),
        (CloseReason::RoomClosed, "room_closed", 1000),
    ] {
        let mut client = live.joined().await;
        let outbox = live.world.rooms.session().outbox.clone();
        let closing = ClosingParams {
            reason,
            retry_after_ms: None,
        };
        let closing: Outgoing = ServerMessage::Closing(closing).into();
        outbox.send(closing).unwrap();
        outbox.close(reason);
        assert_eq!(client.closed().await, (Some(word.to_owned()), code));
    }
    let mut client = live.joined().await;
    live.world
        .rooms
        .session()
        .outbox
        .close(CloseReason::Internal);
    assert_eq!(client.closed().await, (None, 1000));
    live.stop().await;
}

#[actix_web::test]
async fn clocks_are_compared_at_the_socket() {
    let live = Live::start(world(|_| {}));
    let mut client = live.joined().await;
    let before = live.world.state.unix().as_secs_f64() * 1_000.0;
    client.request(2, "time", json!({"t0": 12.5})).await;
    let answer = client.receive().await;
    let result = &answer["result"];
    assert_eq!(result["t0"], 12.5);
    let [t1, t2] = ["t1", "t2"].map(|name| result[name].as_f64().unwrap());
    assert!(
        before <= t1 && t1 <= t2 && t2 < before + 10_000.0,
        "{result}"
    );
    live.stop().await;
}

#[actix_web::test]
async fn only_the_known_protocol_is_spoken() {
    let live = Live::start(world(|_| {}));
    let refused = live.connect_to("", Some("troupe.v9")).await;
    let Err(tungstenite::Error::Http(response)) = refused else {
        panic!("another protocol was accepted");
    };
    assert_eq!(response.status(), 501);
    assert!(live.connect_to("", None).await.is_ok());
    live.stop().await;
    let secure = Live::start(world(|config| config.http.require_tls = true));
    let refused = secure.connect_to("", Some("troupe.v1")).await;
    let Err(tungstenite::Error::Http(response)) = refused else {
        panic!("plain HTTP was accepted");
    };
    assert_eq!(response.status(), 426);
    secure.stop().await;
}

#[actix_web::test]
async fn who_leaves_is_let_go() {
    let live = Live::start(world(|_| {}));
    let mut client = live.joined().await;
    client.request(2, "leave", json!({})).await;
    let answer = json!({"jsonrpc": "2.0", "id": 2, "result": {}});
    assert_eq!(client.receive().await, answer);
    assert_eq!(client.closed().await, (None, 1000));
    assert!(live.world.rooms.session().left.load(Ordering::SeqCst));
    live.stop().await;
}

#[actix_web::test]
async fn pings_stay_with_the_socket_and_notice_a_peer_that_is_gone() {
    let live = Live::start(world(|_| {}));
    let mut client = live.joined().await;
    let session = live.world.rooms.session();
    assert_eq!(session.outbox.heard(), None);
    // The short way, and the long one.
    client.request(2, "ping", json!({})).await;
    assert_eq!(client.receive().await["id"], 2);
    let first = session.outbox.heard().unwrap();
    client
        .request(3, "ping", json!({ "traceparent": "00-0-0-00" }))
        .await;
    assert_eq!(client.receive().await["result"], json!({}));
    assert!(session.outbox.heard().unwrap() > first);
    assert!(session.told.lock().unwrap().is_empty());
    session.over.store(true, Ordering::SeqCst);
    client.request(4, "ping", json!({})).await;
    assert_eq!(client.receive().await["id"], 4);
    assert_eq!(client.closed().await, (Some("internal".to_owned()), 1011));
    live.stop().await;
}
