//! What operators, and tests, ask of the rooms.

use std::future::Future;
use std::time::Duration;

use media_types::{Identity, RoomName, TrackId};
use serde_json::Value;
use signaling::rest::{PeerStatus, RoomPatch, RoomSettings, RoomStatus};
use signaling::view::{CloseReason, MigrateReason};
use signaling::{Address, ErrorType, RpcError};
use supervision::{AskError, Reply, TellError};

use super::System;
use crate::directory::RoomEntry;
use crate::error::{ActorsError, from_ask};
use crate::limits::ASK_DEADLINE;
use crate::part::Deed;
use crate::room::RoomMessage;
use crate::room::message::{Destination, Letter, Move, PeerChange, Revocation};
use crate::rooms::keep_spec;

/// A fault to inject; works where the configuration allows faults, and is for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The room's actor panics.
    Room,
    /// The peer's actor panics.
    Peer(Identity),
    /// The peer's transport panics inside its fence.
    Transport(Identity),
}

impl System {
    /// Opens a room with these settings (`PUT rooms/{r}`), or changes them where it is open; tells
    /// whether it was opened.
    ///
    /// # Errors
    /// As a join, but for limits of the room itself.
    pub async fn open_room(
        &self,
        name: &RoomName,
        settings: RoomSettings,
    ) -> Result<(RoomStatus, bool), RpcError> {
        let is_new = self.context.directory.room(name).is_none();
        let patch = RoomPatch {
            max_peers: Some(settings.max_peers),
            max_publishers: Some(settings.max_publishers),
            empty_timeout_s: Some(settings.empty_timeout_s),
            departure_timeout_s: Some(settings.departure_timeout_s),
            metadata: Some(settings.metadata.clone()),
            codecs: settings.codecs.clone(),
            recording: Some(settings.recording),
            auto_create: Some(settings.auto_create),
        };
        let entry = self.open(name, Some(settings)).await?;
        let question = |reply| RoomMessage::Patch(Box::new(patch), reply);
        let status = ask(&entry, question).await??;
        self.keep(&status).await?;
        Ok((status, is_new))
    }

    /// Changes settings of an open room.
    ///
    /// # Errors
    /// `not_found`, `overloaded`; `moved`: another worker owns the room.
    pub async fn update_room(
        &self,
        name: &RoomName,
        patch: RoomPatch,
    ) -> Result<RoomStatus, RpcError> {
        let entry = self.entry(name)?;
        let status = ask(&entry, |reply| RoomMessage::Patch(Box::new(patch), reply)).await??;
        self.keep(&status).await?;
        Ok(status)
    }

    async fn keep(&self, status: &RoomStatus) -> Result<(), ActorsError> {
        let store = self.context.environment.store.as_ref();
        let kept = keep_spec(store, &status.name, &status.settings);
        let kept = tokio::time::timeout(ASK_DEADLINE, kept).await;
        kept.unwrap_or(Err(ActorsError::Store(None)))
    }

    /// All rooms that are open here, by name. One that does not answer in time is left out.
    pub async fn rooms(&self) -> Vec<RoomStatus> {
        let mut all = Vec::new();
        for entry in self.context.directory.rooms() {
            all.extend(ask(&entry, RoomMessage::Status).await.ok());
        }
        all
    }

    /// One room.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub async fn room(&self, name: &RoomName) -> Result<RoomStatus, RpcError> {
        ask(&self.entry(name)?, RoomMessage::Status).await
    }

    /// The peers of a room, by identity.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub async fn peers(&self, name: &RoomName) -> Result<Vec<PeerStatus>, RpcError> {
        ask(&self.entry(name)?, RoomMessage::Peers).await
    }

    /// Removes a peer; its client is told why.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub async fn kick(
        &self,
        name: &RoomName,
        identity: &Identity,
        reason: CloseReason,
    ) -> Result<(), RpcError> {
        self.act(name, identity, Deed::Kick(reason)).await
    }

    /// Does something to a peer, at whichever worker that is in.
    ///
    /// # Errors
    /// `not_found`, `overloaded`; `unavailable`: the worker that it is in at does not answer.
    async fn act(&self, name: &RoomName, identity: &Identity, deed: Deed) -> Result<(), RpcError> {
        let question = |reply| RoomMessage::Act(identity.clone(), deed, reply);
        ask(&self.entry(name)?, question).await?
    }

    /// Mutes a track of a peer, or all of them.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub async fn mute(
        &self,
        name: &RoomName,
        identity: &Identity,
        track: Option<TrackId>,
        muted: bool,
    ) -> Result<(), RpcError> {
        self.act(name, identity, Deed::Mute { track, muted }).await
    }

    /// Changes the name or metadata of a peer; everybody is told.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub async fn change_peer(
        &self,
        name: &RoomName,
        identity: &Identity,
        change: PeerChange,
    ) -> Result<(), RpcError> {
        let deed = Deed::Change(Box::new(change));
        self.act(name, identity, deed).await
    }

    /// Ends the sessions of tokens that are believed no more; tells how many. A room that does not
    /// answer in time is left out.
    pub async fn revoke(&self, revocation: &Revocation) -> u32 {
        let mut ended = 0_u32;
        for entry in self.context.directory.rooms() {
            let question = |reply| RoomMessage::Revoke(revocation.clone(), reply);
            ended = ended.saturating_add(ask(&entry, question).await.unwrap_or(0));
        }
        ended
    }

    /// Sends a message into a room; tells how many peers it was handed to.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub async fn send(
        &self,
        name: &RoomName,
        from: Identity,
        to: Address,
        topic: String,
        payload: Value,
    ) -> Result<u32, RpcError> {
        let letter = Letter {
            from,
            to,
            topic,
            payload,
        };
        ask(&self.entry(name)?, |reply| {
            RoomMessage::Deliver(letter, reply)
        })
        .await
    }

    /// Tells everybody in a room where it moves; each gets a token to resume with there.
    ///
    /// # Errors
    /// `not_found`, `overloaded`.
    pub fn migrate(
        &self,
        name: &RoomName,
        url: String,
        deadline: Duration,
        reason: MigrateReason,
    ) -> Result<(), RpcError> {
        let to = Move {
            to: Destination::Unknown,
            url,
            deadline,
            reason,
        };
        self.tell_room(name, RoomMessage::Migrate(Box::new(to)))
    }

    /// What [`crate::Policy`] allows has changed: everybody asks it anew.
    pub fn policy_changed(&self) {
        for entry in self.context.directory.rooms() {
            if entry.listener.mailbox.tell(RoomMessage::Policy).is_err() {
                tracing::warn!(room = %entry.name, "a full room misses a change of policy");
            }
        }
    }

    /// Closes a room at all its parts; everybody in it is told.
    ///
    /// # Errors
    /// `not_found`, `overloaded`; `moved`: another worker owns the room.
    pub async fn close_room(&self, name: &RoomName) -> Result<(), RpcError> {
        ask(&self.entry(name)?, RoomMessage::Shut).await?
    }

    fn tell_room(&self, name: &RoomName, message: RoomMessage) -> Result<(), RpcError> {
        match self.entry(name)?.listener.mailbox.tell(message) {
            Ok(()) | Err(TellError::Closed(_)) => Ok(()),
            Err(TellError::Full(_)) => Err(ErrorType::Overloaded.into()),
        }
    }

    /// Injects a fault.
    ///
    /// # Errors
    /// `forbidden` where the configuration allows none, `not_found` where there is nobody to fail.
    pub async fn inject(&self, name: &RoomName, fault: Fault) -> Result<(), RpcError> {
        if !self.context.config.debug_faults {
            return Err(ErrorType::Forbidden.into());
        }
        match fault {
            Fault::Room => self.tell_room(name, RoomMessage::Panic),
            Fault::Peer(identity) => self.act(name, &identity, Deed::FailPeer).await,
            Fault::Transport(identity) => self.act(name, &identity, Deed::FailTransport).await,
        }
    }

    fn entry(&self, name: &RoomName) -> Result<RoomEntry, RpcError> {
        let entry = self.context.directory.room(name);
        entry.ok_or_else(|| ErrorType::NotFound.into())
    }
}

pub(super) fn ask<T: Send + 'static>(
    entry: &RoomEntry,
    question: impl FnOnce(Reply<T>) -> RoomMessage,
) -> impl Future<Output = Result<T, RpcError>> {
    let answer = entry.listener.mailbox.ask(ASK_DEADLINE, question);
    async move {
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(AskError::Closed) => Err(ErrorType::NotFound.into()),
            Err(error) => Err(from_ask(error)),
        }
    }
}
