//! Server to client.

use std::time::Duration;

use media_rtp::level::AudioLevel;
use media_types::{Bitrate, Codec, Payload};
use media_webrtc::{MediaLineUse, Priority, SlotIndex, TransportEvent};
use str0m::Event;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::rtp::RtpPacket;

use crate::media::{ms, packet, payload};
use crate::support::{Pair, Way, client_config, mid};

fn slot(pair: &mut Pair, kind: MediaKind) -> (Mid, SlotIndex) {
    let (name, negotiated) =
        pair.negotiate(|api| api.add_media(kind, Direction::RecvOnly, None, None, None));
    let line = negotiated.media.last().unwrap();
    assert_eq!((line.mid, line.usage), (mid(name), MediaLineUse::Slot));
    let slot = pair.server.slot(mid(name)).unwrap();
    (name, slot)
}

fn received(pair: &Pair) -> Vec<&RtpPacket> {
    let events = pair.client_events.iter();
    events
        .filter_map(|event| match event {
            Event::RtpPacket(packet) => Some(packet),
            _ => None,
        })
        .collect()
}

fn send_frames(pair: &mut Pair, slot: SlotIndex, codec: Codec, numbers: std::ops::Range<u64>) {
    for number in numbers {
        pair.server.send(pair.now, packet(slot, codec, number));
        pair.run(ms(10));
    }
    pair.run(ms(50));
}

#[test]
fn packets_reach_the_client_as_they_were_sent() {
    let mut pair = Pair::new();
    let (name, slot) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    send_frames(&mut pair, slot, Codec::Vp8, 500..700);
    let packets = received(&pair);
    assert_eq!(packets.len(), 200);
    for (number, packet) in (500_u64..).zip(&packets) {
        assert_eq!(packet.payload[..], payload(number, 1_000));
        assert_eq!(u64::from(packet.header.sequence_number), number);
        assert_eq!(u64::from(packet.header.timestamp), number * 3_000);
        assert!(packet.header.marker);
    }
    let ssrc = pair
        .client
        .direct_api()
        .stream_rx_by_mid(name, None)
        .unwrap()
        .ssrc();
    let packets = received(&pair);
    assert!(packets.iter().all(|packet| packet.header.ssrc == ssrc));
    // The first report follows the first packet, so that sound and picture are in step at once.
    assert!(packets[2].last_sender_info.is_some());
    pair.run(Duration::from_secs(2));
    let figures = pair.server.figures(pair.now);
    assert_eq!(figures.packets_out, 200);
    let rtt = figures.rtt.unwrap();
    assert!(rtt >= ms(9) && rtt < ms(70), "{rtt:?}");
}

#[test]
fn audio_keeps_its_level_and_vp8_its_new_front() {
    let mut pair = Pair::new();
    let (_, audio) = slot(&mut pair, MediaKind::Audio);
    let (_, video) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    let mut voice = packet(audio, Codec::Opus, 1);
    voice.priority = Priority::Audio;
    let level = AudioLevel {
        level_dbov: 33,
        voice: true,
    };
    voice.pass.audio_level = Some(level);
    pair.server.send(pair.now, voice);
    let mut picture = packet(video, Codec::Vp8, 1);
    picture.prefix.extend([1, 2, 3, 4]);
    picture.prefix_replaces = 6;
    pair.server.send(pair.now, picture);
    pair.run(ms(50));
    let packets = received(&pair);
    assert_eq!(packets.len(), 2);
    assert_eq!(packets[0].header.ext_vals.audio_level, Some(-33));
    assert_eq!(packets[0].header.ext_vals.voice_activity, Some(true));
    let expected = [&[1, 2, 3, 4], &payload(1, 1_000)[6..]].concat();
    assert_eq!(packets[1].payload[..], expected);
    assert!(packets[1].header.ext_vals.mid.is_some());
}

#[test]
fn redundancy_goes_to_those_who_know_it() {
    for red in [true, false] {
        let client = client_config().clear_codecs().enable_opus(true, red);
        let mut pair = Pair::with(client, |_| {});
        let (_, audio) = slot(&mut pair, MediaKind::Audio);
        assert_eq!(pair.server.slot_supports_red(audio), red);
        pair.connect();
        let mut voice = packet(audio, Codec::Opus, 1);
        voice.red = true;
        let bytes = [0x80 | 111, 0, 4, 2, 111, b'o', b'l', b'n', b'e', b'w'];
        voice.payload = Payload::copy_of(&bytes).unwrap();
        pair.server.send(pair.now, voice);
        pair.run(ms(50));
        let expected = if red { &bytes[..] } else { b"new" };
        assert_eq!(received(&pair)[0].payload[..], *expected);
    }
}

#[test]
fn padding_fills_a_number_and_carries_nothing() {
    let mut pair = Pair::new();
    let (_, video) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    let mut padding = packet(video, Codec::Vp8, 1);
    padding.payload = padding.payload.skip(2_000);
    for packet in [
        packet(video, Codec::Vp8, 0),
        padding,
        packet(video, Codec::Vp8, 2),
    ] {
        pair.server.send(pair.now, packet);
    }
    pair.run(Duration::from_secs(1));
    let packets = received(&pair);
    let with_payload = packets.iter().filter(|packet| !packet.payload.is_empty());
    assert_eq!(with_payload.count(), 2);
    let nacked = pair.server_event(|event| match event {
        TransportEvent::Nack { sequences, .. } => Some(sequences.to_vec()),
        _ => None,
    });
    assert_eq!(nacked, None);
}

#[test]
fn a_nack_is_told_and_answered_by_rtx() {
    let mut pair = Pair::new();
    let (name, slot) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    let mut media = 0;
    pair.loss = Box::new(move |way, bytes| {
        let is_media = way == Way::Down && bytes.len() > 900;
        media += u64::from(is_media);
        is_media && media == 6
    });
    send_frames(&mut pair, slot, Codec::Vp8, 10..40);
    let nacked = pair.server_event(|event| match event {
        TransportEvent::Nack { slot, sequences } => Some((*slot, sequences.to_vec())),
        _ => None,
    });
    assert_eq!(nacked, Some((slot, vec![15])));
    assert_eq!(received(&pair).len(), 29);
    let mut again = packet(slot, Codec::Vp8, 15);
    again.priority = Priority::Retransmission;
    again.retransmission_of = Some(15);
    pair.server.send(pair.now, again);
    pair.run(ms(50));
    let packets = received(&pair);
    assert_eq!(packets.len(), 30);
    assert_eq!(packets[29].payload[..], payload(15, 1_000));
    assert_eq!(*packets[29].seq_no, 15);
    assert_eq!(pair.server.figures(pair.now).retransmitted_out, 1);
    let ssrc = pair
        .client
        .direct_api()
        .stream_rx_by_mid(name, None)
        .unwrap()
        .ssrc();
    assert_eq!(received(&pair)[29].header.ssrc, ssrc);
}

#[test]
fn a_keyframe_request_names_its_slot() {
    let mut pair = Pair::new();
    slot(&mut pair, MediaKind::Audio);
    let (name, video) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    send_frames(&mut pair, video, Codec::Vp8, 0..3);
    for kind in [KeyframeRequestKind::Pli, KeyframeRequestKind::Fir] {
        pair.server_events.clear();
        let mut api = pair.client.direct_api();
        api.stream_rx_by_mid(name, None)
            .unwrap()
            .request_keyframe(kind);
        pair.run(Duration::from_secs(1));
        let expected = TransportEvent::KeyframeRequested { slot: video };
        assert!(pair.server_events.contains(&expected), "{kind:?}");
    }
    assert_eq!(pair.server.figures(pair.now).keyframe_requests_in, 2);
}

#[test]
fn new_slots_leave_old_ones_as_they_are() {
    let mut pair = Pair::new();
    let (_, first) = slot(&mut pair, MediaKind::Video);
    let lines_of = |answer: &str| {
        let lines = answer.lines().filter(|line| line.starts_with("a=ssrc"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = lines_of(&pair.answer);
    pair.connect();
    send_frames(&mut pair, first, Codec::Vp8, 0..10);
    let (_, second) = slot(&mut pair, MediaKind::Video);
    let after = lines_of(&pair.answer);
    assert_eq!((before.len(), after.len()), (5, 10));
    assert_eq!(after[..5], before);
    assert_ne!(first, second);
    send_frames(&mut pair, first, Codec::Vp8, 10..20);
    send_frames(&mut pair, second, Codec::Vp8, 0..10);
    assert_eq!(received(&pair).len(), 30);
    assert!(pair.drops.is_empty());
}

#[test]
fn nothing_is_sealed_twice_under_one_number() {
    let mut pair = Pair::new();
    let (_, slot) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    send_frames(&mut pair, slot, Codec::Vp8, 0..5);
    send_frames(&mut pair, slot, Codec::Vp8, 3..8);
    assert_eq!(received(&pair).len(), 8);
    // More than one rollover further.
    for start in [30_000, 60_000, 65_530] {
        send_frames(&mut pair, slot, Codec::Vp8, start..start + 15);
    }
    assert_eq!(received(&pair).len(), 53);
}

#[test]
fn a_burst_is_paced_and_audio_passes_it() {
    let mut pair = Pair::with(client_config(), |config| {
        config.start_bitrate = Bitrate::from_kbps(2_500);
    });
    let (_, audio) = slot(&mut pair, MediaKind::Audio);
    let (_, video) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    pair.down.clear();
    for number in 0..100 {
        pair.server
            .send(pair.now, packet(video, Codec::Vp8, number));
    }
    let mut voice = packet(audio, Codec::Opus, 0);
    voice.priority = Priority::Audio;
    voice.payload = voice.payload.trim(900);
    pair.server.send(pair.now, voice);
    pair.drain_server();
    let at_once: Vec<_> = pair.down.iter().map(Vec::len).collect();
    assert!(at_once[0] < 200, "{at_once:?}");
    let sent = at_once.iter().filter(|&&length| length > 900).count();
    assert!((20..60).contains(&sent), "{sent}");
    assert!(pair.server.backlog().bytes() > 40_000);
    pair.run(ms(30));
    let figures = pair.server.figures(pair.now);
    assert!(
        (ms(25)..ms(50)).contains(&figures.queue_delay),
        "{:?}",
        figures.queue_delay
    );
    assert!(figures.backlog_bytes > 20_000);
    assert_eq!(figures.estimator.unwrap().estimate, figures.estimate);
    // More than the bottleneck's queue may take leaves at the path's rate, within half a second.
    pair.run(ms(500));
    assert_eq!(pair.server.backlog().bytes(), 0);
    assert_eq!(received(&pair).len(), 101);
}

#[test]
fn feedback_moves_the_estimate() {
    let client = client_config().enable_bwe(Some(1_000_000.into()));
    let mut pair = Pair::with(client, |config| {
        config.start_bitrate = Bitrate::from_kbps(2_500);
    });
    let (_, slot) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    let start = pair.server.estimate(pair.now);
    // Loss of a third, for two seconds.
    let mut count = 0;
    pair.loss = Box::new(move |way, bytes| {
        count += u32::from(way == Way::Down && bytes.len() > 900);
        way == Way::Down && bytes.len() > 900 && count % 3 == 0
    });
    send_frames(&mut pair, slot, Codec::Vp8, 0..200);
    let low = pair.server.estimate(pair.now);
    assert!(low < start.percent(80), "{start} {low}");
    let told = pair.server_event(|event| match event {
        TransportEvent::Estimate(estimate) => Some(*estimate),
        _ => None,
    });
    assert!(told.is_some());
    assert!(pair.server.figures(pair.now).loss_out > 0.2);
}

#[test]
fn a_client_without_extensions_and_rtx_gets_its_media() {
    let client = client_config()
        .clear_extension_map()
        .clear_codecs()
        .enable_opus(true, false);
    let mut client = client;
    client.codec_config().add_config(
        96.into(),
        None,
        str0m::format::Codec::Vp8,
        str0m::media::Frequency::NINETY_KHZ,
        None,
        str0m::format::FormatParams::default(),
    );
    let mut pair = Pair::with(client, |_| {});
    let (_, audio) = slot(&mut pair, MediaKind::Audio);
    let (_, video) = slot(&mut pair, MediaKind::Video);
    pair.connect();
    assert!(!pair.answer.contains("extmap:") && !pair.answer.contains("rtx"));
    send_frames(&mut pair, audio, Codec::Opus, 0..5);
    send_frames(&mut pair, video, Codec::Vp8, 0..5);
    assert_eq!(received(&pair).len(), 10);
    let bytes: Vec<_> = pair
        .down
        .iter()
        .filter(|bytes| bytes.len() > 900)
        .cloned()
        .collect();
    let mut again = packet(video, Codec::Vp8, 3);
    again.retransmission_of = Some(3);
    pair.down.clear();
    pair.server.send(pair.now, again);
    pair.drain_server();
    // The very bytes of the first time, since the number is the same.
    assert!(bytes.contains(&pair.down[0]));
    assert!(pair.server.slot_supports(video, Codec::Vp8));
    assert!(!pair.server.slot_supports(video, Codec::H264));
}
