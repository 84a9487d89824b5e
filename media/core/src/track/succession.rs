//! A track that is about to come from elsewhere: its successor, and what that needs to take over.
//!
//! A room moves, and with it who publishes: for a while a track comes by the relay that shows it
//! and from its next source, too. Both are tracks of one id. The one in force has who watches,
//! taps and relays it; its successor is filled beside it, until these can go on with that one.

use std::time::Instant;

use media_contract::RelayPeer;
use media_types::{Epoch, Layer, MediaKind};

use super::layers::Scheme;
use super::stream::Past;
use super::wanted::Streams;
use super::{Publisher, Taken, Track, all_of};
use crate::forward::Forwarder;

/// Which of a track's two sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The one that is shown.
    InForce,
    /// The one that is about to be.
    Next,
}

impl Track {
    /// One of its sources.
    pub(crate) fn at_mut(&mut self, place: Place) -> Option<&mut Self> {
        match place {
            Place::InForce => Some(self),
            Place::Next => self.next.as_deref_mut(),
        }
    }

    /// What a transport of this shard sends of it: only tracks of other shards have successors, so
    /// where there is one, it is that.
    pub(crate) fn sent_here(&self) -> &Self {
        self.next.as_deref().unwrap_or(self)
    }

    /// The same, to be changed.
    pub(crate) fn sent_here_mut(&mut self) -> &mut Self {
        match self.next {
            Some(ref mut next) => next,
            None => self,
        }
    }

    /// Which of its sources another shard sends, and since which epoch.
    pub(crate) fn sent_by(&self, peer: RelayPeer) -> Option<(Place, Epoch)> {
        let since = |track: &Self| match track.publisher {
            Publisher::Relay { from, since, .. } if from == peer => Some(since),
            Publisher::Relay { .. } | Publisher::Local { .. } | Publisher::Ingest => None,
        };
        let next = || since(self.next.as_deref()?).map(|since| (Place::Next, since));
        let in_force = since(self).map(|since| (Place::InForce, since));
        in_force.or_else(next)
    }

    /// The epoch since which another shard sends one of its sources, to be renewed.
    pub(crate) fn since_mut(&mut self, peer: RelayPeer) -> Option<&mut Epoch> {
        let (place, _) = self.sent_by(peer)?;
        match &mut self.at_mut(place)?.publisher {
            Publisher::Relay { since, .. } => Some(since),
            Publisher::Local { .. } | Publisher::Ingest => None,
        }
    }

    /// Whether another source of that kind may follow the one in force.
    pub(crate) fn may_be_succeeded(&self, kind: MediaKind) -> bool {
        matches!(self.publisher, Publisher::Relay { .. }) && self.kind == kind
    }

    /// Goes on with the successor, and with all who take a part of the track; what was in force.
    /// Each of them waits for a fresh start.
    pub(crate) fn succeed(&mut self) -> Option<Self> {
        let mut next = *self.next.take()?;
        next.subscriptions = std::mem::take(&mut self.subscriptions);
        next.relays = std::mem::take(&mut self.relays);
        next.taps = std::mem::take(&mut self.taps);
        next.layers.inherit(&self.layers);
        let scheme = next.layers.scheme();
        for forwarder in all_of(&mut next.subscriptions, &mut next.taps) {
            forwarder.set_track(scheme);
        }
        Some(std::mem::replace(self, next))
    }

    /// The highest encoding that somebody is shown now, here or on other shards.
    fn shown(&self, now: Instant) -> Option<u8> {
        let here = self.forwarders().filter_map(Forwarder::current);
        let here = here.map(|layer| layer.spatial);
        here.chain(self.crossing(now).iter()).max()
    }

    /// The encodings that cross to other shards.
    fn crossing(&self, now: Instant) -> Streams {
        let wanted = self.relays.iter().map(|relay| relay.wanted(now));
        let wanted = wanted.fold(Streams::EMPTY, Streams::union);
        let flow = wanted.iter().filter(|&stream| self.layers.flows(stream));
        flow.collect()
    }

    /// The encoding of a successor that stands for one of the track in force.
    fn stands_for(&self, spatial: u8) -> u8 {
        if self.layers.scheme() == Scheme::Svc {
            return 0;
        }
        let offered = match self.publisher {
            Publisher::Relay { .. } => self.layers.offered(),
            Publisher::Local { .. } | Publisher::Ingest => Some(self.wanted.published()),
        };
        let top = offered.map(|count| u8::try_from(count.max(1) - 1).unwrap_or(u8::MAX));
        top.map_or(spatial, |top| spatial.min(top))
    }

    /// Whether an encoding can be started with now.
    fn begins(&self, now: Instant, stream: u8, past: Past) -> bool {
        let stream = self.stream(stream);
        stream.is_some_and(|stream| stream.beginning(now, past).is_some())
    }

    /// Whether the successor can go on with what is shown: a keyframe of the best that somebody
    /// sees has just come, or any one, if nobody sees anything. Sound goes on with any packet.
    pub(crate) fn can_be_succeeded(&self, now: Instant) -> bool {
        let next = self.next.as_deref().filter(|next| !next.muted);
        let Some(next) = next.filter(|next| next.kind == MediaKind::Video) else {
            return false;
        };
        let has = |stream| next.begins(now, stream, Past::Fresh);
        match self.shown(now) {
            Some(shown) => has(next.stands_for(shown)),
            None => (0..Layer::SPATIAL_MAX).any(has),
        }
    }

    /// The encodings of which the successor is to be asked for a keyframe: what it is to go on with
    /// the best of, and what else it then has to begin with.
    pub(crate) fn successor_lacks(&self, now: Instant) -> Streams {
        let next = self.next.as_deref().filter(|next| !next.muted);
        let Some(next) = next.filter(|next| next.kind == MediaKind::Video) else {
            return Streams::EMPTY;
        };
        let needed = |forwarder: &Forwarder| {
            let current = forwarder.current().map(|layer| layer.spatial);
            current.or_else(|| forwarder.awaits())
        };
        let here = self.forwarders().filter_map(needed);
        let all = here.chain(self.crossing(now).iter());
        let all: Streams = all.map(|stream| next.stands_for(stream)).collect();
        let best = self.shown(now).map(|shown| next.stands_for(shown));
        let can_be_asked = |stream: &u8| match next.publisher {
            Publisher::Relay { .. } => true,
            Publisher::Local { .. } | Publisher::Ingest => next.answers(*stream),
        };
        let lacking = |stream: &u8| match best == Some(*stream) {
            true => !next.begins(now, *stream, Past::Fresh),
            false => !next.begins(now, *stream, Past::Whole),
        };
        all.iter().filter(can_be_asked).filter(lacking).collect()
    }

    /// The packet with which an encoding begins for those who have nothing: its last keyframe, or
    /// the sound that has just come.
    pub(crate) fn beginning_of(&self, now: Instant, stream: u8) -> Option<Taken> {
        let found = self.stream(stream).filter(|_| !self.muted)?;
        let first = match self.kind {
            MediaKind::Audio => found.history.since(0).last(),
            MediaKind::Video => found.beginning(now, Past::Whole),
        };
        let first = first.filter(|it| self.kind == MediaKind::Video || it.arrived == now)?;
        Some(Taken {
            stream,
            sequence: first.sequence,
            ..Taken::default()
        })
    }

    /// The packet with which somebody begins who is to get the track and has nothing of it: the
    /// best that can be had.
    pub(crate) fn beginning_for(&self, now: Instant, forwarder: &Forwarder) -> Option<Taken> {
        let target = forwarder.target()?;
        let best = match self.layers.scheme() {
            Scheme::Svc => 0,
            Scheme::Simulcast => target.spatial,
        };
        let mut streams = (0..=best).rev();
        streams.find_map(|stream| self.beginning_of(now, stream))
    }
}
