//! What a client may ask, apart from offers and slots.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media_contract::Action;
use media_types::TrackId;
use serde_json::Value;
use signaling::client_message::SendParams;
use signaling::server_message::{Reply, TimeResult, TrackMutedParams};
use signaling::view::LeaveReason;
use signaling::{
    Address, AdminRole, ClientMessage, ErrorType, Outgoing, RequestId, RpcError, ServerMessage,
};

use super::negotiation::Responder;
use super::state::{Effect, PeerState, Phase, Purpose};
use crate::metrics::RATELIMIT_REJECTED;
use crate::room::Speech;
use crate::room::message::{GrantChange, PeerChange};

/// Bytes of a data channel as the JSON value that `message` carries.
pub(super) fn payload_of(bytes: &[u8]) -> Value {
    let as_json = serde_json::from_slice(bytes).ok();
    as_json.unwrap_or_else(|| serde_json::json!({ "base64": STANDARD.encode(bytes) }))
}

fn milliseconds(unix: Duration) -> f64 {
    unix.as_secs_f64() * 1_000.0
}

impl PeerState {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the rest is listed where it is done"
    )]
    /// Takes one request of the connection that speaks for the client; `unix` is the wall clock.
    pub(crate) fn request(
        &mut self,
        now: Instant,
        unix: Duration,
        attachment: u64,
        id: Option<RequestId>,
        message: ClientMessage,
    ) {
        if attachment != self.record.attachment || self.phase == Phase::Closed {
            return;
        }
        self.heard(now);
        match message {
            ClientMessage::Offer(params) => self.offer(now, params, Responder::Client(id)),
            ClientMessage::Subscribe(params) => match self.subscribe(params) {
                Ok((result, others)) => {
                    self.respond(id, Ok(result.into()));
                    self.tell_slots(others);
                }
                Err(error) => self.respond(id, Err(error)),
            },
            ClientMessage::Send(params) => self.send(now, id, params),
            ClientMessage::Chat(params) => self.say(now, id, Speech::Chat(params.text)),
            ClientMessage::React(params) => self.say(now, id, Speech::React(params.kind)),
            ClientMessage::Settled(_) => {
                self.respond(id, Ok(Reply::EMPTY));
                self.effects.push(Effect::Settled);
            }
            ClientMessage::Leave(_) => {
                self.respond(id, Ok(Reply::EMPTY));
                self.leave(LeaveReason::Left);
            }
            other => {
                let answer = self.do_at_once(unix, other);
                self.respond(id, answer);
            }
        }
    }

    /// What is answered without asking anybody.
    fn do_at_once(&mut self, unix: Duration, message: ClientMessage) -> Result<Reply, RpcError> {
        match message {
            ClientMessage::Ping(_) => Ok(Reply::EMPTY),
            ClientMessage::Candidate(params) => {
                self.candidate(params.candidate);
                Ok(Reply::EMPTY)
            }
            ClientMessage::Unpublish(params) => self.unpublish(params.track_id),
            ClientMessage::Mute(params) => self.mute(params.track_id, params.muted),
            ClientMessage::SetMetadata(params) => {
                self.record.metadata = params.metadata;
                self.present();
                Ok(Reply::EMPTY)
            }
            ClientMessage::Time(params) => Ok(Reply::Time(TimeResult {
                t0: params.t0,
                t1: milliseconds(unix),
                t2: milliseconds(unix),
            })),
            ClientMessage::Stats(_) => Ok(Reply::Stats(self.stats())),
            ClientMessage::Join(_)
            | ClientMessage::Offer(_)
            | ClientMessage::Subscribe(_)
            | ClientMessage::Send(_)
            | ClientMessage::Chat(_)
            | ClientMessage::React(_)
            | ClientMessage::Settled(_)
            | ClientMessage::Leave(_) => Err(ErrorType::Conflict.into()),
        }
    }

    pub(crate) fn respond(&mut self, id: Option<RequestId>, result: Result<Reply, RpcError>) {
        if let Some(id) = id {
            let answer = Box::new(Outgoing::answer(id, result));
            self.effects.push(Effect::Send(answer));
        }
    }

    fn candidate(&mut self, candidate: String) {
        let open = self.record.media == crate::room::MediaPhase::Open;
        if open && !candidate.is_empty() {
            let transport = self.record.transport;
            let add = Action::AddCandidate {
                transport,
                candidate,
            };
            self.command(Purpose::Other, add);
        }
    }

    fn unpublish(&mut self, track: TrackId) -> Result<Reply, RpcError> {
        let before = self.record.tracks.len();
        self.record.tracks.retain(|own| own.track != track);
        if self.record.tracks.len() == before {
            return Err(ErrorType::NotFound.into());
        }
        self.command(Purpose::Other, Action::Unpublish { track });
        self.present();
        Ok(Reply::EMPTY)
    }

    fn mute(&mut self, track: TrackId, muted: bool) -> Result<Reply, RpcError> {
        let own = self.record.tracks.iter_mut().find(|own| own.track == track);
        let Some(own) = own else {
            return Err(ErrorType::NotFound.into());
        };
        own.muted = muted;
        self.command(Purpose::Other, Action::Mute { track, muted });
        self.present();
        Ok(Reply::EMPTY)
    }

    /// An operator mutes one track, or all; its client hears of it, too.
    pub(crate) fn mute_by_operator(&mut self, track: Option<TrackId>, muted: bool) {
        let tracks = self.record.tracks.iter().map(|own| own.track);
        let tracks: Vec<TrackId> = tracks
            .filter(|own| track.is_none_or(|track| track == *own))
            .collect();
        for track in tracks {
            if let Err(error) = self.mute(track, muted) {
                tracing::debug!(%error, "a track was gone before it was muted");
                continue;
            }
            self.notify(ServerMessage::TrackMuted(TrackMutedParams {
                track_id: track,
                peer_id: self.record.identity.clone(),
                muted,
            }));
        }
    }

    /// An operator changes what others know of the peer; the room tells them.
    pub(crate) fn change(&mut self, change: PeerChange) {
        let PeerChange {
            name,
            metadata,
            grants,
        } = change;
        self.record.name = name.or(self.record.name.take());
        self.record.metadata = metadata.unwrap_or(self.record.metadata.take());
        self.regrant(grants);
        self.present();
    }

    /// What is taken away ends at once.
    fn regrant(&mut self, change: GrantChange) {
        let grants = &mut self.record.grants;
        grants.publish = change.publish.unwrap_or(grants.publish);
        grants.subscribe = change.subscribe.unwrap_or(grants.subscribe);
        grants.data = change.data.unwrap_or(grants.data);
        if change.publish == Some(false) {
            let own: Vec<TrackId> = self.record.tracks.iter().map(|own| own.track).collect();
            for track in own {
                if let Err(error) = self.unpublish(track) {
                    tracing::debug!(%error, "a track was gone before its grant");
                }
            }
        }
        match change.subscribe {
            Some(true) => self.arrange(),
            Some(false) => self.empty_slots(),
            None => {}
        }
    }

    fn may_talk(&mut self, now: Instant) -> Result<(), RpcError> {
        if !self.record.grants.data {
            return Err(ErrorType::Forbidden.into());
        }
        let taken = self.talk.take(now);
        taken.map_err(|wait| {
            metrics::counter!(RATELIMIT_REJECTED, "limit" => "talk").increment(1);
            RpcError::new(ErrorType::RateLimited).retry_after(wait)
        })
    }

    fn say(&mut self, now: Instant, id: Option<RequestId>, speech: Speech) {
        match self.may_talk(now) {
            Ok(()) => self.effects.push(Effect::Say(id, speech)),
            Err(error) => self.respond(id, Err(error)),
        }
    }

    fn send(&mut self, now: Instant, id: Option<RequestId>, params: SendParams) {
        if let Err(error) = self.may_talk(now) {
            self.respond(id, Err(error));
            return;
        }
        if let Address::OtherRoom(_) = params.to {
            if self.record.grants.admits(AdminRole::Admin) {
                let params = Box::new(params);
                self.effects.push(Effect::SendElsewhere(id, params));
            } else {
                self.respond(id, Err(ErrorType::Forbidden.into()));
            }
            return;
        }
        let speech = Speech::Send {
            to: params.to,
            topic: params.topic,
            payload: params.payload,
        };
        self.effects.push(Effect::Say(id, speech));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_json_or_base64() {
        assert_eq!(payload_of(br#"{"a":1}"#), serde_json::json!({"a": 1}));
        assert_eq!(
            payload_of(&[0xff, 0]),
            serde_json::json!({"base64": "/wA="})
        );
    }
}
