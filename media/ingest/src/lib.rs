//! Streams from encoders: RTMP, FLV and MoQ to whole frames, and frames to RTP payloads.
//!
//! Bytes in, events out, bytes out; no sockets and no clocks. [`rtmp::Session`] is the server's end
//! of a connection and brings [`flv::Tag`]s; [`source::Source`] makes of them formats and frames on
//! one timeline, mended by [`clock`]; [`packetize`] cuts frames for RTP. The other way, [`mod@flv`]
//! writes tags and [`rtmp::write_tag`] the bytes that a player gets. [`moq`] reads and writes what
//! Media over QUIC carries. It knows nothing of rooms and
//! tokens: a stream key is a text that the caller judges.
//!
//! ```
//! use media_ingest::rtmp::{Client, ClientGoal, Session, SessionConfig, SessionEvent};
//! # #[allow(clippy::disallowed_methods)]
//! let now = std::time::Instant::now();
//! let mut server = Session::new(now, SessionConfig::default());
//! let mut client = Client::new(ClientGoal::Publish, "rtmp://host/studio", "ann", 1);
//! let mut asked = None;
//! while asked.is_none() {
//!     let up = client.poll_transmit().unwrap_or_default();
//!     server.handle_bytes(now, &up)?;
//!     while let Some(event) = server.poll_event() {
//!         if let SessionEvent::Publish { stream, key } = event {
//!             asked = Some((stream, key));
//!         }
//!     }
//!     let down = server.poll_transmit().unwrap_or_default();
//!     client.handle_bytes(&down)?;
//! }
//! assert_eq!(asked, Some((1, "ann".to_owned())));
//! # Ok::<(), media_ingest::IngestError>(())
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

mod bytes;
pub mod clock;
pub mod codec;
mod error;
pub mod flv;
pub mod limits;
pub mod moq;
pub mod packetize;
pub mod rtmp;
pub mod source;

pub use error::IngestError;
