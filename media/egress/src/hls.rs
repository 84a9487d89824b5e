//! Low-Latency HLS (RFC 8216bis): the window of one track, and the playlists over it.
//!
//! A [`Packager`] cuts the frames of a stream's tracks into parts and segments; its
//! [`Rendition`]s are cheap to clone, so that one task packages and any number of requests read.
//! DASH reads the same window ([`crate::dash`]).

mod packager;
pub mod parts;
pub mod playlist;

#[cfg(test)]
mod tests;

pub use packager::Packager;
pub use parts::{PackagerSettings, Part, Rendition, Segment};
