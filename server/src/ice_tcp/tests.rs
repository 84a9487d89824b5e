use std::net::{IpAddr, Ipv4Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::limits::STREAMS_UNPROVEN_PER_ADDRESS_MAX;
use crate::net::ReachSettings;
use crate::shard::Shards;
use crate::shard::ring::StreamInput;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A STUN request (RFC 8489) with this user name and nothing else.
fn stun(user: &str) -> Vec<u8> {
    let padded = user.len().next_multiple_of(4);
    let mut bytes = vec![0, 1];
    bytes.extend(u16::try_from(padded + 4).unwrap().to_be_bytes());
    bytes.extend([0x21, 0x12, 0xa4, 0x42]);
    bytes.extend([9; 12]);
    bytes.extend([0, 6]);
    bytes.extend(u16::try_from(user.len()).unwrap().to_be_bytes());
    bytes.extend(user.as_bytes());
    bytes.resize(20 + 4 + padded, 0);
    bytes
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let length = u16::try_from(datagram.len()).unwrap();
    [&length.to_be_bytes(), datagram].concat()
}

/// A listener whose shards' queues the test reads itself.
fn listen() -> (Arc<IceTcp>, SocketAddr) {
    let reach = Reach::new(HERE, &[HERE], &ReachSettings::default());
    let shards = Shards::bind(2, SocketAddr::new(HERE, 0), &reach).unwrap();
    let listener = bind(SocketAddr::new(HERE, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = IceTcp::new(&Rings::new(&shards), reach, address.port());
    tokio::spawn(Arc::clone(&tcp).serve(listener));
    (tcp, address)
}

async fn next(inbox: &Inbox) -> StreamInput {
    loop {
        if let Some(input) = inbox.next_stream() {
            return input;
        }
        tokio::task::yield_now().await;
    }
}

async fn is_closed(mut client: TcpStream) -> bool {
    matches!(client.read(&mut [0; 16]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn the_first_stun_request_names_the_shard() {
    let (tcp, address) = listen();
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = stun("01abcd:efgh");
    client.write_all(&framed(&request)).await.unwrap();
    let StreamInput::Opened(mut out) = next(&tcp.inboxes[1]).await else {
        panic!("the shard hears of the connection first");
    };
    let path = out.path();
    assert_eq!(path.remote, client.local_addr().unwrap());
    assert_eq!(path.local, address);
    client.write_all(&framed(b"\x16dtls")).await.unwrap();
    for expected in [request, b"\x16dtls".to_vec()] {
        let StreamInput::Frame { bytes, .. } = next(&tcp.inboxes[1]).await else {
            panic!("then its frames");
        };
        assert_eq!(bytes, expected);
    }
    out.answer(b"\x16answer");
    let mut answer = [0; 9];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\0\x07\x16answer");
    drop(client);
    let StreamInput::Closed { path: closed, .. } = next(&tcp.inboxes[1]).await else {
        panic!("and its end");
    };
    assert_eq!(closed, path);
}

#[tokio::test]
async fn strangers_are_closed_without_reaching_a_shard() {
    let (tcp, address) = listen();
    let too_long = vec![0xff; 64];
    let no_stun = framed(&[0; 40]);
    let unknown_shard = framed(&stun("zzabcd:efgh"));
    for bytes in [
        too_long,
        no_stun,
        unknown_shard,
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&bytes).await.unwrap();
        assert!(is_closed(client).await);
    }
    assert!(
        tcp.inboxes
            .iter()
            .all(|inbox| inbox.next_stream().is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_after_ten_seconds() {
    let (_tcp, address) = listen();
    let began = tokio::time::Instant::now();
    let client = TcpStream::connect(address).await.unwrap();
    assert!(is_closed(client).await);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(10), "{waited:?}");
    assert!(waited < Duration::from_secs(11), "{waited:?}");
}

#[tokio::test]
async fn one_address_has_sixteen_unproven_connections() {
    let (tcp, address) = listen();
    let mut clients = Vec::new();
    for _ in 0..STREAMS_UNPROVEN_PER_ADDRESS_MAX {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&framed(&stun("00abcd:x"))).await.unwrap();
        let opened = next(&tcp.inboxes[0]).await;
        assert!(matches!(opened, StreamInput::Opened(_)));
        let first = next(&tcp.inboxes[0]).await;
        assert!(matches!(first, StreamInput::Frame { .. }));
        clients.push((client, opened));
    }
    let surplus = TcpStream::connect(address).await.unwrap();
    assert!(is_closed(surplus).await);
    assert_eq!(tcp.connections(), STREAMS_UNPROVEN_PER_ADDRESS_MAX);
    // An answer beyond STUN proves the first; with its next frame it gives its place back.
    let (mut client, StreamInput::Opened(mut out)) = clients.swap_remove(0) else {
        panic!("opened above");
    };
    out.answer(b"\x16");
    client.write_all(&framed(b"\x16more")).await.unwrap();
    next(&tcp.inboxes[0]).await;
    client.write_all(&framed(b"\x16again")).await.unwrap();
    next(&tcp.inboxes[0]).await;
    let mut late = TcpStream::connect(address).await.unwrap();
    late.write_all(&framed(&stun("00abcd:x"))).await.unwrap();
    assert!(matches!(
        next(&tcp.inboxes[0]).await,
        StreamInput::Opened(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_closed_after_five_seconds() {
    let (tcp, address) = listen();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&framed(&stun("00abcd:x"))).await.unwrap();
    let StreamInput::Opened(mut out) = next(&tcp.inboxes[0]).await else {
        panic!("opened");
    };
    // The kernel's buffers take some megabytes; then our own queue fills and nothing moves.
    let frame = vec![20; 2_000];
    let mut refused = 0;
    while refused < 1_000 {
        if out.answer(&frame) {
            refused = 0;
        } else {
            refused += 1;
        }
        tokio::task::yield_now().await;
    }
    let began = tokio::time::Instant::now();
    next_closed(&tcp.inboxes[0]).await;
    assert!(began.elapsed() <= Duration::from_secs(6));
    drop(client);
}

async fn next_closed(inbox: &Inbox) {
    loop {
        match inbox.next_stream() {
            Some(StreamInput::Closed { .. }) => return,
            Some(_) => {}
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
