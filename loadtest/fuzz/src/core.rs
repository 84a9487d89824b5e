//! The shard: datagrams from nobody, offers from anybody, data messages.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media_contract::{Action, Command, CommandId, Fact, TransportSettings, TransportUse};
use media_core::{Envelope, Shard, ShardConfig};
use media_types::{Epoch, RoomId, ShardId, TransportId};
use media_webrtc::{Certificate, Path, Protocol, TransmitBatch, TransportConfig};

const ROOM: RoomId = RoomId::new(1);
const TRANSPORT: TransportId = TransportId::new(1);

/// A shard with one open transport that has not negotiated.
struct Bench {
    shard: Shard,
    now: Instant,
    commands: u64,
}

impl Bench {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
        let now = Instant::now();
        let certificate = Certificate::generate().expect("a certificate");
        let transport = TransportConfig::new(now, Duration::ZERO, certificate, Vec::new());
        let shard = Shard::new(now, ShardConfig::new(ShardId(0), transport, [7; 32]));
        let mut bench = Self {
            shard,
            now,
            commands: 0,
        };
        bench.answer(Action::OpenRoom);
        bench.open();
        bench
    }

    fn open(&mut self) {
        let settings = TransportSettings {
            identity: "ann".parse().expect("a legal name"),
            usage: TransportUse::Peer,
            publish: true,
            subscribe: true,
            data: true,
            codecs: Vec::new(),
        };
        self.answer(Action::OpenTransport {
            transport: TRANSPORT,
            settings,
        });
    }

    /// Sends a command and returns its one answer.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "all other facts answer nothing"
    )]
    fn answer(&mut self, action: Action) -> Fact {
        self.commands += 1;
        let id = CommandId(self.commands);
        let command = Command {
            id,
            room: ROOM,
            epoch: Epoch::FIRST,
            action,
        };
        self.shard.handle_command(self.now, command);
        let mut answers = Vec::new();
        while let Some(event) = self.shard.poll_event() {
            let answered = match &event.fact {
                Fact::Done { command }
                | Fact::Negotiated { command, .. }
                | Fact::Refused { command, .. }
                | Fact::Described { command, .. } => *command == id,
                _ => false,
            };
            if answered {
                answers.push(event.fact);
            }
        }
        assert_eq!(answers.len(), 1, "a command is answered exactly once");
        answers.pop().expect("one answer")
    }
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

fn with_bench<T>(run: impl FnOnce(&mut Bench) -> T) -> T {
    BENCH.with_borrow_mut(|bench| run(bench.get_or_insert_with(Bench::new)))
}

/// A datagram from an address that nobody knows: no more bytes go back than came.
pub(crate) fn datagram(input: &[u8]) {
    with_bench(|bench| {
        let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
        let path = Path {
            local: address("10.0.0.1:7800"),
            remote: address("10.9.9.9:5000"),
            protocol: Protocol::Udp,
        };
        bench.now += Duration::from_millis(1);
        bench
            .shard
            .handle_datagram(bench.now, path, &mut input.to_vec());
        let mut batch = TransmitBatch::new(65_536);
        while bench.shard.poll_transmit(bench.now, &mut batch) {}
        let back: usize = batch.datagrams().map(|(_, bytes)| bytes.len()).sum();
        assert!(back <= input.len(), "{back} bytes for {}", input.len());
    });
}

/// An offer: it is answered exactly once, by an answer or a refusal.
pub(crate) fn offer(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    with_bench(|bench| {
        let offer = text.to_owned();
        let fact = bench.answer(Action::Negotiate {
            transport: TRANSPORT,
            offer,
            pairs: Vec::new(),
        });
        let accepted = matches!(fact, Fact::Negotiated { .. });
        assert!(accepted || matches!(fact, Fact::Refused { .. }), "{fact:?}");
        if accepted {
            // The next offer meets a transport that has not negotiated yet, as this one did.
            bench.answer(Action::CloseTransport {
                transport: TRANSPORT,
            });
            bench.open();
        }
    });
}

/// A data message: what is read is signed and read again, whole, and only its sender is new.
pub(crate) fn envelope(input: &[u8]) {
    let ann = "ann".parse().expect("a legal name");
    for reliable in [true, false] {
        let Some(envelope) = Envelope::read(input, reliable) else {
            continue;
        };
        let expected = (envelope.to.clone(), envelope.topic.clone());
        let payload = envelope.payload;
        let signed = envelope.write_from(&ann);
        assert!(signed.ends_with(payload) && payload.len() < input.len());
        // A header at its limit has no room for the name; receivers take it all the same.
        if let Some(again) = Envelope::read(&signed, true) {
            assert_eq!((again.to.clone(), again.topic.clone()), expected);
            assert_eq!(again.payload, payload);
            assert_eq!(again.write_from(&ann), signed, "signing twice is as once");
        }
    }
}
