use std::collections::BTreeMap;
use std::sync::Mutex;

use media_types::{LayerSet, MediaKind, PeerId, ShardId, TransportId};
use proptest::prelude::*;
use signaling::Grants;

use super::*;
use crate::ingest::{IngestProtocol, IngestSink, SinkOutbox};
use crate::session::SessionKind;

#[derive(Default)]
struct Connection(Mutex<Option<CloseReason>>);

impl IngestSink for Connection {
    fn close(&self, reason: CloseReason) {
        *self.0.lock().unwrap() = Some(reason);
    }
    fn keyframe_wanted(&self, _: TrackId) {}
    fn placed(&self, _: IngestPlace) {}
}

fn outbox() -> Arc<dyn Outbox> {
    Arc::new(SinkOutbox(Arc::new(Connection::default())))
}

#[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

fn record() -> PeerRecord {
    PeerRecord {
        peer: PeerId::new(1),
        identity: "streamer".parse().unwrap(),
        kind: SessionKind::Ingest(IngestProtocol::Rtmp),
        grants: Grants::default(),
        jti: None,
        key: None,
        name: None,
        metadata: serde_json::Value::Null,
        joined_at_ms: 0,
        shard: ShardId(2),
        transport: TransportId::new(7),
        state: PeerState::Active,
        media: MediaPhase::None,
        tracks: Vec::new(),
        handed: Vec::new(),
        pins: Vec::new(),
        sizes: BTreeMap::new(),
        pairs: Vec::new(),
        outbox: outbox(),
        attachment: 1,
    }
}

fn state_of(now: Instant, record: PeerRecord) -> IngestState {
    let terms = Terms {
        room: RoomId::new(9),
        silence: Duration::from_secs(15),
        window: Duration::from_secs(20),
        codecs: Vec::new(),
    };
    let mut next = 100;
    let new_track = move || {
        next += 1;
        TrackId::new(next)
    };
    IngestState::new(now, record, terms, Box::new(new_track))
}

fn spec(codec: Codec) -> IngestSpec {
    IngestSpec {
        kind: codec.kind(),
        codec,
        name: None,
    }
}

/// Adds a track and gives what was answered and commanded.
fn add(
    state: &mut IngestState,
    attachment: u64,
    spec: IngestSpec,
) -> (Option<Result<IngestPlace, RpcError>>, Vec<Action>) {
    let (reply, _answer) = Reply::channel();
    state.add(attachment, spec, reply);
    outcome(state)
}

fn outcome(state: &mut IngestState) -> (Option<Result<IngestPlace, RpcError>>, Vec<Action>) {
    let (mut answer, mut actions) = (None, Vec::new());
    for effect in state.take_effects() {
        if let Effect::Answer(_, given) = effect {
            answer = Some(given);
        } else if let Effect::Command(action) = effect {
            actions.push(action);
        }
    }
    (answer, actions)
}

fn granted(now: Instant) -> IngestState {
    let mut state = state_of(now, record());
    let (answer, _) = add(&mut state, 1, spec(Codec::H264));
    assert!(answer.is_none(), "the room is asked first");
    state.may_publish(true);
    let (answer, actions) = outcome(&mut state);
    let place = answer.unwrap().unwrap();
    assert_eq!((place.shard, place.feed), (ShardId(2), 1));
    assert!(matches!(actions.as_slice(), [Action::OpenIngest(it)] if it.feed == 1));
    state
}

fn started() -> Fact {
    Fact::TrackStarted {
        codec: Codec::H264,
        layers: LayerSet::EMPTY,
    }
}

#[test]
fn a_source_that_comes_back_keeps_its_tracks() {
    let now = base();
    let mut state = granted(now);
    let track = state.record.tracks[0].track;
    state.socket_lost(now, 1);
    assert_eq!(state.record.state, PeerState::Reconnecting);
    state.attach(now + Duration::from_secs(5), outbox(), 2);
    assert_eq!(state.record.state, PeerState::Active);
    let (old, _) = add(&mut state, 1, spec(Codec::H264));
    assert_eq!(old.unwrap().unwrap_err().kind(), ErrorType::NotFound);
    let (answer, actions) = add(&mut state, 2, spec(Codec::H265));
    let place = answer.unwrap().unwrap();
    assert_eq!((place.track, place.feed), (track, 2));
    let Some(Action::OpenIngest(opened)) = actions.first() else {
        panic!("not opened: {actions:?}");
    };
    assert_eq!(
        (opened.track, opened.feed, opened.codec),
        (track, 2, Codec::H265)
    );
}

#[test]
fn what_a_new_connection_does_not_bring_goes() {
    let now = base();
    let mut state = granted(now);
    let (audio, _) = add(&mut state, 1, spec(Codec::Opus));
    let audio = audio.unwrap().unwrap().track;
    state.attach(now, outbox(), 2);
    add(&mut state, 2, spec(Codec::H264));
    state.handle_timeout(now + INGEST_RECLAIM / 2);
    assert_eq!(state.record.tracks.len(), 2, "sound may come late");
    state.handle_timeout(now + INGEST_RECLAIM);
    let (_, actions) = outcome(&mut state);
    assert_eq!(actions, [Action::Unpublish { track: audio }]);
    assert_eq!(state.record.tracks[0].kind, MediaKind::Video);
}

#[test]
fn a_connection_that_brings_nothing_ends_and_then_the_source() {
    let now = base();
    let mut state = granted(now);
    let track = state.record.tracks[0].track;
    state.track_event(now, track, &started());
    assert_eq!(state.poll_timeout(), None, "it flows");
    let stalled = now + Duration::from_secs(60);
    state.track_event(stalled, track, &Fact::TrackStalled);
    let due = state.poll_timeout().unwrap();
    assert_eq!(due, stalled + Duration::from_secs(15));
    state.handle_timeout(due);
    let closed = state.take_effects();
    let is_timeout = |effect: &Effect| matches!(effect, Effect::Close(_, CloseReason::Timeout));
    assert!(closed.iter().any(is_timeout));
    assert_eq!(state.record.state, PeerState::Reconnecting);
    let end = due + Duration::from_secs(20);
    assert_eq!(state.poll_timeout(), Some(end));
    state.handle_timeout(end);
    let (_, actions) = outcome(&mut state);
    assert_eq!(actions, [Action::Unpublish { track }]);
    assert!(state.is_over());
}

#[test]
fn a_newer_connection_ends_the_one_before() {
    let now = base();
    let mut state = granted(now);
    state.take_effects();
    state.attach(now, outbox(), 2);
    let effects = state.take_effects();
    let is_replaced = |effect: &Effect| matches!(effect, Effect::Close(_, CloseReason::Replaced));
    assert_eq!(
        effects.iter().filter(|effect| is_replaced(effect)).count(),
        1
    );
    state.socket_lost(now, 1);
    assert_eq!(
        state.record.state,
        PeerState::Active,
        "the old one's end is no news"
    );
    state.attach(now, outbox(), 2);
    assert!(state.take_effects().is_empty(), "twice is as once");
}

#[test]
fn limits_and_codecs_are_kept() {
    let now = base();
    let mut state = granted(now);
    let odd = IngestSpec {
        kind: MediaKind::Audio,
        ..spec(Codec::H264)
    };
    let (answer, _) = add(&mut state, 1, odd);
    assert_eq!(answer.unwrap().unwrap_err().kind(), ErrorType::Unsupported);
    for number in 1..TRACKS_PER_PEER {
        let more = IngestSpec {
            name: Some(number.to_string()),
            ..spec(Codec::Opus)
        };
        assert!(add(&mut state, 1, more).0.unwrap().is_ok());
    }
    let (answer, _) = add(&mut state, 1, spec(Codec::Opus));
    assert_eq!(answer.unwrap().unwrap_err().kind(), ErrorType::Forbidden);
    let mut refused = state_of(now, record());
    add(&mut refused, 1, spec(Codec::H264));
    refused.may_publish(false);
    let (answer, actions) = outcome(&mut refused);
    assert_eq!(answer.unwrap().unwrap_err().kind(), ErrorType::Forbidden);
    assert!(actions.is_empty());
}

#[test]
fn a_later_life_opens_what_the_record_says() {
    let now = base();
    let mut earlier = granted(now);
    earlier.mute(None, true);
    let track = earlier.record.tracks[0].track;
    let mut state = state_of(now, earlier.record.clone());
    let (_, actions) = outcome(&mut state);
    let [Action::OpenIngest(opened), mute] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!((opened.track, opened.feed), (track, 1));
    assert_eq!(*mute, Action::Mute { track, muted: true });
    state.shard_restarted(now);
    let placed = state.take_effects();
    let place = placed.iter().find_map(|effect| {
        let Effect::Place(place) = effect else {
            return None;
        };
        Some(*place)
    });
    assert_eq!(place.unwrap().track, track);
}

proptest! {
    /// Whatever happens: no id is used for two kinds, the feed never falls, an ended source
    /// publishes nothing, and there is always a next deadline unless packets flow or it is over.
    #[test]
    fn an_ingest_never_loses_its_way(
        steps in proptest::collection::vec((0..9_u8, 0..3_u64), 1..60),
    ) {
        let mut now = base();
        let mut state = state_of(now, record());
        let (mut kinds, mut feed) = (BTreeMap::new(), 0);
        for (step, number) in steps {
            now += Duration::from_secs(number * 4);
            let attachment = state.record.attachment;
            match step {
                0 => { add(&mut state, attachment, spec(Codec::H264)); }
                1 => { add(&mut state, attachment, spec(Codec::Opus)); }
                2 => state.may_publish(true),
                3 => state.attach(now, outbox(), attachment + number),
                4 => state.socket_lost(now, attachment),
                5 => for track in state.record.tracks.clone() {
                    state.track_event(now, track.track, &started());
                },
                6 => for track in state.record.tracks.clone() {
                    state.track_event(now, track.track, &Fact::TrackStalled);
                },
                7 => state.handle_timeout(now),
                _ => if number == 2 { state.leave(LeaveReason::Left) },
            }
            for effect in state.take_effects() {
                if let Effect::Command(Action::OpenIngest(it)) = effect {
                    prop_assert!(it.feed >= feed);
                    feed = it.feed;
                    prop_assert_eq!(*kinds.entry(it.track).or_insert(it.kind), it.kind);
                }
            }
            let flows = !state.is_silent();
            prop_assert!(flows || state.is_over() || state.poll_timeout().is_some());
        }
    }
}
