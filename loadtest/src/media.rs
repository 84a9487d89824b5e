//! The client end of the media: stock str0m over a real UDP socket, with synthetic sources.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::time::Instant as Clock;

const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
const VIDEO_INTERVAL: Duration = Duration::from_millis(66);
/// About 240 kb/s of video.
const VIDEO_FRAME_BYTES: usize = 2_000;
const AUDIO_FRAME_BYTES: usize = 80;

/// What a bot does with its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Whether it publishes one audio and one video track.
    pub publish: bool,
    /// How many pairs of audio and video slots it offers.
    pub slots: usize,
}

/// What one slot has received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Pictures, not sound.
    pub video: bool,
    /// Whole frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that did not follow on their predecessor without a lost packet.
    pub gaps: u64,
    /// The longest time between two frames since that was last asked for.
    pub pause: Duration,
    last_at: Option<Instant>,
}

impl Received {
    fn take(&mut self, now: Instant, bytes: usize, contiguous: bool) {
        self.frames += 1;
        self.bytes += u64::try_from(bytes).unwrap_or_default();
        self.gaps += u64::from(!contiguous);
        let before = self.last_at.replace(now).unwrap_or(now);
        self.pause = self.pause.max(now.saturating_duration_since(before));
    }
}

/// One media connection.
pub struct Media {
    rtc: Rtc,
    socket: UdpSocket,
    published: Vec<Source>,
    received: BTreeMap<String, Received>,
    connected: bool,
    paused: bool,
    keyframe_requests: u64,
    buffer: Vec<u8>,
}

struct Source {
    mid: Mid,
    kind: MediaKind,
    next: Instant,
    interval: Duration,
    bytes: usize,
    sent: u64,
    keyframe: bool,
}

impl Media {
    /// Makes an offer: the connection, the SDP text, and what str0m needs to take the answer.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn offer(plan: Plan) -> Result<(Self, String, SdpPendingOffer)> {
        let now = Clock::now().into_std();
        let mut rtc = Rtc::builder().build(now);
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        rtc.add_local_candidate(Candidate::host(socket.local_addr()?, "udp")?);
        let mut changes = rtc.sdp_api();
        let mut published = Vec::new();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            if plan.publish {
                let mid = changes.add_media(kind, Direction::SendOnly, None, None, None);
                let (interval, bytes) = match kind {
                    MediaKind::Audio => (AUDIO_INTERVAL, AUDIO_FRAME_BYTES),
                    MediaKind::Video => (VIDEO_INTERVAL, VIDEO_FRAME_BYTES),
                };
                published.push(Source {
                    mid,
                    kind,
                    next: now,
                    interval,
                    bytes,
                    sent: 0,
                    keyframe: true,
                });
            }
            for _ in 0..plan.slots {
                changes.add_media(kind, Direction::RecvOnly, None, None, None);
            }
        }
        changes.add_channel("reliable".to_owned());
        let (offer, pending) = changes.apply().context("an offer with something in it")?;
        let media = Self {
            rtc,
            socket,
            published,
            received: BTreeMap::new(),
            connected: false,
            paused: false,
            keyframe_requests: 0,
            buffer: vec![0; 2_048],
        };
        Ok((media, offer.to_sdp_string(), pending))
    }

    /// The media ids that it publishes on, audio first.
    pub fn published(&self) -> impl Iterator<Item = (String, MediaKind)> {
        self.published
            .iter()
            .map(|source| (source.mid.to_string(), source.kind))
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// When str0m cannot read or use it.
    pub fn answer(&mut self, pending: SdpPendingOffer, answer: &str) -> Result<()> {
        let answer = SdpAnswer::from_sdp_string(answer)?;
        Ok(self.rtc.sdp_api().accept_answer(pending, answer)?)
    }

    /// What came, by media id of the slot.
    #[must_use]
    pub fn received(&self) -> &BTreeMap<String, Received> {
        &self.received
    }

    /// Takes the longest pauses between two frames of each slot since the last call.
    pub fn take_pauses(&mut self) -> Vec<Duration> {
        let received = self.received.values_mut();
        received
            .map(|slot| std::mem::take(&mut slot.pause))
            .collect()
    }

    /// Keyframe requests that the server sent.
    #[must_use]
    pub fn keyframe_requests(&self) -> u64 {
        self.keyframe_requests
    }

    /// Sends so many pictures a second, of that size, from now on.
    pub fn set_video(&mut self, fps: u32, bytes: usize) {
        for source in &mut self.published {
            if source.kind == MediaKind::Video {
                source.interval = Duration::from_secs(1) / fps.max(1);
                source.bytes = bytes;
            }
        }
    }

    /// Sends nothing more, or goes on.
    pub fn set_sending(&mut self, sends: bool) {
        self.paused = !sends;
    }

    /// Frames sent so far, all sources.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.published.iter().map(|source| source.sent).sum()
    }

    /// Whether ICE and DTLS are through.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Sends and receives until `done` says so.
    ///
    /// # Errors
    /// When the connection breaks, or `limit` passes first.
    pub async fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<()> {
        let end = Clock::now().into_std() + limit;
        while !done(self) {
            if Clock::now().into_std() >= end {
                bail!("media: not within {limit:?}; so far {:?}", self.received);
            }
            self.turn(end).await?;
        }
        Ok(())
    }

    /// Sends and receives for that long.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Clock::now().into_std() + time;
        while Clock::now().into_std() < end {
            self.turn(end).await?;
        }
        Ok(())
    }

    async fn turn(&mut self, end: Instant) -> Result<()> {
        self.write_due(Clock::now().into_std())?;
        let mut wake = self.drain().await?.min(end);
        if self.connected {
            wake = self
                .published
                .iter()
                .map(|source| source.next)
                .fold(wake, Instant::min);
        }
        let received = tokio::select! {
            received = self.socket.recv_from(&mut self.buffer) => Some(received?),
            () = tokio::time::sleep_until(wake.into()) => None,
        };
        let now = Clock::now().into_std();
        match received {
            Some((length, source)) => {
                let destination = self.socket.local_addr()?;
                let datagram = self.buffer.get(..length).unwrap_or_default();
                let receive = Receive::new(Protocol::Udp, source, destination, datagram)?;
                self.rtc.handle_input(Input::Receive(now, receive))?;
            }
            None => self.rtc.handle_input(Input::Timeout(now))?,
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at),
                Output::Transmit(transmit) => {
                    self.socket
                        .send_to(&transmit.contents, transmit.destination)
                        .await?;
                }
                Output::Event(event) => self.note(event),
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a client may ignore what is news to it"
    )]
    fn note(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::MediaData(data) => {
                let received = self.received.entry(data.mid.to_string()).or_default();
                let now = Clock::now().into_std();
                received.video = data.params.spec().codec.is_video();
                received.take(now, data.data.len(), data.contiguous);
            }
            Event::KeyframeRequest(request) => {
                self.keyframe_requests += 1;
                let asked = self
                    .published
                    .iter_mut()
                    .find(|source| source.mid == request.mid);
                if let Some(source) = asked {
                    source.keyframe = true;
                }
            }
            _ => {}
        }
    }

    fn write_due(&mut self, now: Instant) -> Result<()> {
        if !self.connected {
            return Ok(());
        }
        for source in &mut self.published {
            if source.next <= now && self.paused {
                source.next = now + source.interval;
            } else if source.next <= now {
                source.write(&mut self.rtc, now)?;
            }
        }
        Ok(())
    }
}

impl Source {
    fn write(&mut self, rtc: &mut Rtc, now: Instant) -> Result<()> {
        let (rate, codec) = match self.kind {
            MediaKind::Audio => (48_000, "opus"),
            MediaKind::Video => (90_000, "VP8"),
        };
        let (interval, size) = (self.interval, self.bytes);
        self.next = (self.next + interval).max(now);
        let Some(writer) = rtc.writer(self.mid) else {
            return Ok(());
        };
        let named = |name: String| name.eq_ignore_ascii_case(codec);
        let params = writer
            .payload_params()
            .find(|p| named(p.spec().codec.to_string()));
        let Some(payload_type) = params.map(|p| p.pt()) else {
            return Ok(());
        };
        let interval_ticks = interval.as_micros() as u64 * rate / 1_000_000;
        let time = MediaTime::new(
            self.sent * interval_ticks,
            str0m::media::Frequency::new(rate as u32).context("a rate")?,
        );
        writer.write(payload_type, now, time, self.frame(size))?;
        self.sent += 1;
        Ok(())
    }

    /// Bytes that pass for a frame: a VP8 keyframe begins with an even byte (RFC 6386, 9.1) and
    /// carries its start code and size, 320 × 180.
    fn frame(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0x5a; size];
        if self.kind == MediaKind::Video {
            let header: &[u8] = if self.keyframe || self.sent.is_multiple_of(150) {
                &[0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00]
            } else {
                &[0x11, 0x02, 0x00]
            };
            self.keyframe = false;
            bytes.splice(..header.len(), header.iter().copied());
        }
        bytes
    }
}
