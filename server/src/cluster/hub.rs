//! The thread's one state: queues of the shards, links by worker, and who dials whom.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::PartLetter;
use media_contract::RelayPeer;
use media_core::{Delivery, RelayMessage};
use media_types::{Clock, WorkerId};
use quinn::{Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use super::congestion::Window;
use super::link::{self, Link};
use super::tls::ClusterIdentity;
use super::{Hears, Linked, Roster, metrics};
use crate::limits::{
    CLUSTER_DATAGRAM_BUFFER, CLUSTER_HANDSHAKE_MAX, CLUSTER_IDLE, CLUSTER_KEEP_ALIVE,
    CLUSTER_RETRY_MAX, CLUSTER_RETRY_MIN, CLUSTER_TICK, CLUSTER_TURN,
};
use crate::shard::far::FarEnds;

/// After so many looks without a link the higher id dials as well: the lower one may not reach it.
const PATIENCE: u32 = 8;

/// Streams each way: control of tracks, and letters of rooms.
const STREAMS: u32 = 2;

pub(super) struct Hub {
    me: WorkerId,
    pub(super) clock: Arc<dyn Clock>,
    ends: RefCell<FarEnds<RelayMessage>>,
    links: RefCell<BTreeMap<WorkerId, Rc<Link>>>,
    dialling: RefCell<BTreeSet<WorkerId>>,
    /// Messages for workers to which there is no link.
    unlinked: Cell<u64>,
    /// Letters that found no link, or a full one.
    unposted: Cell<u64>,
    linked: watch::Sender<Linked>,
    hears: Box<dyn Hears>,
}

/// When to dial a worker again.
#[derive(Debug)]
struct Attempt {
    after: Instant,
    pause: Duration,
    looks: u32,
}

impl Hub {
    pub(super) fn new(
        me: WorkerId,
        clock: Arc<dyn Clock>,
        ends: FarEnds<RelayMessage>,
        (linked, hears): (watch::Sender<Linked>, Box<dyn Hears>),
    ) -> Rc<Self> {
        Rc::new(Self {
            me,
            clock,
            ends: RefCell::new(ends),
            links: RefCell::default(),
            dialling: RefCell::default(),
            unlinked: Cell::new(0),
            unposted: Cell::new(0),
            linked,
            hears,
        })
    }

    pub(super) const fn me(&self) -> WorkerId {
        self.me
    }

    /// Accepts, dials and carries until the roster ends.
    pub(super) async fn serve(
        self: Rc<Self>,
        socket: UdpSocket,
        identity: ClusterIdentity,
        mut roster: watch::Receiver<Roster>,
        letters: mpsc::Receiver<(WorkerId, PartLetter)>,
    ) -> io::Result<()> {
        let crypto = identity.server().map_err(io::Error::other)?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        // A connection that is dialled by others gets a window of its own when it is there.
        server.transport_config(Arc::new(transport(&Window::default())));
        let config = EndpointConfig::default();
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(config, Some(server), socket, runtime)?;
        spawn_local(Rc::clone(&self).accept(endpoint.clone(), identity.server()));
        spawn_local(Rc::clone(&self).carry());
        spawn_local(Rc::clone(&self).post(letters));
        let identity = Rc::new(identity);
        let mut attempts = BTreeMap::new();
        let mut tick = tokio::time::interval(CLUSTER_TICK);
        loop {
            tokio::select! {
                changed = roster.changed() => if changed.is_err() { break },
                _ = tick.tick() => {}
            }
            let known = roster.borrow().clone();
            self.dial_missing(&endpoint, &identity, &known, &mut attempts);
            self.tell_figures();
        }
        endpoint.close(VarInt::from_u32(0), b"the worker ends");
        endpoint.wait_idle().await;
        Ok(())
    }

    async fn accept(
        self: Rc<Self>,
        endpoint: Endpoint,
        crypto: Result<quinn::crypto::rustls::QuicServerConfig, super::ClusterTlsError>,
    ) {
        let Ok(crypto) = crypto else {
            return;
        };
        let crypto = Arc::new(crypto);
        while let Some(incoming) = endpoint.accept().await {
            let window = Window::default();
            let mut config = quinn::ServerConfig::with_crypto(Arc::clone(&crypto) as _);
            config.transport_config(Arc::new(transport(&window)));
            let hub = Rc::clone(&self);
            spawn_local(async move {
                let Ok(connecting) = incoming.accept_with(Arc::new(config)) else {
                    return;
                };
                let opened = tokio::time::timeout(CLUSTER_HANDSHAKE_MAX, connecting).await;
                match opened {
                    Ok(Ok(connection)) => link::run(hub, connection, window, false).await,
                    Ok(Err(error)) => {
                        metrics::refused("handshake");
                        tracing::warn!(%error, "another worker was refused");
                    }
                    Err(_late) => metrics::refused("timeout"),
                }
            });
        }
    }

    /// Takes what shards have for other workers to their links.
    async fn carry(self: Rc<Self>) {
        let bell = Arc::clone(&self.ends.borrow().bell);
        loop {
            bell.notified().await;
            while self.carry_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes letters of rooms to their links.
    async fn post(self: Rc<Self>, mut letters: mpsc::Receiver<(WorkerId, PartLetter)>) {
        while let Some((to, letter)) = letters.recv().await {
            let link = self.links.borrow().get(&to).map(Rc::clone);
            let taken = link.is_some_and(|link| link.post(letter));
            self.unposted.set(self.unposted.get() + u64::from(!taken));
        }
    }

    /// Takes a letter to its room.
    pub(super) fn told(&self, from: WorkerId, letter: PartLetter) {
        self.hears.told(from, letter);
    }

    fn tell_linked(&self, links: &BTreeMap<WorkerId, Rc<Link>>) {
        let linked: Linked = links.keys().copied().collect();
        self.linked.send_replace(linked.clone());
        self.hears.linked(linked);
    }

    /// A bounded part of it; whether more waits.
    fn carry_some(&self) -> bool {
        let now = self.clock.now();
        let links = self.links.borrow();
        let mut touched = BTreeSet::new();
        let mut more = false;
        for end in &mut self.ends.borrow_mut().shards {
            let from = end.shard();
            for turn in 0..=CLUSTER_TURN {
                if turn == CLUSTER_TURN {
                    more = true;
                    break;
                }
                let Some((peer, message)) = end.next() else {
                    break;
                };
                let RelayPeer::Worker { worker, shard } = peer else {
                    continue;
                };
                match links.get(&worker) {
                    Some(link) => {
                        link.take(now, from, shard, message);
                        touched.insert(worker);
                    }
                    None => self.unlinked.set(self.unlinked.get() + 1),
                }
            }
        }
        for worker in touched {
            if let Some(link) = links.get(&worker) {
                link.wake();
            }
        }
        more
    }

    /// Takes what came by a link to the shards.
    pub(super) fn deliver(
        &self,
        from: WorkerId,
        mut next: impl FnMut() -> Option<Delivery>,
    ) -> u64 {
        let mut ends = self.ends.borrow_mut();
        let mut dropped = 0;
        while let Some(Delivery {
            to,
            from: shard,
            message,
        }) = next()
        {
            let peer = RelayPeer::Worker {
                worker: from,
                shard,
            };
            let end = ends.shards.get_mut(usize::from(to.0));
            let sent = end.is_some_and(|end| end.send(peer, message));
            dropped += u64::from(!sent);
        }
        for end in &mut ends.shards {
            end.flush();
        }
        dropped
    }

    /// Adds a link. Where two were dialled at once, that of the lower id stays. Whether this does.
    pub(super) fn add(&self, link: &Rc<Link>) -> bool {
        let mut links = self.links.borrow_mut();
        let dialled_by = |link: &Link| match link.is_dialled() {
            true => self.me,
            false => link.worker(),
        };
        if let Some(known) = links.get(&link.worker())
            && known.is_open()
            && dialled_by(known) < dialled_by(link)
        {
            return false;
        }
        if let Some(old) = links.insert(link.worker(), Rc::clone(link)) {
            old.close("another connection takes its place");
        }
        self.tell_linked(&links);
        tracing::info!(worker = %link.worker(), "linked to another worker");
        true
    }

    /// Forgets a link that has ended.
    pub(super) fn remove(&self, link: &Rc<Link>) {
        let mut links = self.links.borrow_mut();
        let same = |known: &Rc<Link>| Rc::ptr_eq(known, link);
        if links.get(&link.worker()).is_some_and(same) {
            links.remove(&link.worker());
            self.tell_linked(&links);
            tracing::info!(worker = %link.worker(), "the link to another worker has ended");
        }
    }

    fn dial_missing(
        self: &Rc<Self>,
        endpoint: &Endpoint,
        identity: &Rc<ClusterIdentity>,
        known: &Roster,
        attempts: &mut BTreeMap<WorkerId, Attempt>,
    ) {
        let now = self.clock.now();
        attempts.retain(|worker, _| known.contains_key(worker));
        for (&worker, addresses) in known {
            if worker == self.me || addresses.is_empty() {
                continue;
            }
            if self.links.borrow().contains_key(&worker) {
                attempts.remove(&worker);
                continue;
            }
            if self.dialling.borrow().contains(&worker) {
                continue;
            }
            let attempt = attempts.entry(worker).or_insert(Attempt {
                after: now,
                pause: CLUSTER_RETRY_MIN,
                looks: 0,
            });
            attempt.looks = attempt.looks.saturating_add(1);
            let ours = self.me < worker || attempt.looks > PATIENCE;
            if !ours || now < attempt.after {
                continue;
            }
            attempt.after = now + attempt.pause;
            attempt.pause = (attempt.pause * 2).min(CLUSTER_RETRY_MAX);
            self.dialling.borrow_mut().insert(worker);
            let (hub, endpoint) = (Rc::clone(self), endpoint.clone());
            let (identity, addresses) = (Rc::clone(identity), addresses.clone());
            spawn_local(async move {
                let dialled = dial(&endpoint, &identity, &addresses).await;
                hub.dialling.borrow_mut().remove(&worker);
                match dialled {
                    Ok((connection, window)) => link::run(hub, connection, window, true).await,
                    Err(error) => {
                        metrics::refused("dial");
                        tracing::warn!(%worker, error, "another worker cannot be reached");
                    }
                }
            });
        }
    }

    fn tell_figures(&self) {
        let now = self.clock.now();
        metrics::unlinked(self.unlinked.get());
        metrics::unposted(self.unposted.get());
        let links = self.links.borrow();
        metrics::links(links.len());
        for link in links.values() {
            link.tell_figures(now);
        }
    }
}

/// Tries one address after the other.
async fn dial(
    endpoint: &Endpoint,
    identity: &ClusterIdentity,
    addresses: &[SocketAddr],
) -> Result<(quinn::Connection, Window), String> {
    let mut last = "no address".to_owned();
    for &address in addresses {
        let window = Window::default();
        let crypto = identity.client().map_err(|error| error.to_string())?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport(&window)));
        let connecting = endpoint.connect_with(config, address, identity.server_name());
        let connecting = match connecting {
            Ok(connecting) => connecting,
            Err(error) => {
                last = error.to_string();
                continue;
            }
        };
        match tokio::time::timeout(CLUSTER_HANDSHAKE_MAX, connecting).await {
            Ok(Ok(connection)) => return Ok((connection, window)),
            Ok(Err(error)) => last = error.to_string(),
            Err(_late) => "no answer".clone_into(&mut last),
        }
    }
    Err(last)
}

fn transport(window: &Window) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(window.clone()))
        .datagram_send_buffer_size(CLUSTER_DATAGRAM_BUFFER)
        .datagram_receive_buffer_size(Some(CLUSTER_DATAGRAM_BUFFER))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
        .keep_alive_interval(Some(CLUSTER_KEEP_ALIVE))
        .max_idle_timeout(CLUSTER_IDLE.try_into().ok());
    transport
}
