//! Live sources that feed rooms, and those who take media out of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::{
    EgressPurpose, EgressRequest, Fault, IngestPlace, IngestProtocol, IngestRequest, IngestSession,
    IngestSink, IngestSpec,
};
use media_contract::{Action, Event, Fact, Subject, TapWish, TrackFigures};
use media_types::{Bitrate, Codec, LayerSet, MediaKind, ShardId, TrackId};
use serde_json::Value;
use signaling::rest::SessionKind as Via;
use signaling::view::CloseReason;
use signaling::{ErrorType, RpcError};

use crate::world::{Client, World, claims, config, methods, run};

/// A front end's connection.
#[derive(Default)]
struct Connection {
    closed: Mutex<Option<CloseReason>>,
    wanted: Mutex<Vec<TrackId>>,
    placed: Mutex<Vec<IngestPlace>>,
}

impl IngestSink for Connection {
    fn close(&self, reason: CloseReason) {
        self.closed.lock().unwrap().get_or_insert(reason);
    }
    fn keyframe_wanted(&self, track: TrackId) {
        self.wanted.lock().unwrap().push(track);
    }
    fn placed(&self, place: IngestPlace) {
        self.placed.lock().unwrap().push(place);
    }
}

impl Connection {
    fn closed(&self) -> Option<CloseReason> {
        *self.closed.lock().unwrap()
    }
}

async fn publish(world: &World, grant: bool) -> Result<(IngestSession, Arc<Connection>), RpcError> {
    let connection = Arc::new(Connection::default());
    let mut claims = claims("studio");
    claims.troupe.ingest = grant;
    let session = world
        .system
        .open_ingest(IngestRequest {
            room: "r".parse().unwrap(),
            claims: Box::new(claims),
            protocol: IngestProtocol::Rtmp,
            name: Some("The studio".into()),
            metadata: Value::Null,
            sink: connection.clone(),
        })
        .await?;
    Ok((session, connection))
}

fn spec(codec: Codec) -> IngestSpec {
    IngestSpec {
        kind: codec.kind(),
        codec,
        name: None,
    }
}

/// What a shard would tell of a track.
fn tell(world: &World, place: IngestPlace, fact: Fact) {
    let event = Event {
        room: place.room,
        subject: Subject::Track(place.track),
        fact,
    };
    world.system.deliver(place.shard, event);
}

fn started(world: &World, place: IngestPlace, codec: Codec) {
    let layers = LayerSet::EMPTY;
    tell(world, place, Fact::TrackStarted { codec, layers });
}

/// Lets time pass while a client says that it is there.
async fn stay(world: &World, client: &Client, seconds: u64) {
    for _ in 0..seconds {
        client.tell(99, "ping", serde_json::json!({}));
        world.pass(Duration::from_secs(1)).await;
    }
}

/// A source with sound and picture that flow.
async fn studio(world: &World) -> (IngestSession, Arc<Connection>, [IngestPlace; 2]) {
    let (session, connection) = publish(world, true).await.unwrap();
    let mut places = Vec::new();
    for codec in [Codec::H264, Codec::Opus] {
        let place = session.add_track(spec(codec)).await.unwrap();
        started(world, place, codec);
        places.push(place);
    }
    world.settle().await;
    (session, connection, places.try_into().unwrap())
}

#[test]
fn a_live_source_is_a_peer_like_others() {
    run(async {
        let world = World::new(2, config());
        let ana = world.join("r", "ana").await;
        let refused = publish(&world, false).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), ErrorType::Forbidden);
        let (_session, _, [video, audio]) = studio(&world).await;
        let told = ana.inbox.take();
        let told = methods(&told);
        assert_eq!(told[0], "peerJoined");
        // Each is listed, and told again once it flows.
        assert_eq!(told.iter().filter(|it| **it == "trackPublished").count(), 4);
        assert!(video.track != audio.track && video.feed == 1);
        let room = "r".parse().unwrap();
        let peers = world.system.peers(&room).await.unwrap();
        let studio = peers.iter().find(|peer| peer.via == Via::Ingest).unwrap();
        assert_eq!(studio.peer_id.as_str(), "studio");
        assert!(studio.tracks.iter().all(|track| track.live));
        let rate = Bitrate::from_kbps(900);
        let figures = TrackFigures {
            track: video.track,
            codec: Some(Codec::H264),
            rate,
            lost: 0,
            layers: Vec::new(),
        };
        tell(&world, video, Fact::IngestFigures(figures));
        world.settle().await;
        let ingests = world.system.ingests().await;
        let [status] = ingests.as_slice() else {
            panic!("one source: {ingests:?}");
        };
        assert!(status.connected && status.connections == 1);
        assert_eq!(
            (status.tracks[0].rate, status.tracks[0].kind),
            (rate, MediaKind::Video)
        );
    });
}

#[test]
fn a_source_that_returns_keeps_its_tracks_and_nobody_notices() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        let (session, first, [video, _]) = studio(&world).await;
        session.lost();
        world.pass(Duration::from_secs(10)).await;
        ana.inbox.take();
        let (again, second) = publish(&world, true).await.unwrap();
        let place = again.add_track(spec(Codec::H264)).await.unwrap();
        assert_eq!((place.track, place.feed), (video.track, 2));
        // A third comes while the second is still there.
        let (third, _) = publish(&world, true).await.unwrap();
        world.settle().await;
        assert_eq!(
            (first.closed(), second.closed()),
            (None, Some(CloseReason::Replaced))
        );
        let old = again.add_track(spec(Codec::H264)).await.unwrap_err();
        assert_eq!(old.kind(), ErrorType::NotFound);
        for codec in [Codec::H264, Codec::Opus] {
            let place = third.add_track(spec(codec)).await.unwrap();
            started(&world, place, codec);
        }
        world.settle().await;
        let told = ana.inbox.take();
        assert_eq!(methods(&told), ["peerUpdated"], "{told:?}");
        stay(&world, &ana, 60).await;
        assert_eq!(world.plane.totals().2, 2);
        assert_eq!(ana.inbox.take(), []);
    });
}

#[test]
fn a_source_that_stays_away_or_silent_leaves() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        let (_session, connection, places) = studio(&world).await;
        for place in places {
            tell(&world, place, Fact::TrackStalled);
        }
        stay(&world, &ana, 14).await;
        assert_eq!(connection.closed(), None);
        stay(&world, &ana, 2).await;
        assert_eq!(connection.closed(), Some(CloseReason::Timeout));
        assert_eq!(world.plane.totals().2, 2, "it may come back");
        ana.inbox.take();
        stay(&world, &ana, 21).await;
        assert_eq!(world.plane.totals().2, 0);
        let told = ana.inbox.take();
        assert_eq!(
            methods(&told),
            ["trackUnpublished", "trackUnpublished", "peerLeft"]
        );
        assert_eq!(told[2].1["reason"], "timeout");
    });
}

#[test]
fn an_operator_sends_a_source_away() {
    run(async {
        let world = World::new(1, config());
        let (_session, connection, _) = studio(&world).await;
        let id = world.system.ingests().await[0].id;
        world.system.close_ingest(id).await.unwrap();
        world.settle().await;
        assert_eq!(connection.closed(), Some(CloseReason::Kicked));
        assert_eq!(world.plane.totals().2, 0);
        let gone = world.system.close_ingest(id).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorType::NotFound);
    });
}

#[test]
fn an_ingest_that_fails_keeps_its_tracks() {
    run(async {
        let world = World::new(1, config());
        let ana = world.join("r", "ana").await;
        let (session, connection, [video, audio]) = studio(&world).await;
        ana.inbox.take();
        world.plane.take_log();
        let (room, studio) = ("r".parse().unwrap(), "studio".parse().unwrap());
        let faults = [Fault::Peer(studio), Fault::Room];
        for fault in faults {
            world.system.inject(&room, fault).await.unwrap();
            world.pass(Duration::from_millis(700)).await;
        }
        assert_eq!(ana.inbox.take(), []);
        let log = world.plane.take_log();
        let closes = |action: &Action| matches!(action, Action::Unpublish { .. });
        assert!(!log.iter().any(|(_, action)| closes(action)), "{log:?}");
        assert_eq!((world.plane.totals().2, connection.closed()), (2, None));
        let again = session.add_track(spec(Codec::H264)).await.unwrap();
        assert_eq!(again, video);
        tell(&world, audio, Fact::KeyframeWanted);
        world.settle().await;
        assert_eq!(*connection.wanted.lock().unwrap(), [audio.track]);
    });
}

#[test]
fn a_shard_that_restarts_gets_the_tracks_again() {
    run(async {
        let world = World::new(1, config());
        let (_session, connection, [video, audio]) = studio(&world).await;
        world.plane.take_log();
        world.system.shard_restarted(ShardId(0));
        world.settle().await;
        let log = world.plane.take_log();
        let opened = log.iter().filter_map(|(_, action)| match action {
            Action::OpenIngest(ingest) => Some(ingest.track),
            _ => None,
        });
        assert_eq!(opened.collect::<Vec<_>>(), [video.track, audio.track]);
        assert_eq!(*connection.placed.lock().unwrap(), [video, audio]);
        assert_eq!(connection.closed(), None);
    });
}

#[test]
fn an_egress_follows_its_stream_and_survives() {
    run(async {
        let world = World::new(1, config());
        let _ana = world.join("r", "ana").await;
        let wish = |stream: Option<&str>| EgressRequest {
            room: "r".parse().unwrap(),
            stream: stream.map(|stream| stream.parse().unwrap()),
            wish: TapWish::default(),
            purpose: EgressPurpose::Packager,
        };
        let nobody = world.system.open_egress(wish(Some("nobody"))).await;
        assert_eq!(nobody.unwrap_err().kind(), ErrorType::NotFound);
        let (session, _, [video, audio]) = studio(&world).await;
        world.plane.take_log();
        let egress = world
            .system
            .open_egress(wish(Some("studio")))
            .await
            .unwrap();
        world.settle().await;
        let view = egress.view();
        let taps = view.borrow().taps.clone();
        let tracks: Vec<TrackId> = taps.iter().map(|tap| tap.track).collect();
        assert_eq!(tracks, [video.track, audio.track]);
        let opens = |log: &[(ShardId, Action)]| {
            let is_open = |action: &Action| matches!(action, Action::OpenTap { .. });
            log.iter().filter(|(_, action)| is_open(action)).count()
        };
        assert_eq!(opens(&world.plane.take_log()), 2);
        // Its actor fails: the same taps are there, and nobody who reads them is told anything.
        let room = "r".parse().unwrap();
        assert!(world.system.inject_egress(&room, egress.id()).await);
        world.pass(Duration::from_secs(3)).await;
        assert_eq!(view.borrow().taps, taps);
        assert!(opens(&world.plane.take_log()) >= 2, "it makes sure");
        session.remove_track(audio.track).unwrap();
        world.settle().await;
        assert_eq!(view.borrow().taps.len(), 1);
        // What nobody reads is closed and stays so.
        egress.release(taps[0].tap);
        world.settle().await;
        let log = world.plane.take_log();
        let closed = log.iter().filter_map(|(_, action)| match action {
            Action::CloseTap { tap } => Some(*tap),
            _ => None,
        });
        assert_eq!(closed.collect::<Vec<_>>(), [taps[1].tap, taps[0].tap]);
        world.pass(Duration::from_secs(5)).await;
        assert_eq!(opens(&world.plane.take_log()), 0);
        drop(egress);
        world.settle().await;
        assert!(view.borrow().ended);
    });
}

#[test]
fn an_egress_ends_with_its_room() {
    run(async {
        let world = World::new(1, config());
        let (_session, connection, _) = studio(&world).await;
        let request = EgressRequest {
            room: "r".parse().unwrap(),
            stream: None,
            wish: TapWish::default(),
            purpose: EgressPurpose::Recorder,
        };
        let egress = world.system.open_egress(request).await.unwrap();
        world.settle().await;
        assert_eq!(egress.view().borrow().taps.len(), 2);
        let room = "r".parse().unwrap();
        world.system.close_room(&room).await.unwrap();
        world.settle().await;
        assert!(egress.view().borrow().ended);
        assert_eq!(connection.closed(), Some(CloseReason::RoomClosed));
    });
}
