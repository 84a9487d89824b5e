use std::sync::atomic::{AtomicU64, Ordering};

use actors::Revocation;
use media_types::Clock;
use metrics::CounterFn;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::auth::{Bearer, Revocations};
use crate::clock::SystemClock;

/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(30);
const WAITING_MAX: usize = 10;
const CHUNK: usize = 1 << 20;

struct Sum(AtomicU64);

impl CounterFn for Sum {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }
    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

struct Pair {
    line: Line,
    player: TcpStream,
    written: Arc<Sum>,
    revoked: Arc<Revocations>,
}

async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (player, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let socket = accepted.unwrap().0;
    socket.writable().await.unwrap();
    let written = Arc::new(Sum(AtomicU64::new(0)));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let revoked = Arc::new(Revocations::new(LONG));
    let bearer = Bearer::of_key("key".to_owned());
    let standing = Standing::new(Arc::clone(&revoked), bearer, clock);
    let counter = Counter::from_arc(Arc::clone(&written));
    let counted = (Count::new("rtmp"), counter);
    Pair {
        line: Line::new(Arc::new(socket), WAITING_MAX, standing, counted),
        player: player.unwrap(),
        written,
        revoked,
    }
}

fn chunk(fill: u8, size: usize, start: bool) -> Chunk {
    Chunk {
        bytes: vec![fill; size].into(),
        start,
        at: Duration::ZERO,
        length: Duration::ZERO,
    }
}

/// What the pieces of this size that come next are filled with.
async fn read(player: &mut TcpStream, sizes: &[usize]) -> Vec<u8> {
    let mut fills = Vec::new();
    for size in sizes {
        let mut bytes = vec![0; *size];
        let all = tokio::time::timeout(LONG, player.read_exact(&mut bytes));
        all.await.unwrap().unwrap();
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a torn piece");
        fills.push(bytes[0]);
    }
    fills
}

/// Waits until there is something to see to.
async fn event(line: &Line) -> LineEvent {
    tokio::time::timeout(LONG, line.event()).await.unwrap()
}

#[tokio::test]
async fn chunks_reach_a_player_past_its_connection() {
    let mut pair = pair().await;
    pair.line
        .begin([1, 2].map(|fill| vec![fill; 10].into()).into_iter());
    assert_eq!(event(&pair.line).await, LineEvent::Waiting);
    assert!(pair.line.drain(LONG).await);
    pair.line.send(&chunk(3, 1_000, false));
    pair.line.say(vec![4; 10].into());
    assert_eq!(
        read(&mut pair.player, &[10, 10, 1_000, 10]).await,
        [1, 2, 3, 4]
    );
    assert_eq!(pair.written.0.load(Ordering::Relaxed), 1_030);
    pair.line.end();
    // There may be bells of before.
    assert_eq!(event(&pair.line).await, LineEvent::Over);
    pair.line.send(&chunk(5, 10, true));
    assert!(pair.line.lock().waiting.is_empty(), "the end is the end");
}

#[tokio::test]
async fn what_a_socket_does_not_take_comes_later_and_in_order() {
    let mut pair = pair().await;
    pair.line.begin(std::iter::empty());
    // More than two sockets hold, of a player that reads nothing yet.
    for fill in 1..=8 {
        pair.line.send(&chunk(fill, CHUNK, false));
    }
    assert_eq!(event(&pair.line).await, LineEvent::Waiting);
    pair.line.say(vec![9; 10].into());
    pair.line.end();
    let mut sizes = [CHUNK; 9];
    sizes[8] = 10;
    let (drained, fills) = tokio::join!(pair.line.drain(LONG), read(&mut pair.player, &sizes));
    assert!(drained);
    assert_eq!(fills, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(event(&pair.line).await, LineEvent::Over);
}

#[tokio::test]
async fn who_is_too_slow_goes_on_at_a_keyframe() {
    let mut pair = pair().await;
    // What it begins with does not count.
    let prelude = || (0..50).map(|_| Bytes::from(vec![1; 1_000]));
    pair.line.begin(prelude());
    let mut sent: u8 = 1;
    while !pair.line.lock().behind {
        sent += 1;
        pair.line.send(&chunk(sent, CHUNK, false));
        assert!(sent < 100, "sockets hold a few MiB");
    }
    pair.line.say(vec![0; 10].into());
    pair.line.send(&chunk(101, CHUNK, false));
    pair.line.send(&chunk(102, CHUNK, true));
    pair.line.send(&chunk(103, CHUNK, false));
    let last = async {
        let mut tail = vec![0; 10];
        let mut fills = Vec::new();
        let mut got = 0;
        let mut buffer = vec![0; CHUNK];
        while got < 2 * CHUNK {
            let count = tokio::time::timeout(LONG, pair.player.read(&mut buffer));
            let count = count.await.unwrap().unwrap();
            for byte in &buffer[..count] {
                got += usize::from(*byte >= 101);
                if fills.last() != Some(byte) {
                    fills.push(*byte);
                }
            }
            tail = buffer[count.saturating_sub(10)..count].to_vec();
        }
        assert!(tail.iter().all(|byte| *byte == 103));
        fills
    };
    let (drained, fills) = tokio::join!(pair.line.drain(LONG), last);
    assert!(drained);
    // What it had begun to get, what its connection said, and then a keyframe.
    assert_eq!(fills[fills.len() - 3..], [0, 102, 103]);
    assert!(fills.is_sorted_by(|a, b| a < b || *b == 0), "{fills:?}");
    assert!(
        fills.len() < usize::from(sent),
        "some were left out: {fills:?}"
    );
}

#[tokio::test]
async fn a_pause_ends_at_a_keyframe() {
    let mut pair = pair().await;
    pair.line.begin(std::iter::empty());
    pair.line.pause(true);
    pair.line.send(&chunk(1, 10, true));
    pair.line.pause(false);
    pair.line.send(&chunk(2, 10, false));
    pair.line.send(&chunk(3, 10, true));
    pair.line.send(&chunk(4, 10, false));
    assert_eq!(read(&mut pair.player, &[10, 10]).await, [3, 4]);
}

#[tokio::test]
async fn who_is_believed_no_more_gets_nothing_more() {
    let mut pair = pair().await;
    pair.line.begin(std::iter::empty());
    pair.line.send(&chunk(1, 10, true));
    let key = Revocation::Key("key".to_owned());
    pair.revoked.add(key, SystemClock.unix()).unwrap();
    pair.line.send(&chunk(2, 10, true));
    assert_eq!(event(&pair.line).await, LineEvent::Revoked);
    drop(pair.line);
    let mut rest = Vec::new();
    pair.player.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [1; 10]);
}

#[tokio::test]
async fn a_player_that_takes_nothing_or_has_gone_is_given_up() {
    let pair = pair().await;
    pair.line.begin(std::iter::empty());
    for fill in 1..=10 {
        pair.line.send(&chunk(fill, CHUNK, false));
    }
    assert!(!pair.line.drain(Duration::from_millis(50)).await);
    drop(pair.player);
    // What it had not read tells us at once that it has gone.
    assert!(!pair.line.drain(LONG).await);
    assert_eq!(event(&pair.line).await, LineEvent::Broken);
}
