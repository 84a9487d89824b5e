//! One publisher's frames as a broadcast. Its tracks are there from the start; they are filled
//! while somebody subscribes to one of them.

use std::sync::Arc;
use std::time::Duration;

use media_contract::{TapWish, Wish};
use media_egress::{Format, Frame, TrackConfig};
use media_ingest::moq::{CATALOG_TRACK, Catalog, Container, Rendition, pack};
use media_types::{Codec, FrameCodec, Identity, MediaKind, RoomName};
use moq_net::{Error, Timescale, Timestamp, broadcast, group, track};

use crate::egress::SteadyClock;
use crate::egress::source::{Source, SourceEvent};
use crate::live::{EgressPurpose, Live};
use crate::quic::metrics;

/// How often a WebRTC publisher is asked for a keyframe: a joiner begins with one.
const KEYFRAME_EVERY: Duration = Duration::from_secs(2);
/// How long a stream that nobody reads is kept flowing.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Sound of one group: a stream of QUIC for each packet would cost more than it brings.
const SOUND_GROUP_US: u64 = 100_000;
const MICROS: u128 = 1_000_000;

/// Whose frames.
pub(super) struct Stream {
    pub(super) live: Live,
    pub(super) clock: SteadyClock,
    pub(super) room: RoomName,
    pub(super) identity: Identity,
}

/// Fills the broadcast until its publisher has gone.
pub(super) async fn run(stream: Stream, broadcast: broadcast::Producer) {
    match Tracks::new(&broadcast) {
        Ok(mut tracks) => loop {
            tracks.wanted().await;
            let _counted = metrics::One::broadcast("out");
            match fill(&stream, &mut tracks).await {
                Ok(Filled::Idle) => {}
                Ok(Filled::Ended) => return,
                Err(error) => {
                    tracing::debug!(%error, "a broadcast cannot be filled");
                    return;
                }
            }
        },
        Err(error) => tracing::debug!(%error, "a broadcast cannot be made"),
    }
}

enum Filled {
    Idle,
    Ended,
}

async fn fill(stream: &Stream, tracks: &mut Tracks) -> Result<Filled, Error> {
    let wish = TapWish {
        wish: Wish::default(),
        keyframe_every: Some(KEYFRAME_EVERY),
    };
    let (room, identity) = (&stream.room, &stream.identity);
    let clock = stream.clock.clone();
    let opened = Source::open(
        &stream.live,
        room,
        identity,
        wish,
        EgressPurpose::Play,
        clock,
    );
    let Ok(mut source) = opened.await else {
        return Ok(Filled::Ended);
    };
    tracks.begin();
    let mut idle_since = None;
    loop {
        tokio::select! {
            event = source.next() => match event {
                SourceEvent::Frame(frame) => tracks.push(&frame)?,
                SourceEvent::Kinds(_) => {}
                SourceEvent::Ended => return Ok(Filled::Ended),
            },
            () = tokio::time::sleep(IDLE_MAX) => {}
        }
        let now = stream.clock.now();
        if tracks.is_used() {
            idle_since = None;
        } else if now.saturating_sub(*idle_since.get_or_insert(now)) >= IDLE_MAX {
            return Ok(Filled::Idle);
        }
    }
}

/// The catalog, and a lane for pictures and for sound.
struct Tracks {
    catalog: track::Producer,
    lanes: [Lane; 2],
}

struct Lane {
    track: track::Producer,
    config: Option<Arc<TrackConfig>>,
    group: Option<group::Producer>,
    group_began_us: u64,
}

impl Lane {
    fn new(broadcast: &broadcast::Producer, kind: MediaKind) -> Result<Self, Error> {
        let (name, priority) = match kind {
            MediaKind::Video => ("video", 60),
            MediaKind::Audio => ("audio", 80),
        };
        let info = track::Info::default()
            .with_timescale(Timescale::MICRO)
            .with_priority(priority);
        Ok(Self {
            track: broadcast.create_track(name, info)?,
            config: None,
            group: None,
            group_began_us: 0,
        })
    }

    fn close_group(&mut self) {
        if let Some(group) = self.group.take() {
            // It is whole, or its readers are gone.
            let _finished = group.finish();
        }
    }

    fn push(&mut self, frame: &Frame) -> Result<(), Error> {
        let micros = micros(frame);
        let begins = match frame.config.kind() {
            MediaKind::Video => frame.keyframe,
            MediaKind::Audio => micros.saturating_sub(self.group_began_us) >= SOUND_GROUP_US,
        };
        let sound = frame.config.kind() == MediaKind::Audio;
        if begins || sound && self.group.is_none() {
            self.close_group();
            self.group = Some(self.track.append_group()?);
            self.group_began_us = micros;
        }
        let Some(group) = &mut self.group else {
            // Nothing before the first keyframe can be decoded.
            return Ok(());
        };
        let timestamp = Timestamp::from_micros(micros).map_err(|_| Error::ProtocolViolation)?;
        let written = group.write_frame(timestamp, pack(micros, &frame.data));
        if written.is_err() {
            // The group is beyond its bounds: it goes on with the next keyframe.
            self.group = None;
        } else {
            metrics::frame("out");
        }
        Ok(())
    }
}

fn micros(frame: &Frame) -> u64 {
    let ticks = u128::from(frame.pts()).saturating_mul(MICROS);
    let micros = ticks.checked_div(frame.config.timescale.into());
    micros
        .and_then(|micros| u64::try_from(micros).ok())
        .unwrap_or_default()
}

const fn index(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Video => 0,
        MediaKind::Audio => 1,
    }
}

impl Tracks {
    fn new(broadcast: &broadcast::Producer) -> Result<Self, Error> {
        let info = track::Info::default().with_priority(100);
        Ok(Self {
            catalog: broadcast.create_track(CATALOG_TRACK, info)?,
            lanes: [
                Lane::new(broadcast, MediaKind::Video)?,
                Lane::new(broadcast, MediaKind::Audio)?,
            ],
        })
    }

    /// Comes back when somebody reads one of them.
    async fn wanted(&self) {
        let [video, audio] = &self.lanes;
        // They end with the broadcast alone, which waits here.
        tokio::select! {
            _ = self.catalog.used() => {}
            _ = video.track.used() => {}
            _ = audio.track.used() => {}
        }
    }

    fn is_used(&self) -> bool {
        self.catalog.is_used() || self.lanes.iter().any(|lane| lane.track.is_used())
    }

    /// What was filled before is over.
    fn begin(&mut self) {
        for lane in &mut self.lanes {
            lane.close_group();
            lane.config = None;
        }
    }

    fn push(&mut self, frame: &Frame) -> Result<(), Error> {
        let lane = &mut self.lanes[index(frame.config.kind())];
        if lane.config.as_ref() != Some(&frame.config) {
            lane.config = Some(Arc::clone(&frame.config));
            self.tell()?;
        }
        self.lanes[index(frame.config.kind())].push(frame)
    }

    /// Writes the catalog of what there is now.
    fn tell(&mut self) -> Result<(), Error> {
        let renditions = self.lanes.iter().filter_map(|lane| {
            let config = lane.config.as_ref()?;
            Some(rendition(lane.track.name(), config))
        });
        let catalog = Catalog {
            renditions: renditions.collect(),
            unsupported: 0,
        };
        self.catalog.write_frame(Timestamp::now(), catalog.write())
    }
}

fn rendition(track: &str, config: &TrackConfig) -> Rendition {
    let (codec, codecs) = match config.format {
        Format::H264 => (FrameCodec::Rtp(Codec::H264), config.codecs.as_str()),
        Format::H265 => (FrameCodec::Rtp(Codec::H265), config.codecs.as_str()),
        // WebCodecs has another name for it than files have.
        Format::Vp8 => (FrameCodec::Rtp(Codec::Vp8), "vp8"),
        Format::Vp9 => (FrameCodec::Rtp(Codec::Vp9), config.codecs.as_str()),
        Format::Av1 => (FrameCodec::Rtp(Codec::Av1), config.codecs.as_str()),
        Format::Opus => (FrameCodec::Rtp(Codec::Opus), "opus"),
        Format::Aac => (FrameCodec::Aac, config.codecs.as_str()),
    };
    let described = matches!(config.format, Format::H264 | Format::H265 | Format::Aac);
    let sound = config.kind() == MediaKind::Audio;
    Rendition {
        track: track.to_owned(),
        codec,
        codecs: codecs.to_owned(),
        container: Container::Legacy,
        description: if described {
            config.record.clone()
        } else {
            bytes::Bytes::new()
        },
        width: config.width.into(),
        height: config.height.into(),
        sample_rate: if sound { config.timescale } else { 0 },
        channels: config.channels.into(),
    }
}
