//! Narrow paths: who is shown, and what publishers are told.

use media_contract::{Fact, SlotState, Subject, TransportFigures, Wish};
use media_types::{Bitrate, Mid};
use str0m::Event;
use str0m::bwe::BweKind;
use str0m::media::{Direction, MediaKind as Kind};

use crate::support::client::{ours, theirs};
use crate::support::media::{Camera, Microphone, assert_seamless, join_camera, join_viewer};
use crate::support::{World, ms};

/// One who shows a face and speaks.
struct Member {
    camera: Camera,
    microphone: Microphone,
}

fn join_member(world: &mut World) -> Member {
    let (client, [video, audio]) = world.join(0, |api| {
        [Kind::Video, Kind::Audio]
            .map(|kind| api.add_media(kind, Direction::SendOnly, None, None, None))
    });
    Member {
        camera: Camera::new(client, ours(video), None),
        microphone: Microphone::new(client, ours(audio)),
    }
}

fn remb(world: &mut World, viewer: usize, slot: Mid, kbps: u64) {
    let mut api = world.clients[viewer].rtc.direct_api();
    let stream = api.stream_rx_by_mid(theirs(slot), None).unwrap();
    stream.request_remb((kbps * 1_000).into());
}

/// Forty milliseconds: a picture of each, and two pieces of sound, loud from one.
fn step(world: &mut World, members: &mut [Member], speaker: usize) {
    for (index, member) in members.iter_mut().enumerate() {
        let client = member.camera.client;
        let asked = !std::mem::take(&mut world.clients[client].keyframe_requests).is_empty();
        let first = member.camera.sent.is_empty();
        member.camera.frame(world, asked || first);
        for _ in 0..2 {
            let level = if index == speaker { 20 } else { 90 };
            member.microphone.packet(world, level, 80);
        }
    }
    world.run(ms(40));
}

fn state(world: &World, viewer: usize, slot: Mid) -> SlotState {
    let subject = Subject::Slot(world.transport(viewer), slot);
    let state = world.last(subject, |fact| match fact {
        Fact::SlotChanged { state, .. } => Some(*state),
        _ => None,
    });
    state.expect("a slot that was filled is told of")
}

fn figures(world: &World, client: usize) -> TransportFigures {
    let figures = world.last(
        Subject::Transport(world.transport(client)),
        |fact| match fact {
            Fact::Figures(figures) => Some(figures.clone()),
            _ => None,
        },
    );
    figures.expect("figures come each second")
}

/// Three members, and one who looks at all of them: pictures first, then sound.
fn arrange_call(world: &mut World) -> ([Member; 3], usize, [Mid; 6]) {
    let members = [(); 3].map(|()| join_member(world));
    let (viewer, mids) = world.join(0, |api| {
        let kinds = [
            Kind::Video,
            Kind::Video,
            Kind::Video,
            Kind::Audio,
            Kind::Audio,
            Kind::Audio,
        ];
        kinds.map(|kind| api.add_media(kind, Direction::RecvOnly, None, None, None))
    });
    let slots = mids.map(ours);
    for (index, member) in members.iter().enumerate() {
        let client = member.camera.client;
        let id = u64::try_from(index).unwrap() * 2 + 1;
        let video = world.publish(client, member.camera.mid, id);
        let audio = world.publish(client, member.microphone.mid, id + 1);
        world.fill(viewer, slots[index], video, Wish::default());
        world.fill(viewer, slots[index + 3], audio, Wish::default());
    }
    (members, viewer, slots)
}

#[test]
fn on_a_narrow_path_the_speaker_is_seen_and_all_are_heard() {
    let mut world = World::new(1);
    let (mut members, viewer, slots) = arrange_call(&mut world);
    for _ in 0..100 {
        step(&mut world, &mut members, 2);
    }
    for slot in &slots[..3] {
        assert_eq!(state(&world, viewer, *slot), SlotState::Live);
    }
    for speaker in [2, 0, 1] {
        for _ in 0..15 {
            remb(&mut world, viewer, slots[0], 480);
            for _ in 0..8 {
                step(&mut world, &mut members, speaker);
            }
        }
        for (index, slot) in slots[..3].iter().enumerate() {
            let expected = if index == speaker {
                SlotState::Live
            } else {
                SlotState::Starved
            };
            assert_eq!(state(&world, viewer, *slot), expected, "speaker {speaker}");
        }
        let figures = figures(&world, viewer);
        for slot in &figures.slots {
            let place = slots.iter().position(|mid| *mid == slot.mid).unwrap();
            assert_eq!(slot.limited, place < 3 && place != speaker);
        }
    }
    for (slot, member) in slots[3..].iter().zip(&members) {
        let heard = world.clients[viewer].on(*slot).len();
        assert!(
            heard + 2 >= member.microphone.sent.len(),
            "every sound comes"
        );
    }
    for slot in &slots[..3] {
        assert_seamless(&world.clients[viewer].on(*slot));
    }
}

/// What a client was last told that it may send.
fn cap(world: &World, client: usize) -> Option<Bitrate> {
    let events = world.clients[client].events.iter().rev();
    let mut caps = events.filter_map(|event| match event {
        Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => {
            Some(Bitrate::from_bps(estimate.as_u64()))
        }
        _ => None,
    });
    caps.next()
}

#[test]
fn the_only_viewer_bounds_a_publisher_without_layers() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    let mut play = |world: &mut World, kbps: u64| {
        for _ in 0..12 {
            remb(world, viewer, slot, kbps);
            crate::forwarding::play(world, &mut camera, 9);
        }
        cap(world, camera.client)
    };
    assert_eq!(
        play(&mut world, 2_000),
        None,
        "nothing is known to be narrow"
    );
    let told = play(&mut world, 200).unwrap();
    assert!((180..=240).contains(&(told.bps() / 1_000)), "{told}");
    // A second viewer must not suffer for the first one.
    let (other, second) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(other, second, track, Wish::default());
    let told = play(&mut world, 200);
    assert!(
        told.is_none_or(|told| told > Bitrate::from_kbps(1_000)),
        "{told:?}"
    );
    assert!(!world.clients[other].on(second).is_empty());
}
