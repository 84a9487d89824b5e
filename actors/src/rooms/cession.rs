//! Claims of rooms, and those that a worker has left behind as far as the store knows.
//!
//! The lease of their owner has ended. It may be dead, or cut off from the store alone: as long as
//! there is a link it is asked for the room, and what it hands over goes on here as after any move.
//! Who does not answer is not waited for.

use control_plane::{Claim, Handover, Owned, Ownership, Record, RoomSpec, membership};
use media_types::{Epoch, RoomId, RoomName, WorkerId};
use supervision::Scope;

use super::{Begins, Rooms, RoomsMessage, settings_of};
use crate::context::Context;
use crate::error::ActorsError;
use crate::limits::{CEDE_DEADLINE, CLAIM_DEADLINE};
use crate::metrics;
use crate::part::{PartBody, PartLetter};

/// Whose lease has ended, and the epoch in which the room was its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abandoned {
    worker: WorkerId,
    epoch: Epoch,
}

/// What its last owner said of a room that it gave away.
pub(super) struct Ceded {
    room: RoomId,
    handover: Box<Handover>,
}

/// A room of this worker's, and what is known of it.
pub(crate) struct Claimed {
    pub(super) owned: Owned,
    pub(super) spec: Option<RoomSpec>,
    pub(super) ceded: Option<Box<Ceded>>,
}

/// What the store said about a room.
pub(crate) enum Found {
    /// It is this worker's.
    Ours(Box<Claimed>),
    /// It is that of a worker that is gone, or cut off.
    Abandoned(Abandoned),
}

/// Claims a room and reads its spec. `onward` is where it opens instead, if nobody has it.
pub(super) async fn claim(
    context: &Context,
    ownership: &Ownership,
    name: &RoomName,
    onward: Option<String>,
) -> Result<Found, ActorsError> {
    let claim = match onward {
        Some(url) => owner(context, ownership, name, url).await?,
        None => ownership.claim(name).await.map_err(failed)?,
    };
    match claim {
        Claim::Elsewhere {
            worker,
            epoch,
            alive: false,
        } => Ok(Found::Abandoned(Abandoned { worker, epoch })),
        claim @ (Claim::Owned(_) | Claim::Elsewhere { .. }) => {
            begun(context, name, claim).await.map(Found::Ours)
        }
    }
}

/// Who has a room that is to open at that URL where nobody has it.
async fn owner(
    context: &Context,
    ownership: &Ownership,
    name: &RoomName,
    url: String,
) -> Result<Claim, ActorsError> {
    let found = ownership.find(name).await.map_err(failed)?;
    match (found, context.is_draining()) {
        // A full worker still takes what a dead one had: its clients have waited enough.
        (None, _) | (Some(Claim::Elsewhere { alive: false, .. }), true) => {
            Err(ActorsError::Elsewhere { url: Some(url) })
        }
        // It has only just closed here.
        (Some(Claim::Owned(_)), true) => Err(ActorsError::Draining),
        (Some(claim), _) => Ok(claim),
    }
}

/// Takes a room from a worker whose lease has ended.
async fn take(
    context: &Context,
    ownership: &Ownership,
    name: &RoomName,
    epoch: Epoch,
    ceded: Option<Box<Ceded>>,
) -> Result<Found, ActorsError> {
    let claim = ownership.take_over(name, epoch).await.map_err(failed)?;
    let mut claimed = begun(context, name, claim).await?;
    // Where it went on meanwhile what was said of it is of the past.
    claimed.ceded = ceded.filter(|_| claimed.owned.record.epoch == epoch.next());
    Ok(Found::Ours(claimed))
}

async fn begun(
    context: &Context,
    name: &RoomName,
    claim: Claim,
) -> Result<Box<Claimed>, ActorsError> {
    let store = &context.environment.store;
    let owned = match claim {
        Claim::Owned(owned) => owned,
        Claim::Elsewhere { worker, .. } => {
            let workers = membership::workers(store.as_ref()).await.map_err(failed)?;
            let owner = workers.into_iter().find(|record| record.id == worker);
            let url = owner.map(|record| record.url);
            return Err(ActorsError::Elsewhere { url });
        }
    };
    let key = control_plane::keys::room_spec(name);
    let entry = store.get(&key).await.map_err(failed)?;
    let spec = entry.and_then(|entry| RoomSpec::decode(&key, &entry.value).ok());
    Ok(Box::new(Claimed {
        owned,
        spec,
        ceded: None,
    }))
}

const fn failed(error: control_plane::ControlPlaneError) -> ActorsError {
    ActorsError::Store(Some(error))
}

impl Rooms {
    /// Asks a worker for a room, if there is a way to it.
    pub(super) fn ask_owner(&mut self, name: RoomName, by: Abandoned, scope: &mut Scope<Self>) {
        let letter = PartLetter {
            name: name.clone(),
            // It is known by its name alone.
            room: RoomId::new(0),
            epoch: by.epoch,
            body: PartBody::Cede,
        };
        let asked = self.context.environment.cluster.tell(by.worker, letter);
        let Some(pending) = self.pending.get_mut(&name).filter(|_| asked) else {
            self.take((name, by), None, "unlinked", scope);
            return;
        };
        pending.asked = Some(by);
        scope.after(CEDE_DEADLINE, RoomsMessage::Unceded(name, by));
    }

    /// It has answered.
    pub(super) fn ceded(&mut self, from: WorkerId, letter: PartLetter, scope: &mut Scope<Self>) {
        let Some(by) = self.asked(&letter.name, |by| by.worker == from) else {
            return;
        };
        let PartLetter {
            name, room, body, ..
        } = letter;
        if let PartBody::Cedes(mut handover) = body
            && handover.epoch == by.epoch
        {
            // It holds a part of the room until its clients have followed.
            handover.parts.push(from);
            let ceded = Some(Box::new(Ceded { room, handover }));
            self.take((name, by), ceded, "ceded", scope);
        } else {
            self.take((name, by), None, "refused", scope);
        }
    }

    /// It does not answer.
    pub(super) fn unceded(&mut self, name: RoomName, by: Abandoned, scope: &mut Scope<Self>) {
        if self.asked(&name, |asked| asked == by).is_some() {
            tracing::warn!(room = %name, worker = %by.worker, "a linked worker does not answer");
            self.take((name, by), None, "unanswered", scope);
        }
    }

    /// The question that waits for an answer, for the last time.
    fn asked(&mut self, name: &RoomName, is_it: impl Fn(Abandoned) -> bool) -> Option<Abandoned> {
        let pending = self.pending.get_mut(name)?;
        pending.asked.take_if(|by| is_it(*by))
    }

    fn take(
        &self,
        (name, by): (RoomName, Abandoned),
        ceded: Option<Box<Ceded>>,
        said: &'static str,
        scope: &mut Scope<Self>,
    ) {
        ::metrics::counter!(metrics::TAKEOVERS, "said" => said).increment(1);
        let (ownership, context) = (self.ownership.clone(), self.context.clone());
        let room = name.clone();
        let work = async move {
            let taken = take(&context, &ownership, &room, by.epoch, ceded);
            match tokio::time::timeout(CLAIM_DEADLINE, taken).await {
                Ok(found) => found,
                Err(_) => Err(ActorsError::Store(None)),
            }
        };
        scope.run(work, move |found| RoomsMessage::Claimed(name, found));
    }

    /// Opens a room under the id that it has, for those who are about to come.
    pub(super) fn inherit(
        &mut self,
        name: RoomName,
        owned: Owned,
        ceded: Ceded,
        scope: &mut Scope<Self>,
    ) {
        tracing::info!(room = %name, "a worker that is cut off from the store hands a room over");
        let Ceded { room, handover } = ceded;
        let begins = Begins::Standby(owned.record.epoch);
        let settings = settings_of(handover.settings.clone());
        self.start((name, room), begins, settings, scope);
        if let Some(running) = self.running.get_mut(&room) {
            running.inherits = Some((owned, handover));
        }
    }

    /// What a room that has opened is to go on with.
    pub(super) fn inherited(&mut self, id: RoomId) -> Option<(Owned, Box<Handover>)> {
        self.running.get_mut(&id)?.inherits.take()
    }
}
