//! What the shard tells a peer: answers, facts, and what exists after a restart.

use std::time::Instant;

use media_contract::{Action, Fact, LostReason, SlotState as Flow, Snapshot, Subject, TrackOrigin};
use media_types::Mid;
use signaling::server_message::MessageParams;
use signaling::view::{CloseReason, LeaveReason};
use signaling::{Address, ErrorType, ServerMessage};

use super::requests::payload_of;
use super::slots::SlotBook;
use super::state::{Effect, PeerState, Phase, Purpose};
use crate::room::MediaPhase;
use crate::session::SessionKind;

impl PeerState {
    /// Something happened on the shard; `purpose` is what an answer's command was for.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "facts that are not for peers"
    )]
    pub(crate) fn event(&mut self, now: Instant, subject: Subject, fact: Fact, purpose: Purpose) {
        match fact {
            Fact::Negotiated {
                answer,
                media,
                data: _,
                ..
            } => {
                if let Purpose::Offer(number) = purpose {
                    self.negotiated(number, answer, media);
                }
            }
            Fact::Refused { reason, .. } => self.refused(now, purpose, reason),
            Fact::Described { snapshot, .. } => self.described(now, &snapshot),
            Fact::TransportConnected => self.connect_by = None,
            Fact::TransportLost { reason } => self.transport_lost(now, reason),
            Fact::SlotChanged {
                track,
                state,
                layer: _,
            } => {
                if let Subject::Slot(_, mid) = subject {
                    self.slot_changed(mid, track, state);
                }
            }
            Fact::Figures(figures) => self.take_figures(now, figures),
            Fact::SlowClient => self.slow_client(now),
            Fact::Data {
                from,
                topic,
                payload,
            } => {
                let to = Address::Peer(self.record.identity.clone());
                let payload = payload_of(&payload);
                let message = MessageParams {
                    from,
                    to,
                    topic,
                    payload,
                };
                self.notify(ServerMessage::Message(message));
            }
            _ => {}
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "reasons that come later end like a lost path"
    )]
    fn transport_lost(&mut self, now: Instant, reason: LostReason) {
        if self.record.media != MediaPhase::Open || self.phase == Phase::Closed {
            return;
        }
        self.drop_media(if reason == LostReason::Closed {
            MediaPhase::None
        } else {
            MediaPhase::Lost
        });
        self.effects.push(Effect::MediaLost(reason));
        if self.record.kind != SessionKind::WebSocket {
            self.leave(match reason {
                LostReason::Closed => LeaveReason::Left,
                LostReason::TimedOut => LeaveReason::Timeout,
                _ => LeaveReason::TransportFailed,
            });
            return;
        }
        match reason {
            // The client may offer anew.
            LostReason::Closed => {}
            // The room counts crashes, and says what follows.
            LostReason::Crashed => {}
            LostReason::ShardRestarted => self.rejoin(now, CloseReason::ShardRestarted),
            _ => self.rejoin(now, CloseReason::Timeout),
        }
    }

    /// What the client did not take in time is lost: it comes back for a whole picture.
    fn slow_client(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Active { .. }) && self.record.kind == SessionKind::WebSocket
        {
            self.goodbye(CloseReason::SlowClient);
            self.lose_client(now);
        }
    }

    /// The transport is gone; the client shall come back with a new one.
    pub(crate) fn rejoin(&mut self, now: Instant, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.record.media == MediaPhase::Open {
            self.drop_media(MediaPhase::Lost);
        }
        if self.record.kind != SessionKind::WebSocket {
            self.leave(LeaveReason::TransportFailed);
        } else if matches!(self.phase, Phase::Active { .. }) {
            self.goodbye(reason);
            self.lose_client(now);
        }
    }

    fn drop_media(&mut self, media: MediaPhase) {
        self.record.media = media;
        self.record.tracks.clear();
        self.settling = false;
        self.dirty_at = None;
        self.lines.clear();
        self.slots = SlotBook::default();
        self.shown.clear();
        self.figures = None;
        self.flowed.clear();
        let numbers: Vec<u64> = self.offers.keys().copied().collect();
        for number in numbers {
            self.fail_offer(number, ErrorType::Unavailable.into());
        }
        self.present();
    }

    /// What exists, against what should: after a restart, and after something was refused.
    fn described(&mut self, now: Instant, snapshot: &Snapshot) {
        self.dirty_at = None;
        let was_settling = std::mem::take(&mut self.settling);
        let own = self.record.transport;
        let Some(found) = snapshot.transports.iter().find(|t| t.transport == own) else {
            if !was_settling && self.lines.is_empty() {
                // It never came to be: the next offer opens one.
                self.record.media = MediaPhase::None;
                self.present();
            } else {
                self.rejoin(now, CloseReason::ShardRestarted);
            }
            return;
        };
        if found.connected {
            self.connect_by = None;
        }
        self.lines.clone_from(&found.media);
        self.slots.set_lines(&self.lines, &self.record.pairs);
        for pin in self.record.pins.clone() {
            self.slots.pin(pin.mid, pin.track);
            self.wishes.insert(pin.mid, pin.wish);
        }
        let mids: Vec<Mid> = self.slots.iter().map(|(mid, ..)| mid).collect();
        for mid in mids {
            let filled = found.slots.iter().find(|slot| slot.mid == mid);
            self.slots.adopt(mid, filled.map(|slot| slot.track));
            let state = filled.map_or(Flow::Waiting, |slot| slot.state);
            self.note_shown(mid, filled.map(|slot| slot.track), state);
        }
        self.reconcile_tracks(snapshot);
        self.arrange();
    }

    fn reconcile_tracks(&mut self, snapshot: &Snapshot) {
        let transport = self.record.transport;
        for track in self.record.tracks.clone() {
            let found = snapshot.tracks.iter().find(|t| t.track == track.track);
            // It may still come by another worker until what is sent here can take over.
            if found.is_none_or(|found| !found.origin.is_home()) {
                let publish = Action::Publish {
                    transport,
                    mid: track.mid,
                    track: track.track,
                    source: track.source,
                };
                self.command(Purpose::Other, publish);
            }
            if found.is_some_and(|found| found.muted) != track.muted {
                let mute = Action::Mute {
                    track: track.track,
                    muted: track.muted,
                };
                self.command(Purpose::Other, mute);
            }
        }
        for found in &snapshot.tracks {
            let ours = matches!(found.origin, TrackOrigin::Transport(by, _) if by == transport);
            let known = self.record.tracks.iter().any(|t| t.track == found.track);
            if ours && !known {
                let track = found.track;
                self.command(Purpose::Other, Action::Unpublish { track });
            }
        }
    }
}
