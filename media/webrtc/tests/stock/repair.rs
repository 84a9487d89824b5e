//! How far away a publisher is, and what follows from it.

use std::time::Duration;

use media_webrtc::{StreamIndex, TransportEvent};
use str0m::format::Codec as Str0mCodec;
use str0m::media::{Direction, MediaKind, Mid};

use crate::media::{client_pt, client_sends, ms};
use crate::support::{ONE_WAY, Pair, Way};

fn publish(pair: &mut Pair) -> Mid {
    let (line, _) = pair
        .negotiate(|api| api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None));
    pair.connect();
    line
}

fn send(pair: &mut Pair, line: Mid, numbers: std::ops::Range<u64>) {
    let pt = client_pt(pair, Str0mCodec::Vp8);
    for number in numbers {
        client_sends(pair, line, pt, number);
        pair.run(ms(10));
    }
}

#[test]
fn a_publisher_that_is_sent_nothing_tells_the_round_trip() {
    let mut pair = Pair::new();
    let line = publish(&mut pair);
    assert_eq!(pair.server.rtt(), None);
    // Our clock goes out with the reports of each second; the answer comes with the client's own.
    send(&mut pair, line, 0..700);
    let rtt = pair.server.rtt().unwrap();
    assert!(
        rtt >= 2 * ONE_WAY - ms(1) && rtt <= 2 * ONE_WAY + ms(2),
        "{rtt:?}"
    );
    assert_eq!(pair.server.figures(pair.now).rtt, Some(rtt));
}

#[test]
fn a_client_that_does_not_answer_our_clock_tells_by_its_repairs() {
    let mut pair = Pair::new();
    let line = publish(&mut pair);
    let pt = client_pt(&pair, Str0mCodec::Vp8);
    let mut media = 0;
    pair.loss = Box::new(move |way, bytes| {
        let is_rtcp = way == Way::Down && matches!(bytes[1], 192..=223) && bytes[0] >= 128;
        let is_media = way == Way::Up && bytes[0] >= 128 && bytes[1] & 0x7f == *pt;
        media += u64::from(is_media);
        // Reports are long; what asks for packets is short.
        is_media && media == 20 || is_rtcp && bytes.len() > 80
    });
    send(&mut pair, line, 0..40);
    let rtt = pair.server.rtt().unwrap();
    assert!(rtt >= 2 * ONE_WAY && rtt <= 2 * ONE_WAY + ms(3), "{rtt:?}");
    assert_eq!(pair.incoming.len(), 40);
}

#[test]
fn what_never_comes_is_given_up_and_needs_a_keyframe() {
    let mut pair = Pair::new();
    let line = publish(&mut pair);
    let stream = StreamIndex(0);
    let needed = TransportEvent::NeedKeyframe { stream };
    pair.loss = Box::new(|way, bytes| {
        // Retransmissions never arrive, and one packet is lost.
        let rtp = way == Way::Up && bytes[0] >= 128 && !matches!(bytes[1], 192..=223);
        rtp && (bytes[1] & 0x7f == 97 || bytes[3] == 50)
    });
    send(&mut pair, line, 0..60);
    let lost_at = pair.now;
    assert!(pair.run_until(Duration::from_secs(3), |p| {
        p.server_events.contains(&needed)
    }));
    assert!(pair.now - lost_at < ms(1_200));
    // One that is lost before a keyframe is not asked for after it.
    pair.server_events.clear();
    pair.loss = Box::new(|way, bytes| {
        let rtp = way == Way::Up && bytes[0] >= 128 && !matches!(bytes[1], 192..=223);
        rtp && (bytes[1] & 0x7f == 97 || bytes[3] == 70)
    });
    send(&mut pair, line, 60..80);
    let newest = pair.incoming.last().unwrap().sequence;
    pair.server.on_keyframe(stream, newest);
    pair.run(Duration::from_secs(3));
    assert!(!pair.server_events.contains(&needed));
}
