//! Transcoding jobs, and the wire between the server and a codec process.
//!
//! The server links no codec. Each job runs in a process of its own, and the two speak over a
//! socketpair: [`wire`] frames and bounds that conversation, [`Job`] describes what is to be done,
//! [`Backlog`] holds what the process has not yet taken and what it must see again after a crash,
//! [`Transcoder`] is what a backend inside the process offers, and [`ladder`] says which renditions
//! a source is worth. Nothing here does I/O, reads a clock or knows a codec library.
//!
//! ```
//! use bytes::Bytes;
//! use media_transcode::wire::{FromCodec, Framer, ToCodec};
//! let mut bytes = Vec::new();
//! ToCodec::Keyframe.write(&mut bytes);
//! let mut framer = Framer::default();
//! framer.feed(&bytes);
//! let body = framer.next().unwrap().unwrap();
//! assert_eq!(ToCodec::parse(body), Ok(ToCodec::Keyframe));
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

mod description;
mod frame;
mod job;
pub mod ladder;
pub mod limits;
mod transcoder;
pub mod wire;

pub use description::{Format, Job, Size};
pub use frame::MediaFrame;
pub use job::{Backlog, BacklogFigures, Pushed};
pub use transcoder::{TranscodeError, Transcoder};
