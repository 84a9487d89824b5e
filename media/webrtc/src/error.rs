//! What can go wrong with a transport, and why a datagram was not used.

/// Why a call on a transport failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebRtcError {
    /// The SDP cannot be read or used; the text says what is wrong with it.
    #[error("unusable SDP: {0}")]
    BadSdp(String),
    /// The SDP is longer, or has more m-lines, than a transport takes.
    #[error("SDP above the limit of {limit} {what}")]
    SdpLimit {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A `candidate:` line that cannot be read.
    #[error("unreadable candidate")]
    BadCandidate,
    /// The cryptographic library made no certificate.
    #[error("no certificate could be made")]
    Certificate,
    /// A data message larger than [`crate::limits::DATA_BYTES_MAX`].
    #[error("data message of {0} bytes")]
    DataSize(usize),
    /// SCTP refused a data message.
    #[error("data channel failed")]
    DataChannel,
    /// The transport has ended.
    #[error("the transport has ended")]
    Ended,
}

/// Why a datagram was dropped. Counted, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Media before the handshake gave keys.
    NoKeys,
    /// Neither header nor trailer make sense.
    Malformed,
    /// Its tag does not fit our keys.
    Authentication,
    /// Its number was seen before, or is too old.
    Replayed,
    /// More sources than one client may have.
    Sources,
    /// Nothing in the session description explains it.
    UnknownStream,
    /// Of an m-line on which the client may not send.
    NotPublishing,
    /// A retransmission of what was never announced or already came.
    Unneeded,
    /// Larger than a buffer.
    Oversize,
    /// The transport has ended.
    Ended,
}

impl DropReason {
    /// A stable word, for figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoKeys => "no_keys",
            Self::Malformed => "malformed",
            Self::Authentication => "authentication",
            Self::Replayed => "replayed",
            Self::Sources => "sources",
            Self::UnknownStream => "unknown_stream",
            Self::NotPublishing => "not_publishing",
            Self::Unneeded => "unneeded",
            Self::Oversize => "oversize",
            Self::Ended => "ended",
        }
    }
}

impl From<media_rtp::SrtpError> for DropReason {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "what is added there is about authenticity"
    )]
    fn from(error: media_rtp::SrtpError) -> Self {
        use media_rtp::SrtpError as E;
        match error {
            E::Replayed(_) => Self::Replayed,
            E::Sources => Self::Sources,
            E::Buffer { .. } => Self::Oversize,
            E::Truncated { .. } | E::Unencrypted | E::Header => Self::Malformed,
            _ => Self::Authentication,
        }
    }
}

impl From<media_rtp::RtpError> for DropReason {
    fn from(_: media_rtp::RtpError) -> Self {
        Self::Malformed
    }
}
