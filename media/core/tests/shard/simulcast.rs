//! A publisher with three encodings.

use media_contract::{Action, Fact, SlotState, Subject, Wish};
use media_types::{Layer, Mid};
use str0m::media::MediaKind as Kind;

use crate::support::client::theirs;
use crate::support::media::{
    Camera, assert_seamless, body, is_keyframe, join_simulcast, join_viewer,
};
use crate::support::{World, ms};

/// Sends frames of these encodings, 33 ms apart; keyframes where they were asked for.
fn play(world: &mut World, cameras: &mut [Camera], frames: usize) {
    for _ in 0..frames {
        let client = cameras[0].client;
        let asked = std::mem::take(&mut world.clients[client].keyframe_requests);
        for camera in cameras.iter_mut() {
            let rid = camera.rid.map(str0m::media::Rid::from);
            let asked = asked.iter().any(|(_, request)| request.rid == rid);
            camera.frame(world, asked || camera.sent.is_empty());
        }
        world.run(ms(33));
    }
}

fn arrange(world: &mut World) -> ([Camera; 3], usize, Mid) {
    let mut cameras = join_simulcast(world, 0);
    for (camera, bytes) in cameras.iter_mut().zip([150, 400, 900]) {
        camera.packet_bytes = bytes;
    }
    let track = world.publish(cameras[0].client, cameras[0].mid, 1);
    let (viewer, slot) = join_viewer(world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    (cameras, viewer, slot)
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

#[test]
fn the_best_encoding_is_shown_and_switches_have_no_seam() {
    let mut world = World::new(1);
    let (mut cameras, viewer, slot) = arrange(&mut world);
    play(&mut world, &mut cameras, 30);
    assert_eq!(layer(&world, viewer, slot), Layer::new(2, 0));
    let transport = world.transport(viewer);
    for (width_max, spatial) in [(200, 0), (u16::MAX, 2), (300, 0), (u16::MAX, 2)] {
        // The encodings declare one size each; a wish names the one that covers it.
        let wish = Wish {
            width_max,
            height_max: u16::MAX,
            ..Wish::default()
        };
        let set = Action::SetWish {
            transport,
            slot,
            wish,
        };
        assert!(world.is_done(0, set));
        play(&mut world, &mut cameras, 50);
        let shown = layer(&world, viewer, slot).unwrap();
        assert_eq!(shown.spatial, spatial);
        let last = *world.clients[viewer].on(slot).last().unwrap();
        assert!(
            cameras[usize::from(spatial)]
                .sent
                .iter()
                .any(|sent| sent == body(last))
        );
    }
    let packets = world.clients[viewer].on(slot);
    assert_seamless(&packets);
    assert!(is_keyframe(packets[0]));
    assert_eq!(world.figures(0).retransmitted_out, 0);
}

#[test]
fn it_starts_with_what_is_there_and_rises_when_more_comes() {
    let mut world = World::new(1);
    let (mut cameras, viewer, slot) = arrange(&mut world);
    play(&mut world, &mut cameras[..1], 30);
    assert_eq!(layer(&world, viewer, slot), Layer::new(0, 0));
    let first = world.clients[viewer].on(slot).len();
    assert_eq!(first, 60, "from the first frame on");
    play(&mut world, &mut cameras[..2], 30);
    assert_eq!(layer(&world, viewer, slot), Layer::new(1, 0));
    play(&mut world, &mut cameras, 60);
    assert_eq!(layer(&world, viewer, slot), Layer::new(2, 0));
    assert_seamless(&world.clients[viewer].on(slot));
}

#[test]
fn it_falls_when_the_publisher_drops_an_encoding() {
    let mut world = World::new(1);
    let (mut cameras, viewer, slot) = arrange(&mut world);
    play(&mut world, &mut cameras, 40);
    assert_eq!(layer(&world, viewer, slot), Layer::new(2, 0));
    play(&mut world, &mut cameras[..2], 90);
    assert_eq!(layer(&world, viewer, slot), Layer::new(1, 0));
    assert_seamless(&world.clients[viewer].on(slot));
}

#[test]
fn a_paused_wish_stops_and_resumes() {
    let mut world = World::new(1);
    let (mut cameras, viewer, slot) = arrange(&mut world);
    play(&mut world, &mut cameras, 30);
    let transport = world.transport(viewer);
    let set = |paused| Action::SetWish {
        transport,
        slot,
        wish: Wish {
            paused,
            ..Wish::default()
        },
    };
    assert!(world.is_done(0, set(true)));
    let before = world.clients[viewer].on(slot).len();
    play(&mut world, &mut cameras, 20);
    assert_eq!(world.clients[viewer].on(slot).len(), before);
    let state = world.last(Subject::Slot(transport, slot), |fact| match fact {
        Fact::SlotChanged { state, .. } => Some(*state),
        _ => None,
    });
    assert_eq!(state, Some(SlotState::Paused));
    assert!(world.is_done(0, set(false)));
    play(&mut world, &mut cameras, 20);
    let packets = world.clients[viewer].on(slot);
    assert!(packets.len() > before + 30);
    assert!(is_keyframe(packets[before]));
    assert_seamless(&packets);
}

#[test]
fn it_falls_when_the_path_grows_narrow_and_never_to_nothing() {
    let mut world = World::new(1);
    let (mut cameras, viewer, slot) = arrange(&mut world);
    play(&mut world, &mut cameras, 150);
    assert_eq!(layer(&world, viewer, slot), Layer::new(2, 0));
    for (kbps, spatial) in [(300, 1), (120, 0), (20, 0)] {
        // This camera's encoder is asked to give way first, and does not.
        for _ in 0..15 {
            let mut api = world.clients[viewer].rtc.direct_api();
            let stream = api.stream_rx_by_mid(theirs(slot), None).unwrap();
            stream.request_remb((kbps * 1_000).into());
            play(&mut world, &mut cameras, 9);
        }
        let shown = layer(&world, viewer, slot).unwrap();
        assert_eq!(shown.spatial, spatial, "at {kbps} kb/s");
    }
    assert_seamless(&world.clients[viewer].on(slot));
}
