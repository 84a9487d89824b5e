//! Which encodings the other source needs.

use media_contract::{Action, SlotState, Wish};
use media_types::{Layer, MediaKind};
use str0m::format::Codec as FormatCodec;
use str0m::media::{Direction, MediaKind as Kind};
use str0m::rtp::RtpPacket;

use super::{
    TRACK, Viewer, arrange, assert_succeeded, assert_whole, place, play, starts, states, watch,
};
use crate::support::client::{Client, ours};
use crate::support::live::read;
use crate::support::media::{
    Camera, assert_seamless, body, is_keyframe, join_camera, join_simulcast, join_viewer,
};
use crate::support::{World, ms};
use crate::svc::Scalable;

/// A publisher of three encodings at worker 1, of which it sends two, and another at worker 0 that
/// is bound to the track. The viewer is shown the second one.
fn arrange_simulcast(world: &mut World) -> ([Camera; 3], [Camera; 3], Viewer) {
    let mut old = join_simulcast(world, 1);
    world.publish(old[0].client, old[0].mid, TRACK.get());
    let viewer = watch(world, MediaKind::Video, old[0].client);
    let new = join_simulcast(world, 0);
    let [low, high, _] = &mut old;
    play(world, &mut [low, high], 30);
    let shown = states(world, &viewer).last().copied();
    assert_eq!(shown, Some((SlotState::Live, Layer::new(1, 0))));
    world.publish(new[0].client, new[0].mid, TRACK.get());
    (old, new, viewer)
}

#[test]
fn it_takes_the_best_encoding_that_is_shown_to_take_over() {
    let mut world = World::new(2);
    let (mut old, mut new, viewer) = arrange_simulcast(&mut world);
    let [low, high, _] = &mut old;
    let [new_low, new_high, _] = &mut new;
    play(&mut world, &mut [low, high, new_low], 30);
    let bodies = |world: &World| -> Vec<Vec<u8>> {
        let shown = world.clients[viewer.client].on(viewer.slot);
        shown.iter().map(|packet| body(packet).to_vec()).collect()
    };
    let before = bodies(&world);
    assert_eq!(before.last(), high.sent.last(), "the lower one is no match");
    assert_eq!(starts(&world), 1);
    play(&mut world, &mut [low, high, new_low, new_high], 30);
    world.run(ms(60));
    let shown = bodies(&world);
    let shown: Vec<_> = shown.iter().skip(before.len()).map(Vec::as_slice).collect();
    assert_eq!(assert_succeeded(&shown, high, new_high), 0, "at its first");
    assert_eq!(starts(&world), 2);
    assert_seamless(&world.clients[viewer.client].on(viewer.slot));
    let (packets, _) = read(&mut world, viewer.tap);
    assert_whole(&packets);
    assert!(
        packets
            .last()
            .unwrap()
            .payload
            .as_slice()
            .ends_with(shown.last().unwrap())
    );
}

#[test]
fn what_is_there_takes_over_when_the_one_before_stops() {
    let mut world = World::new(2);
    let (mut old, mut new, viewer) = arrange_simulcast(&mut world);
    let [low, high, _] = &mut old;
    let [new_low, ..] = &mut new;
    play(&mut world, &mut [low, high, new_low], 30);
    let before = world.clients[viewer.client].on(viewer.slot).len();
    assert!(world.is_done(1, Action::Unpublish { track: TRACK }));
    play(&mut world, &mut [new_low], 30);
    world.run(ms(60));
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_seamless(&shown);
    let bodies: Vec<_> = shown[before..].iter().map(|packet| body(packet)).collect();
    assert!(is_keyframe(shown[before]));
    let first = place(new_low, bodies[0]).unwrap();
    assert_eq!(bodies, new_low.sent[first..], "from one that had come");
    assert_eq!(bodies.len(), 60 + new_low.sent[first..60].len());
    let live = (SlotState::Live, Some(Layer::BASE));
    assert_eq!(states(&world, &viewer).last(), Some(&live));
    let waits = |(state, _): &&(SlotState, _)| *state == SlotState::Waiting;
    assert_eq!(states(&world, &viewer).iter().filter(waits).count(), 1);
}

#[test]
fn who_is_shown_less_goes_on_from_the_last_keyframe_of_that() {
    let mut world = World::new(2);
    let (mut old, mut new, viewer) = arrange_simulcast(&mut world);
    let [low, high, _] = &mut old;
    let [new_low, new_high, _] = &mut new;
    let (second, slot) = join_viewer(&mut world, 0, Kind::Video);
    let little = Wish {
        width_max: 200,
        ..Wish::default()
    };
    world.fill(second, slot, TRACK, little);
    play(&mut world, &mut [low, high], 20);
    // The keyframe of the lower one comes 20 frames before the other's.
    play(&mut world, &mut [low, high, new_low], 20);
    assert_eq!(starts(&world), 1);
    play(&mut world, &mut [low, high, new_low, new_high], 20);
    world.run(ms(60));
    assert_eq!(starts(&world), 2);
    for (client, slot, old, new) in [
        (viewer.client, viewer.slot, &*high, &*new_high),
        (second, slot, &*low, &*new_low),
    ] {
        let shown = world.clients[client].on(slot);
        assert_seamless(&shown);
        let first = shown
            .iter()
            .position(|packet| place(old, body(packet)).is_some());
        let bodies: Vec<_> = shown[first.unwrap()..]
            .iter()
            .map(|packet| body(packet))
            .collect();
        let change = assert_succeeded(&bodies, old, new);
        assert_eq!(place(new, bodies[change]), Some(0));
        let behind = &shown[first.unwrap() + change..];
        let time = |packet: &RtpPacket| packet.header.timestamp;
        let shown_for = time(behind.last().unwrap()).wrapping_sub(time(behind[0]));
        assert!(
            shown_for <= 20 * 3_000,
            "what waited is shown in a hurry: {shown_for}"
        );
    }
}

#[test]
fn one_encoding_stands_for_all_where_no_more_are_offered() {
    let mut world = World::new(2);
    let (mut old, _, viewer) = arrange_simulcast(&mut world);
    let [low, high, _] = &mut old;
    let mut new = join_camera(&mut world, 0);
    // Another m-line takes the place of the one that was to follow.
    world.publish(new.client, new.mid, TRACK.get());
    let before = world.clients[viewer.client].on(viewer.slot).len();
    play(&mut world, &mut [low, high, &mut new], 20);
    world.run(ms(60));
    assert_eq!(starts(&world), 2);
    let shown = world.clients[viewer.client].on(viewer.slot);
    assert_seamless(&shown);
    let bodies: Vec<_> = shown[before..].iter().map(|packet| body(packet)).collect();
    let change = assert_succeeded(&bodies, high, &new);
    assert_eq!(place(&new, bodies[change]), Some(0));
    let live = (SlotState::Live, Some(Layer::BASE));
    assert_eq!(states(&world, &viewer).last(), Some(&live));
}

#[test]
fn layers_within_one_stream_take_over_with_another_codec() {
    let mut world = World::new(2);
    let (mut old, viewer) = arrange(&mut world);
    // Somebody who cannot decode what the other sends, and somebody who cannot what this one does.
    let mut others = [FormatCodec::Vp8, FormatCodec::Vp9].map(|codec| {
        let number = world.clients.len();
        let client = Client::new(world.base, number, |config| match codec {
            FormatCodec::Vp8 => config.clear_codecs().enable_vp8(true),
            _ => config.clear_codecs().enable_vp9(true),
        });
        let client = world.add_client(0, client);
        let slot = world.negotiate(client, |api| {
            api.add_media(Kind::Video, Direction::RecvOnly, None, None, None)
        });
        world.connect(client);
        let slot = ours(slot);
        world.fill(client, slot, TRACK, Wish::default());
        Viewer {
            client,
            slot,
            ..viewer
        }
    });
    play(&mut world, &mut [&mut old], 10);
    let told = |world: &World, viewer: &Viewer| states(world, viewer).last().copied();
    let live = |spatial| Some((SlotState::Live, Layer::new(spatial, 0)));
    let unsupported = Some((SlotState::Unsupported, None));
    let [first, second] = &mut others;
    assert_eq!(told(&world, first), live(0));
    assert_eq!(told(&world, second), unsupported);
    let mut new = Scalable::join(&mut world, FormatCodec::Vp9);
    world.publish(new.client, new.mid, TRACK.get());
    let before = world.clients[first.client].on(first.slot).len();
    for _ in 0..20 {
        new.picture(&mut world);
        world.run(ms(33));
    }
    assert_eq!(starts(&world), 2);
    assert_eq!(told(&world, &viewer), live(1));
    assert_eq!(told(&world, first), unsupported);
    assert_eq!(told(&world, second), live(1));
    assert_eq!(world.clients[first.client].on(first.slot).len(), before);
    let waits = |(state, _): &&(SlotState, _)| *state == SlotState::Waiting;
    assert_eq!(states(&world, &viewer).iter().filter(waits).count(), 1);
    // Two packets a picture, from the first on.
    let shown = world.clients[viewer.client].on(viewer.slot);
    for pair in shown.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
    }
    let new_ones = shown.iter().filter(|packet| packet.payload.len() < 400);
    assert_eq!(new_ones.count(), 40);
}
