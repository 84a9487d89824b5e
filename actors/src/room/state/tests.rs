//! The room without its shell. The oracle of the property: what each client believes, made from its
//! join result and the notifications since, is what the room knows.

use std::collections::BTreeMap;

use media_contract::{LostReason, ShardLoad};
use media_types::{Codec, MediaKind, Mid, TrackSource, TransportId};
use proptest::prelude::*;
use signaling::view::{PeerState, QualityReason};
use signaling::{ErrorType, Grants, Outgoing};

use super::*;
use crate::room::message::Speech;
use crate::room::quality::{Report, Score};
use crate::room::record::{MediaPhase, TrackRecord};
use crate::room::roster::Entry;
use crate::room::talk::Stamp;
use crate::session::{Outbox, OutboxFull, SessionKind};

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

fn room(now: Instant, roster: usize) -> RoomState {
    let limits = RoomLimits {
        roster,
        peers_per_shard: 100,
    };
    let name = "r".parse().unwrap();
    RoomState::new(now, name, RoomSettings::default(), limits, ShardId(0))
}

fn record(number: u64, identity: &str, kind: SessionKind) -> PeerRecord {
    PeerRecord {
        peer: PeerId::new(number),
        identity: identity.parse().unwrap(),
        kind,
        grants: Grants::default(),
        jti: None,
        key: None,
        name: None,
        metadata: serde_json::Value::Null,
        joined_at_ms: 0,
        shard: ShardId(0),
        transport: TransportId::new(number),
        state: PeerState::Active,
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

fn member(number: u64, identity: &str) -> PeerRecord {
    record(number, identity, SessionKind::WebSocket)
}

fn track(number: u64) -> TrackRecord {
    TrackRecord {
        track: TrackId::new(number),
        mid: "0".parse::<Mid>().unwrap(),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        name: None,
        muted: false,
    }
}

/// What a client believes.
#[derive(Debug, Default, PartialEq)]
struct Belief {
    peers: BTreeMap<Identity, (PeerState, serde_json::Value)>,
    tracks: BTreeMap<TrackId, (bool, bool)>,
}

impl Belief {
    fn of(room: &RoomState, peer: PeerId) -> Self {
        let view = room.view_for(peer);
        let peers = view.peers.into_iter();
        let tracks = view.tracks.into_iter();
        Self {
            peers: peers.map(|p| (p.peer_id, (p.state, p.metadata))).collect(),
            tracks: tracks.map(|t| (t.track_id, (t.muted, t.live))).collect(),
        }
    }

    fn hear(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::PeerJoined(joined) => {
                let peer = joined.peer.clone();
                let known = self.peers.insert(peer.peer_id, (peer.state, peer.metadata));
                assert!(known.is_none(), "joined twice");
            }
            ServerMessage::PeerLeft(left) => {
                assert!(self.peers.remove(&left.peer_id).is_some(), "left twice");
            }
            ServerMessage::PeerUpdated(update) => {
                let peer = self
                    .peers
                    .get_mut(&update.peer_id)
                    .expect("of somebody known");
                peer.0 = update.state.unwrap_or(peer.0);
                peer.1 = update.metadata.clone().unwrap_or(peer.1.take());
            }
            ServerMessage::TrackPublished(published) => {
                let track = &published.track;
                assert!(self.peers.contains_key(&track.peer_id), "of somebody known");
                self.tracks
                    .insert(track.track_id, (track.muted, track.live));
            }
            ServerMessage::TrackUnpublished(gone) => {
                assert!(self.tracks.remove(&gone.track_id).is_some(), "gone twice");
            }
            ServerMessage::TrackMuted(muted) => {
                self.tracks
                    .get_mut(&muted.track_id)
                    .expect("a known track")
                    .0 = muted.muted;
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Join(u8),
    View,
    Leave(usize),
    Fail(usize),
    Kick(usize),
    Publish(usize, u8),
    Mute(usize),
    Metadata(usize, u8),
    Lose(usize),
    Flow(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => (0..6_u8).prop_map(Step::Join),
        1 => Just(Step::View),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Kick),
        4 => (any::<usize>(), 0..4_u8).prop_map(|(who, count)| Step::Publish(who, count)),
        2 => any::<usize>().prop_map(Step::Mute),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(who, n)| Step::Metadata(who, n)),
        1 => any::<usize>().prop_map(Step::Lose),
        2 => any::<usize>().prop_map(Step::Flow),
    ];
    prop::collection::vec(one, 1..60)
}

fn take_step(room: &mut RoomState, now: Instant, number: u64, step: &Step) {
    let peers: Vec<PeerId> = room.members.keys().copied().collect();
    let pick = |at: &usize| peers.get(at % peers.len().max(1)).copied();
    let change = |room: &mut RoomState, who: &usize, change: &dyn Fn(&mut PeerRecord)| {
        if let Some(peer) = pick(who) {
            let mut record = room.members[&peer].record.clone();
            change(&mut record);
            room.present(now, record);
        }
    };
    match step {
        Step::Join(name) => room.admit(now, member(number, &format!("p{name}"))),
        Step::View => {
            let (peer, track) = (None, None);
            room.admit(now, record(number, "tv", SessionKind::Whep { peer, track }));
        }
        Step::Leave(who) => {
            let left = pick(who).map(|peer| room.remove(now, peer, LeaveReason::Left));
            assert_ne!(left, Some(false));
        }
        Step::Fail(who) => pick(who)
            .into_iter()
            .for_each(|p| room.handle_gone(now, p, true)),
        Step::Kick(who) => {
            let kicked = pick(who).map(|peer| room.kick(now, peer, CloseReason::Kicked));
            assert_ne!(kicked, Some(false));
        }
        Step::Publish(who, count) => change(room, who, &|record| {
            if record.is_member() {
                let first = record.peer.get() * 10;
                record.tracks = (0..u64::from(*count)).map(|n| track(first + n)).collect();
            }
        }),
        Step::Mute(who) => change(room, who, &|record| {
            record
                .tracks
                .iter_mut()
                .for_each(|track| track.muted = !track.muted);
        }),
        Step::Metadata(who, n) => change(room, who, &|record| record.metadata = (*n).into()),
        Step::Lose(who) => change(room, who, &|record| {
            record.state = match record.state {
                PeerState::Active => PeerState::Reconnecting,
                _ => PeerState::Active,
            };
        }),
        Step::Flow(who) => {
            let known: Vec<TrackId> = room.known_tracks().into_iter().collect();
            if let Some(track) = known.get(who % known.len().max(1)) {
                room.track_started(ShardId(0), *track, Codec::Vp9);
            }
        }
    }
}

proptest! {
    #[test]
    fn clients_believe_what_the_room_knows(steps in steps(), roster in 0_usize..5) {
        let now = base();
        let mut room = room(now, roster);
        let mut beliefs: BTreeMap<PeerId, Belief> = BTreeMap::new();
        for (number, step) in (1..).zip(&steps) {
            take_step(&mut room, now, number, step);
            for effect in room.take_effects() {
                match effect {
                    Effect::Notify(audience, notice) => {
                        let message = notice.message();
                        // As the shell does: who is no member any more hears nothing.
                        let members = &room.members;
                        let beliefs = beliefs.iter_mut();
                        for (peer, belief) in beliefs.filter(|(p, _)| members.contains_key(p)) {
                            match audience {
                                Audience::All => belief.hear(message),
                                Audience::Except(other) if other != *peer => belief.hear(message),
                                Audience::One(one) if one == *peer => belief.hear(message),
                                Audience::Except(_) | Audience::One(_) => {}
                            }
                        }
                    }
                    Effect::Dismiss(peer, _) => {
                        beliefs.remove(&peer);
                    }
                    _ => {}
                }
            }
            for peer in room.members.keys() {
                let truth = Belief::of(&room, *peer);
                let belief = beliefs.entry(*peer).or_insert_with(|| Belief::of(&room, *peer));
                prop_assert_eq!(&*belief, &truth, "after {:?}", step);
            }
        }
    }
}

#[test]
fn entry_is_refused_at_the_limit_and_resumed_by_session() {
    let now = base();
    let mut room = room(now, 100);
    room.settings.max_peers = 2;
    room.admit(now, member(1, "ana"));
    room.admit(now, member(2, "bob"));
    let entry = |room: &RoomState, identity: &str, resume: Option<u64>| {
        let identity = identity.parse().unwrap();
        let kind = SessionKind::WebSocket;
        let entry = room.entry(&identity, &kind, resume.map(PeerId::new));
        entry.map_err(|error| error.kind())
    };
    assert_eq!(entry(&room, "cem", None), Err(ErrorType::RoomFull));
    assert_eq!(entry(&room, "bob", None), Ok(Entry::New));
    assert_eq!(
        entry(&room, "bob", Some(2)),
        Ok(Entry::Resume(PeerId::new(2)))
    );
    // Another's session, an unknown one, and one whose media is gone are not taken up.
    assert_eq!(entry(&room, "bob", Some(1)), Ok(Entry::New));
    assert_eq!(entry(&room, "bob", Some(9)), Ok(Entry::New));
    room.members.get_mut(&PeerId::new(2)).unwrap().record.media = MediaPhase::Lost;
    assert_eq!(entry(&room, "bob", Some(2)), Ok(Entry::New));
}

#[test]
fn shards_fill_up_in_order() {
    let now = base();
    let mut room = room(now, 100);
    room.limits.peers_per_shard = 2;
    let load = |shard, busy_ppm| ShardLoad {
        shard: ShardId(shard),
        transports: 0,
        busy_ppm,
    };
    let loads = [load(0, 9), load(1, 5), load(2, 3)];
    let mut chosen = Vec::new();
    for number in 1..=7 {
        let mut new = member(number, &format!("p{number}"));
        new.shard = room.choose_shard(&loads);
        chosen.push(new.shard.0);
        room.admit(now, new);
    }
    assert_eq!(chosen, [0, 0, 2, 2, 1, 1, 0]);
    assert_eq!(room.shards, [ShardId(0), ShardId(2), ShardId(1)]);
    // Only the living take peers.
    assert_eq!(room.choose_shard(&[load(1, 0)]), ShardId(1));
}

#[test]
fn publishing_is_granted_up_to_the_limit_and_given_back() {
    let now = base();
    let mut room = room(now, 100);
    room.settings.max_publishers = 1;
    room.admit(now, member(1, "ana"));
    room.admit(now, member(2, "bob"));
    let ask = |room: &mut RoomState, peer| {
        room.take_effects();
        room.want_publish(base(), PeerId::new(peer));
        match room.take_effects().as_slice() {
            [Effect::MayPublish(_, granted)] => *granted,
            other => panic!("{other:?}"),
        }
    };
    assert!(ask(&mut room, 1));
    assert!(ask(&mut room, 1));
    assert!(!ask(&mut room, 2));
    let mut publishing = room.members[&PeerId::new(1)].record.clone();
    publishing.tracks.push(track(1));
    room.present(now, publishing.clone());
    assert!(!ask(&mut room, 2));
    publishing.tracks.clear();
    room.present(now, publishing);
    assert!(ask(&mut room, 2));
}

#[test]
fn a_room_outlives_its_last_peer_for_a_while() {
    let now = base();
    let mut room = room(now, 100);
    assert_eq!(room.poll_timeout(), Some(now + Duration::from_secs(300)));
    room.admit(now, member(1, "ana"));
    assert_eq!(room.poll_timeout(), None);
    room.remove(now, PeerId::new(1), LeaveReason::Left);
    let end = now + Duration::from_secs(20);
    assert_eq!(room.poll_timeout(), Some(end));
    room.handle_timeout(end - Duration::from_millis(1));
    assert_eq!(room.phase, RoomPhase::Active);
    room.handle_timeout(end);
    assert_eq!(room.phase, RoomPhase::Closed);
    assert!(matches!(room.take_effects().last(), Some(Effect::End)));
}

#[test]
fn two_crashes_within_a_minute_are_one_too_many() {
    let now = base();
    let crash = |room: &mut RoomState, at| {
        room.take_effects();
        room.media_lost(at, PeerId::new(1), LostReason::Crashed);
        room.take_effects()
    };
    let mut room = room(now, 100);
    room.admit(now, member(1, "ana"));
    let rejoins =
        |effects: &[Effect]| matches!(effects, [Effect::Rejoin(_, CloseReason::Internal)]);
    assert!(rejoins(&crash(&mut room, now)));
    let later = now + Duration::from_secs(61);
    assert!(rejoins(&crash(&mut room, later)));
    let effects = crash(&mut room, later + Duration::from_secs(59));
    let kicked = |effect: &Effect| {
        matches!(
            effect,
            Effect::Dismiss(_, Some(CloseReason::TransportFailed))
        )
    };
    assert!(effects.iter().any(kicked));
    assert!(room.members.is_empty());
}

#[test]
fn recalled_members_are_no_news_and_their_tracks_live() {
    let now = base();
    let mut room = room(now, 100);
    let mut back = member(1, "ana");
    back.tracks.push(track(1));
    room.recall(now, back);
    room.recall(now, member(2, "bob"));
    assert!(room.take_effects().is_empty());
    assert_eq!(room.poll_timeout(), None);
    assert!(room.tracks.get(TrackId::new(1)).unwrap().view.live);
    assert_eq!(room.view_for(PeerId::new(2)).peers.len(), 1);
}

#[test]
fn reactions_have_a_bound_and_quality_a_pace() {
    let now = base();
    let mut room = room(now, 100);
    room.admit(now, member(1, "ana"));
    room.take_effects();
    for kind in 0..200 {
        let stamp = Stamp {
            message_id: String::new(),
            at: 0,
        };
        room.say(
            now,
            PeerId::new(1),
            None,
            Speech::React(kind.to_string()),
            stamp,
        );
    }
    room.take_effects();
    room.handle_timeout(now + Duration::from_secs(1));
    let effects = room.take_effects();
    let Some(Effect::Notify(_, notice)) = effects.first() else {
        panic!("{effects:?}");
    };
    let ServerMessage::Reactions(counted) = notice.message() else {
        panic!("{notice:?}");
    };
    assert_eq!(counted.reactions.len(), crate::limits::REACTION_KINDS_MAX);
    let mut told = |score, after_ms| {
        let at = now + Duration::from_millis(after_ms);
        let score = Score {
            value: score,
            reason: QualityReason::Loss,
        };
        let report = Report {
            rtt: None,
            score,
            uplink: score,
            silent: Vec::new(),
            narrowed: Vec::new(),
        };
        room.quality(at, PeerId::new(1), &report);
        room.take_effects().len()
    };
    assert_eq!(
        [
            told(1.0, 0),
            told(0.5, 1_000),
            told(0.5, 2_000),
            told(0.45, 9_000)
        ],
        [1, 0, 1, 0]
    );
}
