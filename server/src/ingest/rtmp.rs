//! RTMP and RTMPS: listeners, limits, and one task a connection.

mod connection;
pub(crate) mod gate;
pub(crate) mod key;
mod play;
pub(crate) mod publish;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media_types::Clock;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;

use crate::auth::Auth;
use crate::config::RtmpConfig;
use crate::egress::Egress;
use crate::http::Health;
use crate::live::Live;
use crate::ops::Ops;
use crate::transcode::Transcoding;
use gate::Gate;

/// After a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections need.
pub struct RtmpServer {
    /// The settings.
    pub config: RtmpConfig,
    /// Judges tokens.
    pub auth: Arc<Auth>,
    /// Takes streams into rooms.
    pub live: Live,
    /// Makes of streams what browsers play.
    pub transcoding: Transcoding,
    /// Where players get streams from.
    pub egress: Arc<Egress>,
    /// Whether this worker is being emptied.
    pub health: Arc<Health>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How often one address may come.
    pub ops: Arc<Ops>,
}

/// The listeners, bound before anything else starts.
pub struct RtmpListeners {
    plain: std::net::TcpListener,
    secure: Option<(std::net::TcpListener, Arc<ServerConfig>)>,
}

impl RtmpListeners {
    /// Binds what the settings want; RTMPS only where there is a certificate.
    ///
    /// # Errors
    /// A port that is taken, or an address that is not ours.
    pub fn bind(config: &RtmpConfig, tls: Option<&ServerConfig>) -> io::Result<Option<Self>> {
        if !config.enabled {
            return Ok(None);
        }
        let plain = crate::ice_tcp::bind(config.listen)?;
        let secure = match tls {
            Some(tls) => {
                let mut tls = tls.clone();
                // Encoders name no protocol, and HTTP's are not spoken here.
                tls.alpn_protocols.clear();
                Some((crate::ice_tcp::bind(config.tls_listen)?, Arc::new(tls)))
            }
            None => None,
        };
        Ok(Some(Self { plain, secure }))
    }

    /// Where plain RTMP is spoken.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.plain.local_addr().ok()
    }

    /// Accepts on that runtime until the process ends.
    pub fn serve(self, server: Arc<RtmpServer>, runtime: &Handle) {
        let (all, of_address) = (
            server.config.connections_max,
            server.config.connections_per_address,
        );
        let gate = Gate::new(all, of_address);
        if let Some((listener, tls)) = self.secure {
            let acceptor = TlsAcceptor::from(tls);
            let (server, gate) = (Arc::clone(&server), gate.clone());
            runtime.spawn(accept(listener, server, gate, Some(acceptor)));
        }
        runtime.spawn(accept(self.plain, server, gate, None));
    }
}

/// Serves one connection that somebody else let in, over whatever carries its bytes in order.
pub(crate) async fn serve_stream<S>(server: &RtmpServer, stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let _open = super::metrics::Open::new();
    let ended = connection::run(server, stream, None).await;
    tracing::debug!(?ended, "RTMP connection ended");
    super::metrics::ended(ended.word());
}

async fn accept(
    listener: std::net::TcpListener,
    server: Arc<RtmpServer>,
    gate: Gate,
    tls: Option<TlsAcceptor>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the RTMP listener cannot be used");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => admit(stream, remote, &server, &gate, tls.as_ref()),
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(
    stream: TcpStream,
    remote: SocketAddr,
    server: &Arc<RtmpServer>,
    gate: &Gate,
    tls: Option<&TlsAcceptor>,
) {
    if server.ops.knock(remote.ip()).is_err() {
        super::metrics::refused("rate");
        return;
    }
    // Beyond the gate's bounds the connection is closed without a word.
    let Some(pass) = gate.enter(remote.ip().to_canonical()) else {
        super::metrics::refused("connections");
        return;
    };
    // Players and publishers both want their frames now. A socket that cannot be told is used as
    // it is.
    let _unset = stream.set_nodelay(true);
    let server = Arc::clone(server);
    let tls = tls.cloned();
    tokio::spawn(async move {
        let open = super::metrics::Open::new();
        let ended = match tls {
            None => connection::run_plain(&server, stream).await,
            Some(tls) => {
                let shaken = tokio::time::timeout(server.config.setup_timeout, tls.accept(stream));
                match shaken.await {
                    Ok(Ok(stream)) => connection::run(&server, stream, None).await,
                    Ok(Err(_)) | Err(_) => connection::Ended::Handshake,
                }
            }
        };
        tracing::debug!(?ended, "RTMP connection ended");
        super::metrics::ended(ended.word());
        drop((pass, open));
    });
}
