//! Workers with real shards, rings, threads and sockets; only the actors are missing.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use actors::{ClusterLink, IngestPlace, PartBody, PartLetter};
use media_contract::{
    Action, Command, CommandId, IngestTrack, Plane, RelayEnd, RelayPeer, TapWish,
};
use media_core::{Shard, ShardConfig};
use media_types::{
    Codec, Epoch, MediaKind, PacketFrame, Payload, RoomId, ShardId, TapId, TapPacket, TrackId,
    TrackSource,
};
use media_webrtc::{Certificate, TransportConfig};

use super::post::LetterBox;
use super::*;
use crate::clock::SystemClock;
use crate::config::ClusterTlsConfig;
use crate::net::{Reach, ReachSettings};
use crate::plane::Rings;
use crate::shard::Shards;
use crate::shard::live::{self, FeedSignal, LiveInput};
use crate::shard::ring::Reports;

/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(20);
const ROOM: RoomId = RoomId::new(77);
const TRACK: TrackId = TrackId::new(5);
const TAP: TapId = TapId::new(6);

fn identity(directory: &Path) -> ClusterIdentity {
    crate::tls::install_provider();
    let config = ClusterTlsConfig {
        directory: Some(directory.to_owned()),
        ..ClusterTlsConfig::default()
    };
    ClusterIdentity::from_config(&config).unwrap()
}

/// The letters that came.
#[derive(Clone, Default)]
struct Heard(Arc<std::sync::Mutex<Vec<(WorkerId, PartLetter)>>>);

impl Hears for Heard {
    fn told(&self, from: WorkerId, letter: PartLetter) {
        self.0.lock().unwrap().push((from, letter));
    }

    fn linked(&self, _: BTreeSet<WorkerId>) {}
}

/// A worker: one shard, and its thread of links.
struct Node {
    id: WorkerId,
    rings: Rings,
    address: SocketAddr,
    roster: watch::Sender<Roster>,
    linked: watch::Receiver<Linked>,
    letters: LetterBox,
    heard: Heard,
    commands: u64,
    _reports: Vec<Reports>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.rings.stop();
    }
}

impl Node {
    fn start(id: u64, directory: &Path) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = ReachSettings {
            public: Vec::new(),
            loopback: true,
            only_this_machine: true,
        };
        let local = Ipv4Addr::LOCALHOST.into();
        let reach = Reach::new(local, &[], &settings);
        let mut shards = Shards::bind(1, (local, 0).into(), &reach).unwrap();
        let rings = Rings::new(&shards);
        let ends = shards.open_far();
        let (base, unix) = (clock.now(), clock.unix());
        let certificate = Certificate::generate().unwrap();
        let make = move |now, id| {
            let transport = TransportConfig::new(base, unix, certificate.clone(), Vec::new());
            Shard::new(now, ShardConfig::new(id, transport, [7; 32]))
        };
        let running = shards.start(&clock, false, &make).unwrap();
        let socket = ClusterSocket::bind((local, 0).into()).unwrap();
        let address = socket.address().unwrap();
        let roster = watch::Sender::new(Roster::new());
        let id = WorkerId::new(id);
        let told = roster.subscribe();
        let (letters, post) = open_post();
        let heard = Heard::default();
        let hears = Box::new(heard.clone());
        socket
            .start(id, identity(directory), clock, ends, told, (post, hears))
            .unwrap();
        Self {
            id,
            rings,
            address,
            roster,
            linked: letters.linked(),
            letters,
            heard,
            commands: 0,
            _reports: running.into_iter().map(|it| it.reports).collect(),
        }
    }

    fn peer(&self) -> RelayPeer {
        RelayPeer::Worker {
            worker: self.id,
            shard: ShardId(0),
        }
    }

    fn command(&mut self, action: Action) {
        self.commands += 1;
        let command = Command {
            id: CommandId(self.commands),
            room: ROOM,
            epoch: Epoch(3),
            action,
        };
        self.rings.send(ShardId(0), command).unwrap();
    }

    /// Opens the room, as a part of which other workers hold the rest.
    fn open(&mut self, peers: Vec<RelayPeer>) {
        self.command(Action::OpenRoom);
        self.command(Action::LinkRoom { peers });
    }

    async fn links(&mut self, expected: &[&Self]) {
        let expected: Linked = expected.iter().map(|node| node.id).collect();
        let wait = self.linked.wait_for(|linked| *linked == expected);
        tokio::time::timeout(LONG, wait).await.unwrap().unwrap();
    }
}

/// Tells workers of each other.
fn introduce(nodes: &[&Node]) {
    let roster: Roster = nodes.iter().map(|it| (it.id, vec![it.address])).collect();
    for node in nodes {
        node.roster.send_replace(roster.clone());
    }
}

/// A source of pictures on one worker.
struct Source {
    frames: rtrb::Producer<PacketFrame>,
    signal: Arc<FeedSignal>,
    number: u32,
}

impl Source {
    fn open(node: &mut Node) -> Self {
        node.command(Action::OpenIngest(IngestTrack {
            track: TRACK,
            identity: "camera".parse().unwrap(),
            kind: MediaKind::Video,
            codec: Codec::Vp8,
            source: TrackSource::Ingest,
            feed: 1,
        }));
        let (frames, signal, feed) = live::feed(IngestPlace {
            room: ROOM,
            shard: ShardId(0),
            track: TRACK,
            feed: 1,
        });
        node.rings.inboxes()[0].live(LiveInput::Feed(feed)).unwrap();
        Self {
            frames,
            signal,
            number: 0,
        }
    }

    /// One picture of one packet, too large for one datagram of a short path; every tenth is a
    /// keyframe.
    fn play(&mut self, node: &Node) {
        let mut bytes = vec![0x5a; 1_150];
        let keyframe = self.number.is_multiple_of(10);
        // A VP8 descriptor that starts a picture, and the picture's first bytes.
        bytes[0] = 0x10;
        bytes[1] = u8::from(!keyframe);
        bytes[4..7].copy_from_slice(&[0x9d, 0x01, 0x2a]);
        bytes[7..11].copy_from_slice(&[64, 0, 64, 0]);
        bytes[16..20].copy_from_slice(&self.number.to_be_bytes());
        let frame = PacketFrame {
            payloads: vec![Payload::copy_of(&bytes).unwrap()],
            timestamp: self.number * 3_000,
            keyframe,
            captured: None,
        };
        self.frames.push(frame).unwrap();
        self.signal.raise(&node.rings.inboxes()[0]);
        self.number += 1;
    }
}

/// Shows the track of that worker on this one.
fn watch_track(node: &mut Node, from: &Node) -> rtrb::Consumer<TapPacket> {
    node.command(Action::OpenRelay {
        track: TRACK,
        end: RelayEnd::In {
            from: from.peer(),
            kind: MediaKind::Video,
            codec: Codec::Vp8,
            source: TrackSource::Ingest,
            publisher: "camera".parse().unwrap(),
        },
    });
    node.command(Action::OpenTap {
        tap: TAP,
        track: TRACK,
        wish: TapWish::default(),
    });
    let (out, packets, _signal) = live::tap(TAP);
    node.rings.inboxes()[0].live(LiveInput::Tap(out)).unwrap();
    packets
}

/// Plays until so many pictures have come; their numbers.
async fn pictures(
    source: &mut Source,
    node: &Node,
    packets: &mut rtrb::Consumer<TapPacket>,
    count: usize,
) -> Vec<u32> {
    let mut numbers = Vec::new();
    let played = async {
        while numbers.len() < count {
            source.play(node);
            tokio::time::sleep(Duration::from_millis(5)).await;
            while let Ok(packet) = packets.pop() {
                let payload = packet.payload.as_slice();
                assert_eq!(payload.len(), 1_150);
                numbers.push(u32::from_be_bytes(payload[16..20].try_into().unwrap()));
            }
        }
    };
    tokio::time::timeout(LONG, played).await.unwrap();
    numbers
}

fn assert_without_gaps(numbers: &[u32]) {
    let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
    assert_eq!(gap, None);
}

#[tokio::test]
async fn a_track_crosses_a_real_link_and_the_link_comes_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut a = Node::start(1, directory.path());
    let mut b = Node::start(2, directory.path());
    introduce(&[&a, &b]);
    a.links(&[&b]).await;
    b.links(&[&a]).await;
    a.open(vec![b.peer()]);
    b.open(vec![a.peer()]);
    let mut source = Source::open(&mut a);
    let mut packets = watch_track(&mut b, &a);
    let numbers = pictures(&mut source, &a, &mut packets, 200).await;
    assert_without_gaps(&numbers);
    // Another process takes the place of the one that shows the track.
    let gone = b.id;
    drop(b);
    let mut c = Node::start(3, directory.path());
    introduce(&[&a, &c]);
    let wait = a.linked.wait_for(|linked| !linked.contains(&gone));
    tokio::time::timeout(LONG, wait).await.unwrap().unwrap();
    a.links(&[&c]).await;
    a.open(vec![c.peer()]);
    c.open(vec![a.peer()]);
    let mut packets = watch_track(&mut c, &a);
    let again = pictures(&mut source, &a, &mut packets, 50).await;
    assert_without_gaps(&again);
    // From the last keyframe on, which the one before may have had.
    let last = numbers[numbers.len() - 1];
    assert!(again[0].is_multiple_of(10) && again[0] + 10 > last);
    assert!(again[again.len() - 1] > last);
}

#[tokio::test]
async fn letters_come_in_their_order_whatever_their_size() {
    let directory = tempfile::tempdir().unwrap();
    let mut a = Node::start(1, directory.path());
    let b = Node::start(2, directory.path());
    let letter = |number: u64| PartLetter {
        name: "hall".parse().unwrap(),
        room: ROOM,
        epoch: Epoch(number),
        body: PartBody::Said(Box::new(actors::Said {
            to: None,
            message: signaling::ServerMessage::Chat(signaling::server_message::ChatNotice {
                message_id: number.to_string(),
                from: "ana".parse().unwrap(),
                text: "x".repeat(usize::try_from(number).unwrap() * 10_000),
                at: number,
            }),
        })),
    };
    assert!(!a.letters.tell(b.id, letter(0)), "there is no link yet");
    introduce(&[&a, &b]);
    a.links(&[&b]).await;
    let sent: Vec<_> = (0..60).map(letter).collect();
    for letter in &sent {
        assert!(a.letters.tell(b.id, letter.clone()));
    }
    let arrive = async {
        while b.heard.0.lock().unwrap().len() < sent.len() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, arrive).await.unwrap();
    let expected: Vec<_> = sent.into_iter().map(|letter| (a.id, letter)).collect();
    assert_eq!(*b.heard.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn three_workers_link_each_with_each() {
    let directory = tempfile::tempdir().unwrap();
    let mut nodes: Vec<Node> = (1..=3)
        .map(|id| Node::start(id, directory.path()))
        .collect();
    introduce(&nodes.iter().collect::<Vec<_>>());
    for index in 0..3 {
        let (mut nodes, others): (Vec<_>, Vec<_>) = nodes
            .iter_mut()
            .enumerate()
            .partition(|(place, _)| *place == index);
        let others: Vec<&Node> = others.into_iter().map(|(_, node)| &*node).collect();
        nodes[0].1.links(&others).await;
    }
}

#[tokio::test]
async fn who_has_no_certificate_of_the_cluster_is_refused() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut a = Node::start(1, ours.path());
    let mut b = Node::start(2, ours.path());
    let stranger = Node::start(3, theirs.path());
    // The stranger knows both, and both dial it and are dialled.
    introduce(&[&a, &b, &stranger]);
    a.links(&[&b]).await;
    b.links(&[&a]).await;
    // By the time that a fourth worker, which comes later, is linked, the stranger was refused.
    let mut late = Node::start(4, ours.path());
    introduce(&[&a, &b, &late, &stranger]);
    late.links(&[&a, &b]).await;
    a.links(&[&b, &late]).await;
    assert!(stranger.linked.borrow().is_empty());
}

#[test]
fn workers_that_start_together_agree_on_one_authority() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| identity(path));
        }
    });
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["ca.key", "ca.pem"]);
    let (first, second) = (identity(path), identity(path));
    assert!(first.server().is_ok() && second.client().is_ok());
    let missing = ClusterTlsConfig::default();
    assert!(matches!(
        ClusterIdentity::from_config(&missing),
        Err(ClusterTlsError::Incomplete)
    ));
}
