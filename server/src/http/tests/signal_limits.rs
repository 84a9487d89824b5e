use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::SinkExt;
use serde_json::json;
use signaling::limits::FRAME_BYTES_MAX;
use signaling::server_message::MessageParams;
use signaling::{Address, ServerMessage};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::fake::world;
use super::signal::Live;
use crate::http::OutboxError;

#[actix_web::test]
async fn the_tenth_malformed_frame_closes() {
    let live = Live::start(world(|_| {}));
    let mut client = live.joined().await;
    for _ in 0..8 {
        client.send("{").await;
        assert_eq!(client.refused().await, "parse_error");
    }
    // What is a request, if a wrong one, does not count.
    client.request(2, "dance", json!({})).await;
    assert_eq!(client.refused().await, "method_not_found");
    client
        .socket
        .send(Message::binary(vec![1, 2]))
        .await
        .unwrap();
    assert_eq!(client.refused().await, "parse_error");
    client.request(3, "ping", json!({})).await;
    assert_eq!(client.receive().await["id"], 3);
    client.send("[]").await;
    assert_eq!(client.refused().await, "invalid_request");
    assert_eq!(client.closed().await, (Some("malformed".to_owned()), 1008));
    live.stop().await;
}

#[actix_web::test]
async fn large_frames_are_refused_and_larger_ones_close() {
    let live = Live::start(world(|_| {}));
    let mut client = live.joined().await;
    client.send("x".repeat(FRAME_BYTES_MAX + 1)).await;
    assert_eq!(client.refused().await, "too_large");
    client.send("x".repeat(2 * FRAME_BYTES_MAX + 1)).await;
    assert_eq!(client.closed().await, (None, 1009));
    live.stop().await;
}

#[actix_web::test]
async fn a_message_may_come_in_parts() {
    let live = Live::start(world(|_| {}));
    let mut client = live.joined().await;
    let text = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
    let parts = [
        (&text[..10], Data::Text, false),
        (&text[10..20], Data::Continue, false),
        (&text[20..], Data::Continue, true),
    ];
    for (part, kind, last) in parts {
        let frame = Frame::message(part.to_owned(), OpCode::Data(kind), last);
        client.socket.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(client.receive().await["id"], 9);
    let huge = "x".repeat(FRAME_BYTES_MAX);
    for (kind, last) in [(Data::Text, false), (Data::Continue, true)] {
        let frame = Frame::message(huge.clone(), OpCode::Data(kind), last);
        client.socket.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(client.refused().await, "too_large");
    live.stop().await;
}

#[actix_web::test]
async fn who_does_not_join_in_time_is_closed() {
    let live = Live::start(world(|config| {
        config.session.join_timeout = Duration::from_millis(50);
    }));
    let mut client = live.connect().await;
    let closed = client.closed().await;
    assert_eq!(closed, (Some("handshake_timeout".to_owned()), 1008));
    live.stop().await;
}

#[actix_web::test]
async fn who_reads_too_slowly_is_told_to_resume() {
    let live = Live::start(world(|config| {
        config.session.out_messages_max = 16;
    }));
    let mut client = live.joined().await;
    let session = live.world.rooms.session();
    let message = ServerMessage::Message(MessageParams {
        from: "bo".parse().unwrap(),
        to: Address::Room,
        topic: "t".to_owned(),
        payload: "x".repeat(64 * 1024).into(),
    });
    let mut sent = 0;
    let refused = loop {
        match session.outbox.send(message.clone().into()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "the queue has no end");
    };
    assert_eq!(refused, OutboxError::Full);
    assert_eq!(
        client.closed().await,
        (Some("slow_client".to_owned()), 1013)
    );
    live.stop().await;
}

#[actix_web::test]
async fn a_peer_that_does_not_keep_up_stops_the_reading() {
    let live = Live::start(world(|config| {
        config.session.in_messages_max = 4;
        config.session.in_stall_max = Duration::from_millis(100);
    }));
    let mut client = live.joined().await;
    let stuck = live.world.rooms.stuck.clone();
    stuck.store(true, Ordering::SeqCst);
    for id in 2..5 {
        client.request(id, "stats", json!({})).await;
    }
    stuck.store(false, Ordering::SeqCst);
    for id in 2..5 {
        assert_eq!(client.receive().await["id"], id);
    }
    stuck.store(true, Ordering::SeqCst);
    for id in 5..20 {
        client.request(id, "stats", json!({})).await;
    }
    assert_eq!(client.closed().await, (Some("overloaded".to_owned()), 1013));
    live.stop().await;
}

#[actix_web::test]
async fn a_flood_is_slowed_down() {
    let live = Live::start(world(|config| {
        config.session.messages_per_second = 1;
        config.session.messages_burst = 3;
    }));
    let mut client = live.joined().await;
    for id in 2..5 {
        client.request(id, "ping", json!({})).await;
    }
    let mut answers = Vec::new();
    for _ in 2..5 {
        answers.push(client.receive().await);
    }
    answers.sort_by_key(|answer| answer["id"].as_i64());
    assert_eq!(answers[0]["result"], json!({}));
    assert_eq!(answers[1]["result"], json!({}));
    let error = &answers[2]["error"]["data"];
    assert_eq!(error["type"], "rate_limited");
    let wait = error["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1_000).contains(&wait), "{wait}");
    live.stop().await;
}
