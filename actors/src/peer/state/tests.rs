//! The peer without its shell.

use media_contract::{
    CommandId, Fact, MediaLineUse, RefusedReason, SlotState as Flow, Snapshot, Subject,
    TransportSnapshot,
};
use media_types::{Codec, Epoch, MediaKind, PeerId, RoomId, ShardId, TrackSource, TransportId};
use signaling::client_message::OfferParams;
use signaling::server_message::Reply;
use signaling::view::Track;
use signaling::{ClientMessage, ErrorType, Grants, RequestId};

use super::*;
use crate::peer::negotiation::Responder;
use crate::room::TrackEntry;
use crate::session::OutboxFull;

struct Nowhere;
impl Outbox for Nowhere {
    fn send(&self, _: Outgoing) -> Result<(), OutboxFull> {
        Ok(())
    }
    fn close(&self, _: CloseReason) {}
}

#[allow(clippy::disallowed_methods, reason = "a base to count from")]
fn base() -> Instant {
    Instant::now()
}

fn record(kind: SessionKind) -> PeerRecord {
    PeerRecord {
        peer: PeerId::new(1),
        identity: "ana".parse().unwrap(),
        kind,
        grants: Grants {
            publish: true,
            subscribe: true,
            ..Grants::default()
        },
        jti: None,
        key: None,
        name: None,
        metadata: serde_json::Value::Null,
        joined_at_ms: 0,
        shard: ShardId(0),
        transport: TransportId::new(7),
        state: Presence::Active,
        media: MediaPhase::None,
        tracks: Vec::new(),
        handed: Vec::new(),
        pins: Vec::new(),
        sizes: std::collections::BTreeMap::new(),
        pairs: Vec::new(),
        outbox: Arc::new(Nowhere),
        attachment: 1,
    }
}

fn peer_of(now: Instant, record: PeerRecord) -> PeerState {
    let terms = Terms {
        heartbeat_interval: Duration::from_secs(5),
        heartbeat_missed: 2,
        resume_window: Duration::from_secs(20),
        talk_burst: 50,
        talk_per_second: 20,
        codecs: Vec::new(),
    };
    let mut tracks = 0;
    let new_track = Box::new(move || {
        tracks += 1;
        TrackId::new(tracks)
    });
    PeerState::new(now, record, Arc::default(), terms, new_track)
}

fn peer(now: Instant) -> PeerState {
    peer_of(now, record(SessionKind::WebSocket))
}

fn line(mid: &str, kind: MediaKind, usage: MediaLineUse) -> MediaLine {
    MediaLine {
        mid: mid.parse().unwrap(),
        kind,
        usage,
        codecs: vec![Codec::Opus, Codec::Vp8],
        rids: Vec::new(),
    }
}

fn offer(peer: &mut PeerState, now: Instant, id: i64) -> u64 {
    let to = Responder::Client(Some(RequestId::Number(id)));
    peer.offer(now, OfferParams::default(), to);
    peer.offers_made
}

/// The shard takes the offer.
fn accept(peer: &mut PeerState, now: Instant, number: u64, media: Vec<MediaLine>) {
    let fact = Fact::Negotiated {
        command: CommandId(1),
        answer: "answer".into(),
        media,
        data: false,
    };
    peer.event(now, Subject::Room, fact, Purpose::Offer(number));
}

fn commands(peer: &mut PeerState) -> Vec<Action> {
    let effects = peer.take_effects().into_iter();
    let actions = effects.filter_map(|effect| match effect {
        Effect::Command(_, action) => Some(action),
        _ => None,
    });
    actions.collect()
}

fn answers(peer: &mut PeerState) -> Vec<Result<Reply, ErrorType>> {
    let effects = peer.take_effects().into_iter();
    let answers = effects.filter_map(|effect| match effect {
        Effect::Send(frame) => match *frame {
            Outgoing::Result { value, .. } => Some(Ok(value)),
            Outgoing::Error { error, .. } => Some(Err(error.kind())),
            Outgoing::Notify(_) => None,
        },
        _ => None,
    });
    answers.collect()
}

fn view(tracks: &[(u64, MediaKind, bool)]) -> Arc<RoomView> {
    let entry = |(number, kind, live): &(u64, MediaKind, bool)| TrackEntry {
        view: Track {
            track_id: TrackId::new(*number),
            peer_id: "bob".parse().unwrap(),
            kind: *kind,
            codec: Codec::Vp8,
            source: TrackSource::default_for(*kind),
            name: None,
            muted: false,
            live: *live,
        },
        owner: PeerId::new(2),
        heard: 0,
    };
    Arc::new(RoomView {
        tracks: tracks.iter().map(entry).collect(),
        loudest: Vec::new(),
    })
}

#[test]
fn a_session_goes_from_active_to_zombie_to_closed() {
    let now = base();
    let mut peer = peer(now);
    let silent = now + Duration::from_millis(12_500);
    assert_eq!(peer.poll_timeout(), Some(silent));
    peer.handle_timeout(silent - Duration::from_millis(1));
    assert_eq!(peer.phase, Phase::Active { heard: now });
    peer.handle_timeout(silent);
    assert_eq!(peer.phase, Phase::Zombie { since: silent });
    let told = peer.take_effects();
    assert!(matches!(
        told.as_slice(),
        [Effect::Goodbye(_, CloseReason::Timeout), Effect::Present]
    ));
    let end = silent + Duration::from_secs(20);
    assert_eq!(peer.poll_timeout(), Some(end));
    peer.handle_timeout(end);
    assert_eq!((peer.phase, peer.poll_timeout()), (Phase::Closed, None));
    let told = peer.take_effects();
    assert!(matches!(
        told.as_slice(),
        [Effect::End(Some(LeaveReason::Timeout))]
    ));
    // Closed is for good.
    peer.attach(end, Arc::new(Nowhere), 2);
    peer.dismissed(CloseReason::Kicked);
    assert!(peer.take_effects().is_empty());
}

#[test]
fn a_resumed_session_is_active_and_the_old_connection_mute() {
    let now = base();
    let mut peer = peer(now);
    peer.socket_lost(now, 1);
    peer.attach(now, Arc::new(Nowhere), 2);
    assert_eq!(peer.phase, Phase::Active { heard: now });
    assert_eq!(peer.record.state, Presence::Active);
    peer.take_effects();
    peer.socket_lost(now, 1);
    let ping = ClientMessage::Ping(signaling::client_message::PingParams {});
    peer.request(now, Duration::ZERO, 1, Some(RequestId::Number(1)), ping);
    assert!(peer.take_effects().is_empty());
    // Another connection while this one is alive closes it.
    peer.attach(now, Arc::new(Nowhere), 3);
    let told = peer.take_effects();
    assert!(matches!(
        told.first(),
        Some(Effect::Goodbye(_, CloseReason::Replaced))
    ));
}

#[test]
fn the_first_offer_opens_a_transport_and_publishes_once_the_room_agrees() {
    let now = base();
    let mut peer = peer(now);
    let number = offer(&mut peer, now, 1);
    let opened = commands(&mut peer);
    assert!(matches!(
        opened.as_slice(),
        [Action::OpenTransport { .. }, Action::Negotiate { .. }]
    ));
    let media = || vec![line("0", MediaKind::Audio, MediaLineUse::Publish)];
    accept(&mut peer, now, number, media());
    let asked = peer.take_effects();
    assert!(matches!(asked.as_slice(), [Effect::WantPublish]));
    peer.may_publish_now(true);
    let effects = peer.take_effects();
    let published = matches!(effects[0], Effect::Command(_, Action::Publish { .. }));
    assert!(published && matches!(effects[1], Effect::Send(_)));
    assert_eq!(peer.record.tracks[0].source, TrackSource::Microphone);
    // Again, as for an ICE restart: the same track, no word to the room.
    let number = offer(&mut peer, now, 2);
    assert_eq!(commands(&mut peer).len(), 1);
    accept(&mut peer, now, number, media());
    assert_eq!(answers(&mut peer).len(), 1);
    assert_eq!(peer.record.tracks.len(), 1);
}

#[test]
fn offers_are_refused_expire_and_are_bounded() {
    let now = base();
    let mut peer = peer(now);
    let number = offer(&mut peer, now, 1);
    let reason = RefusedReason::BadSdp("m=".into());
    let command = CommandId(1);
    let refused = Fact::Refused { command, reason };
    peer.event(now, Subject::Room, refused, Purpose::Offer(number));
    assert_eq!(answers(&mut peer), [Err(ErrorType::BadSdp)]);
    for id in 2..7 {
        offer(&mut peer, now, id);
    }
    assert_eq!(answers(&mut peer), [Err(ErrorType::RateLimited)]);
    let due = now + crate::limits::OFFER_DEADLINE;
    assert_eq!(peer.poll_timeout(), Some(due));
    peer.handle_timeout(due);
    assert_eq!(answers(&mut peer), vec![Err(ErrorType::Overloaded); 4]);
    // An answer that comes too late finds nobody.
    accept(&mut peer, now, number, Vec::new());
    assert!(peer.take_effects().is_empty());
}

#[test]
fn slots_show_what_flows_and_are_told_once() {
    let now = base();
    let mut peer = peer(now);
    peer.set_view(view(&[
        (1, MediaKind::Video, false),
        (2, MediaKind::Video, true),
    ]));
    let number = offer(&mut peer, now, 1);
    peer.take_effects();
    accept(
        &mut peer,
        now,
        number,
        vec![line("v", MediaKind::Video, MediaLineUse::Slot)],
    );
    let filled = commands(&mut peer);
    let [Action::Fill { track, slot, .. }] = filled.as_slice() else {
        panic!("{filled:?}");
    };
    assert_eq!((track.get(), slot.as_str()), (2, "v"));
    let changed = |state| Fact::SlotChanged {
        track: TrackId::new(2),
        state,
        layer: None,
    };
    let subject = Subject::Slot(TransportId::new(7), *slot);
    for (state, told) in [
        (Flow::Live, 1),
        (Flow::Live, 0),
        (Flow::Paused, 1),
        (Flow::Starved, 1),
        (Flow::Muted, 1),
    ] {
        peer.event(now, subject, changed(state), Purpose::Other);
        assert_eq!(peer.take_effects().len(), told);
    }
    // A track that was gone before the slot was filled is looked for again.
    let refused = Fact::Refused {
        command: CommandId(1),
        reason: RefusedReason::UnknownTrack,
    };
    peer.event(now, Subject::Room, refused, Purpose::Fill(*slot));
    assert_eq!(peer.poll_timeout(), Some(now + RECONCILE_AFTER));
    peer.handle_timeout(now + RECONCILE_AFTER);
    assert!(matches!(commands(&mut peer).as_slice(), [Action::Describe]));
}

fn snapshot(transports: Vec<TransportSnapshot>) -> Fact {
    Fact::Described {
        command: CommandId(1),
        snapshot: Snapshot {
            room: RoomId::new(1),
            epoch: Epoch::FIRST,
            transports,
            tracks: Vec::new(),
            taps: Vec::new(),
        },
    }
}

#[test]
fn a_new_life_asks_what_exists_and_makes_good_the_difference() {
    let now = base();
    let mut earlier = peer(now);
    let number = offer(&mut earlier, now, 1);
    let media = vec![
        line("0", MediaKind::Audio, MediaLineUse::Publish),
        line("v", MediaKind::Video, MediaLineUse::Slot),
    ];
    accept(&mut earlier, now, number, media.clone());
    earlier.may_publish_now(true);

    let mut peer = peer_of(now, earlier.record.clone());
    assert!(peer.is_settling());
    peer.set_view(view(&[(9, MediaKind::Video, true)]));
    // Nothing is done before the shard has said what there is.
    assert!(matches!(commands(&mut peer).as_slice(), [Action::Describe]));
    let found = TransportSnapshot {
        transport: TransportId::new(7),
        settings: media_contract::TransportSettings {
            identity: "ana".parse().unwrap(),
            usage: media_contract::TransportUse::Peer,
            publish: true,
            subscribe: true,
            data: false,
            codecs: Vec::new(),
        },
        connected: true,
        media,
        slots: Vec::new(),
    };
    peer.event(now, Subject::Room, snapshot(vec![found]), Purpose::Describe);
    assert!(!peer.is_settling());
    let made_good = commands(&mut peer);
    assert!(matches!(
        made_good.as_slice(),
        [Action::Publish { .. }, Action::Fill { .. }]
    ));
    assert_eq!(peer.record.tracks, earlier.record.tracks);

    // A shard that has lost the transport: the client must come back with another.
    let mut peer = peer_of(now, earlier.record);
    peer.take_effects();
    peer.event(now, Subject::Room, snapshot(Vec::new()), Purpose::Describe);
    assert_eq!(peer.record.media, MediaPhase::Lost);
    assert!(peer.record.tracks.is_empty());
    assert_eq!(peer.phase, Phase::Zombie { since: now });
}

#[test]
fn how_a_transport_was_lost_decides_what_follows() {
    let now = base();
    let cases = [
        (LostReason::Closed, MediaPhase::None, true),
        (LostReason::Crashed, MediaPhase::Lost, true),
        (LostReason::TimedOut, MediaPhase::Lost, false),
        (LostReason::Handshake, MediaPhase::Lost, false),
        (LostReason::ShardRestarted, MediaPhase::Lost, false),
    ];
    for (reason, media, stays) in cases {
        let mut peer = peer(now);
        offer(&mut peer, now, 1);
        peer.take_effects();
        let lost = Fact::TransportLost { reason };
        peer.event(now, Subject::Room, lost, Purpose::Other);
        assert_eq!(peer.record.media, media, "{reason:?}");
        let active = matches!(peer.phase, Phase::Active { .. });
        assert_eq!(active, stays, "{reason:?}");
        assert_eq!(
            answers(&mut peer),
            [Err(ErrorType::Unavailable)],
            "{reason:?}"
        );
    }
    let mut whip = peer_of(now, record(SessionKind::Whip));
    offer(&mut whip, now, 1);
    let reason = LostReason::TimedOut;
    whip.event(
        now,
        Subject::Room,
        Fact::TransportLost { reason },
        Purpose::Other,
    );
    assert_eq!(whip.phase, Phase::Closed);
}
