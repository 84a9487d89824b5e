//! Another source takes a relayed track over.

use media_contract::{Action, Fact, RelayEnd, SlotState, Subject, Wish};
use media_types::{Codec, Layer, MediaKind, Mid, ShardId, TapId, TapPacket, TrackId, TrackSource};
use str0m::media::MediaKind as Kind;

use crate::support::hops::far;
use crate::support::live::{open_tap, read};
use crate::support::media::{Camera, assert_seamless, body, is_keyframe, join_camera, join_viewer};
use crate::support::{World, ms};

const TRACK: TrackId = TrackId::new(1);

/// A client of the worker that has the viewers.
struct Viewer {
    client: usize,
    slot: Mid,
    tap: TapId,
}

/// Opens the relay of the track from another worker at this one.
fn open(world: &mut World, worker: usize, kind: MediaKind, source: usize) {
    let codec = match kind {
        MediaKind::Audio => Codec::Opus,
        MediaKind::Video => Codec::Vp8,
    };
    let end = RelayEnd::In {
        from: far(worker),
        kind,
        codec,
        source: TrackSource::default_for(kind),
        publisher: world.clients[source].identity.clone(),
    };
    assert!(world.is_done(0, Action::OpenRelay { track: TRACK, end }));
}

fn close(world: &mut World, worker: usize) {
    let other = far(worker);
    let close = Action::CloseRelay {
        track: TRACK,
        other,
    };
    assert!(world.is_done(0, close));
}

/// Links all workers to the first.
fn link(world: &mut World) {
    let others: Vec<_> = (1..world.shards.len()).map(far).collect();
    assert!(world.is_done(0, Action::LinkRoom { peers: others }));
    for worker in 1..world.shards.len() {
        let peers = vec![far(0)];
        assert!(world.is_done(worker, Action::LinkRoom { peers }));
    }
}

/// A viewer and a tap of the track at worker 0, which comes there by relay from worker 1.
fn watch(world: &mut World, kind: MediaKind, source: usize) -> Viewer {
    link(world);
    open(world, 1, kind, source);
    let slot_kind = match kind {
        MediaKind::Audio => Kind::Audio,
        MediaKind::Video => Kind::Video,
    };
    let (client, slot) = join_viewer(world, 0, slot_kind);
    world.fill(client, slot, TRACK, Wish::default());
    let tap = open_tap(world, 1, TRACK, Wish::default());
    Viewer { client, slot, tap }
}

/// A camera at worker 1 with a viewer at worker 0, which sees it.
fn arrange(world: &mut World) -> (Camera, Viewer) {
    let mut camera = join_camera(world, 1);
    world.publish(camera.client, camera.mid, TRACK.get());
    let viewer = watch(world, MediaKind::Video, camera.client);
    play(world, &mut [&mut camera], 20);
    (camera, viewer)
}

/// Sends frames of all, 33 ms apart, with a keyframe where one was asked for.
fn play(world: &mut World, cameras: &mut [&mut Camera], frames: usize) {
    for _ in 0..frames {
        for camera in cameras.iter_mut() {
            let rid = camera.rid.map(str0m::media::Rid::from);
            let requests = &mut world.clients[camera.client].keyframe_requests;
            let before = requests.len();
            requests.retain(|(_, request)| request.rid != rid);
            let asked = requests.len() < before;
            camera.frame(world, asked || camera.sent.is_empty());
        }
        world.run(ms(33));
    }
}

/// Where a packet lies among those that a camera sent.
fn place(camera: &Camera, body: &[u8]) -> Option<usize> {
    camera.sent.iter().position(|sent| sent == body)
}

/// Asserts that these are packets of the one without a hole, and then those of the other from a
/// keyframe on to the last, without a hole. How many of the first.
fn assert_succeeded(bodies: &[&[u8]], old: &Camera, new: &Camera) -> usize {
    let change = bodies.iter().position(|body| place(new, body).is_some());
    let change = change.expect("the other takes over");
    let (before, after) = bodies.split_at(change);
    for (camera, part) in [(old, before), (new, after)] {
        let first = place(camera, part[0]).unwrap();
        for (sent, got) in camera.sent[first..].iter().zip(part) {
            assert_eq!(sent, got);
        }
    }
    assert_eq!(after[0][0] & 1, 0, "begins with a keyframe");
    assert_eq!(after.last().unwrap(), new.sent.last().unwrap());
    change
}

/// Bodies behind the descriptor of what a tap of VP8 got.
fn tapped(packets: &[TapPacket]) -> Vec<&[u8]> {
    let bodies = packets.iter().map(|it| it.payload.as_slice());
    bodies
        .map(|payload| &payload[payload.len() - 600..])
        .collect()
}

fn assert_whole(packets: &[TapPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(step < 1 << 31, "time goes back");
    }
}

/// How often the track's start was told where the viewer is.
fn starts(world: &World) -> usize {
    let events = world.events.iter().filter(|(shard, event)| {
        let started = matches!(event.fact, Fact::TrackStarted { .. });
        *shard == ShardId(0) && event.subject == Subject::Track(TRACK) && started
    });
    events.count()
}

/// What was told of the viewer's slot.
fn states(world: &World, viewer: &Viewer) -> Vec<(SlotState, Option<Layer>)> {
    let subject = Subject::Slot(world.transport(viewer.client), viewer.slot);
    let events = world.events.iter();
    let of_slot = events.filter(|(_, event)| event.subject == subject);
    let states = of_slot.filter_map(|(_, event)| match event.fact {
        Fact::SlotChanged { state, layer, .. } => Some((state, layer)),
        _ => None,
    });
    states.collect()
}

/// Media that crossed from a worker to the first.
fn crossed(world: &World, worker: usize) -> u64 {
    world.hops.figures(world.now, worker, 0).packets_out
}

#[test]
fn a_publisher_takes_over_what_came_by_relay() {
    let mut world = World::new(2);
    let (mut old, viewer) = arrange(&mut world);
    let mut new = join_camera(&mut world, 0);
    // Its first keyframe was over before it was bound to the track.
    play(&mut world, &mut [&mut old, &mut new], 5);
    assert_eq!(starts(&world), 1);
    world.clients[new.client].keyframe_requests.clear();
    for _ in 0..2 {
        world.publish(new.client, new.mid, TRACK.get());
    }
    for _ in 0..10 {
        old.frame(&mut world, false);
        new.frame(&mut world, false);
        world.run(ms(33));
    }
    let asked = world.clients[new.client].keyframe_requests.len();
    assert_eq!(asked, 2, "at once and after 200 ms");
    assert_eq!(starts(&world), 1);
    let before = old.sent.len();
    play(&mut world, &mut [&mut old, &mut new], 40);
    world.run(ms(60));
    let (packets, ended) = read(&mut world, viewer.tap);
    assert!(!ended);
    assert_whole(&packets);
    let change = assert_succeeded(&tapped(&packets), &old, &new);
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_seamless(&shown);
    let bodies: Vec<_> = shown.iter().map(|packet| body(packet)).collect();
    assert_eq!(assert_succeeded(&bodies, &old, &new), change);
    assert!(is_keyframe(shown[change]));
    // Both came up to then: what is relayed comes a moment later than what comes straight.
    assert_eq!(place(&old, bodies[change - 1]), Some(before - 1));
    assert_eq!(starts(&world), 2);
    let live = (SlotState::Live, Some(Layer::BASE));
    assert_eq!(states(&world, &viewer), [(SlotState::Waiting, None), live]);
    let before = crossed(&world, 1);
    play(&mut world, &mut [&mut old, &mut new], 30);
    assert_eq!(crossed(&world, 1), before, "nothing of the old is wanted");
    close(&mut world, 1);
    assert_eq!(
        (world.figures(0).tracks, world.figures(0).forwarders),
        (1, 1)
    );
}
