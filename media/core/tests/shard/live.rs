//! Tracks that are fed with frames, shown by stock clients.

use media_contract::{
    Action, Fact, RefusedReason, RelayEnd, SlotState, Subject, TrackOrigin, Wish,
};
use media_types::{
    Codec, LIVE_PAYLOAD_BYTES_MAX, MediaKind, NtpTime, PacketFrame, Payload, ShardId, TrackId,
    TrackSource,
};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind as Kind};
use str0m::rtp::RtpPacket;

use crate::support::client::{ours, theirs};
use crate::support::live::Source;
use crate::support::media::join_viewer;
use crate::support::{ROOM, World, ms};

/// Asserts one SSRC, no gap in sequence numbers and timestamps that never go back.
fn assert_continuous(packets: &[&RtpPacket]) {
    for pair in packets.windows(2) {
        let [before, after] = [pair[0], pair[1]];
        assert_eq!(before.header.ssrc, after.header.ssrc);
        assert_eq!(*after.seq_no, *before.seq_no + 1);
        assert!(step(before, after) < 1 << 31, "time goes back");
    }
}

fn step(before: &RtpPacket, after: &RtpPacket) -> u32 {
    after.header.timestamp.wrapping_sub(before.header.timestamp)
}

#[test]
fn a_stock_client_is_shown_what_is_fed() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, source.track, Wish::default());
    source.play(&mut world, 60, 30);
    let packets = world.clients[viewer].on(slot);
    assert_eq!(packets.len(), 180);
    assert_continuous(&packets);
    for (sent, got) in source.sent.iter().zip(&packets) {
        assert_eq!(sent.as_slice(), &*got.payload);
    }
    let marked = packets.iter().filter(|packet| packet.header.marker).count();
    assert_eq!(marked, 60, "the last packet of each picture");
    let state = world.last(
        Subject::Slot(world.transport(viewer), slot),
        |fact| match fact {
            Fact::SlotChanged { state, .. } => Some(*state),
            _ => None,
        },
    );
    assert_eq!(state, Some(SlotState::Live));
    let rate = world.last(Subject::Track(source.track), |fact| match fact {
        Fact::IngestFigures(figures) => Some(figures.rate),
        _ => None,
    });
    let kbps = rate.unwrap().bps() / 1_000;
    assert!((400..=500).contains(&kbps), "{kbps} kb/s");
}

#[test]
fn who_joins_sees_the_last_keyframe_at_once_and_is_soon_in_the_present() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    source.play(&mut world, 75, 60);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    // What came while it connected.
    let before = source.sent.len();
    let joined = world.now;
    world.fill(viewer, slot, source.track, Wish::default());
    world.run(ms(60));
    let client = &world.clients[viewer];
    let packets = client.on(slot);
    let group = source.sent[180..before].to_vec();
    assert_eq!(
        &*packets[0].payload,
        group[0].as_slice(),
        "the keyframe first"
    );
    assert!(client.packets[0].0 - joined <= ms(20));
    let behind = step(packets[0], packets[packets.len() - 1]);
    assert!(
        behind <= 15 * 3_000 / 32 + 100,
        "{behind} ticks behind the present"
    );
    let waited = packets.len();
    assert!(waited >= group.len(), "{waited} of {}", group.len());
    source.play(&mut world, 30, 1_000);
    let packets = world.clients[viewer].on(slot);
    assert_continuous(&packets);
    assert_eq!(packets.len(), group.len() + 90);
    let live = &packets[group.len()..];
    let steps = live.windows(2).map(|pair| step(pair[0], pair[1]));
    assert!(steps.into_iter().all(|ticks| ticks == 0 || ticks == 3_000));
    let asked = world.told(Subject::Track(source.track), |fact| {
        matches!(fact, Fact::KeyframeWanted)
    });
    assert!(!asked, "the cached keyframe is enough");
}

#[test]
fn a_source_that_comes_back_goes_on_in_the_same_track() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, source.track, Wish::default());
    source.play(&mut world, 30, 30);
    let old = source.cut(&world, false);
    world.run(ms(2_000));
    (source.feed, source.timestamp) = (2, 3_999_000_000);
    assert!(world.is_done(0, source.opening()));
    assert!(world.is_done(0, source.opening()), "twice is as once");
    let now = world.now;
    world.shards[0].handle_ingest(now, ROOM, source.track, 1, old);
    assert_eq!(world.figures(0).dropped["old_feed"], 1);
    source.sent.clear();
    source.play(&mut world, 30, 30);
    let packets = world.clients[viewer].on(slot);
    assert_eq!(packets.len(), 180);
    assert_continuous(&packets);
    let pause = step(packets[89], packets[90]);
    assert!(
        (175_000..190_000).contains(&pause),
        "{pause} ticks of pause"
    );
    let Fact::Described { snapshot, .. } = world.command(0, Action::Describe) else {
        panic!("not described");
    };
    assert_eq!(snapshot.tracks.len(), 1);
    assert_eq!(snapshot.tracks[0].origin, TrackOrigin::Ingest { feed: 2 });
}

#[test]
fn sound_and_picture_meet_by_the_clock_of_their_source() {
    let mut world = World::new(1);
    let mut video = Source::open(&mut world, 7, Codec::H264);
    let mut audio = Source::open(&mut world, 8, Codec::Opus);
    // A transcoder holds the sound up.
    (audio.delay, video.step) = (ms(140), 3_600);
    let (viewer, slots) = world.join(0, |api| {
        [Kind::Audio, Kind::Video]
            .map(|kind| api.add_media(kind, Direction::RecvOnly, None, None, None))
    });
    let slots = slots.map(ours);
    world.fill(viewer, slots[0], audio.track, Wish::default());
    world.fill(viewer, slots[1], video.track, Wish::default());
    for tick in 0..300_u32 {
        if tick % 2 == 0 {
            audio.frame(&mut world, true);
        }
        if tick % 4 == 0 {
            video.frame(&mut world, tick == 0);
        }
        world.run(ms(10));
    }
    let captured = |slot: usize, rate: f64| {
        let (at, _, packet) = world.clients[viewer]
            .packets
            .iter()
            .rfind(|(_, mid, _)| *mid == slots[slot])
            .unwrap();
        let report = packet.last_sender_info.as_ref().unwrap();
        let told = u32::try_from(report.rtp_time.numer() & 0xffff_ffff).unwrap();
        let ticks = packet.header.timestamp.wrapping_sub(told).cast_signed();
        let told = report
            .ntp_time
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let told = told.as_secs_f64() - 1_700_000_000.0 + f64::from(ticks) / rate;
        (*at - world.base - world.one_way).as_secs_f64() - told
    };
    let (voice, lips) = (captured(0, 48_000.0), captured(1, 90_000.0));
    assert!((voice - 0.140).abs() < 0.003, "sound is {voice} s old");
    assert!(lips.abs() < 0.003, "the picture is {lips} s old");
}

#[test]
fn a_keyframe_is_wanted_of_who_feeds_when_a_decoder_is_lost() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, source.track, Wish::default());
    source.play(&mut world, 10, 100);
    let now = world.now;
    let client = &mut world.clients[viewer];
    let mut api = client.rtc.direct_api();
    let stream = api.stream_rx_by_mid(theirs(slot), None).unwrap();
    stream.request_keyframe(KeyframeRequestKind::Pli);
    client.poll(now);
    source.play(&mut world, 29, 100);
    let wanted = |world: &World| {
        let events = world.events.iter();
        let facts = events.filter(|(_, event)| event.fact == Fact::KeyframeWanted);
        facts.count()
    };
    assert_eq!(wanted(&world), 2, "at once, and again after half a second");
    source.frame(&mut world, true);
    world.run(ms(600));
    assert_eq!(wanted(&world), 2, "it came");
}

#[test]
fn a_silent_source_is_told_and_heard_again() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    source.play(&mut world, 5, 30);
    let stalled = |world: &World| {
        world.told(Subject::Track(TrackId::new(7)), |fact| {
            matches!(fact, Fact::TrackStalled)
        })
    };
    world.run(ms(4_000));
    assert!(!stalled(&world));
    world.run(ms(1_500));
    assert!(stalled(&world));
    world.events.clear();
    source.frame(&mut world, true);
    assert!(world.told(Subject::Track(source.track), |fact| {
        matches!(
            fact,
            Fact::TrackStarted {
                codec: Codec::H264,
                ..
            }
        )
    }));
}

#[test]
fn who_joins_on_another_shard_sees_the_last_keyframe_too() {
    let mut world = World::new(2);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let track = source.track;
    let end = RelayEnd::Out {
        to: ShardId(1).into(),
    };
    assert!(world.is_done(0, Action::OpenRelay { track, end }));
    let end = RelayEnd::In {
        from: ShardId(0).into(),
        kind: MediaKind::Video,
        codec: Codec::H264,
        source: TrackSource::Ingest,
        publisher: "streamer".parse().unwrap(),
    };
    assert!(world.is_done(1, Action::OpenRelay { track, end }));
    source.play(&mut world, 40, 1_000);
    let (viewer, slot) = join_viewer(&mut world, 1, Kind::Video);
    let group = source.sent.len();
    world.fill(viewer, slot, source.track, Wish::default());
    world.run(ms(60));
    source.play(&mut world, 5, 1_000);
    let packets = world.clients[viewer].on(slot);
    assert_eq!(packets.len(), group + 15);
    assert_continuous(&packets);
    assert_eq!(&*packets[0].payload, source.sent[0].as_slice());
}

#[test]
fn what_cannot_be_sent_is_counted_and_nothing_else_suffers() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let large = Payload::copy_of(&[0x65; LIVE_PAYLOAD_BYTES_MAX + 1]).unwrap();
    let small = Payload::copy_of(&[0x65; 10]).unwrap();
    let frame = |payloads: Vec<Payload>| PacketFrame {
        payloads,
        timestamp: 0,
        keyframe: true,
        captured: Some(NtpTime(0)),
    };
    let now = world.now;
    for payloads in [
        vec![],
        vec![small.clone(), large],
        vec![small.clone(); 1_025],
    ] {
        world.shards[0].handle_ingest(now, ROOM, source.track, 1, frame(payloads));
    }
    let nowhere = TrackId::new(99);
    world.shards[0].handle_ingest(now, ROOM, nowhere, 1, frame(vec![small]));
    let dropped = world.figures(0).dropped;
    assert_eq!((dropped["bad_payload"], dropped["unpublished"]), (3, 1));
    assert_eq!(world.figures(0).packets_in[&MediaKind::Video], 0);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, source.track, Wish::default());
    source.play(&mut world, 4, 30);
    assert_eq!(world.clients[viewer].on(slot).len(), 12);
}

#[test]
fn a_track_keeps_its_kind_and_its_end_is_final() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    source.codec = Codec::Opus;
    assert_eq!(
        world.refusal(0, source.opening()),
        RefusedReason::UnknownTrack
    );
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, source.track, Wish::default());
    let track = source.track;
    assert!(world.is_done(0, Action::Unpublish { track }));
    source.codec = Codec::H264;
    source.frame(&mut world, true);
    assert_eq!(world.figures(0).tracks, 0);
    assert_eq!(world.figures(0).dropped["unpublished"], 1);
}
