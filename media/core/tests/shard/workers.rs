//! Two workers with one room: shards that reach each other by hops alone.

use media_contract::{Action, Fact, RelayEnd, SlotState, Subject, Wish};
use media_core::{RelayBody, RelayMessage};
use media_types::{Codec, Epoch, MediaKind, Mid, TrackId, TrackSource};
use str0m::media::MediaKind as Kind;

use crate::forwarding::play;
use crate::support::hops::far;
use crate::support::media::{Camera, assert_seamless, is_keyframe, join_camera, join_viewer};
use crate::support::{ROOM, World, ms};

/// A camera on worker 0, a viewer on worker 1, which are linked. Only the wanting end is opened.
fn arrange(world: &mut World) -> (Camera, TrackId, usize, Mid) {
    let camera = join_camera(world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(world, 1, Kind::Video);
    for (here, there) in [(0, 1), (1, 0)] {
        let peers = vec![far(there)];
        assert!(world.is_done(here, Action::LinkRoom { peers }));
    }
    open(world, track, &camera);
    (camera, track, viewer, slot)
}

fn open(world: &mut World, track: TrackId, camera: &Camera) {
    let end = RelayEnd::In {
        from: far(0),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        publisher: world.clients[camera.client].identity.clone(),
    };
    assert!(world.is_done(1, Action::OpenRelay { track, end }));
}

#[test]
fn a_track_is_pulled_while_somebody_watches() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    play(&mut world, &mut camera, 20);
    let crossed = |world: &World| world.hops.figures(world.now, 0, 1).packets_out;
    assert_eq!(crossed(&world), 0);
    world.fill(viewer, slot, track, Wish::default());
    world.run(ms(60));
    play(&mut world, &mut camera, 40);
    let packets = world.clients[viewer].on(slot);
    assert!(packets.len() >= 78, "{}", packets.len());
    assert!(is_keyframe(packets[0]));
    assert_seamless(&packets);
    let transport = world.transport(viewer);
    assert!(world.is_done(1, Action::Empty { transport, slot }));
    world.run(ms(100));
    let before = crossed(&world);
    play(&mut world, &mut camera, 30);
    assert_eq!(crossed(&world), before);
    assert_eq!(world.hops.figures(world.now, 0, 1).unlabelled, 0);
}

#[test]
fn losses_between_workers_are_repaired_before_viewers_notice() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    world.fill(viewer, slot, track, Wish::default());
    world.run(ms(60));
    world.hops.lose_each = 20;
    play(&mut world, &mut camera, 200);
    world.run(ms(200));
    // What is repaired comes a little late, and nothing else is missing.
    let mut packets = world.clients[viewer].on(slot);
    packets.sort_by_key(|packet| *packet.seq_no);
    assert_seamless(&packets);
    let figures = world.hops.figures(world.now, 1, 0);
    assert!(figures.repaired >= 10, "{figures:?}");
    assert_eq!(figures.lost, 0);
}

#[test]
fn a_keyframe_request_goes_upstream() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 40);
    world.clients[camera.client].keyframe_requests.clear();
    let (late, second) = join_viewer(&mut world, 1, Kind::Video);
    world.fill(late, second, track, Wish::default());
    let asked = world.run_until(ms(100), |world| {
        !world.clients[camera.client].keyframe_requests.is_empty()
    });
    assert!(asked);
}

#[test]
fn who_is_not_linked_gets_nothing() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 20);
    let came = world.clients[viewer].on(slot).len();
    assert!(came > 0);
    let nobody = Action::LinkRoom { peers: Vec::new() };
    assert!(world.is_done(0, nobody));
    play(&mut world, &mut camera, 60);
    assert_eq!(world.clients[viewer].on(slot).len(), came);
    assert!(world.figures(0).dropped["relay_unknown"] > 0);
}

#[test]
fn what_is_older_than_the_relay_is_dropped_and_what_is_newer_is_told() {
    let mut world = World::new(2);
    let (mut camera, track, viewer, slot) = arrange(&mut world);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 20);
    let says = |world: &mut World, epoch, body| {
        let message = RelayMessage::new(ROOM, epoch, body);
        world.shards[1].handle_relay(world.now, far(0), message);
        world.run(ms(10));
    };
    // The room here goes on to a higher epoch: what came before the relay is renewed still counts.
    world.epoch = Epoch(5);
    assert!(world.is_done(1, Action::Describe) || world.epoch == Epoch(5));
    let subject = Subject::Slot(world.transport(viewer), slot);
    let state = |world: &World| {
        world.last(subject, |fact| match fact {
            Fact::SlotChanged { state, .. } => Some(*state),
            _ => None,
        })
    };
    let muted = |muted| RelayBody::Muted { track, muted };
    says(&mut world, Epoch(1), muted(true));
    assert_eq!(state(&world), Some(SlotState::Muted));
    says(&mut world, Epoch(1), muted(false));
    open(&mut world, track, &camera);
    let before = state(&world);
    says(&mut world, Epoch(4), muted(true));
    assert_eq!(state(&world), before);
    assert_eq!(world.figures(1).dropped["relay_stale"], 1);
    // Another worker knows of a later owner.
    let newer = |world: &World, epoch| {
        let told = world.events.iter().filter(|(_, event)| {
            event.subject == Subject::Room && event.fact == Fact::NewerEpoch { epoch }
        });
        told.count()
    };
    for _ in 0..2 {
        says(&mut world, Epoch(7), muted(true));
    }
    assert_eq!(newer(&world, Epoch(7)), 1);
    assert_eq!(state(&world), Some(SlotState::Muted));
}
