//! A publisher: from tags to the room and the frame hub.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media_ingest::flv::{Parcel, Tag, TrackKey};
use media_ingest::rtmp::Refusal;
use media_ingest::source::{Source, SourceEvent};
use media_types::{Clock, Codec, EncodedFrame, FrameFormat, MediaKind, TrackId};
use serde_json::Value;
use signaling::{ErrorType, RpcError};

use super::RtmpServer;
use super::key::StreamKey;
use crate::auth::{Access, authorize};
use crate::ingest::metrics;
use crate::ingest::outlet::{Outlet, Transcoded, job};
use crate::live::{FrameSource, IngestHandle, IngestProtocol, IngestRequest, IngestSpec};
use crate::transcode::Transcoding;

/// One publisher on one connection.
pub(crate) struct Publisher {
    stream: u32,
    source: Source,
    handle: IngestHandle,
    frames: FrameSource,
    transcoding: Transcoding,
    lanes: BTreeMap<TrackKey, Lane>,
    granted: Instant,
    /// When the last keyframe came.
    keyframe: Option<Instant>,
}

/// Where the frames of a track go besides the hub.
enum Lane {
    /// Into the room, as they are.
    Room(Outlet),
    /// Into the room, by a codec process.
    Transcoded(Transcoded),
    /// Nowhere: browsers cannot be sent it.
    Hub,
}

impl Lane {
    const fn track(&self) -> Option<TrackId> {
        match self {
            Self::Room(outlet) => Some(outlet.track()),
            Self::Transcoded(transcoded) => Some(transcoded.track()),
            Self::Hub => None,
        }
    }
}

impl Publisher {
    /// Judges the token and takes the place of an earlier publisher of that name.
    pub(crate) async fn open(
        server: &RtmpServer,
        stream: u32,
        key: StreamKey,
        protocol: IngestProtocol,
    ) -> Result<Self, Refusal> {
        let unix = server.clock.unix();
        let unauthorized = |_| Refusal::Unauthorized;
        let claims = server.auth.judge(&key.token, Access::Ingest, unix);
        let claims = claims.map_err(unauthorized)?;
        authorize(&claims, Access::Ingest, &key.room).map_err(unauthorized)?;
        if claims.sub != key.identity {
            return Err(Refusal::Unauthorized);
        }
        if server.health.is_draining() {
            return Err(Refusal::Unavailable);
        }
        let request = IngestRequest {
            room: key.room.clone(),
            claims,
            protocol,
            name: None,
            metadata: Value::Null,
        };
        let handle = server.live.open_ingest(request).await;
        let handle = handle.map_err(|error| refusal(&error))?;
        tracing::info!(room = %key.room, peer = %key.identity, %protocol, "publisher");
        Ok(Self {
            stream,
            source: Source::default(),
            frames: server.live.frames().publish(&key.room, &key.identity),
            handle,
            transcoding: server.transcoding.clone(),
            lanes: BTreeMap::new(),
            granted: server.clock.now(),
            keyframe: None,
        })
    }

    pub(super) const fn stream(&self) -> u32 {
        self.stream
    }

    /// How long to read nothing.
    pub(crate) fn hold(&self) -> Option<Duration> {
        self.source.hold()
    }

    /// Takes a tag; waits where the room has no place for its frames.
    pub(super) async fn tag(&mut self, clock: &dyn Clock, tag: &Tag) {
        let now = clock.now();
        if let Err(error) = self.source.handle_tag(now, clock.unix(), tag) {
            // One bad tag is not the end of a stream.
            tracing::debug!(%error, "bad tag");
            metrics::dropped();
        }
        self.events(now).await;
    }

    /// Takes one thing that a protocol without tags says, at `micros` of the source's clock.
    pub(crate) async fn parcel(&mut self, clock: &dyn Clock, micros: u64, parcel: Parcel) {
        let now = clock.now();
        let taken = self.source.handle_parcel(now, clock.unix(), micros, parcel);
        if let Err(error) = taken {
            tracing::debug!(%error, "bad frame");
            metrics::dropped();
        }
        self.events(now).await;
    }

    async fn events(&mut self, now: Instant) {
        while let Some(event) = self.source.poll_event() {
            match event {
                SourceEvent::Format {
                    track,
                    format,
                    parameter_sets,
                } => {
                    self.format(track, format, parameter_sets).await;
                }
                SourceEvent::Frame { track, frame } => self.frame(now, track, frame).await,
                SourceEvent::Reordered {
                    track,
                    format,
                    parameter_sets,
                } => {
                    self.reordered(track, &format, parameter_sets).await;
                }
                SourceEvent::Mended { what, .. } => metrics::mended(what),
                SourceEvent::Unsupported { .. } => {
                    tracing::warn!(stream = self.stream, "a track in a codec that is not taken");
                }
                SourceEvent::Ended { track } => self.close(track),
            }
        }
    }

    async fn format(&mut self, track: TrackKey, format: FrameFormat, sets: Vec<Bytes>) {
        let codec = format.codec.forwarded();
        if track.id == 0 {
            self.frames.format(format.clone());
        }
        match self.lanes.get_mut(&track) {
            Some(Lane::Room(outlet)) if Some(outlet.codec()) == codec => {
                outlet.set_parameter_sets(sets);
                return;
            }
            // A process finds what it needs in the keyframes.
            Some(Lane::Transcoded(transcoded)) if codec == Some(Codec::H264) => {
                transcoded.set_parameter_sets(sets);
                return;
            }
            Some(_) | None => {}
        }
        let lane = match codec {
            Some(codec) => self.room_lane(track, codec, sets).await,
            None => self.transcoded_lane(track, &format, sets).await,
        };
        self.lanes.insert(track, lane);
    }

    async fn room_lane(&mut self, track: TrackKey, codec: Codec, sets: Vec<Bytes>) -> Lane {
        match self.open_port(track, codec).await {
            Ok(port) => Lane::Room(Outlet::new(codec, port, sets)),
            Err(error) => {
                tracing::warn!(?error, ?codec, "a track is not let into its room");
                Lane::Hub
            }
        }
    }

    /// A track that browsers cannot be sent as it is. Where it cannot be transcoded, it is there
    /// for those who package it.
    async fn transcoded_lane(
        &mut self,
        track: TrackKey,
        format: &FrameFormat,
        sets: Vec<Bytes>,
    ) -> Lane {
        let Some((job, codec)) = job(format.codec, format.config.clone()) else {
            return Lane::Hub;
        };
        let (room, stream) = (self.handle.room(), self.handle.identity().as_str());
        let opened = match self.transcoding.open(room, stream, job) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, codec = ?format.codec, "browsers do not get a track");
                return Lane::Hub;
            }
        };
        match self.room_lane(track, codec, Vec::new()).await {
            Lane::Room(outlet) => Lane::Transcoded(Transcoded::new(outlet, opened, sets)),
            lane @ (Lane::Transcoded(_) | Lane::Hub) => lane,
        }
    }

    async fn open_port(
        &mut self,
        track: TrackKey,
        codec: Codec,
    ) -> Result<crate::live::IngestPort, RpcError> {
        let kind = match track.kind {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        };
        let spec = IngestSpec {
            kind: track.kind,
            codec,
            name: (track.id > 0).then(|| format!("{kind}-{}", track.id)),
        };
        self.handle.add_track(spec).await
    }

    async fn frame(&mut self, now: Instant, track: TrackKey, frame: EncodedFrame) {
        metrics::frame(track.kind);
        if track.kind == MediaKind::Video && track.id == 0 && frame.keyframe {
            match self.keyframe.replace(now) {
                Some(last) => metrics::group(now.saturating_duration_since(last)),
                None => metrics::first_frame(now.saturating_duration_since(self.granted)),
            }
        }
        match self.lanes.get_mut(&track) {
            Some(Lane::Room(outlet)) => {
                outlet.push(&frame).await;
            }
            Some(Lane::Transcoded(transcoded)) => transcoded.push(frame.clone()),
            Some(Lane::Hub) | None => {}
        }
        if track.id == 0 {
            self.frames.push(frame);
        }
    }

    /// Pictures in another order than they are decoded in go to those who package them as they are;
    /// browsers would show them torn, and get them in order from a codec process.
    async fn reordered(&mut self, track: TrackKey, format: &FrameFormat, sets: Vec<Bytes>) {
        tracing::info!(codec = ?format.codec, "the stream has B-frames");
        let lane = self.transcoded_lane(track, format, sets).await;
        if matches!(lane, Lane::Hub) {
            self.close(track);
        }
        self.lanes.insert(track, lane);
    }

    fn close(&mut self, track: TrackKey) {
        if let Some(track) = self.lanes.remove(&track).and_then(|lane| lane.track()) {
            self.handle.remove_track(track);
        }
    }

    /// Comes back when the room ends the stream: taken over, kicked, closed.
    pub(crate) async fn closed(&mut self) {
        let reason = self.handle.closed().await;
        tracing::info!(?reason, "publisher closed");
    }

    /// The client said that it is done.
    pub(crate) fn finish(self) {
        self.frames.finish();
        self.handle.finish();
    }
}

/// What a client is told of an error of the room.
pub(super) fn refusal(error: &RpcError) -> Refusal {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the rest is for later")]
    match error.data.kind {
        ErrorType::Unauthorized | ErrorType::Forbidden => Refusal::Unauthorized,
        ErrorType::NotFound => Refusal::NotFound,
        _ => Refusal::Unavailable,
    }
}
