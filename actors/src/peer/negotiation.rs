//! Offers and answers, and what is published by them.

use std::time::Instant;

use control_plane::migration::HandedTrack;
use media_contract::TransportUse;
use media_contract::{Action, MediaLine, MediaLineUse, RefusedReason, TransportSettings};
use media_types::{Codec, MediaKind, Mid, TrackId, TrackSource};
use signaling::client_message::{OfferParams, OfferedTrack};
use signaling::server_message::{AcceptedTrack, OfferResult};
use signaling::{ErrorType, Outgoing, RequestId, RpcError};
use supervision::Reply;

use super::state::{Effect, PeerState, Purpose};
use crate::error::ActorsError;
use crate::limits::{CONNECT_DEADLINE, OFFER_DEADLINE, OFFERS_MAX, TRACKS_PER_PEER};
use crate::room::{MediaPhase, TrackRecord};
use crate::session::SessionKind;

/// Who gets the answer.
pub(crate) enum Responder {
    /// The client, by signalling.
    Client(Option<RequestId>),
    /// A request by WHIP or WHEP.
    Http(Reply<Result<OfferResult, RpcError>>),
}

/// An offer that the shard has not answered.
pub(super) struct PendingOffer {
    to: Responder,
    tracks: Vec<OfferedTrack>,
    pub(super) due: Instant,
}

/// An answer that waits for the room's leave to publish.
pub(super) struct Held {
    to: Responder,
    answer: String,
    lines: Vec<MediaLine>,
    tracks: Vec<OfferedTrack>,
}

fn publishes(line: &MediaLine) -> bool {
    match line.usage {
        MediaLineUse::Publish | MediaLineUse::Both => true,
        MediaLineUse::Slot | MediaLineUse::Idle => false,
    }
}

impl PeerState {
    /// The client offers: at first, to renegotiate, or to restart ICE.
    pub(crate) fn offer(&mut self, now: Instant, params: OfferParams, to: Responder) {
        let grants = &self.record.grants;
        if !grants.publish && !grants.subscribe && !grants.ingest {
            self.respond_offer(to, Err(ErrorType::Forbidden.into()));
            return;
        }
        if self.offers.len() + self.held.len() >= OFFERS_MAX {
            self.respond_offer(to, Err(ErrorType::RateLimited.into()));
            return;
        }
        self.open_transport(now);
        let pairs: Vec<(Mid, Mid)> = params
            .pairs
            .iter()
            .flatten()
            .map(|[a, v]| (*a, *v))
            .collect();
        self.record.pairs.clone_from(&pairs);
        self.offers_made = self.offers_made.wrapping_add(1);
        let pending = PendingOffer {
            to,
            tracks: params.tracks,
            due: now + OFFER_DEADLINE,
        };
        self.offers.insert(self.offers_made, pending);
        let negotiate = Action::Negotiate {
            transport: self.record.transport,
            offer: params.sdp,
            pairs,
        };
        self.command(Purpose::Offer(self.offers_made), negotiate);
    }

    fn open_transport(&mut self, now: Instant) {
        if self.record.media == MediaPhase::Open {
            return;
        }
        let grants = &self.record.grants;
        let usage = match self.record.kind {
            SessionKind::WebSocket => TransportUse::Peer,
            SessionKind::Whip | SessionKind::Ingest(_) => TransportUse::Publisher,
            SessionKind::Whep { .. } => TransportUse::Viewer,
        };
        let settings = TransportSettings {
            identity: self.record.identity.clone(),
            usage,
            publish: self.may_publish() && usage != TransportUse::Viewer,
            subscribe: grants.subscribe && usage != TransportUse::Publisher,
            data: grants.data,
            codecs: self.terms.codecs.clone(),
        };
        let transport = self.record.transport;
        self.record.media = MediaPhase::Open;
        if self.record.kind != SessionKind::WebSocket {
            self.connect_by = Some(now + CONNECT_DEADLINE);
        }
        let open = Action::OpenTransport {
            transport,
            settings,
        };
        self.command(Purpose::Other, open);
        self.present();
    }

    fn may_publish(&self) -> bool {
        let grants = &self.record.grants;
        grants.publish || (grants.ingest && self.record.kind == SessionKind::Whip)
    }

    /// The shard has answered an offer.
    pub(super) fn negotiated(&mut self, number: u64, answer: String, lines: Vec<MediaLine>) {
        let Some(PendingOffer { to, tracks, .. }) = self.offers.remove(&number) else {
            return;
        };
        let held = Held {
            to,
            answer,
            lines,
            tracks,
        };
        let publishes = held.lines.iter().any(publishes);
        // The core makes idle what the token does not allow; what was named shall not vanish
        // silently.
        let names = !held.tracks.is_empty();
        if (publishes || names) && !self.may_publish() {
            self.respond_offer(held.to, Err(ErrorType::Forbidden.into()));
        } else if self.names_unusable(&held) {
            let why = "no codec of a track that is to be sent may be published in this room";
            let error = RpcError::with_message(ErrorType::Unsupported, why);
            self.respond_offer(held.to, Err(error));
        } else if publishes && self.record.tracks.is_empty() {
            if self.held.is_empty() {
                self.effects.push(Effect::WantPublish);
            }
            self.held.push(held);
        } else {
            self.accept(held);
        }
    }

    /// Whether a track was named, or comes by WHIP, for which both ends have no codec in common.
    fn names_unusable(&self, held: &Held) -> bool {
        let is_whip = self.record.kind == SessionKind::Whip;
        let named = |mid| is_whip || held.tracks.iter().any(|track| track.mid == mid);
        let mut refused = held
            .lines
            .iter()
            .filter(|line| line.usage == MediaLineUse::Idle && line.codecs.is_empty());
        refused.any(|line| named(line.mid))
    }

    /// The room has said whether this peer may publish.
    pub(crate) fn may_publish_now(&mut self, granted: bool) {
        for held in std::mem::take(&mut self.held) {
            if granted {
                self.accept(held);
            } else {
                self.respond_offer(held.to, Err(ErrorType::RoomFull.into()));
            }
        }
    }

    fn accept(&mut self, held: Held) {
        self.lines = held.lines;
        self.slots.set_lines(&self.lines, &self.record.pairs);
        for pin in self.record.pins.clone() {
            self.slots.pin(pin.mid, pin.track);
        }
        let mids: Vec<Mid> = self.slots.iter().map(|(mid, ..)| mid).collect();
        self.shown.retain(|mid, _| mids.contains(mid));
        self.unpublish_ended();
        self.publish_new(&held.tracks);
        let tracks = self.record.tracks.iter().map(|track| AcceptedTrack {
            mid: track.mid,
            track_id: track.track,
        });
        let result = OfferResult {
            sdp: held.answer,
            tracks: tracks.collect(),
        };
        self.respond_offer(held.to, Ok(result));
        self.present();
        self.arrange();
    }

    /// Takes out what has no m-line any more.
    fn unpublish_ended(&mut self) {
        let lines = self.lines.iter().filter(|line| publishes(line));
        let sending: Vec<Mid> = lines.map(|line| line.mid).collect();
        let ended: Vec<TrackId> = self
            .record
            .tracks
            .iter()
            .filter(|track| !sending.contains(&track.mid))
            .map(|track| track.track)
            .collect();
        self.record
            .tracks
            .retain(|track| sending.contains(&track.mid));
        for track in ended {
            self.command(Purpose::Other, Action::Unpublish { track });
        }
    }

    fn publish_new(&mut self, offered: &[OfferedTrack]) {
        let lines = self.lines.clone();
        for line in lines.iter().filter(|line| publishes(line)) {
            let known = self.record.tracks.iter().any(|track| track.mid == line.mid);
            if known || self.record.tracks.len() >= TRACKS_PER_PEER {
                continue;
            }
            let said = offered.iter().find(|track| track.mid == line.mid);
            let source = said.map_or(TrackSource::default_for(line.kind), |said| said.source);
            let name = said.and_then(|said| said.name.clone());
            let handed = self.take_handed(line.kind, source, name.as_deref());
            let muted = handed.as_ref().is_some_and(|handed| handed.muted);
            let track = handed.map_or_else(|| (self.new_track)(), |handed| handed.track);
            self.record.tracks.push(TrackRecord {
                track,
                mid: line.mid,
                kind: line.kind,
                codec: line.codecs.first().copied().unwrap_or(match line.kind {
                    MediaKind::Audio => Codec::Opus,
                    MediaKind::Video => Codec::Vp8,
                }),
                source,
                name,
                muted,
            });
            let publish = Action::Publish {
                transport: self.record.transport,
                mid: line.mid,
                track,
                source,
            };
            self.command(Purpose::Other, publish);
            if muted {
                self.command(Purpose::Other, Action::Mute { track, muted });
            }
        }
    }

    /// The track that this was at the room's last worker.
    fn take_handed(
        &mut self,
        kind: MediaKind,
        source: TrackSource,
        name: Option<&str>,
    ) -> Option<HandedTrack> {
        let handed = &mut self.record.handed;
        let same = |track: &HandedTrack| {
            track.kind == kind && track.source == source && track.name.as_deref() == name
        };
        let place = handed.iter().position(same)?;
        Some(handed.remove(place))
    }

    /// The shard did not carry a command out.
    pub(super) fn refused(&mut self, now: Instant, purpose: Purpose, reason: RefusedReason) {
        let gone = matches!(
            reason,
            RefusedReason::UnknownRoom | RefusedReason::UnknownTransport
        );
        match purpose {
            Purpose::Offer(number) => {
                if gone && self.record.tracks.is_empty() {
                    // The transport never came to be: the next offer opens one.
                    self.record.media = MediaPhase::None;
                    self.present();
                }
                self.fail_offer(number, ActorsError::Refused(reason).into());
            }
            Purpose::Fill(mid) => self.fill_refused(now, mid, &reason),
            Purpose::Describe => {
                if gone {
                    self.rejoin(now, signaling::view::CloseReason::ShardRestarted);
                }
            }
            Purpose::Other => {
                tracing::debug!(?reason, "a shard refused a command");
                self.mark_dirty(now);
            }
        }
    }

    pub(super) fn fail_offer(&mut self, number: u64, error: RpcError) {
        if let Some(pending) = self.offers.remove(&number) {
            self.respond_offer(pending.to, Err(error));
        }
    }

    pub(super) fn expire_offers(&mut self, now: Instant) {
        let due: Vec<u64> = self
            .offers
            .iter()
            .filter(|(_, offer)| now >= offer.due)
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            self.fail_offer(number, ErrorType::Overloaded.into());
        }
    }

    fn respond_offer(&mut self, to: Responder, result: Result<OfferResult, RpcError>) {
        match to {
            Responder::Client(Some(id)) => {
                let answer = Box::new(Outgoing::answer(id, result));
                self.effects.push(Effect::Send(answer));
            }
            Responder::Client(None) => {}
            Responder::Http(reply) => self.effects.push(Effect::AnswerOffer(reply, result)),
        }
    }
}
