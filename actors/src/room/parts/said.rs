//! What is said and heard at other parts.

use std::sync::Arc;

use media_contract::Speaker;
use media_types::{Identity, WorkerId};
use signaling::ServerMessage;

use super::{Audience, Effect, PartBody, RoomState};
use crate::part::{FarSpeaker, Said};
use crate::rooms::spec_of;
use crate::session::Notice;

impl RoomState {
    /// Who is heard on this worker, for the others.
    pub(crate) fn tell_heard(&mut self) {
        if self.parts.known.is_empty() {
            return;
        }
        let own = self.loudest.values().flatten();
        let own = own.filter(|speaker| self.tracks.home(speaker.track).is_some());
        let mut heard: Vec<FarSpeaker> = own
            .map(|speaker| FarSpeaker {
                track: speaker.track,
                identity: speaker.identity.clone(),
                level: speaker.level,
            })
            .collect();
        heard.sort_by_key(|speaker| (speaker.level, speaker.track));
        heard.dedup_by_key(|speaker| speaker.track);
        self.tell_parts(&PartBody::Heard(heard));
    }

    /// Who is heard at another part.
    pub(crate) fn take_heard(&mut self, from: WorkerId, heard: Vec<FarSpeaker>) {
        let speakers = heard.into_iter().map(|speaker| Speaker {
            track: speaker.track,
            identity: speaker.identity,
            level: speaker.level,
        });
        self.parts.heard.insert(from, speakers.collect());
        self.hear();
    }

    /// Clients of other parts hear what those of this one do.
    pub(crate) fn say_far(&mut self, to: Option<Identity>, message: &ServerMessage) {
        if self.parts.known.is_empty() {
            return;
        }
        let message = message.clone();
        let said = |to| PartBody::Said(Box::new(Said { to, message }));
        match to {
            None => {
                // Who follows a room that moves is at both ends, and hears things here.
                let next = self.stage.next_owner();
                let workers = self.parts.workers().into_iter();
                let said = said(None);
                for worker in workers.filter(|worker| Some(*worker) != next) {
                    self.tell_part(worker, said.clone());
                }
            }
            Some(identity) => {
                let far = self.parts.peers.get(&identity);
                if let Some(worker) = far.map(|(worker, _)| *worker) {
                    self.tell_part(worker, said(Some(identity)));
                }
            }
        }
    }

    /// The owner tells how the room is set.
    pub(crate) fn tell_settings(&mut self) {
        if !self.parts.is_branch() && !self.parts.known.is_empty() {
            let spec = Box::new(spec_of(&self.settings));
            self.tell_parts(&PartBody::Settings(spec));
        }
    }

    /// Something for clients of this part.
    pub(crate) fn take_said(&mut self, from: WorkerId, said: Said) {
        if self.stage.next_owner() == Some(from) {
            return;
        }
        let audience = match said.to {
            None => Audience::All,
            Some(identity) => match self.identities.get(&identity) {
                Some(peer) => Audience::One(*peer),
                None => return,
            },
        };
        self.pass(audience, said.message);
    }

    /// Tells clients what observers hear of where it happens.
    pub(crate) fn pass(&mut self, audience: Audience, message: ServerMessage) {
        let notice = Arc::new(Notice::new(message));
        self.effects.push(Effect::Pass(audience, notice));
    }
}
