//! Tells publishers what of their encodings is wanted, and what to keep them under.

use std::time::Instant;

use media_contract::{Fact, Subject, TransportUse};
use media_types::MediaKind;

use super::Shard;
use crate::limits::FIT_PAYLOAD_PERCENT;
use crate::room::{RoomIndex, TrackIndex};
use crate::track::layers::Scheme;
use crate::track::{Publisher, Track};

/// What a publisher is to send of a track; all of it where nothing else was said.
pub(super) fn wanted_fact(track: &Track) -> Fact {
    let named = || track.wanted.named();
    let all = || named().map(|(_, rid)| rid).collect();
    let bounds = named().filter_map(|(stream, rid)| {
        let bound = track.fit.bound(stream)?;
        Some((rid, bound.percent(FIT_PAYLOAD_PERCENT)))
    });
    Fact::LayersWanted {
        active: track.wanted.active().unwrap_or_else(all),
        bounds: bounds.collect(),
    }
}

impl Shard {
    /// Fits a track's encodings to who watches them.
    pub(super) fn fit(&mut self, now: Instant, room: RoomIndex, index: TrackIndex) {
        let Self { rooms, links, .. } = self;
        let track = rooms.get_mut(room).and_then(|it| it.tracks.get_mut(index));
        let Some(track) = track else {
            return;
        };
        let Publisher::Local { link, .. } = track.publisher else {
            return;
        };
        // What speaks no signalling cannot be told.
        let link = links.get(link);
        let hears = link.is_some_and(|link| link.settings.usage == TransportUse::Peer);
        let layered = track.wanted.is_simulcast() && track.layers.scheme() == Scheme::Simulcast;
        if !hears || !layered || track.kind != MediaKind::Video || track.muted {
            return;
        }
        if track.update_fit(now) {
            self.tell_fit(Some(room), index);
            self.reallocate_subscribers(now, room, index);
        }
    }

    /// Tells a publisher what to keep its encodings under.
    pub(super) fn tell_fit(&mut self, room: Option<RoomIndex>, index: TrackIndex) {
        let found = room.and_then(|room| Some((room, self.rooms.get(room)?)));
        let track = found.and_then(|(room, it)| Some((room, it.tracks.get(index)?)));
        if let Some((room, track)) = track {
            let (id, fact) = (track.id, wanted_fact(track));
            self.tell(room, Subject::Track(id), fact);
        }
    }
}
