//! Letters of other workers, on their way to rooms.

use std::collections::BTreeSet;

use media_types::WorkerId;

use super::System;
use crate::migration::rooms_of;
use crate::part::{PartBody, PartLetter};
use crate::room::RoomMessage;
use crate::rooms::RoomsMessage;

impl System {
    /// Takes a letter of another worker to its room. Never blocks; may be called from any thread.
    /// What finds a full box is said again.
    pub fn told(&self, from: WorkerId, letter: PartLetter) {
        let directory = &self.context.directory;
        // Who asks for a room does not know it by its id.
        let entry = if matches!(letter.body, PartBody::Cede) {
            directory.room(&letter.name)
        } else {
            directory.room_by_id(letter.room)
        };
        let taken = match (entry, &letter.body) {
            (Some(entry), _) => {
                let message = RoomMessage::Part(from, Box::new(letter));
                entry.listener.mailbox.tell(message).is_ok()
            }
            (None, PartBody::Open(_)) => rooms_of(&self.rooms, &letter.name).is_some_and(|rooms| {
                rooms
                    .tell(RoomsMessage::Branch(from, letter.into()))
                    .is_ok()
            }),
            (None, PartBody::Cedes(_) | PartBody::Gone) => rooms_of(&self.rooms, &letter.name)
                .is_some_and(|rooms| rooms.tell(RoomsMessage::Ceded(from, letter.into())).is_ok()),
            (None, _) => self.refuse(from, letter),
        };
        if !taken {
            tracing::debug!(worker = %from, "a letter of another worker was not taken");
        }
    }

    /// There is no such room here.
    fn refuse(&self, from: WorkerId, letter: PartLetter) -> bool {
        let body = PartBody::Gone;
        let gone = PartLetter { body, ..letter };
        self.context.environment.cluster.tell(from, gone)
    }

    /// These workers are linked now, and no others.
    pub fn linked(&self, workers: BTreeSet<WorkerId>) {
        self.context.set_linked(workers);
        for entry in self.context.directory.rooms() {
            if entry.listener.mailbox.tell(RoomMessage::Linked).is_err() {
                tracing::debug!(room = %entry.name, "a busy room learns of a link by its silence");
            }
        }
    }
}
