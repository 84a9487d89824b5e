use std::time::Duration;

use media_types::{BufferPool, PacketFrame};
use signaling::Claims;

use super::*;
use crate::clock::SystemClock;
use crate::live::tests::{request, worker};
use crate::live::{IngestPort, IngestSpec};

/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(10);

fn spec(codec: Codec) -> IngestSpec {
    IngestSpec {
        kind: codec.kind(),
        codec,
        name: None,
    }
}

/// A frame of one packet. Pictures are VP8, 640 × 360 where they begin a group.
fn push(port: &mut IngestPort, pool: &mut BufferPool, codec: Codec, at_ms: u32, keyframe: bool) {
    let picture: &[u8] = if keyframe {
        &[0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]
    } else {
        &[0x10, 1, 0, 0, 0]
    };
    // Sound says in its second byte which 20 ms it is of.
    let sound = [0xfc, u8::try_from(at_ms / 20 % 256).unwrap(), 2];
    let bytes: &[u8] = match codec.kind() {
        MediaKind::Audio => &sound,
        MediaKind::Video => picture,
    };
    let filled = pool.fill(|buffer| -> Result<_, ()> {
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(0..bytes.len())
    });
    let since = Duration::from_millis(at_ms.into());
    let frame = PacketFrame {
        payloads: vec![filled.unwrap()],
        timestamp: at_ms * (codec.clock_rate() / 1_000),
        keyframe,
        captured: Some(NtpTime::from_unix(Duration::from_secs(1_000) + since)),
    };
    port.push(frame).unwrap();
}

async fn next(source: &mut Source) -> SourceEvent {
    tokio::time::timeout(LONG, source.next()).await.unwrap()
}

#[actix_rt::test]
async fn a_group_of_pictures_that_comes_first_waits_for_its_sound() {
    let (live, rings) = worker();
    let asked = request(true);
    let Claims { sub, .. } = asked.claims.clone();
    let room = asked.room.clone();
    let ingest = live.open_ingest(asked).await.unwrap();
    let mut video = ingest.add_track(spec(Codec::Vp8)).await.unwrap();
    let mut audio = ingest.add_track(spec(Codec::Opus)).await.unwrap();
    let mut pool = BufferPool::new(256);
    // Half a second of pictures is there before anybody looks; sound has no history.
    for index in 0..15 {
        push(&mut video, &mut pool, Codec::Vp8, index * 33, index == 0);
    }
    let clock = SteadyClock::new(Arc::new(SystemClock));
    let (wish, purpose) = (TapWish::default(), EgressPurpose::Recorder);
    let opened = Source::open(&live, &room, &sub, wish, purpose, clock).await;
    let mut source = opened.unwrap();
    assert!(source.is_tapped() && !source.is_settled());
    // The pictures come at once; nothing of them is told while the sound may still come.
    let early = tokio::time::timeout(Duration::from_millis(200), source.next());
    assert!(early.await.is_err(), "told before its sound");
    // Sound goes on, a frame each 20 ms; what comes before its tap is open has no history.
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let (mut told, mut sent) = (false, 0);
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    while pictures.len() < 15 || sounds.len() < 10 {
        let event = tokio::select! {
            _ = beat.tick() => {
                push(&mut audio, &mut pool, Codec::Opus, 500 + sent * 20, true);
                sent += 1;
                continue;
            }
            event = next(&mut source) => event,
        };
        let frame = match event {
            SourceEvent::Kinds(kinds) => {
                assert_eq!((kinds.video, kinds.audio), (true, true));
                assert!(!std::mem::replace(&mut told, true), "told twice");
                continue;
            }
            SourceEvent::Frame(frame) => frame,
            SourceEvent::Ended => panic!("frames follow"),
        };
        assert!(told, "the kinds come first");
        let ms = frame.dts * 1_000 / u64::from(frame.config.timescale);
        match frame.config.kind() {
            MediaKind::Video => pictures.push(ms),
            MediaKind::Audio => sounds.push((ms, 20 * u64::from(frame.data[1]))),
        }
    }
    // All of the group, and the sound within 5 ms of where its capture lies beside it.
    assert_eq!(pictures[14] - pictures[0], 14 * 33);
    for &(placed, captured) in &sounds {
        let off = placed.abs_diff(pictures[0] + captured);
        assert!(off <= 5, "{pictures:?} {sounds:?}");
    }
    ingest.finish();
    rings.stop();
}

#[actix_rt::test]
async fn a_group_that_was_there_lies_where_it_came() {
    const STEP: u64 = 33;
    let (live, rings) = worker();
    let asked = request(true);
    let publisher = live.frames().publish(&asked.room, &asked.claims.sub);
    for index in 0..50 {
        let time = media_types::MediaTime {
            ticks: index * STEP,
            rate: 1_000,
        };
        publisher.push(EncodedFrame {
            codec: Codec::Vp9.into(),
            presented: time,
            decoded: time,
            keyframe: index == 0,
            captured: None,
            data: Bytes::from_static(&[0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70]),
        });
    }
    let clock = SteadyClock::new(Arc::new(SystemClock));
    let opened = clock.now();
    let (wish, purpose) = (TapWish::default(), EgressPurpose::Packager);
    let (room, stream) = (&asked.room, &asked.claims.sub);
    let source = Source::open(&live, room, stream, wish, purpose, clock.clone()).await;
    let mut source = source.unwrap();
    let first = loop {
        match next(&mut source).await {
            SourceEvent::Kinds(kinds) => assert_eq!((kinds.video, kinds.audio), (true, false)),
            SourceEvent::Frame(frame) => break frame,
            SourceEvent::Ended => panic!("frames follow"),
        }
    };
    let at = first.dts * 1_000 / u64::from(first.config.timescale);
    let newest = source.epoch().unwrap() + Duration::from_millis(at + 49 * STEP);
    // Between the opening and now, but for what rounding takes.
    let slack = Duration::from_millis(2);
    assert!(newest + slack >= opened, "{newest:?} {opened:?}");
    assert!(
        newest <= clock.now() + slack,
        "{newest:?} {:?}",
        clock.now()
    );
    publisher.finish();
    rings.stop();
}

#[test]
fn keyframes_tell_what_records_do_not() {
    let keyframe = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
    let time = media_types::MediaTime { ticks: 0, rate: 1 };
    let mut frame = EncodedFrame {
        codec: Codec::Vp9.into(),
        presented: time,
        decoded: time,
        keyframe: true,
        captured: None,
        data: Bytes::copy_from_slice(&keyframe),
    };
    let mut lane = IngestLane::default();
    lane.look(&frame);
    let size = |lane: &IngestLane| lane.config.as_ref().map(|it| (it.width, it.height));
    assert_eq!(size(&lane), Some((640, 360)));
    // What is no keyframe says nothing, whatever its bytes are.
    let mut other = IngestLane::default();
    frame.keyframe = false;
    other.look(&frame);
    assert_eq!(size(&other), None);
}
