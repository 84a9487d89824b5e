//! One WebRTC transport: str0m for SDP, ICE, DTLS and SCTP, and our own RTP path.
//!
//! A [`Transport`] is a sans-IO state machine for one client. Datagrams go in by `handle_*`, sealed
//! datagrams come out into a [`TransmitBatch`], and what happened comes out as [`TransportEvent`]s.
//! It knows streams and slots, not tracks and rooms: who is sent what is its owner's affair.
//!
//! str0m negotiates, connects and runs data channels; the keys of its handshake are taken out by a
//! wrapper around its DTLS, and all RTP and RTCP is opened, answered and sealed here.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use media_webrtc::{Certificate, Permissions, Transport, TransportConfig, TransportSeed};
//!
//! # #[allow(clippy::disallowed_methods, reason = "an example has no other clock")]
//! let now = Instant::now();
//! let config = TransportConfig::new(now, Duration::ZERO, Certificate::generate()?, Vec::new());
//! let seed = TransportSeed {
//!     ufrag: "AAx7Kq".into(),
//!     pwd: "hV3nQe0sTq8uWm5rYb2kLp".into(),
//!     random: 7,
//! };
//! let transport = Transport::new(now, &config, Permissions::ALL, seed)?;
//! assert!(!transport.is_connected());
//! # Ok::<(), media_webrtc::WebRtcError>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

mod batch;
mod channels;
mod config;
mod dtls;
mod error;
mod event;
mod extensions;
mod formats;
mod grant;
mod keys;
pub mod limits;
mod line;
mod map;
mod meter;
mod negotiate;
mod packet;
mod path;
mod paths;
mod receive;
mod red;
mod sdp;
mod sealed;
mod send;
mod session;
mod slots;
mod stats;
mod stun;
mod transport;

pub use batch::{Transmit, TransmitBatch};
pub use config::{Certificate, Permissions, TransportConfig, TransportSeed};
pub use error::{DropReason, WebRtcError};
pub use event::{LostReason, TransportEvent};
pub use negotiate::{MediaLineDescription, MediaLineUse, Negotiated};
pub use packet::{
    Incoming, PREFIX_BYTES_MAX, PassedExtensions, Priority, SendPacket, SlotIndex, StreamIndex,
};
pub use path::{CandidateAddr, Path, Protocol};
pub use red::primary_offset;
pub use stats::{SlotStats, StreamStats, TransportStats};
pub use transport::Transport;
