//! Rooms that other workers own: parts of them, and those that move to here.

use std::collections::BTreeMap;
use std::sync::Arc;

use control_plane::{Claim, ControlPlaneError, Handover, Owned, Ownership};
use media_types::{Epoch, RoomId, RoomName, WorkerId};
use supervision::{Reply, Scope};

use super::{Begins, OpenPart, PartBody, PartLetter, Rooms, RoomsMessage, settings_of};
use crate::directory::RoomEntry;
use crate::limits::CLAIM_DEADLINE;
use crate::metrics;
use crate::room::RoomMessage;
use crate::room::actor::Activation;
use crate::room::parts::KeptParts;

impl Rooms {
    /// Opens a room that may move to here; one of which a part is here becomes whole.
    pub(super) fn stand_by(
        &mut self,
        (name, id): (RoomName, RoomId),
        epoch: Epoch,
        reply: Reply<bool>,
        scope: &mut Scope<Self>,
    ) {
        if let Some(entry) = self.context.directory.room_by_id(id) {
            // A part of it is here: that becomes the whole.
            let told = entry.listener.mailbox.tell(RoomMessage::StandBy(reply));
            if told.is_err() {
                tracing::debug!(room = %name, "a busy room stands by later");
            }
            return;
        }
        let taken = self.context.directory.room(&name).is_some()
            || self.pending.contains_key(&name)
            || self.running.contains_key(&id)
            || self.running.values().any(|running| running.name == name);
        let full = self.context.directory.room_count() >= self.context.config.rooms_max;
        let able = !(taken || full || self.context.is_draining());
        if able {
            let settings = self.context.config.room_defaults.clone();
            self.start((name, id), Begins::Standby(epoch), settings, scope);
        }
        reply.send(able);
    }

    /// A move has given us the room.
    pub(super) fn owned(&mut self, name: &RoomName, owned: Owned, handover: Option<Box<Handover>>) {
        let mut running = self.running.iter_mut();
        let found = running.find(|(_, running)| running.name == *name && !running.passing);
        let Some((_, running)) = found else {
            return;
        };
        let before = running.owned.replace(owned);
        if before.is_none() {
            ::metrics::gauge!(metrics::BRANCHES).decrement(1.0);
        }
        let Some(entry) = self.context.directory.room(name) else {
            return;
        };
        let activation = Box::new(Activation {
            epoch: owned.record.epoch,
            handover: handover.map(|handover| *handover),
            expected: self.context.config.move_deadline,
        });
        let epoch = owned.record.epoch;
        // It is said again until the room has heard.
        if before.is_none_or(|before| before.record.epoch != epoch) {
            self.tell_owned(name, owned);
        }
        let told = entry
            .listener
            .mailbox
            .tell(RoomMessage::Activate(activation));
        if told.is_ok() {
            tracing::info!(room = %name, epoch = epoch.0, "a room moved to here");
            self.context
                .directory
                .insert_room(RoomEntry { epoch, ..entry });
        }
    }

    /// The world outside hears whose the room is before it hears anything else of that epoch.
    pub(super) fn tell_owned(&self, name: &RoomName, owned: Owned) {
        let observer = &self.context.config.hooks.observer;
        observer.room_opened(name, owned.record.epoch, owned.record.before);
    }

    /// Opens a part of another worker's room, or says that it cannot.
    pub(super) fn branch(&mut self, from: WorkerId, letter: PartLetter, scope: &mut Scope<Self>) {
        let PartBody::Open(open) = letter.body else {
            return;
        };
        let (name, id) = (letter.name, letter.room);
        let taken = self.pending.contains_key(&name)
            || self.running.values().any(|running| running.name == name);
        let full = self.context.directory.room_count() >= self.context.config.rooms_max;
        if taken || full || self.context.is_draining() {
            let gone = PartLetter {
                name,
                room: id,
                epoch: letter.epoch,
                body: PartBody::Gone,
            };
            if !self.context.environment.cluster.tell(from, gone) {
                tracing::debug!(worker = %from, "a part that was not opened is asked for again");
            }
            return;
        }
        let OpenPart { settings, roster } = *open;
        let parts = KeptParts {
            owner: Some(from),
            is_open: true,
            rosters: BTreeMap::from([(from, Arc::new(roster))]),
            ..KeptParts::default()
        };
        tracing::info!(room = %name, owner = %from, "a part of another worker's room opens");
        let begins = Begins::Branch(letter.epoch, parts);
        self.start((name, id), begins, settings_of(settings), scope);
    }

    /// Takes the room, if nobody has it.
    pub(super) fn orphaned(&mut self, id: RoomId, scope: &mut Scope<Self>) {
        let Some(running) = self.running.get(&id) else {
            return;
        };
        let (ownership, name) = (self.ownership.clone(), running.name.clone());
        let work = async move {
            match tokio::time::timeout(CLAIM_DEADLINE, seek(&ownership, &name)).await {
                Ok(found) => found,
                Err(_) => Err(ControlPlaneError::Unavailable),
            }
        };
        scope.run(work, move |found| RoomsMessage::Sought(id, found));
    }

    pub(super) fn sought(&mut self, id: RoomId, found: Result<Claim, ControlPlaneError>) {
        let Some(running) = self.running.get(&id) else {
            return;
        };
        let name = running.name.clone();
        match found {
            Ok(Claim::Owned(owned)) => self.owned(&name, owned, None),
            Ok(Claim::Elsewhere { worker, .. }) => {
                let entry = self.context.directory.room_by_id(id);
                let told = entry.map(|it| it.listener.mailbox.tell(RoomMessage::OwnedBy(worker)));
                if !matches!(told, Some(Ok(()))) {
                    tracing::debug!(room = %name, "a room asks for its owner again soon");
                }
            }
            Err(error) => tracing::debug!(room = %name, %error, "nobody owns a room for now"),
        }
    }
}

/// Claims a room whose owner is gone.
async fn seek(ownership: &Ownership, name: &RoomName) -> Result<Claim, ControlPlaneError> {
    match ownership.claim(name).await? {
        Claim::Elsewhere {
            epoch,
            alive: false,
            ..
        } => ownership.take_over(name, epoch).await,
        claim @ (Claim::Owned(_) | Claim::Elsewhere { .. }) => Ok(claim),
    }
}
