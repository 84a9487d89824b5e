//! Whole encoded frames, as ingest, packaging and transcoding handle them.

use bytes::Bytes;

use crate::{Codec, MediaTime};

/// One encoded picture or one audio packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// What it is encoded with.
    pub codec: Codec,
    /// When it is shown or heard.
    pub presented: MediaTime,
    /// Whether a decoder can start here; always true for audio.
    pub keyframe: bool,
    /// The codec's bytes.
    pub data: Bytes,
}
