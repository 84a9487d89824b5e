//! Why a datagram or packet went nowhere. In the core a bad packet is counted, not an error.

/// Why a datagram, packet or message was dropped by a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Neither STUN, DTLS, RTP nor RTCP (RFC 7983).
    UnknownKind,
    /// From an address that no transport uses, and not a STUN request that names one.
    UnknownAddress,
    /// A STUN request for a user name that no transport here has.
    UnknownUser,
    /// The transport had its own reason.
    Transport(media_webrtc::DropReason),
    /// Media of an m-line that no track is bound to.
    Unpublished,
    /// Media of a muted track.
    Muted,
    /// A payload that its codec does not explain.
    BadPayload,
    /// Older than its track's history reaches back.
    TooLate,
    /// The lane to another shard is full.
    RelayFull,
    /// A message from another shard about what is not here.
    RelayUnknown,
    /// A message from another worker of an epoch before that of the relay.
    RelayStale,
    /// A data message that cannot be read or is too large.
    BadData,
    /// A data message of a client that may not send any.
    DataForbidden,
    /// A data message for a client whose queue is full.
    DataFull,
    /// A candidate of a client that cannot be read.
    BadCandidate,
    /// A frame of a feed that another one has replaced.
    OldFeed,
    /// A packet for a tap whose reader fell behind.
    TapFull,
}

impl DropReason {
    /// The word under which it is counted.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnknownKind => "unknown_kind",
            Self::UnknownAddress => "unknown_address",
            Self::UnknownUser => "unknown_user",
            Self::Transport(reason) => reason.as_str(),
            Self::Unpublished => "unpublished",
            Self::Muted => "muted",
            Self::BadPayload => "bad_payload",
            Self::TooLate => "too_late",
            Self::RelayFull => "relay_full",
            Self::RelayUnknown => "relay_unknown",
            Self::RelayStale => "relay_stale",
            Self::BadData => "bad_data",
            Self::DataForbidden => "data_forbidden",
            Self::DataFull => "data_full",
            Self::BadCandidate => "bad_candidate",
            Self::OldFeed => "old_feed",
            Self::TapFull => "tap_full",
        }
    }
}

impl From<media_webrtc::DropReason> for DropReason {
    fn from(reason: media_webrtc::DropReason) -> Self {
        Self::Transport(reason)
    }
}
