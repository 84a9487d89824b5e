use super::super::{Client, ClientEvent, ClientGoal};
use super::*;

fn instant() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
    Instant::now()
}

struct Pair {
    now: Instant,
    client: Client,
    server: Session,
    events: Vec<SessionEvent>,
}

impl Pair {
    fn new(goal: ClientGoal, url: &str, key: &str) -> Self {
        let now = instant();
        let mut pair = Self {
            now,
            client: Client::new(goal, url, key, 5),
            server: Session::new(now, SessionConfig::default()),
            events: Vec::new(),
        };
        pair.exchange();
        pair
    }

    /// Carries bytes both ways, in pieces of odd sizes, until there are none.
    fn exchange(&mut self) {
        loop {
            let up = self.client.poll_transmit();
            for piece in up.iter().flat_map(|bytes| bytes.chunks(333)) {
                self.server.handle_bytes(self.now, piece).unwrap();
            }
            while let Some(event) = self.server.poll_event() {
                self.events.push(event);
            }
            let down = self.server.poll_transmit();
            for piece in down.iter().flat_map(|bytes| bytes.chunks(77)) {
                self.client.handle_bytes(piece).unwrap();
            }
            if up.is_none() && down.is_none() {
                return;
            }
        }
    }

    fn heard(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    fn raw(&mut self, stream: u32, command: &Command) -> Result<(), IngestError> {
        let mut writer = ChunkWriter::default();
        writer.set_chunk_size(60_000);
        let head = (MessageType::COMMAND_AMF0, stream, 0);
        writer.write(3, head, &[&command.to_bytes()]);
        let bytes = writer.bytes().clone();
        let done = self.server.handle_bytes(self.now, &bytes);
        self.events
            .extend(std::iter::from_fn(|| self.server.poll_event()));
        done
    }
}

fn tag(kind: TagKind, timestamp: u32, bytes: &[u8]) -> Tag {
    Tag {
        kind,
        timestamp,
        data: Bytes::copy_from_slice(bytes),
    }
}

#[test]
fn a_publisher_is_asked_for_accepted_and_heard() {
    let mut pair = Pair::new(
        ClientGoal::Publish,
        "rtmp://host:1935/studio",
        "ann?token=x",
    );
    let connect = Connect {
        app: "studio".to_owned(),
        query: None,
        reconnects: true,
    };
    let key = "ann?token=x".to_owned();
    let asked = [
        SessionEvent::Connected(connect),
        SessionEvent::Publish { stream: 1, key },
    ];
    assert_eq!(pair.events, asked);
    pair.events.clear();
    // What comes before the answer is nobody's.
    pair.client.send(&tag(TagKind::Video, 1, b"early"));
    pair.exchange();
    assert!(pair.events.is_empty());
    pair.server.accept(pair.now, 1).unwrap();
    pair.exchange();
    assert_eq!(pair.heard(), [ClientEvent::Started]);
    let sent = tag(TagKind::Video, 0x0123_4567, &[7; 100_000]);
    pair.client.send(&sent);
    pair.client.send(&tag(TagKind::Audio, 3, b"sound"));
    pair.exchange();
    let heard = [sent, tag(TagKind::Audio, 3, b"sound")];
    let heard = heard.map(|tag| SessionEvent::Media { stream: 1, tag });
    assert_eq!(pair.events, heard);
}

#[test]
fn metadata_is_passed_on_with_and_without_its_prefix() {
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    pair.server.accept(pair.now, 1).unwrap();
    pair.exchange();
    pair.events.clear();
    let metadata = Value::Map(vec![("width".to_owned(), Value::Number(640.0))]);
    let mut bytes = Vec::new();
    super::super::amf::write(&mut bytes, &"@setDataFrame".into());
    let prefix = bytes.len();
    super::super::amf::write(&mut bytes, &"onMetaData".into());
    super::super::amf::write(&mut bytes, &metadata);
    pair.client.send(&tag(TagKind::Script, 0, &bytes));
    pair.client.send(&tag(TagKind::Script, 0, &bytes[prefix..]));
    pair.client.send(&tag(TagKind::Script, 0, b"no AMF"));
    pair.exchange();
    let event = SessionEvent::Metadata {
        stream: 1,
        metadata,
    };
    assert_eq!(pair.events, [event.clone(), event]);
}

#[test]
fn an_aggregate_is_its_tags() {
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    pair.server.accept(pair.now, 1).unwrap();
    pair.exchange();
    pair.events.clear();
    let tags = [
        tag(TagKind::Video, 100, b"v"),
        tag(TagKind::Audio, 120, b"a"),
    ];
    let bytes = tags.each_ref().map(crate::flv::file_tag).concat();
    let mut out = Vec::new();
    let head = (MessageType::AGGREGATE, 1, 1_000);
    super::super::chunk::write_message(&mut out, 60_000, 6, head, &[&bytes]);
    pair.server.handle_bytes(pair.now, &out).unwrap();
    let moved = [
        tag(TagKind::Video, 1_000, b"v"),
        tag(TagKind::Audio, 1_020, b"a"),
    ];
    for tag in moved {
        assert_eq!(
            pair.server.poll_event(),
            Some(SessionEvent::Media { stream: 1, tag })
        );
    }
}

#[test]
fn a_player_gets_tags_and_the_end() {
    let mut pair = Pair::new(ClientGoal::Play, "rtmp://host/studio?token=y", "ann");
    let connect = Connect {
        app: "studio".to_owned(),
        query: Some("token=y".to_owned()),
        reconnects: true,
    };
    assert_eq!(pair.events[0], SessionEvent::Connected(connect));
    let key = "ann".to_owned();
    assert_eq!(pair.events[1], SessionEvent::Play { stream: 1, key });
    pair.server.accept(pair.now, 1).unwrap();
    pair.exchange();
    let reset = ClientEvent::Status("NetStream.Play.Reset".to_owned());
    assert_eq!(pair.heard()[..2], [reset, ClientEvent::Started]);
    let sent = tag(TagKind::Video, 0x0100_0000, &[9; 70_000]);
    let mut bytes = Vec::new();
    write_tag(&mut bytes, &sent, 1);
    pair.client.handle_bytes(&bytes).unwrap();
    assert_eq!(pair.heard(), [ClientEvent::Tag(sent)]);
    pair.server.end_play(1);
    pair.exchange();
    let end = ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"];
    assert_eq!(
        pair.heard(),
        end.map(|code| ClientEvent::Status(code.to_owned()))
    );
}

#[test]
fn refusals_have_codes_that_encoders_know() {
    let cases = [
        (
            ClientGoal::Publish,
            Refusal::Unauthorized,
            "NetStream.Publish.Unauthorized",
        ),
        (
            ClientGoal::Publish,
            Refusal::BadName,
            "NetStream.Publish.BadName",
        ),
        (
            ClientGoal::Publish,
            Refusal::Unavailable,
            "NetStream.Publish.Failed",
        ),
        (
            ClientGoal::Play,
            Refusal::NotFound,
            "NetStream.Play.StreamNotFound",
        ),
        (
            ClientGoal::Play,
            Refusal::Unauthorized,
            "NetStream.Play.Unauthorized",
        ),
    ];
    for (goal, refusal, code) in cases {
        let mut pair = Pair::new(goal, "rtmp://host/studio", "ann");
        pair.server.reject(1, refusal);
        assert_eq!(
            pair.server.accept(pair.now, 1),
            Err(IngestError::OutOfPlace)
        );
        pair.exchange();
        assert_eq!(pair.heard(), [ClientEvent::Refused(code.to_owned())]);
    }
}

#[test]
fn ends_are_told_once_and_free_the_stream() {
    let delete = Command::new("deleteStream", 0.0, Value::Null).with(1.0);
    let unpublish = Command::new("FCUnpublish", 6.0, Value::Null).with("ann");
    let close = Command::new("closeStream", 0.0, Value::Null);
    for (stream, command) in [(0, &delete), (0, &unpublish), (1, &close)] {
        let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
        pair.server.accept(pair.now, 1).unwrap();
        pair.events.clear();
        pair.raw(stream, command).unwrap();
        pair.raw(0, &delete).unwrap();
        assert_eq!(pair.events, [SessionEvent::Ended { stream: 1 }]);
        pair.raw(0, &Command::new("createStream", 7.0, Value::Null))
            .unwrap();
        pair.raw(1, &Command::new("publish", 8.0, Value::Null).with("bob"))
            .unwrap();
        let key = "bob".to_owned();
        assert_eq!(pair.events[1], SessionEvent::Publish { stream: 1, key });
    }
}

#[test]
fn a_player_pauses_and_goes_on() {
    let mut pair = Pair::new(ClientGoal::Play, "rtmp://host/studio", "ann");
    pair.server.accept(pair.now, 1).unwrap();
    pair.events.clear();
    for paused in [true, false] {
        let flag = Value::Boolean(paused);
        pair.raw(1, &Command::new("pause", 0.0, Value::Null).with(flag))
            .unwrap();
    }
    let paused = |paused| SessionEvent::Paused { stream: 1, paused };
    assert_eq!(pair.events, [paused(true), paused(false)]);
}

#[test]
fn silence_and_dawdling_time_out() {
    let now = instant();
    let mut idle = Session::new(now, SessionConfig::default());
    let deadline = now + SETUP_TIMEOUT;
    assert_eq!(idle.poll_timeout(), Some(deadline));
    assert_eq!(
        idle.handle_timeout(deadline - Duration::from_millis(1)),
        Ok(())
    );
    assert_eq!(idle.handle_timeout(deadline), Err(IngestError::Timeout));
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    pair.now += Duration::from_secs(5);
    pair.server.accept(pair.now, 1).unwrap();
    assert_eq!(pair.server.poll_timeout(), Some(pair.now + SILENCE_TIMEOUT));
    pair.exchange();
    pair.now += Duration::from_secs(3);
    pair.client.send(&tag(TagKind::Audio, 3, b"sound"));
    pair.exchange();
    assert_eq!(pair.server.poll_timeout(), Some(pair.now + SILENCE_TIMEOUT));
    let mut player = Pair::new(ClientGoal::Play, "rtmp://host/studio", "ann");
    player.server.accept(player.now, 1).unwrap();
    assert_eq!(player.server.poll_timeout(), None);
}

#[test]
fn a_reconnect_request_says_where_to() {
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    pair.server.request_reconnect(Some("rtmp://other/studio"));
    let bytes = pair.server.poll_transmit().unwrap();
    let message = ChunkReader::new(10_000);
    let mut reader = message;
    reader.set_chunk_size(60_000).unwrap();
    let (_, message) = reader.read(&bytes).unwrap();
    let command = Command::read(&message.unwrap()).unwrap();
    let info = &command.arguments[0];
    assert_eq!(command.name, "onStatus");
    let text = |name: &str| info.get(name).and_then(Value::as_str);
    assert_eq!(text("code"), Some("NetConnection.Connect.ReconnectRequest"));
    assert_eq!(text("tcUrl"), Some("rtmp://other/studio"));
}

#[test]
fn what_is_received_is_acknowledged() {
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    pair.server.accept(pair.now, 1).unwrap();
    pair.exchange();
    pair.client.send(&tag(TagKind::Video, 0, &[0; 1_300_000]));
    let up = pair.client.poll_transmit().unwrap();
    pair.server.handle_bytes(pair.now, &up).unwrap();
    let down = pair.server.poll_transmit().unwrap();
    let mut reader = ChunkReader::new(10_000);
    reader.set_chunk_size(60_000).unwrap();
    let (_, message) = reader.read(&down).unwrap();
    let message = message.unwrap();
    assert_eq!(message.kind, MessageType::ACKNOWLEDGEMENT);
    let told = u32::from_be_bytes(message.payload[..].try_into().unwrap());
    assert!(told > 1_300_000 && told < 1_310_000, "{told}");
}

#[test]
fn what_is_out_of_place_ends_the_connection() {
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    let publish = Command::new("publish", 8.0, Value::Null).with("bob");
    assert_eq!(pair.raw(1, &publish), Err(IngestError::OutOfPlace));
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    assert_eq!(pair.raw(9, &publish), Err(IngestError::OutOfPlace));
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    for _ in 0..3 {
        pair.raw(0, &Command::new("createStream", 7.0, Value::Null))
            .unwrap();
    }
    let more = pair.raw(0, &Command::new("createStream", 7.0, Value::Null));
    assert_eq!(more, Err(IngestError::OutOfPlace));
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    let long = Command::new("publish", 8.0, Value::Null).with("x".repeat(5_000).as_str());
    pair.raw(0, &Command::new("createStream", 7.0, Value::Null))
        .unwrap();
    assert_eq!(pair.raw(2, &long), Err(IngestError::OutOfPlace));
}

#[test]
fn an_unknown_call_is_answered_with_an_error() {
    let mut pair = Pair::new(ClientGoal::Publish, "rtmp://host/studio", "ann");
    pair.raw(0, &Command::new("startDVR", 9.0, Value::Null))
        .unwrap();
    let bytes = pair.server.poll_transmit().unwrap();
    let mut reader = ChunkReader::new(10_000);
    reader.set_chunk_size(60_000).unwrap();
    let (_, message) = reader.read(&bytes).unwrap();
    let command = Command::read(&message.unwrap()).unwrap();
    assert_eq!(
        (command.name.as_str(), command.transaction),
        ("_error", 9.0)
    );
}
