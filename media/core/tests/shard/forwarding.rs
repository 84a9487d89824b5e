//! One publisher, some subscribers.

use std::time::Duration;

use media_contract::{Action, Fact, LostReason, SlotState, Subject, Wish};
use media_types::{Codec, Layer, MediaKind};
use media_webrtc::TransmitBatch;
use str0m::media::MediaKind as Kind;
use str0m::rtp::RtpWrite;

use crate::support::client::ours;
use crate::support::media::{Camera, assert_seamless, body, is_keyframe, join_camera, join_viewer};
use crate::support::{World, ms};

/// Sends frames 33 ms apart; a keyframe where the publisher was asked for one.
pub(crate) fn play(world: &mut World, camera: &mut Camera, frames: usize) {
    for _ in 0..frames {
        let asked = !world.clients[camera.client].keyframe_requests.is_empty();
        world.clients[camera.client].keyframe_requests.clear();
        camera.frame(world, asked || camera.sent.is_empty());
        world.run(ms(33));
    }
}

#[test]
fn two_subscribers_get_the_publishers_bytes() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let viewers = [(); 2].map(|()| join_viewer(&mut world, 0, Kind::Video));
    let track = world.publish(camera.client, camera.mid, 1);
    for (client, slot) in viewers {
        world.fill(client, slot, track, Wish::default());
    }
    play(&mut world, &mut camera, 60);
    for (client, slot) in viewers {
        let packets = world.clients[client].on(slot);
        assert_eq!(packets.len(), 120);
        assert_seamless(&packets);
        for (sent, packet) in camera.sent.iter().zip(&packets) {
            assert_eq!(sent, body(packet));
        }
        let subject = Subject::Slot(world.transport(client), slot);
        let states: Vec<_> = world
            .events
            .iter()
            .filter(|(_, event)| event.subject == subject)
            .filter_map(|(_, event)| match event.fact {
                Fact::SlotChanged { state, layer, .. } => Some((state, layer)),
                _ => None,
            })
            .collect();
        let live = (SlotState::Live, Some(Layer::BASE));
        assert_eq!(states, [(SlotState::Waiting, None), live]);
    }
    let started = world.told(Subject::Track(track), |fact| {
        matches!(
            fact,
            Fact::TrackStarted {
                codec: Codec::Vp8,
                ..
            }
        )
    });
    assert!(started);
    let figures = world.figures(0);
    assert_eq!(figures.packets_in[&MediaKind::Video], 120);
    assert_eq!(figures.packets_out[&MediaKind::Video], 240);
    assert_eq!(
        (figures.forwarders, figures.tracks, figures.transports),
        (2, 1, 3)
    );
    assert!(figures.dropped.is_empty(), "{:?}", figures.dropped);
}

#[test]
fn one_who_comes_late_sees_a_keyframe_at_once() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let first = join_viewer(&mut world, 0, Kind::Video);
    world.fill(first.0, first.1, track, Wish::default());
    play(&mut world, &mut camera, 30);
    let (late, slot) = join_viewer(&mut world, 0, Kind::Video);
    let filled = world.now;
    world.fill(late, slot, track, Wish::default());
    let asked = world.run_until(ms(100), |world| {
        !world.clients[camera.client].keyframe_requests.is_empty()
    });
    assert!(asked);
    assert!(world.now - filled <= ms(6), "the request goes at once");
    play(&mut world, &mut camera, 1);
    let (at, _, packet) = &world.clients[late].packets[0];
    assert!(is_keyframe(packet));
    assert!(
        *at - filled <= ms(17),
        "asked, answered, forwarded: {:?}",
        *at - filled
    );
    play(&mut world, &mut camera, 30);
    assert_seamless(&world.clients[late].on(slot));
    assert_seamless(&world.clients[first.0].on(first.1));
    assert_eq!(
        world.figures(0).keyframe_requests,
        1,
        "the first keyframe came unasked"
    );
}

#[test]
fn one_who_comes_just_after_a_keyframe_starts_with_it() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let first = join_viewer(&mut world, 0, Kind::Video);
    let (late, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(first.0, first.1, track, Wish::default());
    play(&mut world, &mut camera, 6);
    let filled = world.now;
    world.fill(late, slot, track, Wish::default());
    world.run(ms(10));
    assert!(world.clients[camera.client].keyframe_requests.is_empty());
    let packets = world.clients[late].on(slot);
    assert_eq!(packets.len(), 12, "the keyframe and what followed it");
    assert!(is_keyframe(packets[0]));
    assert!(world.clients[late].packets[0].0 - filled <= ms(6));
    play(&mut world, &mut camera, 20);
    assert_seamless(&world.clients[late].on(slot));
    for (sent, packet) in camera.sent.iter().zip(world.clients[late].on(slot)) {
        assert_eq!(sent, body(packet));
    }
}

#[test]
fn muted_passes_nothing_and_comes_back_without_a_seam() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 20);
    assert!(world.is_done(0, Action::Mute { track, muted: true }));
    let before = world.clients[viewer].on(slot).len();
    play(&mut world, &mut camera, 300);
    assert_eq!(world.clients[viewer].on(slot).len(), before);
    let subject = Subject::Slot(world.transport(viewer), slot);
    let state = |world: &World| {
        world.last(subject, |fact| match fact {
            Fact::SlotChanged { state, .. } => Some(*state),
            _ => None,
        })
    };
    assert_eq!(state(&world), Some(SlotState::Muted));
    assert_eq!(world.figures(0).dropped["muted"], 600);
    world.clients[camera.client].keyframe_requests.clear();
    assert!(world.is_done(
        0,
        Action::Mute {
            track,
            muted: false
        }
    ));
    world.run(ms(20));
    assert!(!world.clients[camera.client].keyframe_requests.is_empty());
    play(&mut world, &mut camera, 20);
    let packets = world.clients[viewer].on(slot);
    assert_eq!(packets.len(), before + 40);
    assert!(is_keyframe(packets[before]));
    assert_seamless(&packets);
    assert_eq!(state(&world), Some(SlotState::Live));
    assert!(!world.told(Subject::Track(track), |fact| *fact == Fact::TrackStalled));
}

#[test]
fn unpublished_ends_and_stalls_are_told() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 10);
    world.run(Duration::from_secs(4));
    let stalled =
        |world: &World| world.told(Subject::Track(track), |fact| *fact == Fact::TrackStalled);
    assert!(!stalled(&world));
    world.run(Duration::from_secs(2));
    assert!(stalled(&world));
    play(&mut world, &mut camera, 10);
    assert!(world.is_done(0, Action::Unpublish { track }));
    assert!(world.is_done(0, Action::Unpublish { track }));
    play(&mut world, &mut camera, 10);
    assert_eq!(world.clients[viewer].on(slot).len(), 40);
    let figures = world.figures(0);
    assert_eq!((figures.tracks, figures.forwarders), (0, 0));
    assert_eq!(figures.dropped["unpublished"], 20);
}

#[test]
fn a_crashed_transport_takes_nobody_with_it() {
    let mut world = World::new(1);
    let mut cameras = [(); 2].map(|()| join_camera(&mut world, 0));
    let tracks = [1, 2].map(|id| {
        let camera = &cameras[id - 1];
        world.publish(camera.client, camera.mid, u64::try_from(id).unwrap())
    });
    let viewers = [(); 3].map(|()| {
        let (client, mids) = world.join(0, |api| {
            use str0m::media::Direction::RecvOnly;
            [(); 2].map(|()| api.add_media(Kind::Video, RecvOnly, None, None, None))
        });
        (client, mids.map(ours))
    });
    for (client, slots) in viewers {
        for (slot, track) in slots.into_iter().zip(tracks) {
            world.fill(client, slot, track, Wish::default());
        }
    }
    for step in 0..60 {
        if step == 20 || step == 30 {
            let client = if step == 20 {
                viewers[0].0
            } else {
                cameras[0].client
            };
            let transport = world.transport(client);
            assert!(world.is_done(0, Action::InjectFault { transport }));
            let reason = world.last(Subject::Transport(transport), |fact| match fact {
                Fact::TransportLost { reason } => Some(*reason),
                _ => None,
            });
            assert_eq!(reason, Some(LostReason::Crashed));
        }
        for camera in &mut cameras {
            camera.frame(&mut world, step == 0);
        }
        world.run(ms(33));
    }
    for (client, slots) in &viewers[1..] {
        assert_eq!(world.clients[*client].on(slots[0]).len(), 60);
        let packets = world.clients[*client].on(slots[1]);
        assert_eq!(packets.len(), 120);
        assert_seamless(&packets);
    }
    assert_eq!(world.clients[viewers[0].0].on(viewers[0].1[1]).len(), 40);
    let figures = world.figures(0);
    assert_eq!(
        (figures.crashed, figures.transports, figures.tracks),
        (2, 3, 1)
    );
}

#[test]
fn a_small_arena_takes_more_rounds_and_loses_nothing() {
    let mut world = World::new(1);
    world.batch = TransmitBatch::new(8_192);
    let mut camera = join_camera(&mut world, 0);
    camera.packets_per_frame = 6;
    let track = world.publish(camera.client, camera.mid, 1);
    let viewers = [(); 4].map(|()| join_viewer(&mut world, 0, Kind::Video));
    for (client, slot) in viewers {
        world.fill(client, slot, track, Wish::default());
    }
    play(&mut world, &mut camera, 20);
    for (client, slot) in viewers {
        assert_eq!(world.clients[client].on(slot).len(), 120);
    }
}

#[test]
fn another_codec_goes_on_where_it_is_understood() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 10);
    let pt = world.clients[camera.client].payload_type(str0m::format::Codec::H264);
    for number in 0..20_u8 {
        // A parameter set begins the new stream; slices follow.
        let unit = if number == 0 { 0x67 } else { 0x41 };
        let payload = vec![unit, 0x80, number, 1, 2, 3];
        let write = RtpWrite::new(
            pt,
            camera.sequence.into(),
            camera.timestamp,
            world.now,
            payload,
        );
        let write = write.marker(true).nackable(true);
        world.clients[camera.client].write(world.now, camera.mid, None, write);
        camera.sequence += 1;
        camera.timestamp += 3_000;
        world.run(ms(33));
    }
    let told = |fact: &Fact| {
        matches!(
            fact,
            Fact::TrackStarted {
                codec: Codec::H264,
                ..
            }
        )
    };
    assert!(world.told(Subject::Track(track), told));
    let packets = world.clients[viewer].on(slot);
    assert_eq!(packets.len(), 40);
    let pt = world.clients[viewer].payload_type(str0m::format::Codec::H264);
    for pair in packets.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        assert!(pair[1].header.timestamp >= pair[0].header.timestamp);
    }
    assert!(
        packets[20..]
            .iter()
            .all(|packet| packet.header.payload_type == pt)
    );
    assert_eq!(packets[20].payload[..3], [0x67, 0x80, 0]);
}
