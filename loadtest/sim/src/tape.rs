//! Everything that went into a shard and came out of it, to be played again.
//!
//! str0m keeps the clients' streams in hash maps, so under loss two runs of one seed may part. Our
//! side does not: a fresh shard of the same seed that is handed the same datagrams, commands and
//! times answers with the same bytes and the same events.

use std::time::Instant;

use media_contract::{Command, Event, RelayPeer};
use media_core::{RelayMessage, Shard};
use media_webrtc::{Path, TransmitBatch};

use crate::world::new_shard;

/// Bytes that one call of `poll_transmit` may give.
const BATCH_BYTES: usize = 65_536;

/// One datagram that left.
type Sent = (Path, Vec<u8>);

/// One call of a shard, with what it gave.
#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Datagram(Path, Vec<u8>),
    Command(Command),
    Timeout,
    Transmit(Vec<Sent>),
    Event(Option<Event>),
}

/// The calls of one shard in their order.
#[derive(Debug, Clone)]
pub struct Tape {
    seed: u64,
    start: Instant,
    entries: Vec<(Instant, Entry)>,
}

impl Tape {
    /// Datagrams in, datagrams out, and events.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for (_, entry) in &self.entries {
            match entry {
                Entry::Datagram(..) => counts.0 += 1,
                Entry::Transmit(sent) => counts.1 += sent.len(),
                Entry::Event(Some(_)) => counts.2 += 1,
                Entry::Event(None) | Entry::Command(_) | Entry::Timeout => {}
            }
        }
        counts
    }

    /// The same tape for a shard of another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Hands all that went in to a fresh shard.
    ///
    /// # Errors
    /// The first call that gives something else, in words. The seed of the thread's keys must still
    /// be that of the recorded run.
    pub fn replay(&self) -> Result<(), String> {
        let mut shard = Taped::new(self.start, self.seed, 0);
        for (place, (now, entry)) in self.entries.iter().enumerate() {
            let now = *now;
            let same = match entry {
                Entry::Datagram(path, datagram) => {
                    shard.handle_datagram(now, *path, &mut datagram.clone());
                    true
                }
                Entry::Command(command) => {
                    shard.handle_command(now, command.clone());
                    true
                }
                Entry::Timeout => {
                    shard.handle_timeout(now);
                    true
                }
                Entry::Transmit(sent) => shard.poll_transmit(now) == *sent,
                Entry::Event(event) => shard.poll_event(now) == *event,
            };
            if !same {
                let at = now.duration_since(self.start);
                return Err(format!(
                    "call {place} at {at:?} gives something else: {entry:?}"
                ));
            }
        }
        Ok(())
    }
}

/// A shard that may be recorded.
pub(crate) struct Taped {
    shard: Shard,
    seed: u64,
    start: Instant,
    calls: u64,
    entries: Option<Vec<(Instant, Entry)>>,
}

impl Taped {
    pub(crate) fn new(start: Instant, seed: u64, index: u16) -> Self {
        Self {
            shard: new_shard(start, seed, index),
            seed,
            start,
            calls: 0,
            entries: None,
        }
    }

    pub(crate) fn record(&mut self) {
        self.entries = Some(Vec::new());
    }

    pub(crate) fn tape(&self) -> Option<Tape> {
        Some(Tape {
            seed: self.seed,
            start: self.start,
            entries: self.entries.clone()?,
        })
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.note(now, || Entry::Datagram(path, datagram.to_vec()));
        self.call(|shard| shard.handle_datagram(now, path, datagram));
    }

    pub(crate) fn handle_command(&mut self, now: Instant, command: Command) {
        self.note(now, || Entry::Command(command.clone()));
        self.call(|shard| shard.handle_command(now, command));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.note(now, || Entry::Timeout);
        self.call(|shard| shard.handle_timeout(now));
    }

    /// A relayed message comes from another shard and is not recorded.
    pub(crate) fn handle_relay(&mut self, now: Instant, from: RelayPeer, message: RelayMessage) {
        self.call(|shard| shard.handle_relay(now, from, message));
    }

    pub(crate) fn poll_relay(&mut self) -> Option<(RelayPeer, RelayMessage)> {
        self.shard.poll_relay()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.shard.poll_timeout()
    }

    /// Everything that is ready to be sent.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Vec<Sent> {
        let mut batch = TransmitBatch::new(BATCH_BYTES);
        let mut sent = Vec::new();
        self.call(|shard| {
            while shard.poll_transmit(now, &mut batch) || !batch.is_empty() {
                let datagrams = batch.datagrams();
                sent.extend(datagrams.map(|(path, bytes)| (path, bytes.to_vec())));
                batch.clear();
            }
        });
        self.note(now, || Entry::Transmit(sent.clone()));
        sent
    }

    pub(crate) fn poll_event(&mut self, now: Instant) -> Option<Event> {
        let event = self.shard.poll_event();
        self.note(now, || Entry::Event(event.clone()));
        event
    }

    /// str0m inside draws from the thread's chance, which the clients use too: each call gets a
    /// chance of its own, and the clients keep theirs.
    fn call<T>(&mut self, call: impl FnOnce(&mut Shard) -> T) -> T {
        self.calls += 1;
        let clients = fastrand::get_seed();
        fastrand::seed(self.seed ^ self.calls.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let result = call(&mut self.shard);
        fastrand::seed(clients);
        result
    }

    fn note(&mut self, now: Instant, entry: impl FnOnce() -> Entry) {
        if let Some(entries) = &mut self.entries {
            entries.push((now, entry()));
        }
    }
}
