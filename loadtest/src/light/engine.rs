//! Threads that run light clients: sockets, timers, and orders from outside.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Socket, Type};
use tokio::sync::oneshot;

use super::client::{Client, Shared};
use super::figures::{Figures, Record};
use super::handshake::Identity;
use super::{Behaviour, ClientPlan};
use crate::clock::Clock;

/// Datagrams of one receive, each of which may be many of one sender in one buffer.
const RECEIVE_BATCH: usize = 8;
const RECEIVE_BUFFER_BYTES: usize = 65_536;
/// A whole keyframe may come at once while the thread is busy with others.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;
const EVENTS: usize = 1_024;
const WAKE: Token = Token(usize::MAX);
/// Without a timer the thread looks around this often.
const TURN_MAX: Duration = Duration::from_millis(200);
/// Reads of one socket before others have their turn.
const READS_MAX: usize = 16;

/// Names a client of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

enum Order {
    Open(Box<ClientPlan>, ClientId, oneshot::Sender<Result<String>>),
    Accept(
        Box<ClientPlan>,
        ClientId,
        String,
        oneshot::Sender<Result<String>>,
    ),
    Answer(ClientId, String, oneshot::Sender<Result<()>>),
    Layers(ClientId, Vec<String>),
    Look(ClientId, oneshot::Sender<Option<Record>>),
    Close(ClientId, oneshot::Sender<Option<Record>>),
    Figures(Sender<Figures>),
    Stop,
}

/// Runs light clients.
pub struct Engine {
    threads: Vec<Thread>,
    next: AtomicU64,
}

struct Thread {
    orders: Sender<Order>,
    waker: Waker,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts so many threads whose clients send from `local`.
    ///
    /// # Errors
    /// When the system gives no thread, or no certificate can be made.
    pub fn start(
        threads: usize,
        local: IpAddr,
        behaviour: Behaviour,
        clock: Clock,
    ) -> Result<Arc<Self>> {
        let started = (0..threads.max(1)).map(|number| {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKE)?;
            let (orders, receiver) = channel();
            let shared = Shared {
                clock,
                identity: Identity::generate()?,
                behaviour,
                figures: Figures::default(),
                out: Vec::new(),
                payload: Vec::new(),
                scratch: Vec::new(),
            };
            let crew = Crew::new(poll, receiver, local, shared);
            let handle = std::thread::Builder::new()
                .name(format!("clients-{number}"))
                .spawn(move || crew.run())?;
            Ok(Thread {
                orders,
                waker,
                handle: Mutex::new(Some(handle)),
            })
        });
        Ok(Arc::new(Self {
            threads: started.collect::<Result<_>>()?,
            next: AtomicU64::new(0),
        }))
    }

    /// Opens a client; its id and its offer.
    ///
    /// # Errors
    /// When there is no port or descriptor for it.
    pub async fn open(&self, plan: ClientPlan) -> Result<(ClientId, String)> {
        let id = ClientId(self.next.fetch_add(1, Ordering::Relaxed));
        let (reply, offer) = oneshot::channel();
        self.tell(id, Order::Open(Box::new(plan), id, reply))?;
        Ok((id, offer.await.map_err(|_| gone())??))
    }

    /// Opens a client that takes the server's offer; its id and its answer.
    ///
    /// # Errors
    /// As [`Self::open`], and when the offer cannot be used.
    pub async fn accept(&self, plan: ClientPlan, offer: String) -> Result<(ClientId, String)> {
        let id = ClientId(self.next.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        self.tell(id, Order::Accept(Box::new(plan), id, offer, reply))?;
        Ok((id, answer.await.map_err(|_| gone())??))
    }

    /// Hands a client the server's answer; it connects then.
    ///
    /// # Errors
    /// When the answer cannot be used.
    pub async fn answer(&self, id: ClientId, sdp: String) -> Result<()> {
        let (reply, done) = oneshot::channel();
        self.tell(id, Order::Answer(id, sdp, reply))?;
        done.await.map_err(|_| gone())?
    }

    /// Tells a client which of its layers anybody watches.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub fn set_layers(&self, id: ClientId, rids: Vec<String>) -> Result<()> {
        self.tell(id, Order::Layers(id, rids))
    }

    /// How a client fares.
    ///
    /// # Errors
    /// When the engine has stopped, or has no such client.
    pub async fn look(&self, id: ClientId) -> Result<Record> {
        let (reply, record) = oneshot::channel();
        self.tell(id, Order::Look(id, reply))?;
        record.await.map_err(|_| gone())?.context("a client")
    }

    /// Closes a client; how it fared.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn close(&self, id: ClientId) -> Result<Record> {
        let (reply, record) = oneshot::channel();
        self.tell(id, Order::Close(id, reply))?;
        record.await.map_err(|_| gone())?.context("a client")
    }

    /// What all clients have done so far. [`Figures::latency_now`] begins anew with each call.
    ///
    /// # Errors
    /// When a thread has ended.
    pub fn figures(&self) -> Result<Figures> {
        let (reply, answers) = channel();
        for thread in &self.threads {
            let order = Order::Figures(reply.clone());
            thread.orders.send(order).map_err(|_| gone())?;
            thread.waker.wake()?;
        }
        drop(reply);
        let mut sum = Figures::default();
        let mut count = 0;
        for figures in answers {
            sum.add(&figures);
            count += 1;
        }
        (count == self.threads.len())
            .then_some(sum)
            .ok_or_else(gone)
    }

    fn tell(&self, id: ClientId, order: Order) -> Result<()> {
        let count = u64::try_from(self.threads.len()).unwrap_or(1);
        let place = usize::try_from(id.0 % count).unwrap_or(0);
        let thread = self.threads.get(place).ok_or_else(gone)?;
        thread.orders.send(order).map_err(|_| gone())?;
        Ok(thread.waker.wake()?)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for thread in &self.threads {
            let told = thread.orders.send(Order::Stop).is_ok() && thread.waker.wake().is_ok();
            let mut handle = thread.handle.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(handle) = handle.take().filter(|_| told) {
                drop(handle.join());
            }
        }
    }
}

fn gone() -> anyhow::Error {
    anyhow!("a thread of clients has ended")
}

/// A client with its socket.
struct Seat {
    client: Client,
    io: UdpSocket,
    state: UdpSocketState,
    armed: Option<Instant>,
}

/// One thread's clients.
struct Crew {
    poll: Poll,
    orders: Receiver<Order>,
    local: IpAddr,
    shared: Shared,
    seats: HashMap<u64, Seat>,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    buffers: Vec<u8>,
    /// What clients that have left received.
    past: Figures,
}

impl Crew {
    fn new(poll: Poll, orders: Receiver<Order>, local: IpAddr, shared: Shared) -> Self {
        Self {
            poll,
            orders,
            local,
            shared,
            seats: HashMap::new(),
            timers: BinaryHeap::new(),
            buffers: vec![0; RECEIVE_BATCH * RECEIVE_BUFFER_BYTES],
            past: Figures::default(),
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = self.shared.clock.now();
            let next = self.timers.peek().map(|Reverse((at, _))| *at);
            let wait = next.map_or(TURN_MAX, |at| at.saturating_duration_since(now));
            if let Err(error) = self.poll.poll(&mut events, Some(wait.min(TURN_MAX)))
                && error.kind() != ErrorKind::Interrupted
            {
                return;
            }
            for event in events.iter().filter(|event| event.token() != WAKE) {
                let key = u64::try_from(event.token().0).unwrap_or(u64::MAX);
                self.read(key);
            }
            self.fire_timers();
            while let Ok(order) = self.orders.try_recv() {
                if matches!(order, Order::Stop) {
                    return;
                }
                self.obey(order);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let now = self.shared.clock.now();
        match order {
            // Whoever has stopped waiting for a reply does not miss it.
            Order::Open(plan, id, reply) => {
                let _ = reply.send(self.open(*plan, id));
            }
            Order::Accept(plan, id, offer, reply) => {
                let _ = reply.send(self.accept(now, *plan, id, &offer));
                self.after(id.0);
            }
            Order::Answer(id, sdp, reply) => {
                let shared = &mut self.shared;
                let seat = self.seats.get_mut(&id.0);
                let answered = match seat {
                    Some(seat) => seat.client.answer(now, &sdp, shared),
                    None => Err(anyhow!("no such client")),
                };
                self.after(id.0);
                let _ = reply.send(answered);
            }
            Order::Layers(id, rids) => {
                if let Some(seat) = self.seats.get_mut(&id.0) {
                    seat.client.set_layers(&rids);
                    self.after(id.0);
                }
            }
            Order::Look(id, reply) => {
                let seat = self.seats.get(&id.0);
                let _ = reply.send(seat.map(|seat| seat.client.record()));
            }
            Order::Close(id, reply) => {
                let _ = reply.send(self.close(now, id));
            }
            Order::Figures(reply) => {
                let _ = reply.send(self.figures());
            }
            Order::Stop => {}
        }
    }

    fn open(&mut self, plan: ClientPlan, id: ClientId) -> Result<String> {
        let bound = bind(self.local).context("a UDP port for a client")?;
        let (mut io, state) = bound;
        let token = Token(usize::try_from(id.0)?);
        self.poll
            .registry()
            .register(&mut io, token, Interest::READABLE)?;
        let client = Client::new(plan);
        let offer = client.offer(io.local_addr()?, &self.shared);
        let seat = Seat {
            client,
            io,
            state,
            armed: None,
        };
        self.seats.insert(id.0, seat);
        Ok(offer)
    }

    fn accept(
        &mut self,
        now: Instant,
        plan: ClientPlan,
        id: ClientId,
        offer: &str,
    ) -> Result<String> {
        self.open(plan, id)?;
        let seat = self.seats.get_mut(&id.0).context("a client")?;
        let local = seat.io.local_addr()?;
        let answer = seat.client.accept(now, offer, local, &mut self.shared);
        if answer.is_err() {
            self.seats.remove(&id.0);
        }
        answer
    }

    fn close(&mut self, now: Instant, id: ClientId) -> Option<Record> {
        let seat = self.seats.get_mut(&id.0)?;
        let record = seat.client.record();
        seat.client.close(now, &mut self.shared);
        self.after(id.0);
        self.past.received.add(&record.received);
        let mut seat = self.seats.remove(&id.0)?;
        // The descriptor goes with it.
        drop(self.poll.registry().deregister(&mut seat.io));
        Some(record)
    }

    fn figures(&mut self) -> Figures {
        let mut figures = self.shared.figures.clone();
        self.shared.figures.latency_now = crate::Histogram::default();
        figures.received.add(&self.past.received);
        for seat in self.seats.values() {
            figures.open += 1;
            figures.connected += u64::from(seat.client.is_connected());
            figures.received.add(&seat.client.received());
        }
        figures
    }

    fn read(&mut self, key: u64) {
        for _ in 0..READS_MAX {
            let Some(seat) = self.seats.get_mut(&key) else {
                return;
            };
            let mut metas = [RecvMeta::default(); RECEIVE_BATCH];
            let mut chunks = self.buffers.chunks_mut(RECEIVE_BUFFER_BYTES);
            let mut slices: [IoSliceMut<'_>; RECEIVE_BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let socket = UdpSockRef::from(&seat.io);
            let received = match seat.state.recv(socket, &mut slices, &mut metas) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let now = self.shared.clock.now();
            let all = self.buffers.chunks(RECEIVE_BUFFER_BYTES).zip(&metas);
            for (buffer, meta) in all.take(received) {
                let bytes = buffer.get(..meta.len).unwrap_or_default();
                for datagram in bytes.chunks(meta.stride.max(1)) {
                    seat.client
                        .handle_datagram(now, meta.addr, datagram, &mut self.shared);
                }
            }
            // The queue was empty, and what comes from now on is a new event.
            if received < RECEIVE_BATCH {
                break;
            }
        }
        self.after(key);
    }

    fn fire_timers(&mut self) {
        let now = self.shared.clock.now();
        while let Some(Reverse((at, key))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            let Some(seat) = self.seats.get_mut(&key) else {
                continue;
            };
            if seat.armed == Some(at) {
                seat.armed = None;
                seat.client.handle_timeout(now, &mut self.shared);
                self.after(key);
            }
        }
    }

    /// Sends what a client has to send and sets its timer.
    fn after(&mut self, key: u64) {
        let Some(seat) = self.seats.get_mut(&key) else {
            self.shared.out.clear();
            return;
        };
        for (to, datagram) in self.shared.out.drain(..) {
            if send(seat, to, &datagram).is_err() {
                self.shared.figures.unsent += 1;
            }
        }
        if let Some(at) = seat.client.poll_timeout()
            && seat.armed.is_none_or(|armed| at < armed)
        {
            seat.armed = Some(at);
            self.timers.push(Reverse((at, key)));
        }
    }
}

fn send(seat: &Seat, destination: SocketAddr, contents: &[u8]) -> io::Result<()> {
    let transmit = Transmit {
        destination,
        ecn: None,
        contents,
        segment_size: None,
        src_ip: None,
    };
    seat.state.try_send(UdpSockRef::from(&seat.io), &transmit)
}

fn bind(local: IpAddr) -> io::Result<(UdpSocket, UdpSocketState)> {
    let address = SocketAddr::new(local, 0);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    // Best effort: the kernel caps it.
    drop(socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES));
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let io = UdpSocket::from_std(socket.into());
    let state = UdpSocketState::new(UdpSockRef::from(&io))?;
    Ok((io, state))
}
