//! Handshakes, data channels, life and death.

use std::time::Duration;

use media_webrtc::{CandidateAddr, LostReason, Protocol, TransportEvent};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, MediaKind};
use str0m::{Event, IceConnectionState};

use crate::media::ms;
use crate::support::{Pair, Way, client_config, seed, server_addr};

fn offer_audio(pair: &mut Pair) {
    pair.negotiate(|api| api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None));
}

#[test]
fn a_stock_client_connects() {
    let mut pair = Pair::new();
    offer_audio(&mut pair);
    assert!(!pair.server.is_connected());
    pair.connect();
    assert!(pair.server.is_connected());
    assert_eq!(pair.server.path().unwrap().remote, pair.client_addr);
    assert!(pair.now - pair.base < Duration::from_secs(1));
    // Nothing else happens while nothing is sent.
    pair.run(Duration::from_secs(30));
    assert!(pair.server.is_connected() && pair.client.is_connected());
    assert!(pair.drops.is_empty(), "{:?}", pair.drops);
}

#[test]
fn an_announced_address_may_differ_from_the_bound_one() {
    let announced = CandidateAddr {
        addr: ([203, 0, 113, 5], 9_999).into(),
        protocol: Protocol::Udp,
    };
    let mut pair = Pair::with(client_config(), |config| {
        config.candidates = vec![announced]
    });
    offer_audio(&mut pair);
    pair.connect();
    pair.run(Duration::from_secs(20));
    assert!(pair.server.is_connected());
}

#[test]
fn ice_tcp_connects() {
    let passive = CandidateAddr {
        addr: server_addr(),
        protocol: Protocol::Tcp,
    };
    let mut pair = Pair::with(client_config(), |config| config.candidates = vec![passive]);
    offer_audio(&mut pair);
    pair.connect();
    let path = pair.server.path().unwrap();
    assert_eq!(path.protocol, Protocol::Tcp);
    pair.server.handle_path_closed(path);
    assert_eq!(pair.server.path(), None);
    // The client's next check brings it back.
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.server.path(), Some(path));
}

#[test]
fn data_flows_both_ways_on_both_channels() {
    let mut pair = Pair::new();
    let ((reliable, lossy), negotiated) = pair.negotiate(|api| {
        let reliable = api.add_channel("reliable".into());
        let lossy = api.add_channel_with_config(ChannelConfig {
            label: "lossy".into(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        (reliable, lossy)
    });
    assert!(negotiated.data && negotiated.media.is_empty());
    assert!(!pair.server.send_data(pair.now, true, b"early").unwrap());
    let opened = pair.run_until(Duration::from_secs(5), |pair| {
        [true, false].iter().all(|&reliable| {
            pair.server_events
                .contains(&TransportEvent::DataOpen { reliable })
        })
    });
    assert!(opened);
    pair.run(ms(50));
    for (id, reliable) in [(reliable, true), (lossy, false)] {
        let message = vec![7; 9_000];
        pair.client
            .channel(id)
            .unwrap()
            .write(true, &message)
            .unwrap();
        pair.run(ms(200));
        let expected = TransportEvent::Data {
            reliable,
            bytes: message,
        };
        assert!(pair.server_events.contains(&expected));
        assert!(pair.server.send_data(pair.now, reliable, b"hello").unwrap());
        pair.run(ms(200));
        let came = pair.client_events.iter().any(|event| match event {
            Event::ChannelData(data) => data.id == id && data.data == b"hello",
            _ => false,
        });
        assert!(came);
    }
    assert!(
        pair.server
            .send_data(pair.now, true, &[0; 300 * 1_024])
            .is_err()
    );
}

#[test]
fn a_silent_client_is_lost_after_the_liveness_window() {
    let mut pair = Pair::new();
    offer_audio(&mut pair);
    pair.connect();
    pair.loss = Box::new(|way, _| way == Way::Up);
    pair.run(Duration::from_secs(14));
    assert!(pair.server.is_connected());
    pair.run(Duration::from_secs(2));
    let lost = TransportEvent::Lost(LostReason::TimedOut);
    assert_eq!(
        pair.server_events
            .iter()
            .filter(|event| **event == lost)
            .count(),
        1
    );
    assert!(pair.server.has_ended() && pair.server.poll_timeout().is_none());
}

#[test]
fn a_client_that_says_goodbye_is_lost_at_once() {
    let mut pair = Pair::new();
    offer_audio(&mut pair);
    pair.connect();
    pair.client.close().unwrap();
    pair.run(ms(100));
    assert!(
        pair.server_events
            .contains(&TransportEvent::Lost(LostReason::Closed))
    );
}

#[test]
fn our_goodbye_reaches_the_client() {
    let mut pair = Pair::new();
    offer_audio(&mut pair);
    pair.connect();
    pair.server.close(pair.now);
    pair.run(ms(100));
    let closed = pair
        .client_events
        .iter()
        .any(|event| matches!(event, Event::Closed));
    assert!(closed);
}

#[test]
fn another_certificate_than_announced_gives_no_keys() {
    let mut pair = Pair::new();
    let mut api = pair.client.sdp_api();
    api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    let (offer, pending) = api.apply().unwrap();
    let offer = offer.to_sdp_string();
    let (before, after) = offer.split_once("a=fingerprint:sha-256 ").unwrap();
    let forged = "00:".repeat(31) + "00";
    let rest = after.split_once("\r\n").unwrap().1;
    let offer = format!("{before}a=fingerprint:sha-256 {forged}\r\n{rest}");
    pair.answer(&offer, pending, &[]);
    pair.run(Duration::from_secs(3));
    assert!(!pair.server.is_connected());
    assert!(
        pair.server_events
            .contains(&TransportEvent::Lost(LostReason::Handshake))
    );
}

#[test]
fn an_ice_restart_keeps_the_session() {
    let mut pair = Pair::new();
    offer_audio(&mut pair);
    pair.connect();
    let old = pair.server.ufrag().to_owned();
    assert_eq!(old, seed().ufrag);
    pair.negotiate(|api| {
        api.ice_restart(true);
    });
    let new = pair.server.ufrag().to_owned();
    assert!(new.starts_with(&old) && new != old);
    assert!(pair.answer.contains(&format!("a=ice-ufrag:{new}\r\n")));
    assert!(!pair.answer.contains(&seed().pwd));
    assert!(pair.answer.contains(&format!(" ufrag {new}\r\n")));
    pair.client_events.clear();
    pair.run(Duration::from_secs(20));
    assert!(pair.server.is_connected() && pair.client.is_connected());
    let lost = pair.client_events.iter().any(|event| {
        matches!(
            event,
            Event::IceConnectionStateChange(IceConnectionState::Disconnected)
        )
    });
    assert!(!lost);
}

#[test]
fn garbage_does_no_harm() {
    let mut pair = Pair::new();
    offer_audio(&mut pair);
    pair.connect();
    let address = pair.client_addr;
    for first in [0_u8, 1, 20, 22, 23, 25, 63, 128, 144, 191] {
        for length in [1, 2, 12, 13, 20, 60, 1_400] {
            let mut garbage = vec![first; length];
            pair.reach_server(address, &garbage);
            if let Some(second) = garbage.get_mut(1) {
                *second = 200;
            }
            pair.reach_server(address, &garbage);
        }
    }
    let drops = pair.drops.len();
    assert!(drops > 0);
    pair.run(Duration::from_secs(5));
    assert!(pair.server.is_connected() && pair.client.is_connected());
    assert_eq!(pair.drops.len(), drops);
}
