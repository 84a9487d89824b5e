//! Links to other workers: QUIC with mutual TLS, one connection for each pair.
//!
//! A thread of its own runs the endpoint and every link's [`media_core::Hop`]; shards reach it by
//! lock-free queues and never wait for it. Packets go in datagrams, everything else in one stream
//! each way, whose first frame says who speaks. QUIC's own congestion control follows our
//! estimate, so that two never argue over one path.

mod congestion;
mod hub;
mod link;
pub(crate) mod metrics;
mod post;
mod roster;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use media_core::RelayMessage;
use media_types::{Clock, WorkerId};
use tokio::sync::watch;

pub(crate) use post::{Hears, Post, open as open_post};
pub(crate) use roster::follow;
pub use tls::{ClusterIdentity, ClusterTlsError};

use crate::shard::far::FarEnds;
use hub::Hub;

/// The workers to which there is a link now.
pub(crate) type Linked = BTreeSet<WorkerId>;
/// Where the other workers are.
pub(crate) type Roster = BTreeMap<WorkerId, Vec<SocketAddr>>;

/// The port of the relay, bound.
#[derive(Debug)]
pub(crate) struct ClusterSocket {
    socket: UdpSocket,
}

impl ClusterSocket {
    /// Binds it.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        Ok(Self { socket })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Starts the thread, which ends when the sender of `roster` is dropped.
    pub(crate) fn start(
        self,
        worker: WorkerId,
        identity: ClusterIdentity,
        clock: Arc<dyn Clock>,
        ends: FarEnds<RelayMessage>,
        roster: watch::Receiver<Roster>,
        (post, hears): (Post, Box<dyn Hears>),
    ) -> io::Result<()> {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::error!(%error, "no links to other workers");
                    return;
                }
            };
            let local = tokio::task::LocalSet::new();
            let Post { letters, linked } = post;
            let hub = Hub::new(worker, clock, ends, (linked, hears));
            let serving = hub.serve(self.socket, identity, roster, letters);
            if let Err(error) = local.block_on(&runtime, serving) {
                tracing::error!(%error, "no links to other workers");
            }
        };
        std::thread::Builder::new()
            .name("cluster".to_owned())
            .spawn(run)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
