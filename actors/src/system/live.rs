//! What the front ends of live media ask of the rooms.

use std::sync::Arc;

use media_types::{PeerId, RoomName};
use signaling::client_message::JoinParams;
use signaling::view::CloseReason;
use signaling::{ErrorType, RpcError};
use supervision::Child;

use super::System;
use super::admin::ask;
use crate::egress::{EgressRequest, EgressSession};
use crate::ingest::{IngestRequest, IngestSession, IngestStatus, SinkOutbox};
use crate::room::RoomMessage;
use crate::session::{Credentials, JoinRequest, SessionKind};
use crate::transcoder::{CodecProcess, TranscoderMessage};

impl System {
    /// Lets a live source into its room, opening that if need be. A source that is there already
    /// goes on with the newer connection: its tracks keep their ids.
    ///
    /// # Errors
    /// `forbidden` without the grant; else as a join.
    pub async fn open_ingest(&self, request: IngestRequest) -> Result<IngestSession, RpcError> {
        let grants = &request.claims.troupe;
        if !grants.ingest || !grants.covers(&request.room) {
            return Err(ErrorType::Forbidden.into());
        }
        let params = JoinParams {
            name: request.name,
            metadata: Some(request.metadata),
            ..JoinParams::default()
        };
        let joined = self
            .join(JoinRequest {
                room: request.room,
                credentials: Credentials::Token(request.claims),
                params,
                kind: SessionKind::Ingest(request.protocol),
                outbox: Arc::new(SinkOutbox(request.sink)),
            })
            .await?;
        Ok(IngestSession {
            session: joined.session,
        })
    }

    /// Begins to take media out of a room that is open.
    ///
    /// # Errors
    /// `not_found` without the room, or without that publisher in it; `overloaded` beyond its
    /// limit.
    pub async fn open_egress(&self, request: EgressRequest) -> Result<EgressSession, RpcError> {
        let entry = self.context.directory.room(&request.room);
        let entry = entry.ok_or_else(|| RpcError::from(ErrorType::NotFound))?;
        ask(&entry, |reply| RoomMessage::OpenEgress(request, reply)).await?
    }

    /// Starts the actor of a transcoding job under the supervisor of its room, with which it ends.
    ///
    /// # Errors
    /// `not_found` without the room.
    pub async fn open_transcoder(
        &self,
        room: &RoomName,
        process: Arc<dyn CodecProcess>,
    ) -> Result<Child<TranscoderMessage>, RpcError> {
        let entry = self.context.directory.room(room);
        let entry = entry.ok_or_else(|| RpcError::from(ErrorType::NotFound))?;
        ask(&entry, |reply| RoomMessage::OpenTranscoder(process, reply)).await
    }

    /// The live sources of all rooms, by room and identity.
    pub async fn ingests(&self) -> Vec<IngestStatus> {
        let mut all = Vec::new();
        for entry in self.context.directory.rooms() {
            // A room that is just closing has none.
            all.extend(ask(&entry, RoomMessage::Ingests).await.unwrap_or_default());
        }
        all.sort_by(|a, b| (&a.room, &a.identity).cmp(&(&b.room, &b.identity)));
        all
    }

    /// Sends a live source away.
    ///
    /// # Errors
    /// `not_found`: there is none with this id.
    pub async fn close_ingest(&self, id: PeerId) -> Result<(), RpcError> {
        let found = self.ingests().await.into_iter().find(|it| it.id == id);
        let found = found.ok_or_else(|| RpcError::from(ErrorType::NotFound))?;
        self.kick(&found.room, &found.identity, CloseReason::Kicked)
            .await
    }

    /// Makes an egress panic, where the configuration allows faults; whether there was one.
    pub async fn inject_egress(&self, room: &RoomName, egress: PeerId) -> bool {
        let Some(entry) = self.context.directory.room(room) else {
            return false;
        };
        let question = |reply| RoomMessage::PanicEgress(egress, reply);
        ask(&entry, question).await.unwrap_or(false)
    }
}
