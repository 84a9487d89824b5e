use std::time::Duration;

use media_webrtc::TransmitBatch;

use super::*;
use crate::net::ReachSettings;

fn bound(ip: &str) -> ShardSocket {
    let ip = ip.parse().unwrap();
    let reach = Reach::new(ip, &crate::net::interfaces(), &ReachSettings::default());
    ShardSocket::bind(SocketAddr::new(ip, 0), reach).unwrap()
}

fn path(from: &ShardSocket, to: &ShardSocket) -> Path {
    Path {
        local: ([127, 0, 0, 1], from.port()).into(),
        remote: ([127, 0, 0, 1], to.port()).into(),
        protocol: Protocol::Udp,
    }
}

/// Receives until `count` datagrams came, in turns of `budget`.
fn received(socket: &mut ShardSocket, count: usize, budget: usize) -> Vec<(Path, Vec<u8>)> {
    let mut poll = mio::Poll::new().unwrap();
    socket.register(poll.registry(), mio::Token(0)).unwrap();
    let mut events = mio::Events::with_capacity(4);
    let mut seen = Vec::new();
    while seen.len() < count {
        let before = seen.len();
        let taken = socket.receive(budget, |path, bytes| seen.push((path, bytes.to_vec())));
        assert_eq!(taken, seen.len() - before);
        assert!(taken <= budget);
        if seen.len() < count && !socket.is_readable() {
            poll.poll(&mut events, Some(Duration::from_secs(5)))
                .unwrap();
            assert!(!events.is_empty(), "{} of {count} came", seen.len());
            socket.set_readable();
        }
    }
    seen
}

/// Datagrams of many sizes, runs of equal ones among them.
fn datagrams() -> Vec<Vec<u8>> {
    let sizes = [1_200; 64]
        .into_iter()
        .chain([700; 10])
        .chain([300, 1_200, 1_200, 90, 1])
        .chain((1..40).map(|n| n * 30));
    let fill = |(index, size)| (0..size).map(|n| ((index * 31 + n) % 251) as u8).collect();
    sizes.enumerate().map(fill).collect()
}

fn exchange(sender: &mut ShardSocket, receiver: &mut ShardSocket, budget: usize) {
    let path = path(sender, receiver);
    let sent = datagrams();
    let mut batch = TransmitBatch::new(200_000);
    for datagram in &sent {
        assert!(batch.push(path, datagram));
    }
    for transmit in batch.transmits() {
        assert_eq!(sender.send(&transmit, 0), Sent::Done);
    }
    let seen = received(receiver, sent.len(), budget);
    let back = Path {
        local: path.remote,
        remote: path.local,
        protocol: Protocol::Udp,
    };
    for (index, (expected, (from, bytes))) in sent.iter().zip(&seen).enumerate() {
        assert_eq!(*from, back, "datagram {index}");
        assert_eq!(bytes, expected, "datagram {index}");
    }
    assert_eq!(sender.figures.datagrams_out, sent.len() as u64);
    assert_eq!(receiver.figures.datagrams_in, sent.len() as u64);
    assert_eq!(sender.figures.send_drops, 0);
}

#[test]
fn a_segmented_batch_arrives_whole_and_in_order() {
    let (mut sender, mut receiver) = (bound("127.0.0.1"), bound("127.0.0.1"));
    exchange(&mut sender, &mut receiver, 256);
    if sender.segments.usable {
        assert!(sender.figures.sends < 50, "{:?}", sender.figures);
    }
}

#[test]
fn a_small_budget_keeps_the_rest_for_the_next_turn() {
    let (mut sender, mut receiver) = (bound("127.0.0.1"), bound("127.0.0.1"));
    exchange(&mut sender, &mut receiver, 7);
}

#[test]
fn without_segmentation_each_datagram_goes_alone() {
    let (mut sender, mut receiver) = (bound("127.0.0.1"), bound("127.0.0.1"));
    sender.segments.usable = false;
    exchange(&mut sender, &mut receiver, 256);
    assert_eq!(sender.figures.sends, sender.figures.datagrams_out);
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    let (mut sender, mut receiver) = (bound("127.0.0.1"), bound("0.0.0.0"));
    // The candidate is an interface's address where there is one, else the loopback.
    let reach = Reach::new(
        [0, 0, 0, 0].into(),
        &crate::net::interfaces(),
        &ReachSettings {
            loopback: true,
            ..ReachSettings::default()
        },
    );
    receiver.reach = reach;
    exchange(&mut sender, &mut receiver, 256);
    let answer = path(&receiver, &sender);
    let mut batch = TransmitBatch::new(2_000);
    batch.push(answer, b"answer");
    let transmit = batch.transmits().next().unwrap();
    assert_eq!(receiver.send(&transmit, 0), Sent::Done);
    let seen = received(&mut sender, 1, 8);
    assert_eq!(seen[0].0.remote, answer.local);
    assert_eq!(seen[0].1, b"answer");
}

#[test]
fn a_dual_socket_speaks_with_v4_clients_by_their_v4_address() {
    let (mut sender, mut receiver) = (bound("::"), bound("127.0.0.1"));
    exchange(&mut sender, &mut receiver, 256);
    let (mut sender, mut receiver) = (bound("127.0.0.1"), bound("::"));
    let settings = ReachSettings {
        loopback: true,
        ..ReachSettings::default()
    };
    receiver.reach = Reach::new("::".parse().unwrap(), &crate::net::interfaces(), &settings);
    exchange(&mut sender, &mut receiver, 256);
}

#[test]
fn a_refused_segmentation_is_split_and_in_the_end_believed() {
    let (mut sender, mut receiver) = (bound("127.0.0.1"), bound("127.0.0.1"));
    let path = path(&sender, &receiver);
    if !sender.segments.usable {
        return;
    }
    // More segments than any kernel takes in one call.
    let contents = vec![7; 2_000];
    let transmit = Transmit {
        path,
        contents: &contents,
        segment_size: Some(10),
    };
    assert_eq!(sender.send(&transmit, 0), Sent::Done);
    assert_eq!(sender.figures.segmentation_refusals, 1);
    assert!(sender.segments.usable, "one path says nothing about others");
    assert_eq!(received(&mut receiver, 200, 256).len(), 200);
    for _ in 1..SEGMENTATION_REFUSALS_MAX {
        assert_eq!(sender.send(&transmit, 1_900), Sent::Done);
        sender.refused(&io::Error::from_raw_os_error(EINVAL));
    }
    assert!(sender.segments.usable, "sends between them went well");
    for _ in 0..SEGMENTATION_REFUSALS_MAX {
        sender.refused(&io::Error::from_raw_os_error(EINVAL));
    }
    assert!(!sender.segments.usable);
    let (mut other, _receiver) = (bound("127.0.0.1"), ());
    other.refused(&io::Error::from_raw_os_error(EIO));
    assert!(
        !other.segments.usable,
        "a device that cannot will not learn"
    );
}

#[test]
fn what_the_kernel_refuses_is_counted() {
    let (mut sender, receiver) = (bound("127.0.0.1"), bound("127.0.0.1"));
    let contents = vec![7; 65_535];
    let transmit = Transmit {
        path: path(&sender, &receiver),
        contents: &contents,
        segment_size: None,
    };
    assert_eq!(sender.send(&transmit, 0), Sent::Done);
    assert_eq!(sender.figures.send_drops, 1);
    assert_eq!(sender.figures.datagrams_out, 0);
}

#[test]
fn other_machines_are_refused_where_asked() {
    let (mut sender, mut receiver) = (bound("127.0.0.1"), bound("127.0.0.1"));
    let settings = ReachSettings {
        only_this_machine: true,
        ..ReachSettings::default()
    };
    receiver.reach = Reach::new([127, 0, 0, 1].into(), &[], &settings);
    let mut batch = TransmitBatch::new(2_000);
    batch.push(path(&sender, &receiver), b"mine");
    let transmit = batch.transmits().next().unwrap();
    sender.send(&transmit, 0);
    assert_eq!(received(&mut receiver, 1, 8)[0].1, b"mine");
    assert_eq!(receiver.figures.foreign, 0);
}
