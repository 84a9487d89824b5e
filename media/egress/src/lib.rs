//! Media on its way out: whole frames from RTP, and what players and disks want of them.
//!
//! [`depacketize`] turns the packets of a tap into frames and knows what is lost; [`timeline`] puts
//! the frames of one publisher on one clock; [`cmaf`] and [`flv`] write them; [`hls`] and [`dash`]
//! keep the window that live players read; [`mux`] joins sound and pictures for progressive
//! players; [`recorder`] says what to write to a disk so that it survives a crash.
//!
//! Nothing here opens a socket or a file, and nobody reads a clock: `now` is the wall clock of the
//! caller as time since the Unix epoch, and must not step.
//!
//! ```
//! use media_egress::TrackConfig;
//!
//! let opus = TrackConfig::opus(2);
//! assert_eq!((opus.codecs.as_str(), opus.timescale), ("opus", 48_000));
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

mod bits;
mod error;
mod frame;
mod params;

pub mod cmaf;
pub mod config;
pub mod dash;
pub mod depacketize;
pub mod flv;
pub mod hls;
pub mod limits;
pub mod mux;
pub mod recorder;
pub mod reorder;
pub mod timeline;

pub use config::{Format, TrackConfig};
pub use error::EgressError;
pub use frame::{Frame, SourceFrame};
