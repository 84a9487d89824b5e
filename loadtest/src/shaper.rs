//! A bad network for real clients: forwards UDP between them and one server port.
//!
//! ```text
//! client ──▶ listen ──▶ up ──▶ one socket a client ──▶ upstream
//! client ◀── listen ◀── down ◀── one socket a client ◀── upstream
//! ```
//!
//! One thread reads each socket and stamps what came; one thread owns the pipes and sends what has
//! arrived. A test tool: datagrams are copied as often as is convenient.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::network::{Chance, Figures, Link, Pipe, Script, Trace};

/// Clients at once: a test has a few, and each costs a socket and a thread.
const FLOWS_MAX: usize = 256;
/// Datagrams between the readers and the shaper; a reader waits when it is full.
const INPUTS_MAX: usize = 4_096;
/// How often a reader looks whether it shall stop.
const READ_TIMEOUT: Duration = Duration::from_millis(50);
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Where a shaper stands.
#[derive(Debug, Clone)]
pub struct ShaperConfig {
    /// What clients send to; port 0 for any.
    pub listen: SocketAddr,
    /// The server's media port.
    pub upstream: SocketAddr,
    /// What the network does.
    pub script: Script,
}

/// What a direction did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DirectionReport {
    /// Datagrams and what became of them.
    #[serde(flatten)]
    pub figures: Figures,
    /// Half of the datagrams waited no longer in the bottleneck's queue.
    pub queue_ms_p50: u64,
    /// 95 % waited no longer.
    pub queue_ms_p95: u64,
    /// None waited longer.
    pub queue_ms_max: u64,
    /// The rate through the bottleneck in each 100 ms since the start, in kb/s.
    pub rate_kbps: Vec<u64>,
    /// The longest wait of those who left in each 100 ms, in milliseconds.
    pub queue_ms: Vec<u64>,
}

/// One client's part of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowReport {
    /// Its address.
    pub client: SocketAddr,
    /// Towards the server; absent where all share one bottleneck.
    pub up: Option<DirectionReport>,
    /// Towards the client; absent where all share one bottleneck.
    pub down: Option<DirectionReport>,
}

/// What a shaper did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShaperReport {
    /// Where its chance came from.
    pub seed: u64,
    /// How long it ran.
    pub seconds: f64,
    /// Datagrams of clients beyond the bound of 256.
    pub refused: u64,
    /// The bottleneck that all share, if they do.
    pub up: Option<DirectionReport>,
    /// The other way.
    pub down: Option<DirectionReport>,
    /// Each client, in the order in which they came.
    pub flows: Vec<FlowReport>,
}

/// A running shaper. It stops when it is told to, or when its script's time is over.
pub struct Shaper {
    /// What clients send to.
    pub address: SocketAddr,
    inputs: SyncSender<Input>,
    thread: JoinHandle<io::Result<ShaperReport>>,
}

impl Shaper {
    /// Binds the socket and starts.
    ///
    /// # Errors
    /// When the address cannot be bound or no thread started.
    pub fn start(config: ShaperConfig) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.listen)?;
        let address = socket.local_addr()?;
        let (inputs, received) = sync_channel(INPUTS_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        read(socket.try_clone()?, Side::Client, inputs.clone(), &stop)?;
        let core = Core::new(config, socket, inputs.clone(), stop);
        let named = std::thread::Builder::new().name("shaper".to_owned());
        let thread = named.spawn(move || core.run(&received))?;
        Ok(Self {
            address,
            inputs,
            thread,
        })
    }

    /// From now on the network does what the script says of its beginning.
    ///
    /// # Errors
    /// When it has stopped.
    pub fn change(&self, script: &Script) -> io::Result<()> {
        let begins = |trace: &Trace| Box::new(trace.at(Duration::ZERO).clone());
        let (up, down) = (begins(&script.up), begins(&script.down));
        let sent = self.inputs.send(Input::Change { up, down });
        sent.map_err(|_| io::Error::other("the shaper has stopped"))
    }

    /// Something that stops it from another thread.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let inputs = self.inputs.clone();
        // It may have stopped on its own already.
        move || drop(inputs.send(Input::Stop))
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// When a socket failed.
    pub fn join(self) -> io::Result<ShaperReport> {
        let Self { thread, inputs, .. } = self;
        drop(inputs);
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the shaper panicked")))
    }
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Client,
    Server(usize),
}

enum Input {
    Datagram {
        at: Instant,
        side: Side,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Change {
        up: Box<Link>,
        down: Box<Link>,
    },
    Stop,
}

/// A flow and its bytes.
type Datagram = (usize, Vec<u8>);

struct Flow {
    client: SocketAddr,
    socket: UdpSocket,
}

/// Pipes of one direction: one for all, or one a flow.
struct Way {
    trace: Trace,
    shared: bool,
    usage: u64,
    pipes: Vec<Pipe<Datagram>>,
}

impl Way {
    fn open(&mut self, start: Instant, seed: u64, flow: usize) {
        if self.shared && flow > 0 {
            return;
        }
        let usage = 2 * u64::try_from(flow).unwrap_or(0) + self.usage;
        let chance = Chance::new(seed, usage);
        self.pipes
            .push(Pipe::new(start, self.trace.clone(), chance));
    }

    fn change(&mut self, at: Duration, link: Link) {
        self.trace = self.trace.clone().then(at, link.clone());
        for pipe in &mut self.pipes {
            pipe.change(at, link.clone());
        }
    }

    fn push(&mut self, now: Instant, flow: usize, bytes: Vec<u8>) {
        let index = if self.shared { 0 } else { flow };
        if let Some(pipe) = self.pipes.get_mut(index) {
            pipe.push(now, bytes.len(), (flow, bytes));
        }
    }

    fn pop(&mut self, now: Instant) -> Option<Datagram> {
        self.pipes.iter_mut().find_map(|pipe| pipe.pop(now))
    }

    fn next(&self) -> Option<Instant> {
        self.pipes.iter().filter_map(Pipe::next).min()
    }

    fn report(&self, index: usize, shared: bool) -> Option<DirectionReport> {
        let pipe = self.pipes.get(index).filter(|_| self.shared == shared)?;
        let wait = |percent| in_millis(pipe.meter().wait_at(percent));
        Some(DirectionReport {
            figures: pipe.figures(),
            queue_ms_p50: wait(50),
            queue_ms_p95: wait(95),
            queue_ms_max: wait(100),
            rate_kbps: pipe
                .meter()
                .rates()
                .map(|rate| rate.bps() / 1_000)
                .collect(),
            queue_ms: pipe.meter().waits().map(in_millis).collect(),
        })
    }
}

struct Core {
    config: ShaperConfig,
    start: Instant,
    listen: UdpSocket,
    inputs: SyncSender<Input>,
    stop: Arc<AtomicBool>,
    flows: Vec<Flow>,
    by_client: BTreeMap<SocketAddr, usize>,
    up: Way,
    down: Way,
    refused: u64,
}

impl Core {
    fn new(
        config: ShaperConfig,
        listen: UdpSocket,
        inputs: SyncSender<Input>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let way = |trace: &Trace, usage| Way {
            trace: trace.clone(),
            shared: config.script.shared,
            usage,
            pipes: Vec::new(),
        };
        let (up, down) = (way(&config.script.up, 0), way(&config.script.down, 1));
        Self {
            config,
            start: clock(),
            listen,
            inputs,
            stop,
            flows: Vec::new(),
            by_client: BTreeMap::new(),
            up,
            down,
            refused: 0,
        }
    }

    fn run(mut self, received: &Receiver<Input>) -> io::Result<ShaperReport> {
        let end = self.config.script.duration.map(|time| self.start + time);
        loop {
            let now = clock();
            self.send(now);
            if end.is_some_and(|end| end <= now) {
                break;
            }
            let next = [self.up.next(), self.down.next(), end];
            let wait = next.into_iter().flatten().min();
            let wait = wait.map_or(Duration::from_secs(1), |at| {
                at.saturating_duration_since(now)
            });
            match received.recv_timeout(wait) {
                Ok(Input::Datagram {
                    at,
                    side,
                    from,
                    bytes,
                }) => self.take(at, side, from, bytes)?,
                Ok(Input::Change { up, down }) => {
                    let at = now.duration_since(self.start);
                    self.up.change(at, *up);
                    self.down.change(at, *down);
                }
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.report())
    }

    fn take(
        &mut self,
        at: Instant,
        side: Side,
        from: SocketAddr,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        match side {
            Side::Server(flow) => self.down.push(at, flow, bytes),
            Side::Client => match self.flow_of(from)? {
                Some(flow) => self.up.push(at, flow, bytes),
                None => self.refused += 1,
            },
        }
        Ok(())
    }

    fn flow_of(&mut self, client: SocketAddr) -> io::Result<Option<usize>> {
        if let Some(flow) = self.by_client.get(&client) {
            return Ok(Some(*flow));
        }
        let index = self.flows.len();
        if index >= FLOWS_MAX {
            return Ok(None);
        }
        let any: SocketAddr = match self.config.upstream {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(self.config.upstream)?;
        let reader = socket.try_clone()?;
        read(reader, Side::Server(index), self.inputs.clone(), &self.stop)?;
        self.up.open(self.start, self.config.script.seed, index);
        self.down.open(self.start, self.config.script.seed, index);
        self.flows.push(Flow { client, socket });
        self.by_client.insert(client, index);
        Ok(Some(index))
    }

    /// Sends what has arrived. A peer that is gone answers with an ICMP error, which is its affair.
    fn send(&mut self, now: Instant) {
        while let Some((flow, bytes)) = self.up.pop(now) {
            if let Some(flow) = self.flows.get(flow) {
                drop(flow.socket.send(&bytes));
            }
        }
        while let Some((flow, bytes)) = self.down.pop(now) {
            if let Some(flow) = self.flows.get(flow) {
                drop(self.listen.send_to(&bytes, flow.client));
            }
        }
    }

    fn report(&self) -> ShaperReport {
        let flow = |(index, flow): (usize, &Flow)| FlowReport {
            client: flow.client,
            up: self.up.report(index, false),
            down: self.down.report(index, false),
        };
        ShaperReport {
            seed: self.config.script.seed,
            seconds: clock().duration_since(self.start).as_secs_f64(),
            refused: self.refused,
            up: self.up.report(0, true),
            down: self.down.report(0, true),
            flows: self.flows.iter().enumerate().map(flow).collect(),
        }
    }
}

fn in_millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// Starts a thread that reads a socket until `stop`.
fn read(
    socket: UdpSocket,
    side: Side,
    inputs: SyncSender<Input>,
    stop: &Arc<AtomicBool>,
) -> io::Result<()> {
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    let stop = Arc::clone(stop);
    let named = std::thread::Builder::new().name("shaper-read".to_owned());
    named.spawn(move || {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !stop.load(Ordering::Relaxed) {
            // A timeout, or a peer that is gone; both pass.
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            let datagram = Input::Datagram {
                at: clock(),
                side,
                from,
                bytes: buffer.get(..length).unwrap_or_default().to_vec(),
            };
            if inputs.send(datagram).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a real network has a real clock")]
fn clock() -> Instant {
    Instant::now()
}
