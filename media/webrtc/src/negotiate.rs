//! SDP text in, SDP text out.
//!
//! str0m reads the offer and writes the answer; around it we take out what it need not see, and
//! write what is ours: the order of codecs, the sources and streams of slots, the directions that a
//! client may have. A slot keeps its source for life, so that filling it never renegotiates.

mod answer;
mod offer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Instant;

use media_types::{Codec, MediaKind, Mid, Rid};

use crate::config::Permissions;
use crate::error::WebRtcError;
use crate::line::Line;
use crate::sdp::{Sdp, Section, SectionKind};
use crate::session::Session;
use crate::slots::Slots;

/// What an m-line of an accepted offer is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaLineUse {
    /// The client sends on it.
    Publish,
    /// The client can show a track on it.
    Slot,
    /// The client does both: a `sendrecv` m-line.
    Both,
    /// Nothing flows: inactive, stopped or refused.
    Idle,
}

/// One audio or video m-line of an accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaLineDescription {
    /// Its media id.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it is for.
    pub usage: MediaLineUse,
    /// Codecs that both ends know, in the client's order.
    pub codecs: Vec<Codec>,
    /// The layers that the client announced, lowest first; empty without simulcast.
    pub rids: Vec<Rid>,
}

/// An accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The SDP answer.
    pub answer: String,
    /// Its audio and video m-lines, in order.
    pub media: Vec<MediaLineDescription>,
    /// Whether data channels were negotiated.
    pub data: bool,
}

/// Carries offers to answers; remembers what must stay the same from one to the next.
#[derive(Debug)]
pub(crate) struct Negotiator {
    permissions: Permissions,
    /// The client's ICE credentials of the last offer.
    remote_ice: Option<(String, String)>,
    session_id: u64,
    version: u64,
    /// What each payload type has meant so far. In a bundle it means that for good (RFC 8843,
    /// section 10.1.2), and str0m is not ready for anything else.
    meanings: BTreeMap<u8, String>,
}

impl Negotiator {
    pub(crate) fn new(permissions: Permissions, session_id: u64) -> Self {
        Self {
            permissions,
            remote_ice: None,
            // Browsers read it as a signed number.
            session_id: session_id >> 1,
            version: 0,
            meanings: BTreeMap::new(),
        }
    }

    /// Refuses payload types that mean two things.
    fn check_meanings(&mut self, offer: &Sdp<'_>) -> Result<(), WebRtcError> {
        let mut meanings = self.meanings.clone();
        for format in offer.sections.iter().flat_map(Section::rtp_formats) {
            let meaning = offer::meaning(&format);
            let known = meanings
                .entry(format.payload_type)
                .or_insert_with(|| meaning.clone());
            if *known != meaning {
                let number = format.payload_type;
                return Err(WebRtcError::BadSdp(format!(
                    "two meanings of format {number}"
                )));
            }
        }
        self.meanings = meanings;
        Ok(())
    }

    /// Applies an offer. Returns the answer and the agreed m-lines.
    pub(crate) fn apply(
        &mut self,
        now: Instant,
        session: &mut Session,
        slots: &mut Slots,
        offer_text: &str,
        pairs: &[(Mid, Mid)],
    ) -> Result<(Negotiated, Vec<Line>), WebRtcError> {
        let offer = offer::check(offer_text)?;
        self.check_meanings(&offer)?;
        let ice = offer.ice_credentials();
        let ice = ice.map(|(ufrag, pwd)| (ufrag.to_owned(), pwd.to_owned()));
        let restart = self.remote_ice.is_some() && self.remote_ice != ice;
        let raw = session.accept_offer(now, &offer::for_str0m(&offer), restart)?;
        self.remote_ice = ice;
        let unread = || WebRtcError::BadSdp("no answer to it".into());
        let answered = Sdp::split(&raw).ok_or_else(unread)?;
        let restricted = answer::restrict(&answered, &offer, self.permissions);
        let lines = restricted.sections.iter().filter_map(|section| {
            let mid = section.mid()?;
            let offered = offer.sections.iter().find(|s| s.mid() == Some(mid))?;
            Line::agreed(offered, section)
        });
        let lines: Vec<_> = lines.collect();
        slots.update(&lines);
        self.version += 1;
        let groups = answer::stream_groups(&lines, pairs);
        let origin = (self.session_id, self.version);
        let negotiated = Negotiated {
            answer: answer::write(&restricted, origin, slots, &groups),
            media: lines.iter().map(Line::describe).collect(),
            data: self.permissions.data && has_data(&restricted),
        };
        Ok((negotiated, lines))
    }
}

fn has_data(answer: &Sdp<'_>) -> bool {
    let mut sections = answer.sections.iter();
    sections.any(|section| section.kind == SectionKind::Application && section.port != 0)
}
