//! Two shards with one room.

use media_contract::{Action, Fact, RelayEnd, SlotState, Subject, TapWish, Wish};
use media_types::{Codec, MediaKind, Mid, ShardId, TapId, TrackId, TrackSource};
use str0m::media::MediaKind as Kind;

use crate::forwarding::play;
use crate::support::live::read;
use crate::support::media::{Camera, assert_seamless, body, is_keyframe, join_camera, join_viewer};
use crate::support::{World, ms};

/// A camera on shard 0, a viewer on shard 1, and a relay between them.
fn arrange(world: &mut World) -> (Camera, TrackId, usize, Mid) {
    let camera = join_camera(world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(world, 1, Kind::Video);
    let end = RelayEnd::Out {
        to: ShardId(1).into(),
    };
    assert!(world.is_done(0, Action::OpenRelay { track, end }));
    let end = RelayEnd::In {
        from: ShardId(0).into(),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        publisher: world.clients[camera.client].identity.clone(),
    };
    for _ in 0..2 {
        let end = end.clone();
        assert!(world.is_done(1, Action::OpenRelay { track, end }));
    }
    (camera, track, viewer, slot)
}

#[test]
fn a_track_crosses_only_while_it_is_wanted() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    play(&mut world, &mut camera, 20);
    assert!(
        world
            .figures(1)
            .packets_in
            .values()
            .all(|&count| count == 0)
    );
    let control = world.relayed;
    assert!(control < 10, "a demand a second: {control}");
    world.fill(viewer, slot, track, Wish::default());
    world.run(ms(60));
    play(&mut world, &mut camera, 40);
    let packets = world.clients[viewer].on(slot);
    assert!(packets.len() >= 78, "{}", packets.len());
    assert!(is_keyframe(packets[0]));
    assert_seamless(&packets);
    let first = camera
        .sent
        .iter()
        .position(|sent| sent == body(packets[0]))
        .unwrap();
    for (sent, packet) in camera.sent[first..].iter().zip(&packets) {
        assert_eq!(sent, body(packet));
    }
    let transport = world.transport(viewer);
    assert!(world.is_done(1, Action::Empty { transport, slot }));
    world.run(ms(100));
    let before = world.relayed;
    play(&mut world, &mut camera, 30);
    assert!(world.relayed - before < 5);
}

#[test]
fn what_is_muted_or_ends_there_is_known_here() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 10);
    let subject = Subject::Slot(world.transport(viewer), slot);
    let state = |world: &World| {
        world.last(subject, |fact| match fact {
            Fact::SlotChanged { state, .. } => Some(*state),
            _ => None,
        })
    };
    assert_eq!(state(&world), Some(SlotState::Live));
    assert!(world.is_done(0, Action::Mute { track, muted: true }));
    world.run(ms(10));
    assert_eq!(state(&world), Some(SlotState::Muted));
    assert!(world.is_done(
        0,
        Action::Mute {
            track,
            muted: false
        }
    ));
    play(&mut world, &mut camera, 30);
    assert_eq!(state(&world), Some(SlotState::Live));
    assert_seamless(&world.clients[viewer].on(slot));
    assert!(world.is_done(0, Action::Unpublish { track }));
    world.run(ms(10));
    assert_eq!(state(&world), Some(SlotState::Waiting));
    let close = Action::CloseRelay {
        track,
        other: ShardId(0).into(),
    };
    assert!(world.is_done(1, close));
    assert_eq!(
        (world.figures(1).tracks, world.figures(1).forwarders),
        (0, 0)
    );
}

#[test]
fn a_keyframe_request_crosses_back() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 40);
    world.clients[camera.client].keyframe_requests.clear();
    let (late, second) = join_viewer(&mut world, 1, Kind::Video);
    let filled = world.now;
    world.fill(late, second, track, Wish::default());
    let asked = world.run_until(ms(100), |world| {
        !world.clients[camera.client].keyframe_requests.is_empty()
    });
    assert!(asked && world.now - filled <= ms(6));
    play(&mut world, &mut camera, 5);
    assert!(is_keyframe(world.clients[late].on(second)[0]));
}

#[test]
fn a_tap_takes_a_track_of_another_shard_while_it_is_open() {
    let mut world = World::new(2);
    let mut camera = join_camera(&mut world, 1);
    let track = world.publish(camera.client, camera.mid, 1);
    let end = RelayEnd::In {
        from: ShardId(1).into(),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        publisher: world.clients[camera.client].identity.clone(),
    };
    assert!(world.is_done(0, Action::OpenRelay { track, end }));
    let out = RelayEnd::Out {
        to: ShardId(0).into(),
    };
    assert!(world.is_done(1, Action::OpenRelay { track, end: out }));
    play(&mut world, &mut camera, 20);
    world.clients[camera.client].keyframe_requests.clear();
    let tap = TapId::new(1);
    let wish = TapWish {
        wish: Wish::default(),
        keyframe_every: Some(ms(2_000)),
    };
    assert!(world.is_done(0, Action::OpenTap { tap, track, wish }));
    world.run(ms(60));
    play(&mut world, &mut camera, 150);
    let (packets, ended) = read(&mut world, tap);
    assert!(packets[0].starts && packets[0].keyframe && !ended);
    let bodies: Vec<_> = packets.iter().map(|it| it.payload.as_slice()).collect();
    let first = camera
        .sent
        .iter()
        .position(|sent| bodies[0].ends_with(sent));
    let sent = &camera.sent[first.unwrap()..];
    assert_eq!(sent.len(), bodies.len(), "to the last one");
    assert!(
        sent.iter()
            .zip(&bodies)
            .all(|(sent, got)| got.ends_with(sent))
    );
    let cuts = packets.iter().filter(|it| it.keyframe).count();
    assert!((3..=4).contains(&cuts), "{cuts} in five seconds");
    assert!(world.is_done(0, Action::CloseTap { tap }));
    world.run(ms(100));
    let before = world.relayed;
    play(&mut world, &mut camera, 30);
    assert!(world.relayed - before < 5);
}
