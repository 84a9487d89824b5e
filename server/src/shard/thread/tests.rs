use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};

use actors::IngestPlace;
use media_contract::{Action, Command, CommandId, Event, Fact, PlaneError, RelayPeer, Subject};
use media_types::{Epoch, PacketFrame, RoomId, TrackId};
use media_webrtc::Path;

use super::super::live::{LiveInput, feed};
use super::super::ring::{self, Reports};
use super::super::{Prepared, streams};
use super::*;
use crate::clock::SystemClock;
use crate::net::{Reach, ReachSettings};

/// Sends every datagram back; one that starts with `r` goes back by the other shard.
#[derive(Default)]
struct Echo {
    out: VecDeque<(Path, Vec<u8>)>,
    relays: VecDeque<(RelayPeer, (Path, Vec<u8>))>,
    events: VecDeque<Event>,
    closed: u32,
    /// What others do while the shard is busy with a datagram.
    meanwhile: Option<Box<dyn FnOnce() + Send>>,
    /// Frames of live sources, each with the commands that came before it.
    frames: Vec<usize>,
}

/// A command about this room makes the shard panic.
const FATAL: RoomId = RoomId::new(666);

impl Logic for Echo {
    type Relay = (Path, Vec<u8>);

    fn handle_command(&mut self, _: Instant, command: Command) {
        assert_ne!(command.room, FATAL, "as the test asked");
        self.events.push_back(Event {
            room: command.room,
            subject: Subject::Room,
            fact: Fact::Done {
                command: command.id,
            },
        });
    }

    fn handle_datagram(&mut self, _: Instant, path: Path, datagram: &mut [u8]) {
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        if datagram.first() == Some(&b'r') {
            let message = (path, datagram.to_vec());
            self.relays.push_back((ShardId(1).into(), message));
        } else {
            self.out.push_back((path, datagram.to_vec()));
        }
    }

    fn handle_ingest(&mut self, _: Instant, _: IngestPlace, _: PacketFrame) {
        self.frames.push(self.events.len());
    }

    fn handle_path_closed(&mut self, _: Instant, _: Path) {
        self.closed += 1;
    }

    fn handle_relay(&mut self, _: Instant, _: RelayPeer, message: Self::Relay) {
        self.out.push_back(message);
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_transmit(&mut self, _: Instant, out: &mut TransmitBatch) -> bool {
        while let Some((path, bytes)) = self.out.pop_front() {
            if !out.push(path, &bytes) {
                self.out.push_front((path, bytes));
                return true;
            }
        }
        false
    }

    fn poll_relay(&mut self) -> Option<(RelayPeer, Self::Relay)> {
        self.relays.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn transports(&self, _: Instant) -> u32 {
        self.closed
    }
}

struct Shards {
    inboxes: Vec<Arc<Inbox>>,
    reports: Vec<Reports>,
    ports: Vec<u16>,
    threads: Vec<JoinHandle<()>>,
}

fn start(count: u16) -> Shards {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ip = [127, 0, 0, 1].into();
    let reach = Reach::new(ip, &[ip], &ReachSettings::default());
    let prepared: Vec<_> = (0..count)
        .map(|index| {
            let socket = ShardSocket::bind(SocketAddr::new(ip, 0), reach.clone()).unwrap();
            Prepared::new(ShardId(index), socket).unwrap()
        })
        .collect();
    let inboxes: Vec<_> = prepared.iter().map(|p| Arc::clone(&p.inbox)).collect();
    let ports = prepared.iter().map(|p| p.socket.port()).collect();
    let (mut reports, mut threads) = (Vec::new(), Vec::new());
    for (prepared, lanes) in prepared.into_iter().zip(ring::lanes(&inboxes)) {
        let (reporter, reading) = ring::reports();
        reports.push(reading);
        let parts = prepared.finish(lanes, reporter);
        let thread = spawn(parts, Arc::clone(&clock), |_| Echo::default());
        threads.push(thread.unwrap());
    }
    Shards {
        inboxes,
        reports,
        ports,
        threads,
    }
}

impl Shards {
    fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        socket.connect(("127.0.0.1", self.ports[0])).unwrap();
        socket
    }

    fn stop(self) -> Vec<Reports> {
        for inbox in &self.inboxes {
            inbox.stop();
        }
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.reports
    }
}

/// The next report that is not about figures.
fn next(reports: &mut Reports) -> Option<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let deadline = Duration::from_secs(5);
        loop {
            match reports.next() {
                Some(Report::Figures(_)) => {}
                Some(report) => return Some(report),
                None => {
                    let more = tokio::time::timeout(deadline, reports.more()).await;
                    if !more.expect("a report comes within seconds") {
                        return None;
                    }
                }
            }
        }
    })
}

fn command(id: u64, room: RoomId) -> Command {
    Command {
        id: CommandId(id),
        room,
        epoch: Epoch::default(),
        action: Action::OpenRoom,
    }
}

fn asks_and_hears(client: &UdpSocket, text: &[u8]) {
    client.send(text).unwrap();
    let mut bytes = [0; 64];
    let length = client.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], text);
}

#[test]
fn datagrams_and_commands_pass_through_the_thread() {
    let mut shards = start(1);
    let client = shards.client();
    asks_and_hears(&client, b"one");
    asks_and_hears(&client, b"two");
    let room = RoomId::new(1);
    for id in 0..200 {
        shards.inboxes[0].command(command(id, room)).unwrap();
    }
    for id in 0..200 {
        let Some(Report::Event(event)) = next(&mut shards.reports[0]) else {
            panic!("no event {id}");
        };
        let expected = Fact::Done {
            command: CommandId(id),
        };
        assert_eq!(event.fact, expected);
    }
    let inbox = Arc::clone(&shards.inboxes[0]);
    let mut reports = shards.stop();
    assert!(
        next(&mut reports[0]).is_none(),
        "an orderly end says nothing"
    );
    assert_eq!(inbox.command(command(0, room)), Err(PlaneError::Gone));
}

#[test]
fn packets_cross_between_shards() {
    let shards = start(2);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let ask = |text: &[u8]| client.send_to(text, ("127.0.0.1", shards.ports[0]));
    for number in 0..50_u8 {
        ask(&[b'r', number]).unwrap();
        let mut bytes = [0; 8];
        let (length, from) = client.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], [b'r', number]);
        assert_eq!(from.port(), shards.ports[1], "the other shard's socket");
    }
    shards.stop();
}

#[test]
fn a_panic_costs_one_life_and_too_many_cost_the_shard() {
    let mut shards = start(1);
    let client = shards.client();
    for life in 0..SHARD_RESTARTS_MAX {
        asks_and_hears(&client, b"alive");
        shards.inboxes[0].command(command(0, FATAL)).unwrap();
        let report = next(&mut shards.reports[0]);
        assert!(matches!(report, Some(Report::Restarted)), "life {life}");
    }
    asks_and_hears(&client, b"still");
    shards.inboxes[0].command(command(0, FATAL)).unwrap();
    let report = next(&mut shards.reports[0]);
    assert!(matches!(report, Some(Report::Spent)));
    assert!(next(&mut shards.reports[0]).is_none());
    let refused = shards.inboxes[0].command(command(0, FATAL));
    assert_eq!(refused, Err(PlaneError::Gone));
    shards.stop();
}

#[test]
fn a_stream_is_fed_and_answered_until_it_closes() {
    let shards = start(1);
    let path = Path {
        local: ([127, 0, 0, 1], 7_800).into(),
        remote: ([127, 0, 0, 1], 4_000).into(),
        protocol: Protocol::Tcp,
    };
    let (out, mut bytes, signal) = streams::stream(path, 1);
    let inbox = &shards.inboxes[0];
    inbox.stream(StreamInput::Opened(out)).unwrap();
    let in_flight = Arc::new(std::sync::atomic::AtomicU32::new(1));
    let frame = StreamInput::Frame {
        path,
        bytes: b"abc".to_vec(),
        in_flight: Arc::clone(&in_flight),
    };
    inbox.stream(frame).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(signal.waiting.notified());
    let mut framed = [0; 5];
    bytes.pop_entire_slice(&mut framed).unwrap();
    assert_eq!(&framed, b"\0\x03abc");
    assert_eq!(in_flight.load(std::sync::atomic::Ordering::Relaxed), 0);
    inbox
        .stream(StreamInput::Closed { path, number: 1 })
        .unwrap();
    shards.stop();
    assert!(bytes.is_abandoned());
}

#[test]
fn a_source_that_begins_while_the_shard_is_busy_loses_no_frame() {
    let clock = SystemClock;
    let ip = [127, 0, 0, 1].into();
    let reach = Reach::new(ip, &[ip], &ReachSettings::default());
    let socket = ShardSocket::bind(SocketAddr::new(ip, 0), reach).unwrap();
    let prepared = Prepared::new(ShardId(0), socket).unwrap();
    let (inbox, port) = (Arc::clone(&prepared.inbox), prepared.socket.port());
    let lanes = ring::lanes(&[Arc::clone(&inbox)]).remove(0);
    let (reporter, _reports) = ring::reports();
    let (mut frames, _signal, feed) = feed(IngestPlace {
        track: TrackId::new(1),
        shard: ShardId(0),
        room: RoomId::new(1),
        feed: 1,
    });
    // The track is commanded first, as by its actor, then its frames are announced.
    let meanwhile = move || {
        inbox.command(command(1, RoomId::new(1))).unwrap();
        inbox.live(LiveInput::Feed(feed)).unwrap();
    };
    let frame = PacketFrame {
        payloads: Vec::new(),
        timestamp: 0,
        keyframe: true,
        captured: None,
    };
    frames.push(frame).unwrap();
    let logic = Echo {
        meanwhile: Some(Box::new(meanwhile)),
        ..Echo::default()
    };
    let parts = Box::new(prepared.finish(lanes, reporter));
    let mut turns = Turns::new(parts, logic, clock.now());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"x", ("127.0.0.1", port)).unwrap();
    let mut events = mio::Events::with_capacity(8);
    let deadline = clock.now() + Duration::from_secs(5);
    while turns.logic.frames.is_empty() && clock.now() < deadline {
        turns.look(&mut events, Duration::from_millis(10));
        turns.turn(clock.now());
    }
    assert_eq!(turns.logic.frames, [1], "the command first, then the frame");
}
