//! Frames as they look on the wire, and that what is written is read.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::client_message::{JoinParams, SlotWish, SubscribeParams};
use crate::limits::{CHAT_BYTES_MAX, FRAME_BYTES_MAX};
use crate::server_message::{ClosingParams, PeerLeftParams, SubscribeResult};
use crate::view::{CloseReason, LeaveReason, SlotState};
use crate::*;

fn refused(text: &str) -> (Option<RequestId>, ErrorType) {
    let failure = parse(text).unwrap_err();
    (failure.id, failure.error.kind())
}

#[test]
fn every_method_is_read_as_documented() {
    let frames = [
        (
            "join",
            json!({"token": "a.b.c", "nonce": "n", "name": "Ana", "metadata": {"a": 1}}),
        ),
        ("ping", json!({})),
        (
            "offer",
            json!({"sdp": "v=0", "tracks": [{"mid": "0", "source": "screen-audio"}],
            "pairs": [["2", "3"]]}),
        ),
        (
            "candidate",
            json!({"candidate": "candidate:1", "sdpMid": "0"}),
        ),
        (
            "subscribe",
            json!({"slots": [
            {"mid": "2", "trackId": "tr_0000000000001", "maxWidth": 640, "maxFps": 15},
            {"mid": "3", "trackId": null}]}),
        ),
        ("unpublish", json!({"trackId": "tr_0000000000001"})),
        (
            "mute",
            json!({"trackId": "tr_0000000000001", "muted": true}),
        ),
        ("setMetadata", json!({"metadata": [1, 2]})),
        (
            "send",
            json!({"to": "peer:ana", "topic": "t", "payload": {"base64": "AA=="},
            "reliable": false}),
        ),
        ("chat", json!({"text": "hi"})),
        ("react", json!({"kind": "👏"})),
        ("time", json!({"t0": 12.5})),
        ("stats", json!({})),
        ("settled", json!({})),
        ("leave", json!({})),
    ];
    let methods: Vec<_> = frames.iter().map(|(method, _)| *method).collect();
    assert_eq!(methods, ClientMessage::METHODS);
    for (method, params) in frames {
        let frame = json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": params});
        let incoming = parse(&frame.to_string()).unwrap();
        assert_eq!(incoming.message.method(), method);
        let id = RequestId::Text("x".to_owned());
        assert_eq!(incoming.id.as_ref(), Some(&id));
        let written: Value = serde_json::from_str(&incoming.message.to_text(Some(&id))).unwrap();
        assert_eq!(written, frame, "{method}");
    }
}

#[test]
fn each_malformed_frame_gets_its_code() {
    let id = Some(RequestId::Number(7));
    assert_eq!(refused("{"), (None, ErrorType::ParseError));
    assert_eq!(refused("[]"), (None, ErrorType::InvalidRequest));
    assert_eq!(refused("{}"), (None, ErrorType::InvalidRequest));
    let frame = r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#;
    assert_eq!(refused(frame), (None, ErrorType::InvalidRequest));
    let frame = r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#;
    assert_eq!(refused(frame), (id.clone(), ErrorType::InvalidRequest));
    let frame = r#"{"jsonrpc":"2.0","id":7,"method":"dance"}"#;
    assert_eq!(refused(frame), (id.clone(), ErrorType::MethodNotFound));
    let frame = r#"{"jsonrpc":"2.0","id":7,"method":"mute","params":{"trackId":"tr_1"}}"#;
    assert_eq!(refused(frame), (id.clone(), ErrorType::InvalidParams));
    let frame = r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}"#;
    assert_eq!(refused(frame), (id.clone(), ErrorType::InvalidParams));
    let text = "x".repeat(CHAT_BYTES_MAX + 1);
    let frame = json!({"jsonrpc": "2.0", "id": 7, "method": "chat", "params": {"text": text}});
    assert_eq!(refused(&frame.to_string()), (id, ErrorType::TooLarge));
    assert_eq!(
        refused(&" ".repeat(FRAME_BYTES_MAX + 1)),
        (None, ErrorType::TooLarge)
    );
    assert_eq!(
        parse("{").unwrap_err().to_text(),
        concat!(
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"#,
            r#""message":"Not valid JSON","data":{"type":"parse_error"}}}"#
        )
    );
}

#[test]
fn the_trace_context_is_taken_out_of_the_parameters() {
    let frame = r#"{"jsonrpc":"2.0","method":"ping","params":{"traceparent":"00-ab-cd-01"}}"#;
    let incoming = parse(frame).unwrap();
    assert_eq!(incoming.id, None);
    assert_eq!(incoming.traceparent.as_deref(), Some("00-ab-cd-01"));
}

#[test]
fn parameters_may_be_absent() {
    let incoming = parse(r#"{"jsonrpc":"2.0","id":1,"method":"join"}"#).unwrap();
    assert_eq!(incoming.message, ClientMessage::Join(JoinParams::default()));
}

#[test]
fn notifications_look_as_documented() {
    let left = ServerMessage::PeerLeft(PeerLeftParams {
        peer_id: "ana".parse().unwrap(),
        reason: LeaveReason::TransportFailed,
    });
    assert_eq!(
        Outgoing::from(left.clone()).to_text(),
        concat!(
            r#"{"jsonrpc":"2.0","method":"peerLeft","#,
            r#""params":{"peerId":"ana","reason":"transport_failed"}}"#
        )
    );
    let closing = ServerMessage::Closing(ClosingParams {
        reason: CloseReason::SlowClient,
        retry_after_ms: None,
    });
    let text = Outgoing::from(closing.clone()).to_text();
    assert_eq!(
        text,
        r#"{"jsonrpc":"2.0","method":"closing","params":{"reason":"slow_client"}}"#
    );
    assert_eq!(
        FromServer::parse(&text).unwrap(),
        FromServer::Notification(closing)
    );
    assert_eq!(
        ServerMessage::METHODS,
        [
            "peerJoined",
            "peerLeft",
            "peerUpdated",
            "trackPublished",
            "trackUnpublished",
            "trackMuted",
            "slots",
            "speakers",
            "audience",
            "endpoints",
            "quality",
            "publishLayers",
            "codecUnsupported",
            "message",
            "chat",
            "reactions",
            "migrate",
            "closing",
        ]
    );
}

#[test]
fn answers_come_back_to_their_request() {
    let slots = vec![SlotState::waiting("2".parse().unwrap())];
    let id = RequestId::Number(3);
    let answer = Outgoing::answer(id.clone(), Ok(SubscribeResult { slots }));
    let text = answer.to_text();
    assert_eq!(
        text,
        concat!(
            r#"{"jsonrpc":"2.0","id":3,"result":{"slots":["#,
            r#"{"mid":"2","trackId":null,"state":"waiting"}]}}"#
        )
    );
    let FromServer::Reply {
        id: Some(read),
        result: Ok(result),
    } = FromServer::parse(&text).unwrap()
    else {
        panic!("not an answer");
    };
    assert_eq!(read, id);
    let result: SubscribeResult = serde_json::from_value(result).unwrap();
    assert_eq!(result.slots[0].mid.as_str(), "2");
    let error = RpcError::moved("wss://b");
    let answer = Outgoing::Error {
        id: id.clone(),
        error: error.clone(),
    };
    let expected = FromServer::Reply {
        id: Some(id),
        result: Err(error),
    };
    assert_eq!(FromServer::parse(&answer.to_text()).unwrap(), expected);
}

fn request_id() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        any::<i64>().prop_map(RequestId::Number),
        "\\PC{0,30}".prop_map(RequestId::Text),
    ]
}

fn wish() -> impl Strategy<Value = SlotWish> {
    let size = || proptest::option::of(any::<u32>());
    let track = proptest::option::of(any::<u64>().prop_map(media_types::TrackId::new));
    let priority = proptest::option::of(any::<u8>());
    let pin = proptest::option::of(any::<bool>());
    let sizes = (size(), size(), size());
    ("[a-z0-9]{1,16}", track, sizes, priority, pin).prop_map(
        |(mid, track_id, (max_width, max_height, max_fps), priority, pin)| SlotWish {
            mid: mid.parse().unwrap(),
            track_id,
            max_width,
            max_height,
            max_fps,
            priority,
            pin,
        },
    )
}

proptest! {
    #[test]
    fn a_written_request_is_read(id in request_id(), slots in prop::collection::vec(wish(), 0..9)) {
        let message = ClientMessage::Subscribe(SubscribeParams { slots });
        let incoming = parse(&message.to_text(Some(&id))).unwrap();
        prop_assert_eq!(incoming.id, Some(id));
        prop_assert_eq!(incoming.message, message);
    }

    #[test]
    fn an_address_survives(text in "(peer:|room:)[A-Za-z0-9_.-]{1,64}|room") {
        let address: Address = text.parse().unwrap();
        prop_assert_eq!(address.to_string(), text);
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_json_under_any_method_is_survived(
        method in 0..ClientMessage::METHODS.len(),
        key in "[a-zA-Z]{1,10}",
        value in "\\PC{0,20}",
    ) {
        let method = ClientMessage::METHODS[method];
        let frame = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {key: value}});
        let _ = parse(&frame.to_string());
    }
}
