//! The shaper over real sockets.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use loadtest::network::Script;
use loadtest::{Shaper, ShaperConfig, ShaperReport};

/// Few enough for the buffer of one socket, so that only the script loses any.
const DATAGRAMS: u32 = 80;

/// Sends numbered datagrams of two clients through a shaper to an echo; what came back to each.
fn echo(script: &str) -> (ShaperReport, [Vec<u32>; 2]) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    let shaper = Shaper::start(ShaperConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        upstream,
        script: Script::parse(script).unwrap(),
    })
    .unwrap();
    server
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2_000];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    let clients = [(); 2].map(|()| {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(shaper.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        client
    });
    let mut datagram = [0; 200];
    for number in 0..DATAGRAMS {
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        for client in &clients {
            client.send(&datagram).unwrap();
        }
    }
    let received = clients.map(|client| {
        let mut numbers = Vec::new();
        let mut buffer = [0; 2_000];
        while let Ok(length) = client.recv(&mut buffer) {
            assert_eq!(length, datagram.len());
            numbers.push(u32::from_be_bytes(buffer[..4].try_into().unwrap()));
        }
        numbers
    });
    shaper.stopper()();
    let report = shaper.join().unwrap();
    echo.join().unwrap();
    (report, received)
}

#[test]
fn what_is_not_lost_comes_back_in_order() {
    let (report, received) = echo("[up]\ndelay_ms = 10\n[down]\nloss = 0.2\nduplicate = 0.1");
    assert_eq!((report.flows.len(), report.refused), (2, 0));
    for (flow, numbers) in report.flows.iter().zip(received) {
        let up = flow.up.as_ref().unwrap().figures;
        assert_eq!((up.offered, up.delivered), (80, 80));
        assert_eq!(up.offered_bytes, 80 * 200);
        let down = flow.down.as_ref().unwrap().figures;
        assert_eq!(down.offered, 80);
        assert_eq!(down.delivered, 80 - down.lost + down.duplicated);
        assert_eq!(numbers.len() as u64, down.delivered);
        assert!(numbers.is_sorted(), "a delay alone does not reorder");
        assert!((6..30).contains(&down.lost), "{} of 80 lost", down.lost);
        assert!(down.duplicated > 2, "{} twice", down.duplicated);
    }
}

#[test]
fn all_share_one_bottleneck_when_told_to() {
    let start = started();
    let (report, received) = echo("shared = true\n[down]\nrate_kbps = 1600\nqueue_bytes = 1000000");
    let down = report.down.unwrap();
    assert_eq!((down.figures.offered, down.figures.overflowed), (160, 0));
    assert!(report.flows.iter().all(|flow| flow.down.is_none()));
    assert_eq!(received.map(|numbers| numbers.len()), [80, 80]);
    // 32,000 bytes at 200 a millisecond.
    assert!(start.elapsed() >= Duration::from_millis(160));
    assert!(down.queue_ms_max > 80, "{} ms", down.queue_ms_max);
    assert!(down.rate_kbps.iter().all(|&rate| rate <= 1_632));
}

#[test]
fn its_network_changes_while_it_runs() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let shaper = Shaper::start(ShaperConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        upstream: server.local_addr().unwrap(),
        script: Script::parse("").unwrap(),
    })
    .unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(shaper.address).unwrap();
    let mut buffer = [0; 100];
    client.send(b"before").unwrap();
    assert_eq!(server.recv(&mut buffer).unwrap(), 6);
    let cut = Script::parse("[up]\nloss = 1.0").unwrap();
    shaper.change(&cut).unwrap();
    client.send(b"after").unwrap();
    assert!(server.recv(&mut buffer).is_err(), "nothing passes any more");
    shaper.stopper()();
    let report = shaper.join().unwrap();
    let up = report.flows[0].up.as_ref().unwrap().figures;
    assert_eq!((up.delivered, up.lost), (1, up.offered - 1));
}

#[allow(clippy::disallowed_methods, reason = "real sockets have a real clock")]
fn started() -> Instant {
    Instant::now()
}
