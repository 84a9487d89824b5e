//! The loop of one shard: fixed order, bounded work a turn, one place to sleep.

use std::io;
use std::ops::DerefMut;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use media_types::{Clock, ShardId};
use media_webrtc::{Protocol, TransmitBatch};
use supervision::{RestartPolicy, Restarts};

use super::ThreadFigures;
use super::live::LiveRings;
use super::logic::Logic;
use super::pin;
use super::ring::{Inbox, Lanes, Report, Reporter, StreamInput};
use super::socket::{Sent, ShardSocket};
use super::streams::Streams;
use crate::limits::{
    ARENAS_PER_TURN, COMMANDS_PER_TURN, DATAGRAMS_PER_TURN, FIGURES_PERIOD, RELAYS_PER_TURN,
    SEND_BLOCKED_MAX, SHARD_RESTART_WINDOW, SHARD_RESTARTS_MAX, SLEEP_BACKLOG, SLEEP_MAX,
};

pub(super) const SOCKET_TOKEN: mio::Token = mio::Token(0);
pub(super) const WAKE_TOKEN: mio::Token = mio::Token(1);

/// What a shard's thread owns and a fresh shard takes over after a panic.
pub(crate) struct Parts<R> {
    pub(super) id: ShardId,
    pub(super) inbox: Arc<Inbox>,
    pub(super) poll: mio::Poll,
    pub(super) socket: ShardSocket,
    pub(super) streams: Streams,
    pub(super) live: LiveRings,
    pub(super) lanes: Lanes<R>,
    pub(super) reporter: Reporter,
    pub(super) batch: TransmitBatch,
    /// Whether the thread keeps to one core.
    pub(super) pin: bool,
    pub(super) turns: u64,
    pub(super) relay_drops: u64,
}

/// Starts the two threads of a shard: the one that works, and the one that waits for it to fail.
pub(crate) fn spawn<L, M>(
    parts: Parts<L::Relay>,
    clock: Arc<dyn Clock>,
    make: M,
) -> io::Result<JoinHandle<()>>
where
    L: Logic,
    M: Fn(Instant) -> L + Send + Sync + 'static,
{
    let name = format!("shard-{}-guard", parts.id);
    thread::Builder::new()
        .name(name)
        .stack_size(256 * 1_024)
        .spawn(move || watch(parts, &*clock, &make))
}

/// Runs shard after shard until one ends in order or they end too often.
fn watch<L, M>(mut parts: Parts<L::Relay>, clock: &dyn Clock, make: &M)
where
    L: Logic,
    M: Fn(Instant) -> L + Sync,
{
    let policy =
        RestartPolicy::permanent().with_intensity(SHARD_RESTARTS_MAX, SHARD_RESTART_WINDOW);
    let mut restarts = Restarts::new(policy);
    loop {
        if live(&mut parts, clock, make) {
            break;
        }
        parts.reset();
        if restarts.next(clock.now(), true).is_none() {
            tracing::error!(shard = %parts.id, "shard failed too often");
            parts.tell_surely(|| Report::Spent);
            break;
        }
        tracing::error!(shard = %parts.id, "shard failed and is started again");
        parts.tell_surely(|| Report::Restarted);
    }
    parts.inbox.set_gone();
}

/// One life of a shard on a thread of its own; whether it ended in order.
fn live<L, M>(parts: &mut Parts<L::Relay>, clock: &dyn Clock, make: &M) -> bool
where
    L: Logic,
    M: Fn(Instant) -> L + Sync,
{
    let name = format!("shard-{}", parts.id);
    thread::scope(|scope| {
        let run = move || {
            if parts.pin {
                pin::to_core_of(parts.id);
            }
            Turns::new(parts, make(clock.now()), clock.now()).run(clock);
        };
        let spawned = thread::Builder::new().name(name).spawn_scoped(scope, run);
        spawned.is_ok_and(|thread| thread.join().is_ok())
    })
}

impl<R> Parts<R> {
    /// Forgets what belonged to the shard that failed.
    fn reset(&mut self) {
        self.batch.clear();
        self.streams.clear();
        while self.lanes.receive(usize::MAX, |_, _| ()) {}
    }

    /// Tells what must not be lost: the reader makes room, since it never waits for a shard.
    fn tell_surely(&mut self, report: impl Fn() -> Report) {
        while !self.reporter.tell(report()) {
            self.reporter.flush();
            thread::yield_now();
        }
        self.reporter.flush();
    }
}

/// One life of a shard, over parts that outlive it.
pub(super) struct Turns<L: Logic, P> {
    parts: P,
    logic: L,
    /// Datagrams of the batch that are sent, and bytes of the transmit after them.
    sent: (usize, usize),
    blocked_since: Option<Instant>,
    gauge: Gauge,
}

/// How much of its time the thread works.
struct Gauge {
    since: Instant,
    slept: Duration,
}

impl<L, P> Turns<L, P>
where
    L: Logic,
    P: DerefMut<Target = Parts<L::Relay>>,
{
    pub(super) fn new(parts: P, logic: L, now: Instant) -> Self {
        let gauge = Gauge {
            since: now,
            slept: Duration::ZERO,
        };
        Self {
            parts,
            logic,
            sent: (0, 0),
            blocked_since: None,
            gauge,
        }
    }

    fn run(&mut self, clock: &dyn Clock) {
        let mut events = mio::Events::with_capacity(8);
        loop {
            let stopping = self.parts.inbox.is_stopping();
            let now = clock.now();
            let more = self.turn(now);
            self.figures(now);
            if stopping {
                self.parts.reporter.flush();
                return;
            }
            self.sleep(&mut events, more, clock);
        }
    }

    pub(super) fn parts(&self) -> &Parts<L::Relay> {
        &self.parts
    }

    pub(super) fn parts_mut(&mut self) -> &mut Parts<L::Relay> {
        &mut self.parts
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.logic.poll_timeout()
    }

    /// Everything that is due, each kind up to its bound; whether something is left.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        self.parts.turns += 1;
        self.announcements(now);
        let commanded = self.commands(now);
        self.datagrams(now);
        self.streams(now);
        self.parts.live.look(now, commanded, &self.logic);
        let fed = self.feeds(now);
        let relayed = self.relay(now);
        if self.logic.poll_timeout().is_some_and(|due| due <= now) {
            self.logic.handle_timeout(now);
        }
        let unsent = self.transmit(now);
        let tapped = self.parts.live.send(now, &mut self.logic);
        self.events();
        let waiting = !self.parts.inbox.is_idle() && self.parts.reporter.has_room();
        waiting || fed || tapped || relayed || unsent || self.parts.socket.is_readable()
    }

    /// Hears of live sources and readers before the commands, which are older than they.
    fn announcements(&mut self, now: Instant) {
        let Parts { live, inbox, .. } = &mut *self.parts;
        live.listen(now, inbox, &mut self.logic);
    }

    /// Takes commands while their answers have a place; whether there were any.
    fn commands(&mut self, now: Instant) -> bool {
        if !self.parts.reporter.has_room() {
            return false;
        }
        let mut commanded = false;
        for _ in 0..COMMANDS_PER_TURN {
            let Some(command) = self.parts.inbox.next_command() else {
                break;
            };
            self.logic.handle_command(now, command);
            commanded = true;
        }
        if self.parts.inbox.has_no_command() {
            self.parts.live.admit();
        }
        commanded
    }

    fn datagrams(&mut self, now: Instant) {
        let logic = &mut self.logic;
        let take = |path, datagram: &mut [u8]| logic.handle_datagram(now, path, datagram);
        self.parts.socket.receive(DATAGRAMS_PER_TURN, take);
    }

    fn streams(&mut self, now: Instant) {
        for _ in 0..DATAGRAMS_PER_TURN {
            match self.parts.inbox.next_stream() {
                None => break,
                Some(StreamInput::Opened(stream)) => self.parts.streams.open(stream),
                Some(StreamInput::Frame {
                    path,
                    mut bytes,
                    in_flight,
                }) => {
                    in_flight.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                    // A frame of before a restart has no connection any more.
                    if self.parts.streams.is_open(&path) {
                        self.logic.handle_datagram(now, path, &mut bytes);
                    }
                }
                Some(StreamInput::Closed { path, number }) => {
                    if self.parts.streams.close(path, number) {
                        self.logic.handle_path_closed(now, path);
                    }
                }
            }
        }
    }

    /// Frames of live sources; whether more wait.
    fn feeds(&mut self, now: Instant) -> bool {
        self.parts.live.receive(now, &mut self.logic)
    }

    /// Packets from other shards, then packets for them.
    fn relay(&mut self, now: Instant) -> bool {
        let logic = &mut self.logic;
        let take = |from, message| logic.handle_relay(now, from, message);
        let more = self.parts.lanes.receive(RELAYS_PER_TURN, take);
        for _ in 0..RELAYS_PER_TURN {
            let Some((to, message)) = self.logic.poll_relay() else {
                break;
            };
            if !self.parts.lanes.send(to, message) {
                self.parts.relay_drops += 1;
            }
        }
        self.parts.lanes.flush();
        more
    }

    /// Fills and sends arenas; whether more is ready that the socket would take.
    fn transmit(&mut self, now: Instant) -> bool {
        for _ in 0..ARENAS_PER_TURN {
            if !self.flush(now) {
                return false;
            }
            self.parts.batch.clear();
            let more = self.logic.poll_transmit(now, &mut self.parts.batch);
            if self.parts.batch.is_empty() {
                return false;
            }
            let all = self.flush(now);
            self.parts.streams.flush();
            if !all || !more {
                return false;
            }
        }
        true
    }

    /// Sends what the batch still holds; whether all of it went.
    fn flush(&mut self, now: Instant) -> bool {
        let Parts {
            socket,
            streams,
            batch,
            ..
        } = &mut *self.parts;
        let (mut done, mut from) = self.sent;
        let mut left = None;
        for transmit in batch.transmits().skip(done) {
            let sent = match transmit.path.protocol {
                Protocol::Udp => socket.send(&transmit, from),
                Protocol::Tcp => {
                    streams.send(&transmit.path, transmit.contents);
                    Sent::Done
                }
            };
            if let Sent::Blocked { bytes } = sent {
                left = Some((done, bytes));
                break;
            }
            (done, from) = (done + 1, 0);
        }
        if let Some(left) = left {
            self.sent = left;
            return self.blocked(now);
        }
        self.parts.batch.clear();
        self.sent = (0, 0);
        self.unblocked();
        true
    }

    /// The socket has no room: wait for it a little, then let go. Whether nothing is left.
    fn blocked(&mut self, now: Instant) -> bool {
        let parts = &mut *self.parts;
        let Some(since) = self.blocked_since else {
            self.blocked_since = Some(now);
            let registry = parts.poll.registry();
            // Without the watch the next turn, at most a few milliseconds away, tries again.
            let _watched = parts.socket.watch_room(registry, SOCKET_TOKEN, true);
            return false;
        };
        if now.saturating_duration_since(since) < SEND_BLOCKED_MAX {
            return false;
        }
        let (done, bytes) = self.sent;
        let mut datagrams = 0;
        for (index, transmit) in parts.batch.transmits().skip(done).enumerate() {
            let skipped = if index == 0 { bytes } else { 0 };
            let size = transmit.segment_size.unwrap_or(transmit.contents.len());
            datagrams += (transmit.contents.len() - skipped).div_ceil(size.max(1));
        }
        parts.socket.dropped(datagrams);
        parts.batch.clear();
        self.sent = (0, 0);
        self.unblocked();
        true
    }

    fn unblocked(&mut self) {
        if self.blocked_since.take().is_some() {
            let parts = &mut *self.parts;
            let registry = parts.poll.registry();
            let _unwatched = parts.socket.watch_room(registry, SOCKET_TOKEN, false);
        }
    }

    /// Hands events on while there is room; what is left stays where newer facts replace older.
    fn events(&mut self) {
        while self.parts.reporter.has_room() {
            let Some(event) = self.logic.poll_event() else {
                break;
            };
            self.parts.reporter.tell(Report::Event(event));
        }
        self.parts.reporter.flush();
    }

    /// Once a second: how the thread fares.
    fn figures(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.gauge.since);
        if elapsed < FIGURES_PERIOD {
            return;
        }
        let worked = elapsed.saturating_sub(self.gauge.slept);
        let ppm = worked.as_micros().saturating_mul(1_000_000) / elapsed.as_micros().max(1);
        let busy_ppm = u32::try_from(ppm).unwrap_or(1_000_000).min(1_000_000);
        self.gauge = Gauge {
            since: now,
            slept: Duration::ZERO,
        };
        let parts = &mut *self.parts;
        parts.inbox.set_load(self.logic.transports(now), busy_ppm);
        let figures = ThreadFigures {
            shard: parts.id,
            socket: parts.socket.figures,
            busy_ppm,
            turns: parts.turns,
            relay_drops: parts.relay_drops,
            streams: parts.streams.len() as u64,
            stream_drops: parts.streams.drops,
        };
        // Figures are latest-wins: without room the next second brings newer ones.
        parts.reporter.tell(Report::Figures(Box::new(figures)));
        parts.reporter.flush();
    }

    /// Sleeps until something comes or is due.
    fn sleep(&mut self, events: &mut mio::Events, more: bool, clock: &dyn Clock) {
        let now = clock.now();
        let parts = &*self.parts;
        let mut pause = SLEEP_MAX;
        if let Some(due) = self.logic.poll_timeout() {
            pause = pause.min(due.saturating_duration_since(now));
        }
        if let Some(most) = parts.live.pause_max() {
            pause = pause.min(most);
        }
        if !parts.reporter.has_room() || self.blocked_since.is_some() {
            pause = pause.min(SLEEP_BACKLOG);
        }
        if more || !parts.lanes.is_idle() {
            pause = Duration::ZERO;
        }
        self.look(events, pause);
        if pause > Duration::ZERO {
            self.gauge.slept += clock.now().saturating_duration_since(now);
        }
    }

    /// Waits for sockets and queues, for no time at all if `pause` is zero.
    pub(super) fn look(&mut self, events: &mut mio::Events, pause: Duration) {
        let parts = &mut *self.parts;
        // A signal may end the wait early; the turn that follows finds nothing to do.
        let _polled = parts.poll.poll(events, Some(pause));
        parts.inbox.wake().lower();
        if events
            .iter()
            .any(|event| event.token() == SOCKET_TOKEN && event.is_readable())
        {
            parts.socket.set_readable();
        }
    }
}

#[cfg(test)]
mod tests;
