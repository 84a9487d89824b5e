//! Where a stream's frames come from: the ingest's own frames where there are any, else taps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media_contract::TapWish;
use media_egress::depacketize::Depacketizer;
use media_egress::mux::Kinds;
use media_egress::reorder::TapPacket as Packet;
use media_egress::timeline::{Line, Timeline};
use media_egress::{EgressError, Format, Frame, SourceFrame, TrackConfig};
use media_rtp::timestamp::{RtpTimestamp, SenderClock};
use media_types::{
    Codec, EncodedFrame, FrameCodec, FrameFormat, Identity, MediaKind, NtpTime, RoomName,
    TapPacket, TrackId,
};
use signaling::RpcError;

use super::SteadyClock;
use super::metrics;
use crate::live::{
    EgressChange, EgressHandle, EgressPurpose, EgressRequest, FrameEvent, FrameReader, Live,
    TapPort,
};

/// Packets taken from a tap before others get their turn.
const PACKETS_PER_TURN: usize = 64;

/// How long a fresh source waits until frames of both kinds have come: who fixes its tracks at the
/// first frame would miss the second kind.
const SETTLE: Duration = Duration::from_millis(400);
/// The same for a recorder: nobody waits for its first picture, and sound that comes after the
/// first file has begun must wait for a keyframe.
const SETTLE_RECORDER: Duration = Duration::from_secs(2);

/// What a source tells.
pub(crate) enum SourceEvent {
    /// The next frame, of any track.
    Frame(Frame),
    /// Which tracks there are has changed.
    Kinds(Kinds),
    /// The publisher has gone.
    Ended,
}

/// One publisher's frames on one clock.
pub(crate) struct Source {
    feed: Feed,
    timeline: Timeline,
    clock: SteadyClock,
    frames: VecDeque<Frame>,
    told: Kinds,
    /// Until when nothing is told while a kind of track is missing; `None` afterwards.
    settling: Option<Duration>,
}

enum Feed {
    Ingest(Box<IngestFeed>),
    Taps(Box<TapFeed>),
}

struct IngestFeed {
    reader: FrameReader,
    lanes: [IngestLane; 2],
}

#[derive(Default)]
struct IngestLane {
    config: Option<Arc<TrackConfig>>,
    line: Line,
}

impl IngestLane {
    /// Codecs that say all in their keyframes are believed there: records of theirs mostly do not
    /// know the size, and a size that changes comes without another record.
    fn look(&mut self, frame: &EncodedFrame) {
        let FrameCodec::Rtp(codec) = frame.codec else {
            return;
        };
        if !frame.keyframe || codec.kind() != MediaKind::Video {
            return;
        }
        let Some(found) = TrackConfig::of_keyframe(Format::from(codec), &frame.data) else {
            return;
        };
        if self.config.as_deref() != Some(&found) {
            self.config = Some(Arc::new(found));
        }
    }
}

struct TapFeed {
    handle: EgressHandle,
    /// Of all tracks this one alone.
    only: Option<TrackId>,
    lanes: [Option<TapLane>; 2],
    ended: bool,
}

struct TapLane {
    port: TapPort,
    depacketizer: Depacketizer,
    line: Line,
    dropped: u64,
    /// A frame has come: a track that is muted from the start does not count as there.
    started: bool,
}

const fn index(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Video => 0,
        MediaKind::Audio => 1,
    }
}

impl Source {
    /// Opens the frames of a publisher.
    pub(crate) async fn open(
        live: &Live,
        room: &RoomName,
        stream: &Identity,
        wish: TapWish,
        purpose: EgressPurpose,
        clock: SteadyClock,
    ) -> Result<Self, RpcError> {
        let settle = if purpose == EgressPurpose::Recorder {
            SETTLE_RECORDER
        } else {
            SETTLE
        };
        let feed = match live.frames().subscribe(room, stream) {
            Some(reader) => Feed::Ingest(Box::new(IngestFeed {
                reader,
                lanes: Default::default(),
            })),
            None => {
                let request = EgressRequest {
                    room: room.clone(),
                    stream: Some(stream.clone()),
                    wish,
                    purpose,
                };
                Feed::Taps(Box::new(TapFeed {
                    handle: live.open_egress(request).await?,
                    only: None,
                    lanes: [None, None],
                    ended: false,
                }))
            }
        };
        Ok(Self::new(feed, clock, settle))
    }

    /// One track of a room.
    pub(super) fn of_track(handle: EgressHandle, track: TrackId, clock: SteadyClock) -> Self {
        let feed = TapFeed {
            handle,
            only: Some(track),
            lanes: [None, None],
            ended: false,
        };
        Self::new(Feed::Taps(Box::new(feed)), clock, SETTLE)
    }

    fn new(feed: Feed, clock: SteadyClock, settle: Duration) -> Self {
        Self {
            feed,
            timeline: Timeline::default(),
            settling: Some(clock.now().saturating_add(settle)),
            clock,
            frames: VecDeque::new(),
            told: Kinds::default(),
        }
    }

    /// The wall clock that frames are stamped with.
    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The wall clock at time 0, once there was a frame.
    pub(super) const fn epoch(&self) -> Option<Duration> {
        self.timeline.epoch()
    }

    /// Whether its frames are put together from packets.
    pub(super) const fn is_tapped(&self) -> bool {
        matches!(self.feed, Feed::Taps(_))
    }

    /// Whether the tracks that there are have shown themselves.
    pub(super) const fn is_settled(&self) -> bool {
        self.settling.is_none()
    }

    /// What comes next. Nothing is lost when it is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> SourceEvent {
        loop {
            let kinds = self.kinds();
            let left = self.unsettled(kinds);
            if left.is_none() && kinds != self.told {
                self.told = kinds;
                return SourceEvent::Kinds(kinds);
            }
            if left.is_none()
                && let Some(frame) = self.frames.pop_front()
            {
                return SourceEvent::Frame(frame);
            }
            let now = || self.clock.now();
            let timeline = &mut self.timeline;
            let feed = &mut self.feed;
            let frames = &mut self.frames;
            let turn = async {
                match feed {
                    Feed::Ingest(feed) => feed.turn(timeline, frames, now).await,
                    Feed::Taps(feed) => feed.turn(timeline, frames, now).await,
                }
            };
            let open = match left {
                Some(left) => tokio::time::timeout(left, turn).await.unwrap_or(true),
                None => turn.await,
            };
            if !open {
                self.settling = None;
                if self.frames.is_empty() && self.kinds() == self.told {
                    return SourceEvent::Ended;
                }
            }
        }
    }

    /// How long is still to be waited for the other kind of track.
    fn unsettled(&mut self, kinds: Kinds) -> Option<Duration> {
        let until = self.settling?;
        let left = until.saturating_sub(self.clock.now());
        if left.is_zero() || kinds.video && kinds.audio {
            self.settling = None;
            return None;
        }
        Some(left)
    }

    fn kinds(&self) -> Kinds {
        match &self.feed {
            Feed::Ingest(feed) => Kinds {
                video: feed.lanes[0].config.is_some(),
                audio: feed.lanes[1].config.is_some(),
            },
            Feed::Taps(feed) => {
                let there = |lane: &Option<TapLane>| lane.as_ref().is_some_and(|it| it.started);
                Kinds {
                    video: there(&feed.lanes[0]),
                    audio: there(&feed.lanes[1]),
                }
            }
        }
    }
}

impl IngestFeed {
    /// One event; whether there will be more.
    async fn turn(
        &mut self,
        timeline: &mut Timeline,
        out: &mut VecDeque<Frame>,
        now: impl Fn() -> Duration,
    ) -> bool {
        match self.reader.next().await {
            FrameEvent::Format(format) => match config_of(&format) {
                Ok(config) => {
                    let lane = &mut self.lanes[index(config.kind())];
                    lane.config = Some(Arc::new(config));
                }
                Err(error) => tracing::debug!(%error, "a format is not understood"),
            },
            FrameEvent::Frame(frame) => {
                let lane = &mut self.lanes[index(frame.codec.kind())];
                lane.look(&frame);
                if let Some(config) = &lane.config {
                    // What was there already lies where it came: else all times lay in the future.
                    let arrived = now().saturating_sub(self.reader.held_after(&frame));
                    let (source, clock) = source_of(&frame, config, arrived);
                    lane.line.set_clock(Some(clock));
                    out.push_back(timeline.place(&mut lane.line, source));
                }
            }
            FrameEvent::Skipped(count) => metrics::dropped("behind", count),
            FrameEvent::Ended => return false,
        }
        true
    }
}

/// A frame's own time stands for its sender's clock: all tracks of an ingest share one.
fn source_of(
    frame: &EncodedFrame,
    config: &Arc<TrackConfig>,
    now: Duration,
) -> (SourceFrame, SenderClock) {
    let scale = |time: media_types::MediaTime| {
        let ticks = u128::from(time.ticks) * u128::from(config.timescale);
        let half = u128::from(time.rate / 2);
        let ticks = (ticks + half).checked_div(u128::from(time.rate));
        u64::try_from(ticks.unwrap_or(0)).unwrap_or(u64::MAX)
    };
    let (decoded, presented) = (scale(frame.decoded), scale(frame.presented));
    let difference = i128::from(presented) - i128::from(decoded);
    let clock = SenderClock {
        ntp: NtpTime::from_unix(frame.decoded.as_duration()),
        timestamp: RtpTimestamp::of(decoded),
    };
    let source = SourceFrame {
        timestamp: decoded,
        composition: i32::try_from(difference).unwrap_or(0),
        keyframe: frame.keyframe,
        arrived: now,
        config: Arc::clone(config),
        data: frame.data.clone(),
    };
    (source, clock)
}

fn config_of(format: &FrameFormat) -> Result<TrackConfig, EgressError> {
    let record = format.config.clone();
    let codec = match format.codec {
        FrameCodec::Aac => return TrackConfig::from_asc(record),
        FrameCodec::Rtp(codec) => codec,
    };
    let size = (format.width, format.height);
    match codec {
        Codec::H264 => TrackConfig::from_avcc(record),
        Codec::H265 => TrackConfig::from_hvcc(record),
        Codec::Av1 => TrackConfig::from_av1c(record),
        Codec::Vp9 | Codec::Vp8 => {
            TrackConfig::from_vpcc(Format::from(codec), without_version(record), size)
        }
        Codec::Opus => Ok(TrackConfig::opus(format.channels.max(1))),
    }
}

/// `vpcC` with or without the version and flags of its box: profiles are below 4, versions are 1.
fn without_version(record: Bytes) -> Bytes {
    if record.len() >= 12 && record.starts_with(&[1, 0, 0, 0]) {
        return record.slice(4..);
    }
    record
}

impl TapFeed {
    async fn turn(
        &mut self,
        timeline: &mut Timeline,
        out: &mut VecDeque<Frame>,
        now: impl Fn() -> Duration,
    ) -> bool {
        if self.ended && self.lanes.iter().all(Option::is_none) {
            return false;
        }
        let wait = self
            .lanes
            .iter()
            .flatten()
            .filter_map(|lane| lane.depacketizer.poll_timeout())
            .min()
            .map(|deadline| deadline.saturating_sub(now()));
        let [video, audio] = &mut self.lanes;
        let (got, at) = tokio::select! {
            change = self.handle.next(), if !self.ended => {
                self.change(change);
                return true;
            }
            packet = receive(video.as_mut()) => (packet, 0),
            packet = receive(audio.as_mut()) => (packet, 1),
            () = sleep(wait) => {
                for lane in self.lanes.iter_mut().flatten() {
                    lane.depacketizer.handle_timeout(now());
                    lane.drain(timeline, out);
                }
                return true;
            }
        };
        let slot = &mut self.lanes[at];
        match (got, slot.as_mut()) {
            (Some(packet), Some(lane)) => lane.take(packet, timeline, out, now()),
            _ => *slot = None,
        }
        true
    }

    fn change(&mut self, change: EgressChange) {
        match change {
            EgressChange::Added(port) => {
                let track = port.track();
                if self.only.is_some_and(|only| only != track.track) {
                    return;
                }
                let slot = &mut self.lanes[index(track.kind)];
                // The first of a kind.
                if slot.is_none() {
                    let depacketizer = Depacketizer::new(track.codec);
                    *slot = Some(TapLane {
                        port,
                        depacketizer,
                        line: Line::default(),
                        dropped: 0,
                        started: false,
                    });
                }
            }
            EgressChange::Removed(track) => self.remove(track),
            EgressChange::Ended(_) => self.ended = true,
        }
    }

    fn remove(&mut self, track: TrackId) {
        self.ended |= self.only == Some(track);
        for slot in &mut self.lanes {
            if slot
                .as_ref()
                .is_some_and(|lane| lane.port.track().track == track)
            {
                *slot = None;
            }
        }
    }
}

impl TapLane {
    fn take(
        &mut self,
        packet: TapPacket,
        timeline: &mut Timeline,
        out: &mut VecDeque<Frame>,
        now: Duration,
    ) {
        self.put(packet, now);
        for _ in 1..PACKETS_PER_TURN {
            match self.port.try_recv() {
                Some(packet) => self.put(packet, now),
                None => break,
            }
        }
        self.drain(timeline, out);
    }

    fn put(&mut self, packet: TapPacket, now: Duration) {
        if let Some(clock) = packet.clock {
            self.line.set_clock(Some(SenderClock {
                ntp: clock.ntp,
                timestamp: RtpTimestamp(clock.timestamp),
            }));
        }
        // A tap begins with packets that came before it was opened: they lie where they came.
        let now = unix(packet.arrived).map_or(now, |arrived| arrived.min(now));
        let packet = Packet {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload: packet.payload,
        };
        self.depacketizer.handle_packet(now, packet);
    }

    fn drain(&mut self, timeline: &mut Timeline, out: &mut VecDeque<Frame>) {
        while let Some(frame) = self.depacketizer.poll_frame() {
            self.started = true;
            out.push_back(timeline.place(&mut self.line, frame));
        }
        let dropped = self.depacketizer.counts().dropped;
        metrics::dropped("damaged", dropped - self.dropped);
        self.dropped = dropped;
    }
}

/// A time by our wall clock as time since the Unix epoch.
fn unix(ntp: NtpTime) -> Option<Duration> {
    let since = ntp.0.checked_sub(NtpTime::from_unix(Duration::ZERO).0)?;
    let nanos = ((since & 0xffff_ffff) * 1_000_000_000) >> 32;
    Some(Duration::new(since >> 32, u32::try_from(nanos).ok()?))
}

async fn receive(lane: Option<&mut TapLane>) -> Option<TapPacket> {
    match lane {
        Some(lane) => lane.port.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
