//! Where a track comes from.

use std::time::Instant;

use media_contract::RelayPeer;
use media_types::{Epoch, Mid};

use super::wanted::Streams;
use crate::demux::LinkIndex;

/// Where a track's packets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publisher {
    /// A transport of this shard.
    Local {
        /// Which.
        link: LinkIndex,
        /// On which of its m-lines.
        mid: Mid,
    },
    /// Frames that are fed.
    Ingest,
    /// Another shard.
    Relay {
        /// Which.
        from: RelayPeer,
        /// The epoch that it was opened in; what another worker says with a lower one is stale.
        since: Epoch,
        /// What it was last told of our demand, and when.
        told: Option<(Streams, Instant)>,
    },
}

impl Publisher {
    /// Whether a transport of this shard sends.
    pub(crate) fn is_link(&self, other: LinkIndex) -> bool {
        matches!(self, Self::Local { link, .. } if *link == other)
    }
}
