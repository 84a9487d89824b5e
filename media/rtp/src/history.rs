//! What was received, kept for a while; and what became of it at each subscriber.
//!
//! A track has *one* [`TrackHistory`] a stream, whose payloads are shared. A subscriber keeps only
//! a [`SentMap`]: which packet of the history it got under which number. Together they answer its
//! NACKs.

mod sent;
mod track;

#[cfg(test)]
mod tests;

pub use sent::{Resend, SentMap, SentPacket};
pub use track::{HistoryLimits, PassThrough, StoredPacket, TrackHistory};
