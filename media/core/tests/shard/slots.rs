//! Slots: one stream to the client, whoever fills it.

use media_contract::{Action, Fact, RefusedReason, SlotState, Subject, Wish};
use media_types::TrackId;
use str0m::media::{Direction, MediaKind as Kind};

use crate::forwarding::play;
use crate::support::client::{Client, ours};
use crate::support::media::{assert_seamless, is_keyframe, join_camera, join_viewer};
use crate::support::{World, ms};

#[test]
fn another_source_in_a_slot_goes_on_without_a_seam() {
    let mut world = World::new(1);
    let mut first = join_camera(&mut world, 0);
    let mut second = join_camera(&mut world, 0);
    let tracks = [(&first, 1), (&second, 2)]
        .map(|(camera, id)| world.publish(camera.client, camera.mid, id));
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    let mut switches = Vec::new();
    for round in 0..6 {
        world.fill(viewer, slot, tracks[round % 2], Wish::default());
        switches.push(world.clients[viewer].on(slot).len());
        for _ in 0..20 {
            play(&mut world, &mut first, 1);
            play(&mut world, &mut second, 1);
        }
    }
    let packets = world.clients[viewer].on(slot);
    assert_seamless(&packets);
    for start in switches {
        assert!(is_keyframe(packets[start]));
    }
    assert!(packets.len() > 6 * 36);
    let figures = world.figures(0);
    assert_eq!(figures.forwarders, 1);
    let transport = world.transport(viewer);
    assert!(world.is_done(0, Action::Empty { transport, slot }));
    assert!(world.is_done(0, Action::Empty { transport, slot }));
    let before = world.clients[viewer].on(slot).len();
    play(&mut world, &mut first, 5);
    assert_eq!(world.clients[viewer].on(slot).len(), before);
    assert_eq!(world.figures(0).forwarders, 0);
}

#[test]
fn many_slots_of_one_track_are_kept_apart() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, mids) = world.join(0, |api| {
        [(); 4].map(|()| api.add_media(Kind::Video, Direction::RecvOnly, None, None, None))
    });
    let slots = mids.map(ours);
    for slot in slots {
        world.fill(viewer, slot, track, Wish::default());
    }
    play(&mut world, &mut camera, 5);
    let transport = world.transport(viewer);
    for slot in [slots[0], slots[2]] {
        assert!(world.is_done(0, Action::Empty { transport, slot }));
    }
    play(&mut world, &mut camera, 5);
    for slot in [slots[1], slots[3]] {
        let set = Action::SetWish {
            transport,
            slot,
            wish: Wish {
                paused: true,
                ..Wish::default()
            },
        };
        assert!(world.is_done(0, set));
    }
    play(&mut world, &mut camera, 5);
    let counts = slots.map(|slot| world.clients[viewer].on(slot).len());
    assert_eq!(counts, [10, 20, 10, 20]);
}

#[test]
fn a_codec_that_was_not_offered_is_told_and_not_sent() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let number = world.clients.len();
    let client = Client::new(world.base, number, |config| {
        config
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
    });
    let viewer = world.add_client(0, client);
    let slot = world.negotiate(viewer, |api| {
        api.add_media(Kind::Video, Direction::RecvOnly, None, None, None)
    });
    world.connect(viewer);
    let slot = ours(slot);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 10);
    assert!(world.clients[viewer].packets.is_empty());
    let subject = Subject::Slot(world.transport(viewer), slot);
    let state = world.last(subject, |fact| match fact {
        Fact::SlotChanged { state, .. } => Some(*state),
        _ => None,
    });
    assert_eq!(state, Some(SlotState::Unsupported));
}

#[test]
fn fills_that_cannot_be_are_refused() {
    let mut world = World::new(1);
    let camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Audio);
    let transport = world.transport(viewer);
    let fill = |slot, track| Action::Fill {
        transport,
        slot,
        track,
        wish: Wish::default(),
    };
    let unknown = "none".parse().unwrap();
    assert_eq!(
        world.refusal(0, fill(unknown, track)),
        RefusedReason::UnknownMid
    );
    assert_eq!(
        world.refusal(0, fill(slot, track)),
        RefusedReason::UnknownMid
    );
    let nothing = fill(slot, TrackId::new(99));
    assert_eq!(world.refusal(0, nothing), RefusedReason::UnknownTrack);
    let set = Action::SetWish {
        transport,
        slot,
        wish: Wish::default(),
    };
    assert_eq!(world.refusal(0, set), RefusedReason::UnknownMid);
    world.run(ms(10));
}
