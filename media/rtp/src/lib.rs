//! RTP, RTCP and SRTP: parsing, sealing, rewriting, loss repair, payload descriptors.
//!
//! Pure functions and small state machines over bytes: no sockets, no clocks, and nothing that
//! allocates for a packet that is merely forwarded. It knows nothing of rooms, tracks or
//! transports, and nothing of SDP; who may send what is decided elsewhere.
//!
//! The *wire* half reads and writes: [`header`] and [`extension`] for RTP, [`rtcp`] for control
//! packets and feedback, [`srtp`] for sealing and opening, [`level`] for audio levels. The *media*
//! half knows how streams behave: [`sequence`] and [`timestamp`] unwrap numbers, [`rewrite`] keeps
//! them continuous, [`history`] answers for lost packets, [`receive`] finds them missing, and
//! [`descriptor`] tells layers and keyframes apart.
//!
//! Every parser takes any bytes at all and answers with a value or an error.
//!
//! ```
//! use media_rtp::header::{HeaderFields, RtpHeader, write_header};
//!
//! let fields = HeaderFields {
//!     padding: false,
//!     marker: true,
//!     payload_type: 96,
//!     sequence: 7,
//!     timestamp: 90_000,
//!     ssrc: 0x1234,
//! };
//! let mut packet = [0; 64];
//! let header_length = write_header(&mut packet, &fields, &[])?;
//! let header = RtpHeader::parse(&packet[..header_length + 5])?;
//! assert_eq!(header.sequence, 7);
//! assert_eq!(header.payload(), 12..17);
//! # Ok::<(), media_rtp::RtpError>(())
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
mod error;

pub mod descriptor;
pub mod extension;
pub mod header;
pub mod history;
pub mod level;
pub mod limits;
pub mod receive;
pub mod rewrite;
pub mod rtcp;
pub mod sequence;
pub mod srtp;
pub mod timestamp;

pub use error::{RtpError, SrtpError};
