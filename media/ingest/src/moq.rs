//! Media over QUIC: what a broadcast's tracks are, and what is in their frames.
//!
//! The transport (sessions, groups, priorities) is the business of whoever holds the sockets. Here
//! is what it does not know: the catalog that names a broadcast's tracks ([`Catalog`], the JSON of
//! the MoQ project's own players and publishers, track `catalog.json`), and the containers in which
//! its frames carry their times ([`Container`]). A group of video begins with a keyframe.

mod catalog;
mod map;

pub use catalog::{CATALOG_TRACK, Catalog, CatalogReader, Rendition};
pub use map::{Container, Unpacker, pack};

#[cfg(test)]
mod tests;
