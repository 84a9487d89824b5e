//! Loss: what subscribers miss comes again, and decoders that lost their way are helped.

use std::collections::BTreeMap;

use media_contract::Wish;
use media_webrtc::Path;
use str0m::media::{KeyframeRequestKind, MediaKind as Kind};

use crate::forwarding::play;
use crate::support::client::theirs;
use crate::support::media::{body, join_camera, join_viewer};
use crate::support::{Way, World, ms};

/// Loses every `nth` large datagram on its way to a client.
fn lose_every(nth: usize, lossy: usize) -> crate::support::Loss {
    let mut count = 0;
    Box::new(move |way, client, bytes| {
        let media = way == Way::Down && client == lossy && bytes.len() > 500;
        count += usize::from(media);
        media && count % nth == 0
    })
}

#[test]
fn what_a_subscriber_misses_comes_again_from_the_tracks_history() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let viewers = [(); 2].map(|()| join_viewer(&mut world, 0, Kind::Video));
    for (client, slot) in viewers {
        world.fill(client, slot, track, Wish::default());
    }
    play(&mut world, &mut camera, 10);
    world.loss = lose_every(10, viewers[0].0);
    play(&mut world, &mut camera, 100);
    world.loss = Box::new(|_, _, _| false);
    play(&mut world, &mut camera, 10);
    world.run(ms(300));
    for (client, slot) in viewers {
        let packets = world.clients[client].on(slot);
        let by_number: BTreeMap<_, _> = packets
            .iter()
            .map(|packet| (*packet.seq_no, *packet))
            .collect();
        assert_eq!(by_number.len(), 240);
        for (sent, packet) in camera.sent.iter().zip(by_number.values()) {
            assert_eq!(sent, body(packet));
        }
    }
    let again = world.figures(0).retransmitted_out;
    assert!((18..=60).contains(&again), "{again}");
}

#[test]
fn what_is_lost_on_the_way_up_reaches_everybody_in_the_end() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 5);
    let publisher = camera.client;
    let mut count = 0;
    world.loss = Box::new(move |way, client, bytes| {
        let media = way == Way::Up && client == publisher && bytes.len() > 500;
        count += usize::from(media);
        media && count % 10 == 3
    });
    play(&mut world, &mut camera, 60);
    world.loss = Box::new(|_, _, _| false);
    play(&mut world, &mut camera, 10);
    world.run(ms(300));
    let packets = world.clients[viewer].on(slot);
    let by_number: BTreeMap<_, _> = packets
        .iter()
        .map(|packet| (*packet.seq_no, *packet))
        .collect();
    assert_eq!(by_number.len(), camera.sent.len());
    for (sent, packet) in camera.sent.iter().zip(by_number.values()) {
        assert_eq!(sent, body(packet));
    }
}

#[test]
fn keyframe_requests_of_many_become_one() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let viewers = [(); 4].map(|()| join_viewer(&mut world, 0, Kind::Video));
    for (client, slot) in viewers {
        world.fill(client, slot, track, Wish::default());
    }
    play(&mut world, &mut camera, 60);
    world.clients[camera.client].keyframe_requests.clear();
    for _ in 0..5 {
        for (client, slot) in viewers {
            let mut api = world.clients[client].rtc.direct_api();
            let stream = api.stream_rx_by_mid(theirs(slot), None).unwrap();
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        world.run(ms(90));
    }
    assert_eq!(world.clients[camera.client].keyframe_requests.len(), 1);
    // Nobody answers: it is repeated.
    world.run(ms(1_200));
    let asked = world.clients[camera.client].keyframe_requests.len();
    assert!((3..=4).contains(&asked), "{asked}");
    play(&mut world, &mut camera, 1);
    world.clients[camera.client].keyframe_requests.clear();
    world.run(ms(2_000));
    assert!(world.clients[camera.client].keyframe_requests.is_empty());
}

#[test]
fn garbage_is_counted_and_disturbs_nobody() {
    let mut world = World::new(1);
    let mut camera = join_camera(&mut world, 0);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Video);
    world.fill(viewer, slot, track, Wish::default());
    let stranger = Path {
        remote: ([192, 0, 2, 7], 9).into(),
        ..world.path(viewer)
    };
    let known = world.path(viewer);
    for frame in 0..30_usize {
        play(&mut world, &mut camera, 1);
        for (path, first) in [(stranger, 0x80), (stranger, 0), (known, 0x80), (known, 200)] {
            let mut garbage = vec![first; 20 + frame];
            world.shards[0].handle_datagram(world.now, path, &mut garbage);
        }
        world.shards[0].handle_datagram(world.now, known, &mut []);
    }
    assert_eq!(world.clients[viewer].on(slot).len(), 60);
    let dropped = world.figures(0).dropped;
    assert_eq!(dropped["unknown_address"], 60);
    assert_eq!(dropped["unknown_kind"], 60);
    assert!(dropped["authentication"] + dropped.get("malformed").unwrap_or(&0) >= 30);
}
