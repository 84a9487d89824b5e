//! Another source takes a relayed track over.

mod encodings;

use media_contract::{Action, Fact, RefusedReason, RelayEnd, SlotState, Subject, Wish};
use media_types::{
    Codec, Epoch, Layer, MediaKind, Mid, ShardId, TapId, TapPacket, TrackId, TrackSource,
};
use str0m::media::{Direction, MediaKind as Kind};

use crate::support::client::ours;
use crate::support::hops::far;
use crate::support::live::{open_tap, read};
use crate::support::media::{
    Camera, Microphone, assert_seamless, body, is_keyframe, join_camera, join_viewer,
};
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
        let first = part.first().map_or(0, |body| place(camera, body).unwrap());
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

#[test]
fn a_tap_that_has_read_nothing_yet_misses_nothing() {
    let mut world = World::new(2);
    let (mut old, _) = arrange(&mut world);
    let late = open_tap(&mut world, 2, TRACK, Wish::default());
    let mut new = join_camera(&mut world, 0);
    world.publish(new.client, new.mid, TRACK.get());
    play(&mut world, &mut [&mut old, &mut new], 20);
    world.run(ms(60));
    let (packets, _) = read(&mut world, late);
    assert_whole(&packets);
    let change = assert_succeeded(&tapped(&packets), &old, &new);
    assert_eq!(change, 38, "from the only keyframe that was asked for on");
    let starts: Vec<_> = packets.iter().map(|packet| packet.starts).collect();
    let starts: Vec<_> = (0..).zip(starts).filter(|(_, it)| *it).collect();
    assert_eq!(starts, [(0, true), (change, true)]);
}

#[test]
fn sound_goes_on_with_the_first_packet() {
    let mut world = World::new(2);
    let mut microphones = [1, 0].map(|worker| {
        let (client, mid) = world.join(worker, |api| {
            api.add_media(Kind::Audio, Direction::SendOnly, None, None, None)
        });
        Microphone::new(client, ours(mid))
    });
    microphones[1].sequence = 9_000;
    let [old, new] = &mut microphones;
    world.publish(old.client, old.mid, TRACK.get());
    let viewer = watch(&mut world, MediaKind::Audio, old.client);
    let play = |world: &mut World, all: &mut [&mut Microphone], packets| {
        for _ in 0..packets {
            for microphone in all.iter_mut() {
                microphone.packet(world, 30, 80);
            }
            world.run(ms(20));
        }
    };
    play(&mut world, &mut [old], 20);
    world.publish(new.client, new.mid, TRACK.get());
    play(&mut world, &mut [old], 10);
    assert_eq!(starts(&world), 1);
    let sent = old.sent.len();
    play(&mut world, &mut [old, new], 20);
    world.run(ms(60));
    let shown = world.clients[viewer.client].on(viewer.slot);
    let payloads: Vec<_> = shown.iter().map(|packet| &packet.payload[..]).collect();
    let expected = || old.sent[..sent].iter().chain(&new.sent).map(Vec::as_slice);
    let missed = sent + new.sent.len() - shown.len();
    assert!(
        expected().skip(missed).eq(payloads),
        "{missed} before it was asked for"
    );
    for pair in shown.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        assert_eq!(pair[1].header.timestamp - pair[0].header.timestamp, 960);
    }
    let (packets, _) = read(&mut world, viewer.tap);
    assert_whole(&packets);
    let tapped = packets.iter().map(|packet| packet.payload.as_slice());
    assert!(expected().skip(missed).eq(tapped));
    assert_eq!(starts(&world), 2);
    let live = (SlotState::Live, Some(Layer::BASE));
    assert_eq!(states(&world, &viewer), [(SlotState::Waiting, None), live]);
}

#[test]
fn one_relay_takes_over_from_another() {
    let mut world = World::new(3);
    let (mut old, viewer) = arrange(&mut world);
    let mut new = join_camera(&mut world, 2);
    world.publish(new.client, new.mid, TRACK.get());
    play(&mut world, &mut [&mut old, &mut new], 10);
    for _ in 0..2 {
        open(&mut world, 2, MediaKind::Video, new.client);
    }
    play(&mut world, &mut [&mut old, &mut new], 30);
    world.run(ms(60));
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_seamless(&shown);
    let bodies: Vec<_> = shown.iter().map(|packet| body(packet)).collect();
    let change = assert_succeeded(&bodies, &old, &new);
    let (packets, _) = read(&mut world, viewer.tap);
    assert_whole(&packets);
    assert_eq!(assert_succeeded(&tapped(&packets), &old, &new), change);
    let before = crossed(&world, 1);
    close(&mut world, 1);
    play(&mut world, &mut [&mut old, &mut new], 10);
    assert_eq!(crossed(&world, 1), before);
    world.run(ms(60));
    assert_eq!(starts(&world), 2);
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_eq!(body(shown.last().unwrap()), new.sent.last().unwrap());
}

#[test]
fn a_source_that_ends_before_it_takes_over_leaves_no_trace() {
    let mut world = World::new(3);
    let (mut old, viewer) = arrange(&mut world);
    let new = join_camera(&mut world, 0);
    let transport = world.transport(new.client);
    world.publish(new.client, new.mid, TRACK.get());
    play(&mut world, &mut [&mut old], 5);
    assert!(world.is_done(0, Action::Unpublish { track: TRACK }));
    play(&mut world, &mut [&mut old], 5);
    world.publish(new.client, new.mid, TRACK.get());
    play(&mut world, &mut [&mut old], 5);
    assert!(world.is_done(0, Action::CloseTransport { transport }));
    play(&mut world, &mut [&mut old], 5);
    open(&mut world, 2, MediaKind::Video, old.client);
    play(&mut world, &mut [&mut old], 5);
    close(&mut world, 2);
    play(&mut world, &mut [&mut old], 5);
    world.run(ms(60));
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_seamless(&shown);
    let first = place(&old, body(shown[0])).unwrap();
    let bodies = shown.iter().map(|packet| body(packet));
    assert!(bodies.eq(old.sent[first..].iter()));
    let (packets, _) = read(&mut world, viewer.tap);
    assert_eq!(tapped(&packets), old.sent[first..]);
    assert_eq!(starts(&world), 1);
    let live = (SlotState::Live, Some(Layer::BASE));
    assert_eq!(states(&world, &viewer), [(SlotState::Waiting, None), live]);
    close(&mut world, 1);
    assert_eq!(world.figures(0).tracks, 0);
}

#[test]
fn a_source_of_which_nothing_came_waits_in_the_place_of_one_that_ended() {
    for closed in [false, true] {
        let mut world = World::new(2);
        let (old, viewer) = arrange(&mut world);
        let mut new = join_camera(&mut world, 0);
        world.publish(new.client, new.mid, TRACK.get());
        match closed {
            true => close(&mut world, 1),
            false => assert!(world.is_done(1, Action::Unpublish { track: TRACK })),
        }
        world.run(ms(20));
        let last = states(&world, &viewer).last().copied();
        assert_eq!(last, Some((SlotState::Waiting, None)));
        assert_eq!(starts(&world), 1, "nothing flows yet");
        play(&mut world, &mut [&mut new], 20);
        world.run(ms(60));
        assert_eq!(starts(&world), 2);
        let shown = world.clients[viewer.client].on(viewer.slot);
        assert_seamless(&shown);
        let bodies: Vec<_> = shown.iter().map(|packet| body(packet)).collect();
        assert_succeeded(&bodies, &old, &new);
        let (packets, ended) = read(&mut world, viewer.tap);
        assert!(!ended);
        assert_whole(&packets);
        assert_succeeded(&tapped(&packets), &old, &new);
        assert!(world.is_done(0, Action::Unpublish { track: TRACK }));
        assert_eq!(world.figures(0).tracks, 0, "it is in force");
    }
}

#[test]
fn a_relay_of_an_epoch_before_does_not_take_over() {
    let mut world = World::new(3);
    let (mut old, viewer) = arrange(&mut world);
    let mut new = join_camera(&mut world, 2);
    world.publish(new.client, new.mid, TRACK.get());
    world.epoch = Epoch(5);
    open(&mut world, 2, MediaKind::Video, new.client);
    play(&mut world, &mut [&mut old, &mut new], 20);
    assert_eq!(starts(&world), 1);
    // Two packets a frame, whether it is muted, and its layers.
    let stale = world.figures(0).dropped["relay_stale"];
    assert_eq!(stale, 42);
    assert!(!matches!(
        world.command(2, Action::Describe),
        Fact::Refused { .. }
    ));
    play(&mut world, &mut [&mut old, &mut new], 20);
    world.run(ms(60));
    assert_eq!(starts(&world), 2);
    assert_eq!(world.figures(0).dropped["relay_stale"], stale);
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_seamless(&shown);
    let bodies: Vec<_> = shown.iter().map(|packet| body(packet)).collect();
    assert_succeeded(&bodies, &old, &new);
}

#[test]
fn shards_behind_this_one_go_on_too() {
    let mut world = World::new(3);
    let (mut old, viewer) = arrange(&mut world);
    let (second, slot) = join_viewer(&mut world, 2, Kind::Video);
    let end = RelayEnd::In {
        from: far(0),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        publisher: world.clients[old.client].identity.clone(),
    };
    assert!(world.is_done(2, Action::OpenRelay { track: TRACK, end }));
    world.fill(second, slot, TRACK, Wish::default());
    play(&mut world, &mut [&mut old], 20);
    let mut new = join_camera(&mut world, 0);
    play(&mut world, &mut [&mut old, &mut new], 5);
    world.publish(new.client, new.mid, TRACK.get());
    play(&mut world, &mut [&mut old, &mut new], 30);
    world.run(ms(60));
    for (client, slot) in [(viewer.client, viewer.slot), (second, slot)] {
        let shown = world.clients[client].on(slot);
        assert_seamless(&shown);
        let bodies: Vec<_> = shown.iter().map(|packet| body(packet)).collect();
        assert_succeeded(&bodies, &old, &new);
    }
    assert_eq!(world.figures(2).dropped.get("bad_payload"), None);
}

#[test]
fn a_muted_source_takes_over_once_it_is_heard() {
    let mut world = World::new(2);
    let (mut old, viewer) = arrange(&mut world);
    let mut new = join_camera(&mut world, 0);
    world.publish(new.client, new.mid, TRACK.get());
    let mute = |muted| Action::Mute {
        track: TRACK,
        muted,
    };
    assert!(world.is_done(0, mute(true)));
    play(&mut world, &mut [&mut old, &mut new], 10);
    let muted = (SlotState::Muted, None);
    assert_eq!(states(&world, &viewer).last(), Some(&muted));
    assert_eq!(starts(&world), 1);
    assert!(world.is_done(0, mute(false)));
    play(&mut world, &mut [&mut old, &mut new], 20);
    world.run(ms(60));
    assert_eq!(starts(&world), 2);
    let live = (SlotState::Live, Some(Layer::BASE));
    assert_eq!(states(&world, &viewer).last(), Some(&live));
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_seamless(&shown);
    assert_eq!(body(shown.last().unwrap()), new.sent.last().unwrap());
}

#[test]
fn only_what_comes_from_elsewhere_is_followed() {
    let mut world = World::new(2);
    let (_, viewer) = arrange(&mut world);
    let new = join_camera(&mut world, 0);
    let publish = |world: &World, client, mid| Action::Publish {
        transport: world.transport(client),
        mid,
        track: TRACK,
        source: TrackSource::Camera,
    };
    let (sound, mid) = world.join(0, |api| {
        api.add_media(Kind::Audio, Direction::SendOnly, None, None, None)
    });
    let sound = publish(&world, sound, ours(mid));
    assert_eq!(world.refusal(0, sound), RefusedReason::UnknownTrack);
    world.publish(new.client, new.mid, TRACK.get());
    close(&mut world, 1);
    let other = join_camera(&mut world, 0);
    let other = publish(&world, other.client, other.mid);
    assert_eq!(world.refusal(0, other), RefusedReason::UnknownTrack);
    let end = RelayEnd::In {
        from: far(1),
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        publisher: world.clients[viewer.client].identity.clone(),
    };
    let open = Action::OpenRelay { track: TRACK, end };
    assert_eq!(world.refusal(0, open), RefusedReason::UnknownTrack);
    assert_eq!(world.figures(0).tracks, 1);
}
