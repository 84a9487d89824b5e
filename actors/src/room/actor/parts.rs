//! Letters between the parts of a room, and who owns it when its owner is gone.

use std::time::Instant;

use control_plane::WorkerRecord;
use media_types::WorkerId;
use signaling::view::MigrateReason;
use signaling::{ErrorType, RpcError};

use super::Room;
use crate::limits::MOVE_TICK;
use crate::metrics;
use crate::part::{PartBody, PartLetter};
use crate::room::message::{Destination, Move, RoomMessage};
use crate::room::parts::Place;
use crate::rooms::settings_of;
use crate::session::{Credentials, JoinRequest, SessionKind};

impl Room {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller passes on what is about parts"
    )]
    pub(super) fn take_part(&mut self, now: Instant, message: RoomMessage) {
        match message {
            RoomMessage::Part(from, letter) => self.take_letter(now, from, *letter),
            RoomMessage::Linked => self.links_changed(now),
            RoomMessage::OwnedBy(worker) => self.owned_by(now, worker),
            _ => {}
        }
    }

    fn links_changed(&mut self, now: Instant) {
        let linked = self.seed.context.linked();
        self.state.links_changed(now, &linked);
    }

    fn take_letter(&mut self, now: Instant, from: WorkerId, letter: PartLetter) {
        let is_owner = self.state.parts.owner == Some(from);
        match letter.body {
            PartBody::Open(open) => {
                self.state.parts.is_open = true;
                self.state.take_roster(now, from, letter.epoch, open.roster);
                self.links_changed(now);
            }
            PartBody::Roster(roster) => {
                self.overtaken(now, from, letter.epoch, &roster);
                self.state.take_roster(now, from, letter.epoch, *roster);
                // It may be the last one of a worker that is gone.
                self.links_changed(now);
            }
            PartBody::Heard(heard) => self.state.take_heard(from, heard),
            PartBody::Qualities(told) => self.state.take_qualities(now, from, told),
            PartBody::Said(said) => self.state.take_said(from, *said),
            PartBody::Act { id, identity, deed } => {
                self.act_for(now, from, id, (identity, deed));
            }
            PartBody::Acted { id, found } => self.acted(from, id, found),
            PartBody::Holds(holds) => self.state.take_holds(from, letter.epoch, &holds),
            PartBody::Allots(allots) => self.state.take_allots(from, letter.epoch, &allots),
            PartBody::Hand(handover) => self.take_hand(now, from, *handover),
            PartBody::Takes(takes) => self.taken(now, from, takes),
            PartBody::Settings(spec) if is_owner => self.set(settings_of(*spec)),
            PartBody::Settings(_) => {}
            PartBody::Cede => self.cede(from),
            PartBody::Cedes(_) => {}
            PartBody::Close(reason) if is_owner => self.state.close(reason),
            PartBody::Close(_) | PartBody::Gone => self.state.part_over(now, from),
        }
    }

    /// Whether the letter is on its way.
    pub(super) fn tell_part(&self, to: WorkerId, body: PartBody) -> bool {
        let letter = PartLetter {
            name: self.seed.name.clone(),
            room: self.seed.id,
            epoch: self.seed.epoch.get(),
            body,
        };
        let told = self.seed.context.environment.cluster.tell(to, letter);
        if !told {
            tracing::debug!(room = %self.seed.name, worker = %to, "another part hears of it later");
        }
        told
    }

    /// The store names an owner, though its part was not heard of.
    fn owned_by(&mut self, now: Instant, worker: WorkerId) {
        let parts = &mut self.state.parts;
        if parts.owner == Some(worker) || !parts.is_branch() {
            // It lives, and the path to it does not: both go on by themselves.
            return;
        }
        if parts.part(worker).is_some() {
            parts.owner = Some(worker);
            return;
        }
        let workers = self.seed.context.workers();
        let Some(record) = workers.iter().find(|record| record.id == worker) else {
            return;
        };
        tracing::warn!(room = %self.seed.name, %worker, "the room was opened anew elsewhere");
        self.migrate(
            now,
            Move {
                to: Destination::Owner(worker, None),
                url: record.url.clone(),
                deadline: self.seed.context.config.move_deadline,
                reason: MigrateReason::Ownership,
            },
        );
    }

    /// Why somebody new cannot come in here, where that is so.
    pub(super) fn elsewhere(&mut self, now: Instant, request: &JoinRequest) -> Option<RpcError> {
        let identity = request.credentials.identity();
        if let Credentials::Resume(claims) = &request.credentials {
            if self.state.members.contains_key(&claims.session) {
                return None;
            }
            if self.state.is_awaited(claims.session, identity) {
                return Some(RpcError::new(ErrorType::Unavailable).retry_after(MOVE_TICK));
            }
            if let Some(url) = self.state.far_session(claims.session, identity) {
                return Some(RpcError::moved(url));
            }
            if self.state.handed(identity, claims.session).is_some() {
                return None;
            }
        }
        // Encoders cannot be sent elsewhere, and who takes his own place takes none.
        let stays = matches!(request.kind, SessionKind::Ingest(_));
        if stays || self.state.identities.contains_key(identity) {
            return None;
        }
        // Nobody is sent to look for a place that there is not.
        if let Err(full) = self.state.entry(identity, &request.kind, None) {
            return Some(full);
        }
        let workers = self.linked_workers();
        let place = self.state.place(now, &workers);
        let outcome = match place {
            Place::Here => return None,
            Place::At(_) => "sent_on",
            Place::Soon => "opening",
            Place::Nowhere => "nowhere",
        };
        ::metrics::counter!(metrics::PART_JOINS, "outcome" => outcome).increment(1);
        Some(match place {
            Place::At(url) => RpcError::moved(url),
            Place::Here | Place::Soon => {
                RpcError::new(ErrorType::Unavailable).retry_after(MOVE_TICK)
            }
            Place::Nowhere => {
                let full = "no worker takes more of this room";
                RpcError::with_message(ErrorType::Overloaded, full)
            }
        })
    }

    fn linked_workers(&self) -> Vec<WorkerRecord> {
        let context = &self.seed.context;
        let (workers, linked) = (context.workers(), context.linked());
        let me = context.config.worker;
        let linked = |worker: &&WorkerRecord| worker.id == me || linked.contains(&worker.id);
        workers.iter().filter(linked).cloned().collect()
    }
}
