//! SDP text in, SDP text out.

use media_types::{Codec, MediaKind, Mid, Rid};

/// What an m-line of an accepted offer is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaLineUse {
    /// The client sends on it.
    Publish,
    /// The client can show a track on it.
    Slot,
    /// The client does both: a `sendrecv` m-line.
    Both,
    /// Nothing flows: inactive, stopped or refused.
    Idle,
}

/// One audio or video m-line of an accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaLineDescription {
    /// Its media id.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is for.
    pub usage: MediaLineUse,
    /// Codecs that both ends know, in the client's order.
    pub codecs: Vec<Codec>,
    /// The layers that the client announced, lowest first; empty without simulcast.
    pub rids: Vec<Rid>,
}

/// An accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The SDP answer.
    pub answer: String,
    /// Its audio and video m-lines, in order.
    pub media: Vec<MediaLineDescription>,
    /// Whether data channels were negotiated.
    pub data: bool,
}
