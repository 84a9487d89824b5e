//! The ingress side of a track: what came, in which layers, and whether it still comes.

pub(crate) mod decode;
pub(crate) mod fit;
pub(crate) mod keyframe;
pub(crate) mod layers;
pub(crate) mod liveness;
mod publisher;
pub(crate) mod stream;
mod succession;
pub(crate) mod wanted;

use std::time::Instant;

use media_contract::RelayEnd;
use media_rtp::descriptor::{self, FrameInfo};
use media_rtp::history::StoredPacket;
use media_types::{Codec, Epoch, Identity, Layer, MediaKind, Rid, TrackId, TrackSource};
use media_webrtc::SlotIndex;
use smallvec::SmallVec;

use crate::demux::LinkIndex;
use crate::error::DropReason;
use crate::forward::Forwarder;
use crate::ingest::Feed;
use crate::limits::PACKET_OVERHEAD_BYTES;
use crate::relay::RelayOut;
use crate::speaker::Loudness;
use crate::tap::Tap;
use fit::{Fit, Viewer};
use keyframe::KeyframeRequests;
use layers::{Layers, Scheme};
use liveness::{Flow, Liveness};
pub(crate) use publisher::Publisher;
pub(crate) use stream::{Arrival, Past, Stream};
use stream::{inspect, pass_through, vp9_size};
pub(crate) use succession::Place;
use wanted::{Change, Streams, Wanted};

const STREAMS: usize = Layer::SPATIAL_MAX as usize;

/// What one slot that shows the track asks for and can take, as the last allocation left it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Audience {
    /// The highest encoding that its wish has a use for.
    pub(crate) reach: u8,
    /// It gets all pictures of the encoding that it is shown.
    pub(crate) smooth: bool,
    /// What its path leaves to it; `None`: no bound is known.
    pub(crate) left: Option<media_types::Bitrate>,
}

/// One slot that shows the track.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) link: LinkIndex,
    pub(crate) slot: SlotIndex,
    pub(crate) forwarder: Forwarder,
    /// Its transport is connected. Before that nothing is forwarded and no keyframe is asked for:
    /// it would be lost, and encoders answer the next request only after some hundred milliseconds.
    pub(crate) awake: bool,
    /// The highest spatial layer that it would take, were it there.
    pub(crate) reach: u8,
    /// What it asks for and can take.
    pub(crate) audience: Audience,
    /// The layer that its owner was last told of.
    pub(crate) told_layer: Option<Layer>,
}

/// What a packet changed, beyond having come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// The stream and the number under which its history holds the packet.
    pub(crate) stream: u8,
    pub(crate) sequence: u64,
    /// The flow started, or goes on in another codec.
    pub(crate) started: bool,
    /// A layer appeared, or the codec changed: allocations are out of date.
    pub(crate) reallocate: bool,
    /// It starts a keyframe.
    pub(crate) keyframe: bool,
}

/// One published track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) kind: MediaKind,
    pub(crate) source: TrackSource,
    pub(crate) identity: Identity,
    pub(crate) publisher: Publisher,
    pub(crate) muted: bool,
    pub(crate) codec: Option<Codec>,
    pub(crate) layers: Layers,
    pub(crate) wanted: Wanted,
    pub(crate) fit: Fit,
    pub(crate) liveness: Liveness,
    pub(crate) loudness: Loudness,
    pub(crate) streams: [Option<Box<Stream>>; STREAMS],
    pub(crate) keyframes: [KeyframeRequests; STREAMS],
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) relays: SmallVec<[RelayOut; 2]>,
    /// What feeds it, if it is an ingest track.
    pub(crate) feed: Option<Box<Feed>>,
    pub(crate) taps: Vec<Tap>,
    /// The source that is about to take this one's place, if another shard sends this one.
    pub(crate) next: Option<Box<Self>>,
}

impl Track {
    /// A track of which nothing has come yet.
    pub(crate) fn new(
        id: TrackId,
        kind: MediaKind,
        source: TrackSource,
        identity: Identity,
        publisher: Publisher,
    ) -> Self {
        Self {
            id,
            kind,
            source,
            identity,
            publisher,
            muted: false,
            codec: None,
            layers: Layers::default(),
            wanted: Wanted::default(),
            fit: Fit::default(),
            liveness: Liveness::default(),
            loudness: Loudness::default(),
            streams: [const { None }; STREAMS],
            keyframes: std::array::from_fn(|_| KeyframeRequests::default()),
            subscriptions: Vec::new(),
            relays: SmallVec::new(),
            feed: None,
            taps: Vec::new(),
            next: None,
        }
    }

    /// The receiving end of a relay; `None` for the sending one.
    pub(crate) fn relayed(id: TrackId, end: &RelayEnd, since: Epoch) -> Option<Self> {
        let RelayEnd::In {
            from,
            kind,
            codec,
            source,
            publisher,
        } = end
        else {
            return None;
        };
        let origin = Publisher::Relay {
            from: *from,
            since,
            told: None,
        };
        let mut track = Self::new(id, *kind, *source, publisher.clone(), origin);
        track.codec = Some(*codec);
        Some(track)
    }

    /// The stream of an encoding.
    pub(crate) fn stream(&self, stream: u8) -> Option<&Stream> {
        self.streams.get(usize::from(stream))?.as_deref()
    }

    /// The encoding to ask for a keyframe when `wanted` is awaited: the highest that flows up to
    /// it, or the lowest; a relay knows better than we do.
    pub(crate) fn keyframe_stream(&self, wanted: u8) -> Option<u8> {
        if self.layers.scheme() == Scheme::Svc {
            return Some(0);
        }
        let flows = |stream: &u8| self.layers.flows(*stream);
        let below = (0..=wanted).rev().find(flows);
        let found = below.or_else(|| (wanted..Layer::SPATIAL_MAX).find(flows));
        match self.publisher {
            Publisher::Local { .. } | Publisher::Ingest => found,
            Publisher::Relay { .. } => Some(found.unwrap_or(wanted)),
        }
    }

    /// What shows it, of those who can receive, and what is tapped of it.
    pub(crate) fn forwarders(&self) -> impl Iterator<Item = &Forwarder> {
        let awake = self.subscriptions.iter().filter(|it| it.awake);
        let taps = self.taps.iter().filter(|tap| tap.has_room());
        awake
            .map(|subscription| &subscription.forwarder)
            .chain(taps.map(|tap| &tap.forwarder))
    }

    /// Whether a keyframe of this encoding can be asked for: it flows, or is within what flows.
    pub(crate) fn answers(&self, stream: u8) -> bool {
        self.layers.scheme() == Scheme::Svc || self.layers.flows(stream)
    }

    /// Takes note of the encodings that the publisher offers.
    pub(crate) fn set_rids(&mut self, rids: &[Rid]) {
        if self.wanted.set_rids(rids) {
            self.layers.set_published(self.wanted.published());
        }
    }

    /// The encodings that somebody watches or is about to, here or on other shards.
    pub(crate) fn wanted_streams(&self, now: Instant) -> Streams {
        let missing = self.layers.missing();
        let subscriptions = self.subscriptions.iter();
        let here = subscriptions.map(|it| self.wanted_of(&it.forwarder, it.reach, missing));
        let relays = self.relays.iter().map(|relay| relay.wanted(now));
        let taps = self
            .taps
            .iter()
            .map(|tap| self.wanted_of(&tap.forwarder, 0, missing));
        let all = here.chain(relays).chain(taps);
        all.fold(Streams::EMPTY, Streams::union)
    }

    fn wanted_of(&self, forwarder: &Forwarder, reach: u8, missing: Streams) -> Streams {
        let mut wanted = Streams::EMPTY;
        let Some(target) = forwarder.target() else {
            return wanted;
        };
        if self.layers.scheme() == Scheme::Svc || self.kind == MediaKind::Audio {
            wanted.insert(0);
            return wanted;
        }
        wanted.insert(target.spatial);
        match forwarder.current() {
            Some(current) => wanted.insert(current.spatial),
            // Whoever has nothing yet takes whatever comes first.
            None if !self.layers.flows(target.spatial) => {
                wanted = wanted.union(Streams::lowest(usize::from(target.spatial)));
            }
            None => {}
        }
        // What its publisher does not manage to send costs nothing, and is wanted when it can.
        let hoped_for = Streams::lowest(usize::from(reach) + 1);
        wanted.union(missing.intersection(hoped_for))
    }

    /// Follows what is wanted; whether the publisher is to be told of it.
    pub(crate) fn update_wanted(&mut self, now: Instant, wanted: Streams) -> Option<Change> {
        let was_silenced = self.wanted.is_silenced();
        let started = self.liveness.has_started();
        let change = self.wanted.update(now, wanted, started)?;
        for stream in change.paused.iter() {
            self.layers.hold(stream);
        }
        for stream in change.resumed.iter() {
            self.layers.resume(now, stream);
        }
        if was_silenced {
            self.liveness.excuse(now);
        }
        Some(change)
    }

    /// Follows what the audience can take; whether the publisher is to be told of other bounds.
    pub(crate) fn update_fit(&mut self, now: Instant) -> bool {
        let Self {
            fit,
            layers,
            subscriptions,
            relays,
            ..
        } = self;
        // What viewers on other shards can take is not known here.
        let far = relays.iter().any(|relay| !relay.wanted(now).is_empty());
        let viewers = subscriptions.iter().filter(|viewer| viewer.awake);
        let viewers = viewers.map(|viewer| Viewer {
            reach: viewer.audience.reach,
            shows: viewer.forwarder.target().map(|layer| layer.spatial),
            smooth: viewer.audience.smooth,
            left: viewer.audience.left.filter(|_| !far),
        });
        fit.update(now, self.wanted.published(), viewers, layers)
    }

    /// Follows what the publisher's shard knows of the layers; whether other ones can be had.
    pub(crate) fn follow(&mut self, layers: &Layers) -> bool {
        let scheme = layers.scheme();
        if scheme != self.layers.scheme() {
            for forwarder in all_of(&mut self.subscriptions, &mut self.taps) {
                forwarder.set_scheme(scheme);
            }
        }
        self.layers.follow(layers)
    }

    /// Takes note of a packet and keeps it in the history.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        next_source: &mut u32,
    ) -> Result<Taken, DropReason> {
        if self.muted {
            self.liveness.excuse(now);
            return Err(DropReason::Muted);
        }
        if arrival.codec.kind() != self.kind {
            return Err(DropReason::BadPayload);
        }
        let mut taken = Taken {
            stream: arrival.stream,
            sequence: arrival.sequence,
            ..Taken::default()
        };
        taken.started = self.codec.is_some_and(|codec| codec != arrival.codec);
        taken.reallocate |= self.set_codec(arrival);
        let stream = self.stream_of(arrival, next_source)?;
        // Padding has a number and nothing else.
        let is_media = !arrival.payload.is_empty();
        let frame = match is_media {
            true => inspect(stream, arrival).ok_or(DropReason::BadPayload)?,
            false => FrameInfo::default(),
        };
        let stored = StoredPacket {
            sequence: arrival.sequence,
            timestamp: arrival.timestamp,
            marker: arrival.marker,
            payload: arrival.payload.clone(),
            frame,
            arrived: now,
            extensions: pass_through(arrival),
        };
        if !stream.history.insert(stored) {
            return Err(DropReason::TooLate);
        }
        taken.keyframe = frame.keyframe;
        if frame.keyframe {
            stream.keyframe_at = Some(now);
        }
        if let Some(clock) = arrival.fed.as_ref().and_then(|fed| fed.clock) {
            stream.clock = Some(clock);
        }
        if is_media {
            taken.reallocate |= self.note(now, arrival, &frame);
            taken.started |= self.liveness.on_packet(now) == Some(Flow::Started);
        }
        Ok(taken)
    }

    /// Layers, sizes and loudness; whether a layer appeared.
    fn note(&mut self, now: Instant, arrival: &Arrival, frame: &FrameInfo) -> bool {
        let payload = arrival.payload.len();
        let bytes = payload + PACKET_OVERHEAD_BYTES;
        if self.kind == MediaKind::Audio {
            let level = arrival.extensions.audio_level;
            self.loudness.on_packet(now, level, payload);
            self.layers.on_packet(now, Layer::BASE, bytes, true);
            return false;
        }
        let layer = match self.layers.scheme() {
            Scheme::Simulcast => Layer {
                spatial: arrival.stream,
                temporal: frame.layer.temporal,
            },
            Scheme::Svc => frame.layer,
        };
        if frame.keyframe {
            if let Some(requests) = self.keyframes.get_mut(usize::from(arrival.stream)) {
                requests.on_keyframe();
            }
            self.note_sizes(arrival);
        }
        self.layers
            .on_packet(now, layer, bytes, frame.start_of_frame)
    }

    fn note_sizes(&mut self, arrival: &Arrival) {
        let Self {
            streams, layers, ..
        } = self;
        let stream = streams.get(usize::from(arrival.stream));
        let dependency = stream.and_then(|stream| Some(stream.as_ref()?.decode.state()));
        if layers.scheme() == Scheme::Svc {
            for spatial in 0..Layer::SPATIAL_MAX {
                let size = dependency.and_then(|dependency| dependency.resolution(spatial));
                if let Some(size) = size.or_else(|| vp9_size(arrival, spatial)) {
                    layers.on_size(spatial, size);
                }
            }
            return;
        }
        let declared = descriptor::resolution(arrival.codec, arrival.payload.as_slice());
        let size = declared.or_else(|| dependency?.resolution(0));
        if let Some(size) = size {
            layers.on_size(arrival.stream, size);
        }
    }

    /// Follows a change of codec; whether there was one.
    fn set_codec(&mut self, arrival: &Arrival) -> bool {
        let scalable = matches!(arrival.codec, Codec::Vp9 | Codec::Av1);
        let scheme = match scalable && !arrival.simulcast {
            true => Scheme::Svc,
            false => Scheme::Simulcast,
        };
        let known = self.codec == Some(arrival.codec) && self.layers.scheme() == scheme;
        if known {
            return false;
        }
        self.codec = Some(arrival.codec);
        self.layers.set_scheme(scheme);
        self.layers.clear();
        for forwarder in all_of(&mut self.subscriptions, &mut self.taps) {
            forwarder.set_scheme(scheme);
        }
        true
    }

    /// The stream of a packet, made anew when its publisher starts over.
    fn stream_of(
        &mut self,
        arrival: &Arrival,
        next_source: &mut u32,
    ) -> Result<&mut Stream, DropReason> {
        let place = self
            .streams
            .get_mut(usize::from(arrival.stream))
            .ok_or(DropReason::BadPayload)?;
        let same = place
            .as_ref()
            .is_some_and(|known| known.ssrc == arrival.ssrc && known.codec == arrival.codec);
        if !same {
            *next_source = next_source.wrapping_add(1);
            *place = Some(Box::new(Stream::new(arrival, *next_source)));
            for forwarder in all_of(&mut self.subscriptions, &mut self.taps) {
                let current = forwarder.current();
                let shown = current.is_some_and(|layer| layer.spatial == arrival.stream);
                if shown || self.layers.scheme() == Scheme::Svc {
                    forwarder.restart();
                }
            }
        }
        let stream = place.as_deref_mut().ok_or(DropReason::BadPayload)?;
        stream.red = arrival.red;
        stream.index = arrival.index;
        Ok(stream)
    }

    /// Stops or resumes; whether that is a change.
    pub(crate) fn set_muted(&mut self, now: Instant, muted: bool) -> bool {
        if self.muted == muted {
            return false;
        }
        self.muted = muted;
        self.liveness.excuse(now);
        self.layers.excuse(now);
        self.loudness.silence();
        for forwarder in all_of(&mut self.subscriptions, &mut self.taps) {
            forwarder.restart();
        }
        for requests in &mut self.keyframes {
            requests.forget();
        }
        // What follows does not continue what was before: nobody may start there.
        for stream in self.streams.iter_mut().flatten() {
            stream.history.clear();
        }
        true
    }

    /// Nothing comes any more for now: what shows it waits for a fresh start.
    pub(crate) fn stop(&mut self) {
        self.layers.clear();
        self.loudness.silence();
        self.streams = [const { None }; STREAMS];
        for forwarder in all_of(&mut self.subscriptions, &mut self.taps) {
            forwarder.restart();
        }
    }
}

/// The forwarders of all who take a part of a track.
fn all_of<'a>(
    subscriptions: &'a mut [Subscription],
    taps: &'a mut [Tap],
) -> impl Iterator<Item = &'a mut Forwarder> {
    let shown = subscriptions.iter_mut().map(|found| &mut found.forwarder);
    shown.chain(taps.iter_mut().map(|tap| &mut tap.forwarder))
}

#[cfg(test)]
mod tests;
