use std::net::SocketAddr;

use media_webrtc::Protocol;
use proptest::prelude::*;

use super::*;

fn path(port: u16) -> Path {
    Path {
        local: SocketAddr::from(([127, 0, 0, 1], 7_800)),
        remote: SocketAddr::from(([127, 0, 0, 1], port)),
        protocol: Protocol::Udp,
    }
}

fn stun(username: &str) -> Vec<u8> {
    let mut attributes = vec![0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
    attributes.extend([0, 6, 0, u8::try_from(username.len()).unwrap()]);
    attributes.extend(username.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    let mut datagram = vec![0, 1];
    datagram.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    datagram.extend(STUN_COOKIE);
    datagram.extend([7; 12]);
    datagram.extend(attributes);
    datagram
}

#[test]
fn an_address_is_learned_from_a_user_name() {
    let mut demux = Demux::default();
    demux.insert_ufrag("00abcd", 5);
    let rtp = [0x80, 96];
    let unknown = demux.find(path(1), PacketKind::Rtp, &rtp);
    assert_eq!(unknown, Err(DropReason::UnknownAddress));
    let foreign = demux.find(path(1), PacketKind::Stun, &stun("00zzzz:x"));
    assert_eq!(foreign, Err(DropReason::UnknownUser));
    assert_eq!(
        demux.find(path(1), PacketKind::Stun, &stun("00abcd:x")),
        Ok(5)
    );
    assert_eq!(demux.find(path(1), PacketKind::Rtp, &rtp), Ok(5));
    assert_eq!(demux.remove_path(path(1)), Some(5));
    assert!(demux.find(path(1), PacketKind::Rtp, &rtp).is_err());
}

#[test]
fn a_user_name_wins_over_an_address() {
    let mut demux = Demux::default();
    demux.insert_ufrag("00aaaa", 1);
    demux.insert_ufrag("00bbbb", 2);
    assert_eq!(
        demux.find(path(9), PacketKind::Stun, &stun("00aaaa:x")),
        Ok(1)
    );
    assert_eq!(demux.find(path(9), PacketKind::Rtp, &[0x80, 96]), Ok(1));
    assert_eq!(
        demux.find(path(9), PacketKind::Stun, &stun("00bbbb:x")),
        Ok(2)
    );
    assert_eq!(demux.find(path(9), PacketKind::Dtls, &[22]), Ok(2));
    demux.remove(1);
    assert_eq!(demux.find(path(9), PacketKind::Dtls, &[22]), Ok(2));
    demux.remove(2);
    assert!(demux.find(path(9), PacketKind::Dtls, &[22]).is_err());
    assert!(!demux.has_ufrag("00bbbb"));
}

#[test]
fn a_restart_keeps_the_name_before() {
    let mut demux = Demux::default();
    for ufrag in ["00aaaa", "00bbbb", "00cccc"] {
        demux.insert_ufrag(ufrag, 1);
    }
    assert!(!demux.has_ufrag("00aaaa"));
    assert!(demux.has_ufrag("00bbbb") && demux.has_ufrag("00cccc"));
}

#[test]
fn addresses_of_one_transport_are_bounded() {
    let mut demux = Demux::default();
    demux.insert_ufrag("00aaaa", 1);
    for port in 1..=100 {
        assert_eq!(
            demux.find(path(port), PacketKind::Stun, &stun("00aaaa:x")),
            Ok(1)
        );
    }
    assert_eq!(demux.by_path.len(), PATHS_PER_TRANSPORT_MAX);
    assert_eq!(demux.find(path(100), PacketKind::Rtp, &[0x80]), Ok(1));
    assert!(demux.find(path(1), PacketKind::Rtp, &[0x80]).is_err());
}

#[test]
fn a_user_name_names_its_shard() {
    for number in [0, 1, 31, 32, 1_023] {
        let [a, b] = shard_prefix(ShardId(number)).map(char::from);
        let ufrag = format!("{a}{b}xyz0");
        assert_eq!(shard_of_ufrag(&ufrag), Some(ShardId(number)));
    }
    assert_eq!(shard_of_ufrag("0"), None);
    assert_eq!(shard_of_ufrag("!!xyz0"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut datagram = stun("a:b");
        datagram.truncate(20);
        datagram.extend(&bytes);
        let _ = stun_username(&datagram);
        let _ = stun_username(&bytes);
    }
}
