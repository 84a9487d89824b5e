//! A subscriber whose transport is not connected yet.

use media_contract::Wish;
use str0m::media::{Direction, MediaKind};

use crate::forwarding::play;
use crate::support::World;
use crate::support::client::{Client, ours};
use crate::support::media::{assert_seamless, is_keyframe, join_camera};

#[test]
fn no_keyframe_is_wasted_on_who_cannot_receive_it_yet() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    play(&mut world, &mut camera, 30);
    world.clients[camera.client].keyframe_requests.clear();

    let number = world.clients.len();
    let viewer = world.add_client(0, Client::new(world.base, number, |config| config));
    let slot = world.negotiate(viewer, |api| {
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None)
    });
    world.fill(viewer, ours(slot), track, Wish::default());
    // Frames come while ICE and DTLS run; nobody could show them.
    for _ in 0..3 {
        camera.frame(&mut world, false);
    }
    assert_eq!(world.clients[camera.client].keyframe_requests.len(), 0);
    assert_eq!(world.clients[viewer].on(ours(slot)).len(), 0);

    world.connect(viewer);
    play(&mut world, &mut camera, 20);
    let packets = world.clients[viewer].on(ours(slot));
    assert!(
        is_keyframe(packets[0]),
        "the first thing to come is a keyframe"
    );
    assert!(
        packets.len() >= 30,
        "within the first frames: {}",
        packets.len()
    );
    assert_seamless(&packets);
}
