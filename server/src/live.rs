//! Live media between the front ends (RTMP, QUIC, HLS, recording, codec processes) and the rooms.
//!
//! [`Live`] opens both ways. In: an [`IngestHandle`] with an [`IngestPort`] for each track, a
//! bounded ring that its shard reads; a full one tells the front end to stop reading its socket.
//! Out: an [`EgressHandle`] that brings a [`TapPort`] for each track of a stream. What the packet
//! core cannot carry, or is not to touch, goes from front end to front end by the [`FrameHub`].

mod egress;
mod frames;
mod ingest;

use std::sync::Arc;

use actors::System;
use signaling::RpcError;

pub use actors::{EgressPurpose, EgressRequest, IngestProtocol, IngestSpec};
pub use egress::{EgressChange, EgressHandle, EgressTrack, TapPort};
pub use frames::{FrameEvent, FrameHub, FrameReader, FrameSource};
pub use ingest::{Demand, IngestHandle, IngestPort, IngestRequest, PushError};

use crate::plane::Rings;
use crate::shard::Inbox;

/// The way between live media and the rooms; clones share it.
#[derive(Clone)]
pub struct Live {
    system: System,
    inboxes: Arc<[Arc<Inbox>]>,
    frames: FrameHub,
}

impl Live {
    /// The way to the rooms of this worker and to its shards.
    #[must_use]
    pub fn new(system: System, rings: &Rings) -> Self {
        Self {
            system,
            inboxes: rings.inboxes().into(),
            frames: FrameHub::default(),
        }
    }

    /// Lets a live source into its room, opening that if need be. One that is there already goes on
    /// with this connection: its tracks keep their ids, and the earlier connection is closed.
    ///
    /// # Errors
    /// `forbidden` without the grant `ingest`; else as a join.
    pub async fn open_ingest(&self, request: IngestRequest) -> Result<IngestHandle, RpcError> {
        ingest::open(&self.system, &self.inboxes, request).await
    }

    /// Takes media out of a room, for as long as the handle lives.
    ///
    /// # Errors
    /// `not_found` without the room, or without that publisher in it; `overloaded` beyond its
    /// limit.
    pub async fn open_egress(&self, request: EgressRequest) -> Result<EgressHandle, RpcError> {
        let session = self.system.open_egress(request).await?;
        Ok(EgressHandle::new(session, Arc::clone(&self.inboxes)))
    }

    /// Whole frames of live sources, as they came.
    #[must_use]
    pub const fn frames(&self) -> &FrameHub {
        &self.frames
    }

    /// The rooms themselves, for what operators ask.
    #[must_use]
    pub const fn system(&self) -> &System {
        &self.system
    }
}

#[cfg(test)]
pub(crate) mod tests;
