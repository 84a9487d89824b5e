//! Client to server.

use std::time::Duration;

use media_types::{Bitrate, Codec, NtpTime};
use media_webrtc::{DropReason, StreamIndex, TransportEvent};
use str0m::Event;
use str0m::bwe::BweKind;
use str0m::format::Codec as Str0mCodec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Simulcast, SimulcastLayer};
use str0m::rtp::RtpWrite;

use crate::media::{client_pt, client_sends, ms, payload};
use crate::support::scripted::SCRIPTED;
use crate::support::{Pair, Way, client_config, mid};

fn publish_video(pair: &mut Pair) -> Mid {
    let (mid, _) = pair
        .negotiate(|api| api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None));
    pair.connect();
    mid
}

/// Sends `count` packets, one every 10 ms, and checks that they came as they were sent.
fn exchange(pair: &mut Pair, video: Mid, count: u64) {
    let pt = client_pt(pair, Str0mCodec::Vp8);
    for sequence in 100..100 + count {
        client_sends(pair, video, pt, sequence);
        pair.run(ms(10));
    }
    pair.run(ms(100));
    assert!(pair.drops.is_empty(), "{:?}", pair.drops);
    assert_eq!(u64::try_from(pair.incoming.len()).unwrap(), count);
    let first = pair.incoming[0].sequence;
    for (sequence, packet) in (100..).zip(&pair.incoming) {
        assert_eq!(packet.payload.as_slice(), payload(sequence, 900));
        assert_eq!(packet.sequence - first, sequence - 100);
        assert_eq!(u64::from(packet.timestamp), sequence * 3_000);
        assert!(packet.marker && !packet.repaired && !packet.red);
        assert_eq!((packet.codec, packet.mid), (Codec::Vp8, mid(video)));
        assert_eq!(
            (packet.stream, packet.rid, packet.spatial),
            (StreamIndex(0), None, 0)
        );
    }
}

#[test]
fn packets_arrive_as_they_were_sent() {
    let mut pair = Pair::new();
    let video = publish_video(&mut pair);
    exchange(&mut pair, video, 200);
    let figures = pair.server.figures(pair.now);
    assert_eq!(figures.streams[0].packets, 200);
    assert_eq!(figures.streams[0].lost, 0);
    assert!(figures.rate_in.bps() > 500_000);
}

#[test]
fn layers_are_streams_of_one_line() {
    let mut pair = Pair::new();
    let layer = SimulcastLayer::new;
    let simulcast = Simulcast {
        send: vec![layer("f"), layer("h"), layer("q")],
        recv: Vec::new(),
    };
    let (video, negotiated) = pair.negotiate(|api| {
        api.add_media(
            MediaKind::Video,
            Direction::SendOnly,
            None,
            None,
            Some(simulcast),
        )
    });
    let rids: Vec<_> = negotiated.media[0]
        .rids
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(rids, ["q", "h", "f"]);
    pair.connect();
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    for sequence in 0..20_u64 {
        for rid in ["h", "f", "q"] {
            let bytes = payload(sequence, 300);
            let write = RtpWrite::new(pt, sequence.into(), 0, pair.now, bytes).nackable(true);
            let mut api = pair.client.direct_api();
            api.stream_tx_by_mid(video, Some(rid.into()))
                .unwrap()
                .write_rtp(write);
        }
        pair.run(ms(20));
    }
    pair.run(ms(50));
    assert_eq!((pair.incoming.len(), pair.drops.len()), (60, 0));
    for (rid, spatial) in [("q", 0), ("h", 1), ("f", 2)] {
        let of_layer = pair
            .incoming
            .iter()
            .filter(|packet| packet.spatial == spatial);
        let of_layer: Vec<_> = of_layer.collect();
        assert_eq!(of_layer.len(), 20);
        assert!(of_layer.iter().all(|packet| packet.rid == rid.parse().ok()));
        assert!(
            of_layer
                .iter()
                .all(|packet| packet.stream == of_layer[0].stream)
        );
    }
}

#[test]
fn every_profile_opens() {
    for profile in [1, 7, 8] {
        SCRIPTED.choose(profile);
        let mut provider = str0m::crypto::from_feature_flags();
        provider.dtls_provider = &SCRIPTED;
        let client = client_config().set_crypto_provider(provider.into());
        let mut pair = Pair::with(client, |config| config.dtls = &SCRIPTED);
        let video = publish_video(&mut pair);
        exchange(&mut pair, video, 30);
    }
}

#[test]
fn the_client_hears_how_its_packets_fare() {
    let mut pair = Pair::with(client_config().enable_bwe(Some(1_000_000.into())), |_| {});
    let video = publish_video(&mut pair);
    exchange(&mut pair, video, 300);
    // Feedback comes every 50 ms, and reports each second: the client's own figures know.
    let estimated = pair
        .client_events
        .iter()
        .any(|event| matches!(event, Event::EgressBitrateEstimate(_)));
    assert!(estimated);
    let feedback = pair
        .down
        .iter()
        .filter(|bytes| matches!(bytes[..2], [0x80..=0xbf, 201]));
    assert!(feedback.count() >= 55);
}

#[test]
fn a_client_without_transport_feedback_is_told_by_remb() {
    let mut pair = Pair::with(client_config().clear_extension_map(), |_| {});
    let video = publish_video(&mut pair);
    exchange(&mut pair, video, 250);
    let granted = pair.client_events.iter().find_map(|event| match event {
        Event::EgressBitrateEstimate(BweKind::Remb { mid, estimate }) => {
            Some((*mid, estimate.as_u64()))
        }
        _ => None,
    });
    assert_eq!(granted, Some((video, 2_500_000)));
}

#[test]
fn a_narrow_uplink_is_seen_and_told() {
    let mut pair = Pair::with(client_config().clear_extension_map(), |_| {});
    let video = publish_video(&mut pair);
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    // 720 kb/s into a path that carries 600: each packet, every 10 ms, waits 2 ms longer than the
    // one before it, until the queue is full.
    for number in 0..400_u64 {
        let time = u32::try_from(number * 900).unwrap();
        let bytes = payload(number, 900);
        let write = RtpWrite::new(pt, number.into(), time, pair.now, bytes).marker(true);
        let mut api = pair.client.direct_api();
        api.stream_tx_by_mid(video, None).unwrap().write_rtp(write);
        pair.drain_client();
        pair.up_delay = ms(number.min(200) * 2);
        pair.run(ms(10));
    }
    let granted = pair
        .client_events
        .iter()
        .rev()
        .find_map(|event| match event {
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => Some(estimate.as_u64()),
            _ => None,
        });
    let granted = granted.unwrap();
    assert!((150_000..1_500_000).contains(&granted), "{granted}");
}

#[test]
fn a_cap_is_told_to_those_who_estimate_by_themselves_too() {
    let mut pair = Pair::with(client_config().enable_bwe(Some(1_000_000.into())), |_| {});
    let video = publish_video(&mut pair);
    let told = |pair: &mut Pair| {
        let events = std::mem::take(&mut pair.client_events);
        let caps = events.iter().filter_map(|event| match event {
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => Some(estimate.as_u64()),
            _ => None,
        });
        caps.collect::<Vec<_>>()
    };
    exchange(&mut pair, video, 150);
    assert_eq!(told(&mut pair), []);
    pair.server.cap_incoming(Some(Bitrate::from_kbps(400)));
    pair.drain_server();
    pair.run(ms(1_500));
    assert_eq!(told(&mut pair), [400_000; 2]);
    pair.server.cap_incoming(None);
    pair.drain_server();
    pair.run(ms(20));
    // As much as the configuration allows, rounded down to 18 bits.
    let most = told(&mut pair);
    assert!(matches!(most[..], [49_900_000..=50_000_000]), "{most:?}");
}

#[test]
fn what_is_lost_is_asked_for_and_comes_again() {
    let mut pair = Pair::new();
    let video = publish_video(&mut pair);
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    let mut media = 0;
    pair.loss = Box::new(move |way, bytes| {
        let is_media = way == Way::Up && bytes[0] >= 128 && bytes[1] & 0x7f == *pt;
        media += u64::from(is_media);
        is_media && media % 10 == 5
    });
    for sequence in 0..200 {
        client_sends(&mut pair, video, pt, sequence);
        pair.run(ms(10));
    }
    pair.run(ms(300));
    let mut numbers: Vec<_> = pair.incoming.iter().map(|packet| packet.sequence).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!((numbers.len(), pair.incoming.len()), (200, 200));
    let repaired = pair.incoming.iter().filter(|packet| packet.repaired);
    let first = pair.incoming[0].sequence;
    let mut count = 0;
    for packet in repaired {
        assert_eq!(
            packet.payload.as_slice(),
            payload(packet.sequence - first, 900)
        );
        assert_eq!(packet.ssrc, pair.incoming[0].ssrc);
        count += 1;
    }
    assert_eq!(count, 20);
    assert_eq!(pair.server.figures(pair.now).repaired_in, 20);
    assert!(pair.drops.is_empty(), "{:?}", pair.drops);
    let loss = pair.server.figures(pair.now).loss_in;
    assert!((0.05..0.2).contains(&loss), "{loss}");
}

#[test]
fn a_long_hole_needs_a_keyframe_and_asking_reaches_the_client() {
    let mut pair = Pair::new();
    let video = publish_video(&mut pair);
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    client_sends(&mut pair, video, pt, 0);
    pair.run(ms(50));
    client_sends(&mut pair, video, pt, 1_000);
    pair.run(ms(50));
    let stream = StreamIndex(0);
    assert!(
        pair.server_events
            .contains(&TransportEvent::NeedKeyframe { stream })
    );
    pair.server.request_keyframe(pair.now, stream);
    pair.run(ms(50));
    let asked = pair.client_events.iter().any(|event| match event {
        Event::KeyframeRequest(request) => {
            request.mid == video && request.kind == KeyframeRequestKind::Pli
        }
        _ => false,
    });
    assert!(asked);
    assert_eq!(pair.server.figures(pair.now).keyframe_requests_out, 1);
}

#[test]
fn who_does_not_hear_pli_is_sent_fir() {
    let mut pair = Pair::new();
    let video = publish_video(&mut pair);
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    client_sends(&mut pair, video, pt, 0);
    pair.run(ms(50));
    let stream = StreamIndex(0);
    let asked = |pair: &Pair| -> Vec<KeyframeRequestKind> {
        let events = pair.client_events.iter();
        let kinds = events.filter_map(|event| match event {
            Event::KeyframeRequest(request) => Some(request.kind),
            _ => None,
        });
        kinds.collect()
    };
    for _ in 0..5 {
        pair.server.request_keyframe(pair.now, stream);
        pair.run(ms(500));
    }
    let (pli, fir) = (KeyframeRequestKind::Pli, KeyframeRequestKind::Fir);
    assert_eq!(asked(&pair), [pli, pli, pli, fir, fir]);
    // Once a keyframe has come, it hears.
    pair.server.on_keyframe(stream, 1);
    pair.server.request_keyframe(pair.now, stream);
    pair.run(ms(50));
    assert_eq!(asked(&pair).last(), Some(&pli));
}

#[test]
fn the_publishers_clock_is_told() {
    let mut pair = Pair::new();
    let video = publish_video(&mut pair);
    exchange(&mut pair, video, 250);
    let told = pair.server_event(|event| match event {
        TransportEvent::SenderReport { stream, ntp, rtp } => Some((*stream, *ntp, *rtp)),
        _ => None,
    });
    let (stream, ntp, rtp) = told.unwrap();
    assert_eq!(stream, StreamIndex(0));
    assert!(ntp > NtpTime(0) && rtp > 0);
}

#[test]
fn rollover_and_replay_are_handled() {
    let mut pair = Pair::new();
    let video = publish_video(&mut pair);
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    let kept = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let tap = std::rc::Rc::clone(&kept);
    pair.loss = Box::new(move |way, bytes| {
        if way == Way::Up && bytes[0] >= 128 && bytes[1] & 0x7f == *pt {
            tap.borrow_mut().push(bytes.to_vec());
        }
        false
    });
    for sequence in 65_500..65_600 {
        client_sends(&mut pair, video, pt, sequence);
        pair.run(ms(5));
    }
    pair.run(ms(50));
    assert_eq!(pair.incoming.len(), 100);
    let span = pair.incoming[99].sequence - pair.incoming[0].sequence;
    assert_eq!(span, 99);
    assert!(pair.drops.is_empty());
    let address = pair.client_addr;
    let mut forged = kept.borrow()[99].clone();
    pair.reach_server(address, &forged);
    assert_eq!(pair.drops, [DropReason::Replayed]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    forged[3] ^= 0x40;
    pair.reach_server(address, &forged);
    assert_eq!(pair.drops[1], DropReason::Authentication);
    assert_eq!(pair.incoming.len(), 100);
}

#[test]
fn media_moves_with_the_client_to_another_address() {
    let mut pair = Pair::new();
    let video = publish_video(&mut pair);
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    client_sends(&mut pair, video, pt, 1);
    pair.run(ms(100));
    let new = ([10, 0, 0, 9], 6_000).into();
    pair.client_addr = new;
    for sequence in 2..900 {
        client_sends(&mut pair, video, pt, sequence);
        pair.run(ms(10));
    }
    // A check from there proves the address, and nominates it.
    assert_eq!(pair.server.path().unwrap().remote, new);
    let told = pair.server_event(|event| match event {
        TransportEvent::PathChanged(path) => Some(path.remote),
        _ => None,
    });
    assert_eq!(told, Some(new));
    pair.run(Duration::from_secs(20));
    assert!(pair.server.is_connected());
}
