//! ICE-TCP: the way in for clients whose network lets no UDP out.
//!
//! Runs on the control threads. A connection is accepted, its first frame must be a STUN request
//! whose user name names the shard, and from then on frames go to that shard and come back through
//! one bounded queue each way (RFC 4571 framing, RFC 6544 candidates). What does not fit towards
//! the client is dropped whole; a client that takes nothing for 5 s is closed.

mod connection;
mod deframe;
mod gate;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

pub use deframe::{Deframer, FrameError};

use crate::net::Reach;
use crate::plane::Rings;
use crate::shard::Inbox;
use gate::Gate;

/// After a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections need.
pub struct IceTcp {
    inboxes: Vec<Arc<Inbox>>,
    reach: Reach,
    port: u16,
    gate: Gate,
    numbers: AtomicU64,
}

/// Binds the listener.
///
/// # Errors
/// When the port is taken or the address is not ours.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("tcp {address}: {error}"));
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).map_err(named)?;
    socket.listen(1_024).map_err(named)?;
    Ok(socket.into())
}

impl IceTcp {
    /// Connections to these shards, at a listener on `port`.
    #[must_use]
    pub fn new(rings: &Rings, reach: Reach, port: u16) -> Arc<Self> {
        Arc::new(Self {
            inboxes: rings.inboxes().to_vec(),
            reach,
            port,
            gate: Gate::default(),
            numbers: AtomicU64::new(0),
        })
    }

    /// Accepts until the task is dropped.
    ///
    /// # Errors
    /// When the listener cannot be handed to the runtime.
    pub async fn serve(self: Arc<Self>, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.admit(stream, remote),
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        let ip = remote.ip().to_canonical();
        let Ok(local) = stream.local_addr() else {
            return;
        };
        if !self.reach.admits(ip, Some(local.ip())) {
            return;
        }
        // Beyond the gate's bounds the connection is closed without a word.
        let Some(pass) = self.gate.enter(ip) else {
            return;
        };
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let path = media_webrtc::Path {
            local: SocketAddr::new(self.reach.local(Some(local.ip())), self.port),
            remote: SocketAddr::new(ip, remote.port()),
            protocol: media_webrtc::Protocol::Tcp,
        };
        let owner = Arc::clone(self);
        tokio::spawn(async move {
            let ended = connection::run(&owner.inboxes, stream, path, number, pass).await;
            tracing::debug!(number, ?ended, "ICE-TCP connection ended");
        });
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.gate.len()
    }
}

#[cfg(test)]
mod tests;
