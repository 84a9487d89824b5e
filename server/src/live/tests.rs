//! Both ways, through real rings and shard threads.

use std::sync::Arc;
use std::time::Duration;

use actors::{ActorsConfig, Admission, Consumed, Environment, ResumeClaims, TokenMinter};
use bytes::Bytes;
use control_plane::MemoryStore;
use media_contract::{Event, TapWish};
use media_core::{Shard, ShardConfig};
use media_types::{
    BufferPool, Clock, Codec, EncodedFrame, FrameCodec, FrameFormat, Identity, MediaKind,
    MediaTime, PacketFrame, ShardId,
};
use media_webrtc::{Certificate, TransportConfig};
use signaling::{Claims, Grants, Secret};

use super::*;
use crate::clock::SystemClock;
use crate::net::{Reach, ReachSettings};
use crate::shard::{EventSink, Shards, pump};

/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(10);

struct Everything;

impl TokenMinter for Everything {
    fn resume_token(&self, _: &ResumeClaims) -> Secret {
        Secret::new("resume")
    }
}

impl Admission for Everything {
    fn consume(&self, _: &str, _: &Identity, _: Option<&str>) -> Consumed {
        Consumed::First
    }
}

struct Sink(System);

impl EventSink for Sink {
    fn deliver(&self, shard: ShardId, event: Event) {
        self.0.deliver(shard, event);
    }
    fn shard_restarted(&self, shard: ShardId) {
        self.0.shard_restarted(shard);
    }
    fn shard_spent(&self, _: ShardId) {}
}

/// Actors on this thread, one shard on its own.
pub(crate) fn worker() -> (Live, Rings) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = ReachSettings {
        public: Vec::new(),
        loopback: true,
        only_this_machine: true,
    };
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let reach = Reach::new(address, &[], &settings);
    let shards = Shards::bind(1, (address, 0).into(), &reach).unwrap();
    let rings = Rings::new(&shards);
    let environment = Environment {
        cluster: Arc::new(actors::NoCluster),
        plane: Arc::new(rings.clone()),
        clock: Arc::clone(&clock),
        store: Arc::new(MemoryStore::new(Arc::clone(&clock))),
        tokens: Arc::new(Everything),
        admission: Arc::new(Everything),
        fatal: Arc::new(|why: &str| panic!("{why}")),
    };
    let system = System::start(ActorsConfig::default(), environment, &[]);
    let (base, unix) = (clock.now(), clock.unix());
    let certificate = Certificate::generate().unwrap();
    let make = move |now, id| {
        let transport = TransportConfig::new(base, unix, certificate.clone(), Vec::new());
        Shard::new(now, ShardConfig::new(id, transport, [7; 32]))
    };
    let sink: Arc<dyn EventSink> = Arc::new(Sink(system.clone()));
    for running in shards.start(&clock, false, &make).unwrap() {
        let sink = Arc::clone(&sink);
        actix_rt::spawn(async move { pump::pump(running.id, running.reports, &*sink).await });
    }
    (Live::new(system, &rings), rings)
}

pub(crate) fn request(grant: bool) -> IngestRequest {
    IngestRequest {
        room: "r".parse().unwrap(),
        claims: Claims {
            iss: "k".into(),
            sub: "studio".parse().unwrap(),
            exp: u64::MAX,
            nbf: None,
            iat: None,
            jti: None,
            troupe: Grants {
                room: Some("*".parse().unwrap()),
                ingest: grant,
                ..Grants::default()
            },
        },
        protocol: IngestProtocol::Rtmp,
        name: None,
        metadata: serde_json::Value::Null,
    }
}

fn video() -> IngestSpec {
    IngestSpec {
        kind: MediaKind::Video,
        codec: Codec::H264,
        name: None,
    }
}

fn frame(pool: &mut BufferPool, number: u32, keyframe: bool) -> PacketFrame {
    let mut payload = |first: u8| {
        let filled = pool.fill(|buffer| -> Result<_, ()> {
            buffer[0] = first;
            buffer[1..5].copy_from_slice(&number.to_be_bytes());
            Ok(0..600)
        });
        filled.unwrap()
    };
    PacketFrame {
        payloads: vec![payload(if keyframe { 0x67 } else { 0x41 }), payload(0x41)],
        timestamp: number * 3_000,
        keyframe,
        captured: None,
    }
}

async fn added(egress: &mut EgressHandle) -> TapPort {
    let change = tokio::time::timeout(LONG, egress.next()).await.unwrap();
    let EgressChange::Added(port) = change else {
        panic!("not added: {change:?}");
    };
    port
}

async fn packet(port: &mut TapPort) -> Option<media_types::TapPacket> {
    tokio::time::timeout(LONG, port.recv()).await.unwrap()
}

#[actix_rt::test]
async fn frames_that_go_in_come_out_over_a_reconnect() {
    let (live, rings) = worker();
    assert!(live.open_ingest(request(false)).await.is_err());
    let first = live.open_ingest(request(true)).await.unwrap();
    let mut port = first.add_track(video()).await.unwrap();
    let mut pool = BufferPool::new(2_048);
    let egress = EgressRequest {
        room: "r".parse().unwrap(),
        stream: Some("studio".parse().unwrap()),
        wish: TapWish::default(),
        purpose: EgressPurpose::Packager,
    };
    let mut egress = live.open_egress(egress).await.unwrap();
    port.push(frame(&mut pool, 0, true)).unwrap();
    let mut tap = added(&mut egress).await;
    assert_eq!(
        (tap.track().track, tap.track().codec),
        (port.track(), Codec::H264)
    );
    for number in 1..400 {
        while let Err(PushError::Full(_)) = port.push(frame(&mut pool, number, number % 30 == 0)) {
            port.room().await;
        }
        for _ in 0..2 {
            let packet = packet(&mut tap).await.unwrap();
            assert_eq!(packet.payload.len(), 600);
        }
    }
    // What a connection brought last may be lost with it: it is read before.
    let mut last = packet(&mut tap).await.unwrap();
    last = packet(&mut tap).await.unwrap_or(last);
    // The connection is lost and comes back: the same track, the same tap.
    drop((first, port));
    let mut second = live.open_ingest(request(true)).await.unwrap();
    let mut port = second.add_track(video()).await.unwrap();
    assert_eq!(port.track(), tap.track().track);
    port.push(frame(&mut pool, 7, true)).unwrap();
    let next = packet(&mut tap).await.unwrap();
    assert_eq!(next.sequence, last.sequence + 1);
    assert!(next.starts && next.keyframe);
    // A third connection ends the second.
    let third = live.open_ingest(request(true)).await.unwrap();
    let closed = tokio::time::timeout(LONG, second.closed()).await.unwrap();
    assert_eq!(closed, signaling::view::CloseReason::Replaced);
    assert!(matches!(
        port.push(frame(&mut pool, 8, false)),
        Err(PushError::Closed)
    ));
    third.finish();
    while let Some(packet) = packet(&mut tap).await {
        assert!(packet.sequence > last.sequence);
    }
    rings.stop();
}

#[actix_rt::test]
async fn a_full_ring_says_so_and_an_unread_tap_holds_nobody_up() {
    let (live, rings) = worker();
    let source = live.open_ingest(request(true)).await.unwrap();
    let mut port = source.add_track(video()).await.unwrap();
    let mut pool = BufferPool::new(4_096);
    port.push(frame(&mut pool, 0, true)).unwrap();
    let egress = EgressRequest {
        room: "r".parse().unwrap(),
        stream: None,
        wish: TapWish::default(),
        purpose: EgressPurpose::Recorder,
    };
    let mut egress = live.open_egress(egress).await.unwrap();
    let mut tap = added(&mut egress).await;
    for number in 1..3_000 {
        while let Err(PushError::Full(_)) = port.push(frame(&mut pool, number, false)) {
            tokio::time::timeout(LONG, port.room()).await.unwrap();
        }
    }
    port.push(frame(&mut pool, 3_000, true)).unwrap_or_default();
    // What was queued comes, then nothing up to a keyframe, then that one.
    let (mut read, mut starts) = (0, 0);
    while starts < 2 {
        while let Err(PushError::Full(_)) = port.push(frame(&mut pool, 4_000, true)) {
            tokio::time::timeout(LONG, port.room()).await.unwrap();
        }
        let packet = packet(&mut tap).await.unwrap();
        read += 1;
        starts += u32::from(packet.starts);
        assert!(!packet.starts || packet.keyframe);
    }
    assert!(
        (900..=1_500).contains(&read),
        "{read} packets before it began anew"
    );
    drop(tap);
    port.push(frame(&mut pool, 5_000, true)).unwrap();
    rings.stop();
}

#[actix_rt::test]
async fn what_nobody_gets_is_there_for_who_comes() {
    let (live, rings) = worker();
    let source = live.open_ingest(request(true)).await.unwrap();
    let mut port = source.add_track(video()).await.unwrap();
    let mut pool = BufferPool::new(4_096);
    let demand = port.demand();
    assert!(demand.is_there(), "until the shard has looked");
    port.push(frame(&mut pool, 0, true)).unwrap();
    let looked = async {
        while demand.is_there() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, looked).await.unwrap();
    for number in 1..20 {
        port.push(frame(&mut pool, number, false)).unwrap();
    }
    let egress = EgressRequest {
        room: "r".parse().unwrap(),
        stream: None,
        wish: TapWish::default(),
        purpose: EgressPurpose::Recorder,
    };
    let mut egress = live.open_egress(egress).await.unwrap();
    let mut tap = added(&mut egress).await;
    // All of it from the keyframe on, and what comes now.
    let mut first = None;
    for number in 0..40 {
        if number >= 20 {
            port.push(frame(&mut pool, number, false)).unwrap();
        }
        for _ in 0..2 {
            let packet = packet(&mut tap).await.unwrap();
            let first = *first.get_or_insert(packet.timestamp);
            assert_eq!(packet.timestamp.wrapping_sub(first), number * 3_000);
        }
        assert!(demand.is_there());
    }
    rings.stop();
}

fn encoded(kind: MediaKind, ticks: u64, keyframe: bool) -> EncodedFrame {
    let codec = match kind {
        MediaKind::Audio => FrameCodec::Aac,
        MediaKind::Video => FrameCodec::Rtp(Codec::H264),
    };
    let time = MediaTime { ticks, rate: 1_000 };
    EncodedFrame {
        codec,
        presented: time,
        decoded: time,
        keyframe: keyframe || kind == MediaKind::Audio,
        captured: None,
        data: Bytes::from_static(b"frame"),
    }
}

fn format(kind: MediaKind) -> FrameFormat {
    FrameFormat {
        codec: encoded(kind, 0, true).codec,
        config: Bytes::from_static(b"config"),
        width: 0,
        height: 0,
        sample_rate: 0,
        channels: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn readers_start_at_a_keyframe_and_follow_their_source() {
    let hub = FrameHub::default();
    let (room, stream) = ("r".parse().unwrap(), "studio".parse().unwrap());
    assert!(hub.subscribe(&room, &stream).is_none());
    let source = hub.publish(&room, &stream);
    for kind in [MediaKind::Video, MediaKind::Audio] {
        source.format(format(kind));
    }
    source.push(encoded(MediaKind::Video, 0, true));
    source.push(encoded(MediaKind::Audio, 10, true));
    source.push(encoded(MediaKind::Video, 40, false));
    let mut reader = hub.subscribe(&room, &stream).unwrap();
    let mut ticks = Vec::new();
    for _ in 0..5 {
        if let FrameEvent::Frame(frame) = reader.next().await {
            ticks.push(frame.presented.ticks);
        }
    }
    assert_eq!(ticks, [0, 10, 40]);
    // Its connection is lost and comes back: the reader goes on.
    drop(source);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let again = hub.publish(&room, &stream);
    tokio::time::sleep(Duration::from_secs(30)).await;
    again.push(encoded(MediaKind::Video, 50_000, true));
    assert!(matches!(reader.next().await, FrameEvent::Frame(it) if it.presented.ticks == 50_000));
    // It falls behind.
    for tick in 0..1_000 {
        again.push(encoded(MediaKind::Video, 60_000 + tick, tick == 900));
    }
    assert!(matches!(reader.next().await, FrameEvent::Skipped(488)));
    assert!(matches!(reader.next().await, FrameEvent::Frame(it) if it.keyframe));
    again.finish();
    while let FrameEvent::Frame(_) = reader.next().await {}
    assert!(matches!(reader.next().await, FrameEvent::Ended));
    assert!(hub.subscribe(&room, &stream).is_none());
}
