//! Redundant sound: sent where it is of use.

use media_types::{Bitrate, Codec, Payload};
use media_webrtc::{Priority, SlotIndex};
use str0m::Event;
use str0m::format::Codec as Str0mCodec;
use str0m::media::{Direction, MediaKind};

use crate::media::{client_pt, client_sends, ms, packet};
use crate::support::{Pair, Way, client_config, mid};

/// One older block of two bytes, then the newest, which names its number.
fn wrapped(number: u64) -> Vec<u8> {
    let [.., high, low] = number.to_be_bytes();
    vec![0x80 | 111, 0x0f, 0x00, 2, 111, b'o', b'l', high, low]
}

fn plain(number: u64) -> Vec<u8> {
    wrapped(number)[7..].to_vec()
}

fn listener() -> (Pair, SlotIndex) {
    let client = client_config().clear_codecs().enable_opus(true, true);
    let mut pair = Pair::with(client, |_| {});
    let (line, _) = pair
        .negotiate(|api| api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None));
    let slot = pair.server.slot(mid(line)).unwrap();
    pair.connect();
    (pair, slot)
}

/// Sends redundant sound, a packet each 20 ms.
fn speak(pair: &mut Pair, slot: SlotIndex, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let mut voice = packet(slot, Codec::Opus, number);
        voice.red = true;
        voice.priority = Priority::Audio;
        voice.timestamp = u32::try_from(number * 960).unwrap();
        voice.payload = Payload::copy_of(&wrapped(number)).unwrap();
        pair.server.send(pair.now, voice);
        pair.run(ms(20));
    }
}

/// What the client got under each number.
fn heard(pair: &Pair) -> Vec<(u64, Vec<u8>)> {
    let packets = pair.client_events.iter().filter_map(|event| match event {
        Event::RtpPacket(packet) => Some((*packet.seq_no, packet.payload.to_vec())),
        _ => None,
    });
    packets.collect()
}

#[test]
fn a_clean_path_is_sent_the_newest_block_alone() {
    let (mut pair, slot) = listener();
    assert!(pair.answer.contains("useinbandfec=1"), "{}", pair.answer);
    speak(&mut pair, slot, 0..10);
    // Nothing is known of the path yet: redundancy.
    let first: Vec<_> = (0..10).map(|number| (number, wrapped(number))).collect();
    assert_eq!(heard(&pair), first);
    // The client's reports of sound come every five seconds.
    speak(&mut pair, slot, 10..600);
    let heard = heard(&pair);
    assert_eq!(heard.len(), 600);
    for (number, bytes) in &heard[300..] {
        assert_eq!(*bytes, plain(*number));
    }
    // One after the other in both forms.
    assert!(heard.iter().map(|(number, _)| *number).eq(0..600));
    let rate = |range: std::ops::Range<usize>| {
        let sizes = heard[range].iter().map(|(_, bytes)| bytes.len());
        sizes.sum::<usize>()
    };
    assert_eq!((rate(0..10), rate(590..600)), (90, 20));
}

#[test]
fn loss_brings_redundancy_back() {
    let (mut pair, slot) = listener();
    speak(&mut pair, slot, 0..400);
    assert_eq!(heard(&pair).last().unwrap().1, plain(399));
    let mut count = 0;
    pair.loss = Box::new(move |way, bytes| {
        let rtp = bytes[0] >= 128 && !matches!(bytes[1], 192..=223);
        count += u32::from(way == Way::Down && rtp);
        way == Way::Down && rtp && count % 10 == 0
    });
    speak(&mut pair, slot, 400..809);
    assert_eq!(heard(&pair).last().unwrap(), &(808, wrapped(808)));
    // It stays for ten seconds after the last report of loss, which comes up to five later.
    pair.loss = Box::new(|_, _| false);
    speak(&mut pair, slot, 809..1_100);
    assert_eq!(heard(&pair).last().unwrap().1, wrapped(1_099));
    speak(&mut pair, slot, 1_100..1_900);
    assert_eq!(heard(&pair).last().unwrap(), &(1_899, plain(1_899)));
}

#[test]
fn redundancy_leaves_room_on_a_narrow_path() {
    let client = client_config().clear_codecs().enable_opus(true, true);
    let mut pair = Pair::with(client, |config| {
        config.start_bitrate = Bitrate::from_kbps(300);
        config.bitrate_max = Bitrate::from_kbps(300);
    });
    let ((first, second), _) = pair.negotiate(|api| {
        let mut slot = || api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        (slot(), slot())
    });
    pair.connect();
    let slots = [first, second].map(|line| pair.server.slot(mid(line)).unwrap());
    // 100 bytes in two blocks each 20 ms: one such speaker has 40 kb/s of redundancy, two 80.
    let older = [&[0x80 | 111, 0x0f, 0x00, 96, 111][..], &[1; 96]].concat();
    let speak = |pair: &mut Pair, slots: &[SlotIndex], numbers: std::ops::Range<u64>| {
        for number in numbers {
            for slot in slots {
                let mut voice = packet(*slot, Codec::Opus, number);
                voice.red = true;
                voice.priority = Priority::Audio;
                voice.timestamp = u32::try_from(number * 960).unwrap();
                voice.payload = Payload::copy_of(&[&older[..], b"new"].concat()).unwrap();
                pair.server.send(pair.now, voice);
            }
            pair.run(ms(20));
        }
        pair.run(ms(20));
        heard(pair).last().unwrap().1.len()
    };
    assert_eq!(speak(&mut pair, &slots[..1], 0..60), 104);
    assert_eq!(speak(&mut pair, &slots, 60..120), 3);
    assert_eq!(speak(&mut pair, &slots[..1], 120..180), 104);
}

/// A client that asks for lost sound again.
fn nacking() -> Pair {
    let mut client = client_config().clear_codecs().enable_opus(true, true);
    for params in client.codec_config().iter_mut() {
        params.set_fb_nack(true);
    }
    Pair::with(client, |_| {})
}

#[test]
fn sound_sent_again_has_the_bytes_of_its_first_time() {
    let mut pair = nacking();
    let (line, _) = pair
        .negotiate(|api| api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None));
    assert!(
        pair.answer.contains("a=rtcp-fb:111 nack\r\n"),
        "{}",
        pair.answer
    );
    let slot = pair.server.slot(mid(line)).unwrap();
    pair.connect();
    let again = |pair: &mut Pair, number: u64| {
        let before = std::mem::take(&mut pair.down);
        let mut again = packet(slot, Codec::Opus, number);
        again.red = true;
        again.timestamp = u32::try_from(number * 960).unwrap();
        again.payload = Payload::copy_of(&wrapped(number)).unwrap();
        again.retransmission_of = u16::try_from(number).ok();
        pair.server.send(pair.now, again);
        pair.drain_server();
        let media = |bytes: &&Vec<u8>| bytes[0] >= 128 && !matches!(bytes[1], 192..=223);
        let sent: Vec<_> = pair.down.iter().filter(media).cloned().collect();
        let first = before.iter().filter(|bytes| sent.contains(bytes)).count();
        assert_eq!(sent.len(), first);
        sent.first().map(Vec::len)
    };
    speak(&mut pair, slot, 0..10);
    let with = again(&mut pair, 5).unwrap();
    speak(&mut pair, slot, 10..600);
    let without = again(&mut pair, 590).unwrap();
    assert_eq!(with - without, 7);
    // Too long ago to be of use, and to be remembered.
    assert_eq!(again(&mut pair, 300), None);
    // They carry transport-wide numbers all the same.
    let estimator = pair.server.figures(pair.now).estimator.unwrap();
    assert!(estimator.acknowledged.is_some());
}

#[test]
fn lost_sound_is_asked_for_where_that_was_offered() {
    for asks in [true, false] {
        let client = client_config().clear_codecs().enable_opus(true, true);
        let mut pair = if asks {
            nacking()
        } else {
            Pair::with(client, |_| {})
        };
        let (line, _) = pair.negotiate(|api| {
            api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None)
        });
        assert_eq!(pair.answer.contains("nack"), asks);
        pair.connect();
        let pt = client_pt(&pair, Str0mCodec::Opus);
        for number in (0..20).chain(21..40) {
            client_sends(&mut pair, line, pt, number);
            pair.run(ms(20));
        }
        // An empty report of 8 bytes, a request of 16, a tag of 16 and an index of 4.
        let requests = pair
            .down
            .iter()
            .filter(|bytes| bytes[1] == 201 && bytes.len() == 44);
        assert_eq!(requests.count() > 0, asks);
    }
}
