//! Taps: what packagers and recorders get of a track.

use media_contract::{Action, Fact, RefusedReason, Subject, TapWish, Wish};
use media_core::limits::TAP_QUEUE_MAX;
use media_types::{Codec, TapId, TapPacket, TrackId};
use proptest::prelude::*;
use str0m::media::MediaKind as Kind;

use crate::forwarding::play;
use crate::support::live::{Source, open_tap, read};
use crate::support::media::{Microphone, join_camera, join_simulcast};
use crate::support::{Way, World, ms};

/// Asserts that nothing is missing, and that time never goes back.
fn assert_whole(packets: &[TapPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(step < 1 << 31, "time goes back");
    }
}

#[test]
fn a_tap_shares_the_payloads_that_were_fed() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let tap = open_tap(&mut world, 1, source.track, Wish::default());
    source.play(&mut world, 60, 30);
    assert_eq!(world.shards[0].poll_ready_tap(), Some(tap));
    assert_eq!(world.shards[0].poll_ready_tap(), None, "told once");
    let (packets, ended) = read(&mut world, tap);
    assert_eq!((packets.len(), ended), (180, false));
    assert_whole(&packets);
    for (sent, got) in source.sent.iter().zip(&packets) {
        assert!(sent.same_buffer(&got.payload) && sent.as_slice() == got.payload.as_slice());
    }
    assert!(packets[0].starts && packets[0].keyframe);
    assert_eq!(packets.iter().filter(|packet| packet.starts).count(), 1);
    assert_eq!(packets.iter().filter(|packet| packet.keyframe).count(), 2);
    let clock = packets[90].clock.unwrap();
    let told = clock.at(packets[90].timestamp, 90_000);
    assert!(
        told.0.abs_diff(packets[90].arrived.0) < 1 << 20,
        "fed without delay"
    );
    source.frame(&mut world, false);
    assert_eq!(world.shards[0].poll_ready_tap(), Some(tap), "and again");
}

#[test]
fn a_late_tap_starts_with_the_last_keyframe_in_true_time() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    source.play(&mut world, 50, 40);
    let tap = open_tap(&mut world, 1, source.track, Wish::default());
    source.play(&mut world, 5, 1_000);
    let (packets, _) = read(&mut world, tap);
    assert_eq!(packets.len(), 45);
    assert_whole(&packets);
    assert!(packets[0].keyframe && packets[0].payload.same_buffer(&source.sent[120]));
    assert_eq!(
        packets[44].timestamp.wrapping_sub(packets[0].timestamp),
        14 * 3_000
    );
    assert!(packets[0].arrived < packets[3].arrived);
}

#[test]
fn a_slow_reader_loses_packets_up_to_a_keyframe() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let tap = open_tap(&mut world, 1, source.track, Wish::default());
    let frames = TAP_QUEUE_MAX / 3 + 10;
    source.play(&mut world, frames, 1_000);
    let (packets, _) = read(&mut world, tap);
    assert_eq!(packets.len(), TAP_QUEUE_MAX);
    assert_whole(&packets);
    assert_eq!(world.figures(0).dropped["tap_full"], 30);
    source.play(&mut world, 2, 1_000);
    let (none, _) = read(&mut world, tap);
    assert!(none.is_empty(), "nothing that cannot be decoded");
    assert_eq!(world.figures(0).dropped["tap_full"], 36);
    source.frame(&mut world, true);
    let (again, _) = read(&mut world, tap);
    assert!(again[0].starts && again[0].keyframe);
    assert_eq!(again.len(), 3);
    let wanted = world.told(Subject::Track(source.track), |fact| {
        matches!(fact, Fact::KeyframeWanted)
    });
    assert!(wanted, "to begin anew");
}

#[test]
fn a_publisher_is_asked_for_keyframes_to_cut_at() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let tap = TapId::new(1);
    let wish = TapWish {
        wish: Wish::default(),
        keyframe_every: Some(ms(2_000)),
    };
    assert!(world.is_done(0, Action::OpenTap { tap, track, wish }));
    let mut keyframes = 0;
    for _ in 0..300 {
        play(&mut world, &mut camera, 1);
        let (packets, _) = read(&mut world, tap);
        keyframes += packets.iter().filter(|packet| packet.keyframe).count();
    }
    assert!((5..=6).contains(&keyframes), "{keyframes} in ten seconds");
}

#[test]
fn a_tap_takes_the_layer_that_it_wishes() {
    let mut world = World::new(1);
    let mut cameras = join_simulcast(&mut world, 0);
    let track = world.publish(cameras[0].client, cameras[0].mid, 1);
    let tap = open_tap(&mut world, 1, track, Wish::default());
    let mut run = |world: &mut World, frames: usize| {
        for _ in 0..frames {
            let asked = !world.clients[cameras[0].client]
                .keyframe_requests
                .is_empty();
            world.clients[cameras[0].client].keyframe_requests.clear();
            for (index, camera) in cameras.iter_mut().enumerate() {
                camera.packet_bytes = 100 + 400 * index;
                camera.frame(world, asked || camera.sent.is_empty());
            }
            world.run(ms(33));
        }
    };
    run(&mut world, 90);
    let (packets, _) = read(&mut world, tap);
    assert_eq!(packets.last().unwrap().payload.len(), 906, "the best");
    let wish = TapWish {
        wish: Wish {
            width_max: 320,
            height_max: 180,
            ..Wish::default()
        },
        keyframe_every: None,
    };
    assert!(world.is_done(0, Action::OpenTap { tap, track, wish }));
    run(&mut world, 90);
    let (packets, _) = read(&mut world, tap);
    assert_whole(&packets);
    let switches = packets.iter().filter(|packet| packet.starts);
    assert!(switches.clone().all(|packet| packet.keyframe));
    assert!(switches.count() <= 1);
}

#[test]
fn what_a_publisher_loses_is_a_gap_until_it_is_repaired() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let tap = open_tap(&mut world, 1, track, Wish::default());
    play(&mut world, &mut camera, 30);
    let (before, _) = read(&mut world, tap);
    assert_whole(&before);
    let publisher = camera.client;
    let mut lost = 0;
    world.loss = Box::new(move |way, client, bytes| {
        let hit = way == Way::Up && client == publisher && bytes.len() > 500 && lost < 1;
        lost += i32::from(hit);
        hit
    });
    play(&mut world, &mut camera, 30);
    let (after, _) = read(&mut world, tap);
    assert_eq!(after.len(), 60);
    let numbers: Vec<u64> = after.iter().map(|packet| packet.sequence).collect();
    let last = before.last().unwrap().sequence;
    assert_eq!(numbers[0], last + 2, "the next one is missing");
    assert!(numbers.contains(&(last + 1)), "and comes late");
}

#[test]
fn the_end_of_a_track_is_told_after_what_is_left_of_it() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let tap = open_tap(&mut world, 1, source.track, Wish::default());
    source.play(&mut world, 10, 30);
    let track = source.track;
    assert!(world.is_done(0, Action::Unpublish { track }));
    assert!(world.told(Subject::Tap(tap), |fact| matches!(fact, Fact::TapEnded)));
    let (rest, ended) = read(&mut world, tap);
    assert_eq!((rest.len(), ended), (30, true));
    assert!(read(&mut world, tap).1, "for good");
}

#[test]
fn taps_follow_their_source_and_are_bounded() {
    let mut world = World::new(1);
    let mut source = Source::open(&mut world, 7, Codec::H264);
    let tap = open_tap(&mut world, 1, source.track, Wish::default());
    source.play(&mut world, 10, 30);
    (source.feed, source.timestamp) = (2, 77);
    assert!(world.is_done(0, source.opening()));
    source.sent.clear();
    source.play(&mut world, 10, 30);
    let (packets, _) = read(&mut world, tap);
    assert_eq!(packets.len(), 60);
    assert_whole(&packets);
    assert!(packets[30].starts && packets[30].keyframe);
    for more in 2..=16 {
        open_tap(&mut world, more, source.track, Wish::default());
    }
    let (track, wish) = (source.track, TapWish::default());
    let tap = TapId::new(17);
    assert_eq!(
        world.refusal(0, Action::OpenTap { tap, track, wish }),
        RefusedReason::Limit("taps_per_track_max")
    );
    let nowhere = TrackId::new(99);
    let lost = Action::OpenTap {
        tap,
        track: nowhere,
        wish,
    };
    assert_eq!(world.refusal(0, lost), RefusedReason::UnknownTrack);
    let Fact::Described { snapshot, .. } = world.command(0, Action::Describe) else {
        panic!("not described");
    };
    assert_eq!(snapshot.taps.len(), 16);
    for close in 1..=16 {
        let tap = TapId::new(close);
        assert!(world.is_done(0, Action::CloseTap { tap }));
        assert!(
            world.is_done(0, Action::CloseTap { tap }),
            "twice is as once"
        );
        assert!(read(&mut world, tap).1);
    }
}

#[test]
fn sound_is_plain_and_starts_at_once() {
    let mut world = World::new(1);
    let (client, mid) = world.join(0, |api| {
        api.add_media(
            Kind::Audio,
            str0m::media::Direction::SendOnly,
            None,
            None,
            None,
        )
    });
    let mut voice = Microphone::new(client, crate::support::client::ours(mid));
    let track = world.publish(client, voice.mid, 1);
    let tap = open_tap(&mut world, 1, track, Wish::default());
    for _ in 0..50 {
        voice.packet(&mut world, 30, 80);
        world.run(ms(20));
    }
    let (packets, _) = read(&mut world, tap);
    assert_eq!(packets.len(), 50);
    assert_whole(&packets);
    for (sent, got) in voice.sent.iter().zip(&packets) {
        assert_eq!(sent.as_slice(), got.payload.as_slice());
        assert!(got.keyframe && got.codec == Codec::Opus);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is fed and however it is read: no number is missing but where the tap says that it
    /// begins anew, and it begins with keyframes only.
    #[test]
    fn what_a_tap_gives_can_be_decoded(
        steps in proptest::collection::vec((1..40_usize, 1..90_usize, any::<bool>()), 1..30),
    ) {
        let mut world = World::new(1);
        let mut source = Source::open(&mut world, 7, Codec::H264);
        let tap = open_tap(&mut world, 1, source.track, Wish::default());
        let mut all: Vec<TapPacket> = Vec::new();
        for (frames, packets, reads) in steps {
            source.packets_per_frame = packets;
            for frame in 0..frames {
                source.frame(&mut world, frame == 0);
            }
            if reads {
                all.extend(read(&mut world, tap).0);
            }
        }
        all.extend(read(&mut world, tap).0);
        assert_whole(&all);
        prop_assert!(all[0].starts);
        for pair in all.windows(2) {
            prop_assert!(!pair[1].starts || pair[1].keyframe);
            let place = |packet: &TapPacket| {
                source.sent.iter().position(|sent| sent.same_buffer(&packet.payload)).unwrap()
            };
            let follows = place(&pair[1]) == place(&pair[0]) + 1;
            prop_assert!(follows || pair[1].starts, "something is missing in the middle");
        }
    }
}
