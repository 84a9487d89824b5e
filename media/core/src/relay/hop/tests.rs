use media_contract::DataTarget;
use media_rtp::extension::Extensions;
use media_types::{Codec, Payload, RoomId, TrackId};
use proptest::prelude::*;

use super::*;
use crate::limits::{HOP_LABEL_LIFE, HOP_NACK_TRIES};
use crate::track::Arrival;

const ROOM: RoomId = RoomId::new(9);
const TRACK: TrackId = TrackId::new(5);
const HERE: ShardId = ShardId(0);
const THERE: ShardId = ShardId(3);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn packet(sequence: u64, bytes: usize) -> RelayBody {
    let mut payload = vec![7; bytes];
    payload[..8].copy_from_slice(&sequence.to_be_bytes());
    let arrival = Arrival {
        stream: 0,
        simulcast: false,
        index: None,
        ssrc: 1,
        codec: Codec::Vp8,
        red: false,
        sequence,
        timestamp: 0,
        marker: false,
        extensions: Extensions::default(),
        payload: Payload::copy_of(&payload).unwrap(),
        fed: None,
    };
    RelayBody::Packet {
        track: TRACK,
        packet: Box::new(RelayPacket { arrival }),
    }
}

type Loss = Box<dyn FnMut(usize, &[u8]) -> bool>;

/// Two ends with a path between them.
struct Pair {
    now: Instant,
    ends: [Hop; 2],
    /// Datagrams under way: when they come, to which end.
    flying: Vec<(Instant, usize, Vec<u8>)>,
    one_way: Duration,
    /// Whether the datagram of that number to that end is lost.
    lose: Loss,
    came: Vec<(usize, Delivery)>,
    largest: usize,
}

impl Pair {
    fn new(datagram_max: usize) -> Self {
        #[allow(clippy::disallowed_methods, reason = "a test has no other clock")]
        let now = Instant::now();
        let config = HopConfig {
            datagram_max,
            ..HopConfig::default()
        };
        Self {
            now,
            ends: [Hop::new(now, config), Hop::new(now, config)],
            flying: Vec::new(),
            one_way: ms(10),
            lose: Box::new(|_, _| false),
            came: Vec::new(),
            largest: 0,
        }
    }

    fn says(&mut self, end: usize, body: RelayBody) {
        let (from, to) = if end == 0 {
            (HERE, THERE)
        } else {
            (THERE, HERE)
        };
        let message = RelayMessage::new(ROOM, Epoch(4), body);
        self.ends[end].handle_message(self.now, from, to, message);
        self.exchange();
    }

    fn exchange(&mut self) {
        for end in 0..2 {
            while let Some(frame) = self.ends[end].poll_frame() {
                self.ends[1 - end].handle_frame(self.now, &frame).unwrap();
            }
            let mut out = Vec::new();
            while self.ends[end].poll_datagram(self.now, &mut out) {
                self.largest = self.largest.max(out.len());
                if !(self.lose)(1 - end, &out) {
                    let at = self.now + self.one_way;
                    self.flying.push((at, 1 - end, out.clone()));
                }
            }
        }
        for end in 0..2 {
            while let Some(delivery) = self.ends[end].poll_delivery() {
                self.came.push((end, delivery));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += ms(1);
            let now = self.now;
            let due = |it: &(Instant, usize, Vec<u8>)| it.0 <= now;
            let (due, later) = std::mem::take(&mut self.flying).into_iter().partition(due);
            self.flying = later;
            let due: Vec<(Instant, usize, Vec<u8>)> = due;
            for (_, to, bytes) in due {
                self.ends[to].handle_datagram(now, &bytes);
            }
            self.exchange();
        }
    }

    /// Numbers of packets that came to the second end, in the order in which they came.
    fn numbers(&self) -> Vec<u64> {
        let packets = self.came.iter().filter_map(|(end, delivery)| {
            let RelayBody::Packet { packet, .. } = &delivery.message.body else {
                return None;
            };
            (*end == 1).then(|| u64::from_be_bytes(packet.payload()[..8].try_into().unwrap()))
        });
        packets.collect()
    }

    fn demand(&mut self) {
        self.says(
            1,
            RelayBody::Demand {
                track: TRACK,
                encodings: 1,
            },
        );
    }
}

#[test]
fn packets_go_under_the_label_of_who_wants_them() {
    let mut pair = Pair::new(1_150);
    pair.says(0, packet(1, 500));
    pair.run(ms(30));
    assert!(pair.numbers().is_empty());
    assert_eq!(pair.ends[0].figures(pair.now).unlabelled, 1);
    pair.demand();
    assert!(matches!(
        &pair.came[0],
        (0, Delivery { to: HERE, from: THERE, message })
            if matches!(message.body, RelayBody::Demand { track: TRACK, encodings: 1 })
                && message.epoch == Epoch(4)
    ));
    pair.says(0, packet(2, 500));
    pair.run(ms(30));
    let (end, delivery) = pair.came.last().unwrap();
    assert_eq!((*end, delivery.to, delivery.from), (1, THERE, HERE));
    let message = &delivery.message;
    assert_eq!((message.room, message.epoch), (ROOM, Epoch(4)));
    assert_eq!(pair.numbers(), [2]);
}

#[test]
fn a_label_that_nobody_uses_is_forgotten() {
    let mut pair = Pair::new(1_150);
    pair.demand();
    pair.run(HOP_LABEL_LIFE + HOP_SWEEP);
    pair.says(0, packet(1, 500));
    pair.run(ms(30));
    assert!(pair.numbers().is_empty());
    assert_eq!(pair.ends[0].figures(pair.now).unlabelled, 1);
    pair.demand();
    pair.says(0, packet(2, 500));
    pair.run(ms(30));
    assert_eq!(pair.numbers(), [2]);
}

#[test]
fn what_is_too_large_goes_in_two() {
    // What QUIC leaves of an IP packet: 20 or 40 bytes of IP, 8 of UDP, about 40 of its own.
    for mtu in [1_200, 1_280, 1_500] {
        let max = mtu - 20 - 8 - 40;
        let mut pair = Pair::new(max);
        pair.demand();
        for number in 0..200 {
            let bytes = [200, 1_100, 1_200, 1_380][usize::try_from(number % 4).unwrap()];
            pair.says(0, packet(number, bytes));
            pair.run(ms(5));
        }
        pair.run(ms(50));
        assert_eq!(pair.numbers(), (0..200).collect::<Vec<_>>(), "MTU {mtu}");
        assert!(pair.largest <= max, "{} of {max}", pair.largest);
        let split = pair.ends[0].figures(pair.now).split;
        let expected = match mtu {
            1_200 => 150,
            1_280 => 100,
            _ => 0,
        };
        assert_eq!(split, expected, "MTU {mtu}");
    }
}

#[test]
fn a_half_that_stays_away_takes_its_packet_along() {
    let mut pair = Pair::new(1_132);
    pair.demand();
    // Every second half is lost, each time that it is sent.
    pair.lose = Box::new(|_, bytes| bytes[0] == 3);
    for number in 0..20 {
        pair.says(0, packet(number, if number % 2 == 0 { 1_400 } else { 300 }));
        pair.run(ms(10));
    }
    pair.run(ms(500));
    let odd: Vec<u64> = (0..20).filter(|number| number % 2 == 1).collect();
    assert_eq!(pair.numbers(), odd);
    let figures = pair.ends[1].figures(pair.now);
    assert_eq!(figures.refused, 0);
    assert_eq!(figures.repaired, 0);
    let resent = pair.ends[0].figures(pair.now).resent;
    assert_eq!(resent, 10 * u64::from(HOP_NACK_TRIES));
}

/// Plays `count` packets of 1 kB at 1,000 a second over a path that loses so much, and returns how
/// many came, and how many were ever sent again.
fn lossy(percent: u64, count: u64) -> (usize, u64) {
    let mut pair = Pair::new(1_150);
    pair.one_way = ms(20);
    pair.demand();
    let mut state = 1_u64;
    pair.lose = Box::new(move |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695);
        (state >> 33) % 100 < percent
    });
    for number in 0..count {
        pair.says(0, packet(number, 1_000));
        pair.run(ms(1));
    }
    pair.run(ms(500));
    let mut numbers = pair.numbers();
    let came = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), came, "each comes once");
    (came, pair.ends[0].figures(pair.now).resent)
}

#[test]
fn losses_are_repaired_hop_by_hop() {
    let (came, resent) = lossy(0, 2_000);
    assert_eq!((came, resent), (2_000, 0));
    let (came, resent) = lossy(5, 4_000);
    assert!(came >= 3_995, "{came} of 4,000");
    assert!(resent < 400, "{resent}");
    let (came, _) = lossy(15, 4_000);
    assert!(came >= 3_960, "{came} of 4,000");
}

#[test]
fn the_pace_follows_what_the_path_carries() {
    // 8 Mb/s: a byte a microsecond; more than 60 ms of queue is lost.
    let mut pair = Pair::new(1_150);
    pair.demand();
    let mut free = pair.now;
    for number in 0..24_000 {
        // Twice what it carries is offered.
        pair.one_way = ms(5);
        pair.says(0, packet(2 * number, 1_100));
        pair.says(0, packet(2 * number + 1, 1_100));
        let flying = std::mem::take(&mut pair.flying);
        let mut kept = Vec::new();
        for (at, to, bytes) in flying {
            if at.saturating_duration_since(pair.now) == pair.one_way && to == 1 {
                let taken = Duration::from_micros(bytes.len() as u64 + 79);
                let sent = free.max(pair.now) + taken;
                if sent.saturating_duration_since(pair.now) <= ms(60) {
                    free = sent;
                    kept.push((sent + pair.one_way, to, bytes));
                }
            } else {
                kept.push((at, to, bytes));
            }
        }
        pair.flying = kept;
        pair.run(ms(1));
    }
    let figures = pair.ends[0].figures(pair.now);
    let estimate = figures.estimate.bps();
    assert!((5_000_000..9_500_000).contains(&estimate), "{estimate}");
    assert!(figures.congested > 0);
    assert!(pair.numbers().len() > 12_000, "{}", pair.numbers().len());
}

#[test]
fn an_outage_is_not_asked_for() {
    let mut pair = Pair::new(1_150);
    pair.demand();
    pair.says(0, packet(0, 200));
    pair.lose = Box::new(|_, _| true);
    for number in 1..700 {
        pair.says(0, packet(number, 200));
        pair.run(ms(1));
    }
    pair.lose = Box::new(|_, _| false);
    pair.says(0, packet(700, 200));
    pair.run(ms(200));
    assert_eq!(pair.numbers(), [0, 700]);
    assert_eq!(pair.ends[0].figures(pair.now).resent, 0);
    assert_eq!(pair.ends[1].figures(pair.now).lost, 699);
}

#[test]
fn frames_are_bounded_and_keep_their_order() {
    let mut pair = Pair::new(1_150);
    let text = |number: usize| RelayBody::Data {
        from: "a".parse().unwrap(),
        to: DataTarget::Room,
        reliable: true,
        topic: String::new(),
        message: number.to_be_bytes().to_vec(),
        payload_at: 0,
    };
    let end = &mut pair.ends[0];
    for number in 0..HOP_FRAMES_MAX + 5 {
        let message = RelayMessage::new(ROOM, Epoch(1), text(number));
        end.handle_message(pair.now, HERE, THERE, message);
    }
    assert_eq!(end.figures(pair.now).frames_dropped, 5);
    pair.exchange();
    let numbers = pair.came.iter().map(|(_, delivery)| {
        let RelayBody::Data { message, .. } = &delivery.message.body else {
            panic!("{delivery:?}");
        };
        usize::from_be_bytes(message[..].try_into().unwrap())
    });
    assert!(numbers.eq(0..HOP_FRAMES_MAX));
}

proptest! {
    #[test]
    fn any_datagram_is_read_or_counted(datagrams in any::<Vec<Vec<u8>>>()) {
        let mut pair = Pair::new(1_150);
        pair.demand();
        for bytes in datagrams {
            pair.ends[0].handle_datagram(pair.now, &bytes);
            let _ = pair.ends[0].handle_frame(pair.now, &bytes);
        }
        pair.exchange();
    }
}
