//! Streams from encoders: the front ends of the machines in `media-ingest`.
//!
//! A front end owns sockets and clocks. It judges the token, opens the ingest ([`crate::live`]),
//! and hands every frame on twice: as RTP payloads to the shard, through a port with bounded room
//! and, where browsers need it, through a codec process; and untouched to the frame hub, for those
//! who package and record. All of it runs on one thread of its own, so that a keyframe of megabytes
//! delays neither actors nor requests.

mod metrics;
mod outlet;
pub mod rtmp;

pub use metrics::describe;

use std::io;

use tokio::runtime::Handle;

/// Starts the thread of the front ends; it runs until the process ends.
///
/// # Errors
/// A thread that the system refuses.
pub fn start_thread() -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("ingest".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
