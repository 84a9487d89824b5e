//! Sound.

use std::time::Duration;

use media_contract::{Fact, Subject, Wish};
use media_types::{Mid, TrackId};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind as Kind};
use str0m::rtp::RtpWrite;

use crate::support::client::{Client, ours};
use crate::support::media::{Microphone, join_viewer};
use crate::support::{World, ms};

/// The finest step of virtual time.
const STEP: Duration = Duration::from_micros(50);

fn join_microphone(world: &mut World) -> (Microphone, TrackId) {
    let (client, mid) = world.join(0, |api| {
        api.add_media(Kind::Audio, Direction::SendOnly, None, None, None)
    });
    let microphone = Microphone::new(client, ours(mid));
    let track = world.publish(client, microphone.mid, 1);
    (microphone, track)
}

#[test]
fn sound_leaves_in_the_turn_in_which_it_came() {
    let mut world = World::new(1);
    let (mut microphone, track) = join_microphone(&mut world);
    let viewers = [(); 3].map(|()| join_viewer(&mut world, 0, Kind::Audio));
    for (client, slot) in viewers {
        world.fill(client, slot, track, Wish::default());
    }
    for _ in 0..50 {
        microphone.packet(&mut world, 30, 80);
        let sent = world.now;
        world.run(ms(20));
        for (client, _) in viewers {
            let (at, _, packet) = world.clients[client].packets.last().unwrap();
            assert!(
                *at - sent <= ms(10) + STEP,
                "twice the way and nothing more"
            );
            assert_eq!(packet.payload[..], microphone.sent.last().unwrap()[..]);
            assert_eq!(packet.header.ext_vals.audio_level, Some(-30));
        }
    }
    for (client, slot) in viewers {
        let packets = world.clients[client].on(slot);
        assert_eq!(packets.len(), 50);
        assert!(packets[0].header.marker && !packets[1].header.marker);
        for pair in packets.windows(2) {
            assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
            assert_eq!(pair[1].header.timestamp - pair[0].header.timestamp, 960);
        }
    }
}

#[test]
fn dtx_is_neither_a_stall_nor_a_gap() {
    let mut world = World::new(1);
    let (mut microphone, track) = join_microphone(&mut world);
    let (viewer, slot) = join_viewer(&mut world, 0, Kind::Audio);
    world.fill(viewer, slot, track, Wish::default());
    for _ in 0..30 {
        microphone.packet(&mut world, 127, 3);
        microphone.timestamp += 19 * 960;
        world.run(ms(400));
    }
    assert!(!world.told(Subject::Track(track), |fact| *fact == Fact::TrackStalled));
    let packets = world.clients[viewer].on(slot);
    assert_eq!(packets.len(), 30);
    for pair in packets.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        assert_eq!(
            pair[1].header.timestamp - pair[0].header.timestamp,
            20 * 960
        );
    }
}

/// A viewer that takes Opus with or without redundancy.
fn join_opus(world: &mut World, red: bool, direction: Direction) -> (usize, Mid) {
    let number = world.clients.len();
    let client = Client::new(world.base, number, |config| {
        config.clear_codecs().enable_opus(true, red)
    });
    let client = world.add_client(0, client);
    let mid = world.negotiate(client, |api| {
        api.add_media(Kind::Audio, direction, None, None, None)
    });
    world.connect(client);
    (client, ours(mid))
}

#[test]
fn redundancy_passes_to_those_who_take_it_and_the_others_get_the_sound() {
    let mut world = World::new(1);
    let (publisher, mid) = join_opus(&mut world, true, Direction::SendOnly);
    let track = world.publish(publisher, mid, 1);
    let viewers = [true, false].map(|red| join_opus(&mut world, red, Direction::RecvOnly));
    for (client, slot) in viewers {
        world.fill(client, slot, track, Wish::default());
    }
    let params = world.clients[publisher].rtc.codec_config().params();
    let opus = params
        .iter()
        .find(|params| params.spec().codec == Codec::Opus)
        .unwrap();
    let (red, primary) = (opus.red().unwrap(), *opus.pt());
    for sequence in 500..520_u64 {
        let sound = [7, 7, u8::try_from(sequence % 256).unwrap()];
        // One older block of two bytes, then the newest.
        let payload = [&[0x80 | primary, 0x0f, 0x00, 2, primary, 1, 2], &sound[..]].concat();
        let time = u32::try_from(sequence * 960).unwrap();
        let write = RtpWrite::new(red, sequence.into(), time, world.now, payload.clone());
        world.clients[publisher].write(world.now, mid, None, write);
        world.run(ms(20));
        let [wrapped, plain] = viewers.map(|(client, slot)| {
            world.clients[client]
                .on(slot)
                .last()
                .map(|packet| packet.payload.to_vec())
        });
        assert_eq!(plain, Some(sound.to_vec()));
        // str0m unwraps what it negotiated, or shows it as it came.
        assert!(wrapped == Some(sound.to_vec()) || wrapped == Some(payload));
    }
    for (client, slot) in viewers {
        let packets = world.clients[client].on(slot);
        for pair in packets.windows(2) {
            assert!(*pair[1].seq_no <= *pair[0].seq_no + 1);
        }
    }
}
