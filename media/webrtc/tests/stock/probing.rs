//! Asking the path for more: probes, and what fills them.

use std::collections::BTreeMap;
use std::time::Duration;

use media_types::{Bitrate, Codec};
use media_webrtc::SlotIndex;
use str0m::Event;
use str0m::media::{Direction, MediaKind};

use crate::media::{ms, packet, payload};
use crate::support::{Pair, client_config, mid};

/// A client that sends feedback, with one video slot.
fn viewer() -> (Pair, SlotIndex) {
    let client = client_config().enable_bwe(Some(1_000_000.into()));
    slot_of(Pair::with(client, |_| {}))
}

fn slot_of(mut pair: Pair) -> (Pair, SlotIndex) {
    let (line, _) = pair
        .negotiate(|api| api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None));
    let slot = pair.server.slot(mid(line)).unwrap();
    pair.connect();
    (pair, slot)
}

fn send(pair: &mut Pair, slot: SlotIndex, numbers: std::ops::Range<u64>) {
    for number in numbers {
        pair.server.send(pair.now, packet(slot, Codec::Vp8, number));
        pair.run(ms(10));
    }
}

fn probes(pair: &Pair) -> (u32, u32) {
    let figures = pair.server.figures(pair.now).estimator.unwrap();
    (figures.probes.sent, figures.probes.answered)
}

/// Payload types of RTP that went down, from there on, with how often each did.
fn payload_types(sent: &[Vec<u8>]) -> BTreeMap<u8, usize> {
    let rtp = sent.iter().filter(|bytes| {
        let control = matches!(bytes[1], 192..=223);
        (128..192).contains(&bytes[0]) && !control
    });
    let mut counts = BTreeMap::new();
    for bytes in rtp {
        *counts.entry(bytes[1] & 0x7f).or_insert(0) += 1;
    }
    counts
}

#[test]
fn a_probe_is_filled_with_repeats_and_raises_the_estimate() {
    let (mut pair, slot) = viewer();
    send(&mut pair, slot, 0..50);
    let before = pair.server.estimate(pair.now);
    assert_eq!(
        (probes(&pair), pair.server.figures(pair.now).padding_out),
        ((0, 0), 0)
    );
    pair.down.clear();
    pair.server.set_wanted(pair.now, Bitrate::from_kbps(20_000));
    send(&mut pair, slot, 50..250);
    let figures = pair.server.figures(pair.now);
    let (sent, answered) = probes(&pair);
    assert!(
        sent >= 2 && answered >= 1,
        "{sent} probes, {answered} answered"
    );
    assert!(figures.padding_out >= 10, "{}", figures.padding_out);
    assert_eq!(figures.retransmitted_out, 0);
    let after = pair.server.estimate(pair.now);
    assert!(after > before.percent(200), "{before} {after}");
    // What fills is RTX of what was sent, and the client takes each number once.
    let types = payload_types(&pair.down);
    assert_eq!(types.len(), 2, "{types:?}");
    assert_eq!(types[&96], 200);
    assert_eq!(types[&97] as u64, figures.padding_out);
    let mut numbers = Vec::new();
    for event in &pair.client_events {
        if let Event::RtpPacket(packet) = event {
            let number = u64::from(packet.header.sequence_number);
            assert_eq!(packet.payload[..], payload(number, 1_000));
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..250).collect::<Vec<_>>());
    // A path that carries all that is wanted is left alone.
    pair.server.set_wanted(pair.now, Bitrate::from_kbps(500));
    let padded = pair.server.figures(pair.now).padding_out;
    send(&mut pair, slot, 250..450);
    assert_eq!(pair.server.figures(pair.now).padding_out, padded);
}

#[test]
fn without_recent_pictures_padding_goes_alone_on_the_repair_source() {
    let (mut pair, slot) = viewer();
    send(&mut pair, slot, 0..20);
    pair.run(Duration::from_secs(2));
    pair.down.clear();
    let received = pair.client_events.len();
    pair.server.set_wanted(pair.now, Bitrate::from_kbps(6_000));
    pair.run(Duration::from_secs(1));
    let types = payload_types(&pair.down);
    assert_eq!(types.keys().copied().collect::<Vec<_>>(), [97]);
    let fillers = pair.down.iter().filter(|bytes| bytes[1] & 0x7f == 97);
    // Marked as padding, no longer than its one byte of length says.
    assert!(fillers.clone().all(|bytes| bytes[0] & 0x20 != 0));
    assert!(
        fillers
            .clone()
            .all(|bytes| (255..330).contains(&bytes.len()))
    );
    assert!(probes(&pair).1 >= 1);
    let media = pair.client_events[received..].iter();
    assert!(!media.clone().any(|event| match event {
        Event::RtpPacket(packet) => !packet.payload.is_empty(),
        _ => false,
    }));
    // Media go on with the next number.
    send(&mut pair, slot, 20..30);
    let last = pair
        .client_events
        .iter()
        .rev()
        .find_map(|event| match event {
            Event::RtpPacket(packet) => Some(packet.header.sequence_number),
            _ => None,
        });
    assert_eq!(last, Some(29));
}

#[test]
fn a_slot_without_a_repair_source_is_not_padded() {
    let mut client = client_config()
        .clear_codecs()
        .enable_bwe(Some(1_000_000.into()));
    client.codec_config().add_config(
        96.into(),
        None,
        str0m::format::Codec::Vp8,
        str0m::media::Frequency::NINETY_KHZ,
        None,
        str0m::format::FormatParams::default(),
    );
    let (mut pair, slot) = slot_of(Pair::with(client, |_| {}));
    send(&mut pair, slot, 0..50);
    pair.down.clear();
    pair.server.set_wanted(pair.now, Bitrate::from_kbps(20_000));
    send(&mut pair, slot, 50..150);
    assert_eq!(payload_types(&pair.down), BTreeMap::from([(96, 100)]));
    assert_eq!(pair.server.figures(pair.now).padding_out, 0);
}
