//! Encodings that nobody watches pause at their publisher.

use std::time::Duration;

use media_contract::{Action, Fact, RelayEnd, RelayPeer, SlotState, Subject, Wish};
use media_types::{Codec, Layer, MediaKind, Mid, ShardId, TrackId, TrackSource};
use str0m::media::{MediaKind as Kind, Rid};

use crate::support::hops::far;
use crate::support::media::{Camera, assert_seamless, join_camera, join_simulcast, join_viewer};
use crate::support::{World, ms};

/// A publisher that does as it is told.
struct Publisher {
    cameras: [Camera; 3],
    track: TrackId,
}

impl Publisher {
    fn join(world: &mut World) -> Self {
        let mut cameras = join_simulcast(world, 0);
        for (camera, bytes) in cameras.iter_mut().zip([150, 400, 900]) {
            camera.packet_bytes = bytes;
        }
        let track = world.publish(cameras[0].client, cameras[0].mid, 1);
        Self { cameras, track }
    }

    /// Sends frames 33 ms apart of what is wanted; keyframes where they were asked for.
    fn play(&mut self, world: &mut World, frames: usize) {
        self.play_some(world, frames, &["q", "h", "f"]);
    }

    fn play_some(&mut self, world: &mut World, frames: usize, able: &[&str]) {
        for _ in 0..frames {
            let active = active(world, self.track);
            let client = self.cameras[0].client;
            let asked = std::mem::take(&mut world.clients[client].keyframe_requests);
            for camera in &mut self.cameras {
                let name = camera.rid.unwrap();
                let wanted = active
                    .as_ref()
                    .is_none_or(|it| it.iter().any(|rid| rid == name));
                if !wanted || !able.contains(&name) {
                    continue;
                }
                let asked = asked.iter().any(|(_, it)| it.rid == Some(Rid::from(name)));
                camera.frame(world, asked || camera.sent.is_empty());
            }
            world.run(ms(33));
        }
    }
}

/// What the publisher was last told to send.
fn active(world: &World, track: TrackId) -> Option<Vec<String>> {
    world.last(Subject::Track(track), |fact| match fact {
        Fact::LayersWanted { active, .. } => Some(active.iter().map(ToString::to_string).collect()),
        _ => None,
    })
}

fn told(world: &World, track: TrackId) -> Vec<String> {
    active(world, track).expect("the publisher was told")
}

fn layer(world: &World, viewer: usize, slot: Mid) -> Option<Layer> {
    let subject = Subject::Slot(world.transport(viewer), slot);
    world.last(subject, |fact| match fact {
        Fact::SlotChanged {
            state: SlotState::Live,
            layer,
            ..
        } => Some(*layer),
        _ => None,
    })?
}

fn wish(width_max: u16) -> Wish {
    Wish {
        width_max,
        ..Wish::default()
    }
}

fn set_wish(world: &mut World, viewer: usize, slot: Mid, wish: Wish) {
    let transport = world.transport(viewer);
    let set = Action::SetWish {
        transport,
        slot,
        wish,
    };
    assert!(world.is_done(0, set));
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_nobody_watches_pauses_within_two_seconds() {
    let mut world = World::new(1);
    let mut publisher = Publisher::join(&mut world);
    let track = publisher.track;
    let start = world.now;
    publisher.play(&mut world, 61);
    assert_eq!(told(&world, track), NOTHING);
    assert!(world.now - start < ms(2_100));
    publisher.play(&mut world, 300);
    assert!(!world.told(Subject::Track(track), |fact| *fact == Fact::TrackStalled));
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    assert_eq!(
        told(&world, track),
        ["q", "h", "f"],
        "whatever comes first is welcome"
    );
    let filled = world.now;
    publisher.play(&mut world, 1);
    assert!(
        layer(&world, viewer, slot).is_some() || {
            publisher.play(&mut world, 5);
            layer(&world, viewer, slot).is_some()
        }
    );
    assert!(world.now - filled < ms(300));
    publisher.play(&mut world, 60);
    assert_eq!(layer(&world, viewer, slot), Layer::new(2, 0));
    assert_eq!(told(&world, track), ["f"]);
    assert_seamless(&world.clients[viewer].on(slot));
}

#[test]
fn a_paused_encoding_is_asked_for_when_it_can_be_shown() {
    let mut world = World::new(1);
    let mut publisher = Publisher::join(&mut world);
    let track = publisher.track;
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, wish(200));
    publisher.play(&mut world, 70);
    assert_eq!(told(&world, track), ["q"]);
    publisher.play(&mut world, 400);
    assert_eq!(layer(&world, viewer, slot), Layer::new(0, 0));
    for _ in 0..2 {
        set_wish(&mut world, viewer, slot, wish(u16::MAX));
        assert_eq!(
            told(&world, track),
            ["q", "f"],
            "the old one flows until the new one can"
        );
        let asked = world.now;
        while layer(&world, viewer, slot) != Layer::new(2, 0) {
            publisher.play(&mut world, 1);
            assert!(world.now - asked < ms(300), "resumed and shown");
        }
        publisher.play(&mut world, 60);
        assert_eq!(told(&world, track), ["f"]);
        set_wish(&mut world, viewer, slot, wish(200));
        publisher.play(&mut world, 60);
        assert_eq!(told(&world, track), ["q"]);
        assert_eq!(layer(&world, viewer, slot), Layer::new(0, 0));
    }
    assert_seamless(&world.clients[viewer].on(slot));
    assert!(!world.told(Subject::Track(track), |fact| *fact == Fact::TrackStalled));
    let requests = world.figures(0).keyframe_requests;
    assert!(requests <= 8, "one for each switch, few more: {requests}");
}

#[test]
fn what_its_publisher_cannot_send_stays_wanted() {
    let mut world = World::new(1);
    let mut publisher = Publisher::join(&mut world);
    let track = publisher.track;
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    publisher.play_some(&mut world, 300, &["q", "h"]);
    assert_eq!(layer(&world, viewer, slot), Layer::new(1, 0));
    assert_eq!(told(&world, track), ["h", "f"]);
    publisher.play(&mut world, 120);
    assert_eq!(layer(&world, viewer, slot), Layer::new(2, 0));
    assert_eq!(told(&world, track), ["f"]);
    publisher.play_some(&mut world, 150, &["q", "h"]);
    assert_eq!(told(&world, track), ["h", "f"]);
    assert_eq!(layer(&world, viewer, slot), Layer::new(1, 0));
}

#[test]
fn who_asks_what_exists_is_told_again() {
    let mut world = World::new(1);
    let mut publisher = Publisher::join(&mut world);
    let track = publisher.track;
    publisher.play(&mut world, 61);
    world.events.clear();
    assert!(matches!(
        world.command(0, Action::Describe),
        Fact::Described { .. }
    ));
    assert_eq!(told(&world, track), NOTHING);
}

#[test]
fn without_simulcast_nobody_is_told() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    for _ in 0..100 {
        camera.frame(&mut world, false);
        world.run(ms(33));
    }
    assert_eq!(active(&world, track), None);
}

/// Somebody on another shard watches the least, and then all; somebody near the publisher watches
/// the least. `takes`: what a wish needs to cross. The packets of 30 pictures that cross then.
fn cross(
    world: &mut World,
    publisher: &mut Publisher,
    (viewer, slot): (usize, Mid),
    takes: Duration,
    crossed: impl Fn(&World) -> u64,
) -> u64 {
    let track = publisher.track;
    publisher.play(world, 61);
    assert_eq!(told(world, track), NOTHING);
    world.fill(viewer, slot, track, wish(200));
    publisher.play(world, 61);
    assert_eq!(told(world, track), ["q"]);
    assert_eq!(layer(world, viewer, slot), Layer::new(0, 0));
    let transport = world.transport(viewer);
    let set = Action::SetWish {
        transport,
        slot,
        wish: wish(u16::MAX),
    };
    assert!(world.is_done(1, set));
    world.run(takes);
    assert_eq!(told(world, track), ["q", "f"]);
    publisher.play(world, 61);
    assert_eq!(layer(world, viewer, slot), Layer::new(2, 0));
    assert_eq!(told(world, track), ["f"]);
    assert_seamless(&world.clients[viewer].on(slot));
    // Somebody near the publisher watches another encoding; that one does not cross.
    let (near, other) = join_viewer(world, 0, Kind::Video);
    world.fill(near, other, track, wish(200));
    publisher.play(world, 61);
    assert_eq!(told(world, track), ["q", "f"]);
    let before = crossed(world);
    publisher.play(world, 30);
    assert!(!world.told(Subject::Track(track), |fact| *fact == Fact::TrackStalled));
    crossed(world) - before
}

fn inward(world: &World, publisher: &Publisher, from: RelayPeer) -> RelayEnd {
    RelayEnd::In {
        from,
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        source: TrackSource::Camera,
        publisher: world.clients[publisher.cameras[0].client].identity.clone(),
    }
}

#[test]
fn only_what_is_watched_there_crosses_to_another_shard() {
    let mut world = World::new(2);
    let mut publisher = Publisher::join(&mut world);
    let track = publisher.track;
    let viewer = join_viewer(&mut world, 1, Kind::Video);
    let end = RelayEnd::Out {
        to: ShardId(1).into(),
    };
    assert!(world.is_done(0, Action::OpenRelay { track, end }));
    let end = inward(&world, &publisher, ShardId(0).into());
    assert!(world.is_done(1, Action::OpenRelay { track, end }));
    let all = |world: &World| world.relayed as u64;
    let crossed = cross(&mut world, &mut publisher, viewer, ms(1), all);
    assert!(
        (60..70).contains(&crossed),
        "one encoding and some control: {crossed}"
    );
    world.run(Duration::from_millis(10));
}

#[test]
fn only_what_is_watched_there_crosses_to_another_worker() {
    let mut world = World::new(2);
    let mut publisher = Publisher::join(&mut world);
    let track = publisher.track;
    let viewer = join_viewer(&mut world, 1, Kind::Video);
    for (here, there) in [(0, 1), (1, 0)] {
        let peers = vec![far(there)];
        assert!(world.is_done(here, Action::LinkRoom { peers }));
    }
    let end = inward(&world, &publisher, far(0));
    assert!(world.is_done(1, Action::OpenRelay { track, end }));
    let packets = |world: &World| world.hops.figures(world.now, 0, 1).packets_out;
    let crossed = cross(&mut world, &mut publisher, viewer, ms(60), packets);
    assert!(
        (58..=62).contains(&crossed),
        "two packets a picture of one encoding: {crossed}"
    );
}
