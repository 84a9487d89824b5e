//! Offers and candidates.

use std::time::Instant;

use media_contract::{CommandId, Fact, RefusedReason};
use media_types::Mid;
use media_webrtc::WebRtcError;

use super::Shard;
use super::link::media_line;
use crate::demux::LinkIndex;
use crate::error::DropReason;

impl Shard {
    /// Takes a client's offer; the answer is a fact of its own.
    pub(super) fn negotiate(
        &mut self,
        now: Instant,
        index: LinkIndex,
        command: CommandId,
        offer: &str,
        pairs: &[(Mid, Mid)],
    ) -> Result<Fact, RefusedReason> {
        let negotiated = self.with_transport(index, |t| t.negotiate(now, offer, pairs));
        let result = match negotiated {
            Some(Ok(negotiated)) => {
                let media: Vec<_> = negotiated.media.into_iter().map(media_line).collect();
                self.take_media(index, media.clone());
                Ok(Fact::Negotiated {
                    command,
                    answer: negotiated.answer,
                    media,
                    data: negotiated.data,
                })
            }
            Some(Err(error)) => Err(refusal(&error)),
            None => Err(RefusedReason::UnknownTransport),
        };
        self.drain_transport(now, index);
        result
    }

    fn take_media(&mut self, index: LinkIndex, media: Vec<media_contract::MediaLine>) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        link.set_media(media);
        link.clear_routes();
        self.renew_rids(index);
        let Some(link) = self.links.get(index) else {
            return;
        };
        // An ICE restart has another user name; packets with the earlier one are still under way.
        if let Some(ufrag) = link.peek(|transport| transport.ufrag().to_owned())
            && !self.demux.has_ufrag(&ufrag)
        {
            self.demux.insert_ufrag(&ufrag, index);
        }
        // A slot may know other codecs now.
        self.want_allocation(index);
    }

    /// Takes a candidate of a client. We need none, so a bad one is merely counted.
    pub(super) fn add_candidate(&mut self, now: Instant, index: LinkIndex, candidate: &str) {
        let added = self.with_transport(index, |t| t.add_remote_candidate(candidate));
        if matches!(added, Some(Err(_))) {
            self.counters.on_dropped(DropReason::BadCandidate);
        }
        self.drain_transport(now, index);
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "all else is about the SDP")]
fn refusal(error: &WebRtcError) -> RefusedReason {
    match error {
        WebRtcError::BadSdp(text) => RefusedReason::BadSdp(text.clone()),
        WebRtcError::Ended => RefusedReason::UnknownTransport,
        other => RefusedReason::BadSdp(other.to_string()),
    }
}
