//! One UDP port for Media over QUIC, WebTransport, and RTMP over QUIC.
//!
//! The protocol of a connection is what its TLS handshake agreed on (ALPN): `rtmp` carries the RTMP
//! of [`crate::ingest::rtmp`] on the first bidirectional stream; `h3` is WebTransport, and a MoQ
//! session within it; the names of MoQ's drafts are such a session without HTTP. All of it runs on
//! one thread of its own. [`path`] keeps where each connection's client is reached.

mod certificate;
mod connection;
mod early;
mod endpoint;
mod metrics;
mod moq;
pub mod path;
mod roster;
mod watch;

pub use certificate::{CertificateHash, Identity};
pub use endpoint::{QuicReach, QuicServer, QuicSocket};
pub use metrics::describe;
pub use roster::{QuicConnection, Roster};

use std::io;

use tokio::runtime::Handle;

/// The name of RTMP among the protocols of a handshake.
pub const ALPN_RTMP: &str = "rtmp";

/// Starts the thread of QUIC; it runs until the process ends.
///
/// # Errors
/// A thread that the system refuses.
pub fn start_thread() -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("quic".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
