//! The socket, and who is let in.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use tokio::runtime::Handle;

use super::certificate::{CertificateHash, Identity};
use super::moq::Stage;
use super::roster::Roster;
use super::{connection, metrics};
use crate::config::QuicConfig;
use crate::ingest::rtmp::RtmpServer;
use crate::ingest::rtmp::gate::{Gate, Pass};

/// Bytes of a connection that may wait to be read by us, or to be acknowledged by the client: two
/// seconds of 30 Mb/s.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Streams that a client may have open in one direction at a time: groups of all its tracks.
const UNI_STREAMS_MAX: u32 = 256;
/// Streams in both directions: requests.
const BI_STREAMS_MAX: u32 = 64;
/// How many times `retry_above` handshakes may be in progress before further ones are left alone.
const IGNORED_TIMES: u32 = 4;

/// What all connections need.
pub struct QuicServer {
    /// The settings.
    pub config: QuicConfig,
    /// What publishers are taken in with: RTMP by QUIC is the same RTMP.
    pub rtmp: Arc<RtmpServer>,
    /// What players are served from.
    pub(super) stage: Stage,
    pub(super) roster: Arc<Roster>,
    handshakes: AtomicU32,
}

/// Where QUIC is spoken.
#[derive(Debug, Clone)]
pub struct QuicReach {
    /// The UDP port.
    pub port: u16,
    /// What clients pin, where the certificate was made at start.
    pub hash: Option<CertificateHash>,
    /// Who is connected.
    pub roster: Arc<Roster>,
}

/// The port, bound before anything else starts.
pub struct QuicSocket {
    socket: UdpSocket,
    config: ServerConfig,
    hash: Option<CertificateHash>,
    roster: Arc<Roster>,
}

impl QuicSocket {
    /// Binds what the settings want.
    ///
    /// # Errors
    /// A port that is taken, or a certificate that QUIC cannot use.
    pub fn bind(config: &QuicConfig, identity: &Identity) -> io::Result<Self> {
        let tls = identity.config(config.early_data);
        let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server.transport_config(Arc::new(transport(config)?));
        server.migration(config.migration);
        Ok(Self {
            socket: UdpSocket::bind(config.listen)?,
            config: server,
            hash: identity.hash,
            roster: Arc::default(),
        })
    }

    /// Where it is, for those who have to be told.
    #[must_use]
    pub fn reach(&self) -> Option<QuicReach> {
        let port = self.socket.local_addr().ok()?.port();
        Some(QuicReach {
            port,
            hash: self.hash,
            roster: Arc::clone(&self.roster),
        })
    }

    /// Accepts on that runtime until the process ends.
    ///
    /// # Errors
    /// A socket that cannot be used.
    pub fn serve(
        self,
        config: QuicConfig,
        rtmp: Arc<RtmpServer>,
        runtime: &Handle,
    ) -> io::Result<()> {
        let _entered = runtime.enter();
        let endpoint = Endpoint::new(
            EndpointConfig::default(),
            Some(self.config),
            self.socket,
            Arc::new(TokioRuntime),
        )?;
        let gate = Gate::new(config.connections_max, config.connections_per_address);
        let server = Arc::new(QuicServer {
            stage: Stage::new(rtmp.live.clone(), Arc::clone(&rtmp.clock)),
            roster: self.roster,
            config,
            rtmp,
            handshakes: AtomicU32::new(0),
        });
        runtime.spawn(accept(endpoint, server, gate));
        Ok(())
    }
}

fn transport(config: &QuicConfig) -> io::Result<TransportConfig> {
    let idle = config.idle_timeout.try_into().map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(config.idle_timeout / 3))
        .receive_window(VarInt::from_u32(WINDOW_BYTES))
        .stream_receive_window(VarInt::from_u32(WINDOW_BYTES))
        .send_window(u64::from(WINDOW_BYTES))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS_MAX))
        .max_concurrent_bidi_streams(VarInt::from_u32(BI_STREAMS_MAX));
    Ok(transport)
}

async fn accept(endpoint: Endpoint, server: Arc<QuicServer>, gate: Gate) {
    while let Some(incoming) = endpoint.accept().await {
        let remote = incoming.remote_address();
        let handshakes = server.handshakes.load(Ordering::Relaxed);
        match welcome(
            &server.config,
            handshakes,
            incoming.remote_address_validated(),
        ) {
            Welcome::Ignore => {
                metrics::refused("handshakes");
                incoming.ignore();
            }
            Welcome::Retry => {
                metrics::retried();
                // Its error hands back what may not be retried, which was ruled out.
                let _retried = incoming.retry();
            }
            Welcome::Enter if server.rtmp.ops.knock(remote.ip()).is_err() => {
                metrics::refused("rate");
                incoming.refuse();
            }
            Welcome::Enter => match gate.enter(remote.ip().to_canonical()) {
                Some(pass) => enter(incoming, &server, pass),
                None => {
                    metrics::refused("connections");
                    incoming.refuse();
                }
            },
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Welcome {
    Enter,
    Retry,
    Ignore,
}

/// Who is let in, with so many handshakes in progress.
const fn welcome(config: &QuicConfig, handshakes: u32, validated: bool) -> Welcome {
    let above = config.retry_above;
    if handshakes >= above.saturating_mul(IGNORED_TIMES) {
        Welcome::Ignore
    } else if handshakes >= above && !validated {
        Welcome::Retry
    } else {
        Welcome::Enter
    }
}

/// A handshake in progress.
pub(super) struct Handshaking {
    server: Arc<QuicServer>,
    _counted: metrics::One,
}

impl Handshaking {
    fn new(server: &Arc<QuicServer>) -> Self {
        server.handshakes.fetch_add(1, Ordering::Relaxed);
        Self {
            server: Arc::clone(server),
            _counted: metrics::One::handshake(),
        }
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.server.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

fn enter(incoming: Incoming, server: &Arc<QuicServer>, pass: Pass) {
    let handshaking = Handshaking::new(server);
    let server = Arc::clone(server);
    tokio::spawn(async move {
        let started = server.rtmp.clock.now();
        let ended = connection::run(&server, incoming, handshaking).await;
        let lived: Duration = server.rtmp.clock.now().saturating_duration_since(started);
        tracing::debug!(ended, ?lived, "QUIC connection ended");
        drop(pass);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_has_to_show_its_addresses() {
        let config = QuicConfig {
            retry_above: 10,
            ..QuicConfig::default()
        };
        assert_eq!(welcome(&config, 9, false), Welcome::Enter);
        assert_eq!(welcome(&config, 10, false), Welcome::Retry);
        assert_eq!(welcome(&config, 10, true), Welcome::Enter);
        assert_eq!(welcome(&config, 40, true), Welcome::Ignore);
    }
}
