//! A client: stock str0m with the scripted handshake, synthetic sources, and a record of what it
//! was shown. It shares no packet code with the server.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::CryptoProvider;
use str0m::format::Codec;
use str0m::media::{
    Direction, Frequency, KeyframeRequestKind, MediaData, MediaKind, MediaTime, Mid,
};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcError};

use crate::frames::{Content, Frame};

/// Between the first frames of two sources; no multiple of their intervals.
const STAGGER: Duration = Duration::from_millis(7);

/// What a client does with its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Publishes a microphone.
    pub audio: bool,
    /// Publishes a camera.
    pub video: bool,
    /// Bytes of a video frame; at 25 frames a second 2,000 bytes are 400 kb/s.
    pub video_bytes: usize,
    /// Audio slots that it offers.
    pub audio_slots: usize,
    /// Video slots that it offers.
    pub video_slots: usize,
}

impl Plan {
    /// Camera and microphone, and slots for `others`.
    #[must_use]
    pub const fn member(others: usize) -> Self {
        Self {
            audio: true,
            video: true,
            video_bytes: 2_000,
            audio_slots: others,
            video_slots: others,
        }
    }

    /// Slots for `others` and nothing published.
    #[must_use]
    pub const fn viewer(others: usize) -> Self {
        Self {
            audio: false,
            video: false,
            ..Self::member(others)
        }
    }
}

/// What one slot was shown.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Every frame: when, from whom, which.
    pub frames: Vec<(Instant, Content)>,
    /// Frames whose bytes are not what their publisher sent.
    pub damaged: u64,
    /// Frames that came with lost packets before them.
    pub gaps: u64,
}

impl Shown {
    /// The longest time without a frame within `from..to`, its ends included.
    #[must_use]
    pub fn longest_silence(&self, from: Instant, to: Instant) -> Duration {
        let inside = self
            .frames
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| (from..to).contains(at));
        let mut last = from;
        let mut longest = Duration::ZERO;
        for at in inside.chain([to]) {
            longest = longest.max(at.saturating_duration_since(last));
            last = at;
        }
        longest
    }

    /// Pictures of `publisher` within `from..to`.
    #[must_use]
    pub fn pictures_of(&self, publisher: u32, from: Instant, to: Instant) -> usize {
        let counts = |(at, content): &&(Instant, Content)| {
            (from..to).contains(at) && content.publisher == publisher && content.video
        };
        self.frames.iter().filter(counts).count()
    }

    /// Frames of `publisher` within `from..to`.
    #[must_use]
    pub fn frames_of(&self, publisher: u32, from: Instant, to: Instant) -> usize {
        let counts = |(at, content): &&(Instant, Content)| {
            (from..to).contains(at) && content.publisher == publisher
        };
        self.frames.iter().filter(counts).count()
    }
}

/// One client.
pub struct Client {
    rtc: Rtc,
    number: u32,
    address: SocketAddr,
    start: Instant,
    pending: Option<SdpPendingOffer>,
    sources: Vec<Source>,
    shown: BTreeMap<String, Shown>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    wake: Instant,
    connected: Option<Instant>,
    keyframe_requests: u64,
}

struct Source {
    mid: Mid,
    frames: Frame,
    next: Instant,
    silent: bool,
}

impl Client {
    /// A client with that number at that address.
    ///
    /// # Errors
    /// When str0m refuses the address.
    pub fn new(
        now: Instant,
        number: u32,
        address: SocketAddr,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, RtcError> {
        let mut rtc = Rtc::builder().set_crypto_provider(provider).build(now);
        if let Ok(candidate) = Candidate::host(address, "udp") {
            rtc.add_local_candidate(candidate);
        }
        Ok(Self {
            rtc,
            number,
            address,
            start: now,
            pending: None,
            sources: Vec::new(),
            shown: BTreeMap::new(),
            transmits: VecDeque::new(),
            wake: now,
            connected: None,
            keyframe_requests: 0,
        })
    }

    /// Makes its offer.
    #[must_use]
    pub fn offer(&mut self, plan: Plan) -> String {
        let now = self.wake;
        let mut changes = self.rtc.sdp_api();
        let published = [
            (MediaKind::Audio, plan.audio),
            (MediaKind::Video, plan.video),
        ];
        for (kind, _) in published.into_iter().filter(|(_, publishes)| *publishes) {
            let mid = changes.add_media(kind, Direction::SendOnly, None, None, None);
            let frames = Frame::new(self.number, kind == MediaKind::Video, plan.video_bytes);
            self.sources.push(Source {
                mid,
                frames,
                next: now,
                silent: false,
            });
        }
        let slots = [
            (MediaKind::Audio, plan.audio_slots),
            (MediaKind::Video, plan.video_slots),
        ];
        for (kind, count) in slots {
            for _ in 0..count {
                changes.add_media(kind, Direction::RecvOnly, None, None, None);
            }
        }
        let (offer, pending) = changes.apply().expect("the plan has something in it");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// When str0m cannot use it.
    pub fn answer(&mut self, answer: &str) -> Result<(), RtcError> {
        let answer = SdpAnswer::from_sdp_string(answer).expect("the server's SDP is readable");
        match self.pending.take() {
            Some(pending) => self.rtc.sdp_api().accept_answer(pending, answer),
            None => Ok(()),
        }
    }

    /// A datagram has come.
    ///
    /// # Errors
    /// When str0m gives up on the connection.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), RtcError> {
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, datagram) else {
            return Ok(());
        };
        self.rtc.handle_input(Input::Receive(now, receive))?;
        self.drain(now)
    }

    /// Its time has come: sources write what is due.
    ///
    /// # Errors
    /// When str0m gives up on the connection.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), RtcError> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain(now)?;
        if self.connected.is_none() {
            return Ok(());
        }
        // One write, one drain: with several inputs at once str0m chooses the order by chance.
        for index in 0..self.sources.len() {
            if self.write(now, index)? {
                self.drain(now)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, now: Instant, index: usize) -> Result<bool, RtcError> {
        let due = |source: &&mut Source| source.next <= now;
        let Some(source) = self.sources.get_mut(index).filter(due) else {
            return Ok(false);
        };
        source.next += source.frames.interval();
        if source.silent {
            return Ok(false);
        }
        source.write(&mut self.rtc, now, self.start)?;
        Ok(true)
    }

    /// When it wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        if self.connected.is_none() {
            return self.wake;
        }
        self.sources
            .iter()
            .map(|source| source.next)
            .fold(self.wake, Instant::min)
    }

    /// What it sends next.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// Stops or resumes what it publishes, as DTX or an unplugged camera would.
    pub fn set_silent(&mut self, silent: bool) {
        for source in &mut self.sources {
            source.silent = silent;
        }
    }

    /// Its address from now on; what it sends comes from there.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// When ICE and DTLS came through.
    #[must_use]
    pub fn connected(&self) -> Option<Instant> {
        self.connected
    }

    /// Keyframe requests that came.
    #[must_use]
    pub fn keyframe_requests(&self) -> u64 {
        self.keyframe_requests
    }

    /// What a slot was shown.
    #[must_use]
    pub fn shown(&self, mid: &str) -> Shown {
        self.shown.get(mid).cloned().unwrap_or_default()
    }

    /// What every slot was shown, by media id.
    #[must_use]
    pub fn all_shown(&self) -> &BTreeMap<String, Shown> {
        &self.shown
    }

    /// Asks for a keyframe in a slot.
    pub fn request_keyframe(&mut self, mid: &str) {
        let mid = Mid::from(mid);
        if let Some(mut writer) = self.rtc.writer(mid) {
            // Refused while nothing has come yet; then there is nothing to refresh either.
            drop(writer.request_keyframe(None, KeyframeRequestKind::Pli));
        }
    }

    fn drain(&mut self, now: Instant) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.wake = at;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    let datagram = transmit.contents.to_vec();
                    self.transmits.push_back((transmit.destination, datagram));
                }
                Output::Event(event) => self.note(now, event),
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a client may ignore what is news to it"
    )]
    fn note(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => {
                self.connected = Some(now);
                self.stagger(now);
            }
            Event::MediaData(data) => self.show(now, &data),
            Event::KeyframeRequest(request) => {
                self.keyframe_requests += 1;
                let asked = self
                    .sources
                    .iter_mut()
                    .find(|source| source.mid == request.mid);
                if let Some(source) = asked {
                    source.frames.make_keyframe();
                }
            }
            _ => {}
        }
    }

    /// Sources never write at one instant: between two streams that are ready str0m chooses by the
    /// order of a hash map, which no seed reaches.
    fn stagger(&mut self, now: Instant) {
        let mut next = now;
        for source in &mut self.sources {
            source.next = next;
            next += STAGGER;
        }
    }

    fn show(&mut self, now: Instant, data: &MediaData) {
        let shown = self.shown.entry(data.mid.to_string()).or_default();
        shown.gaps += u64::from(!data.contiguous);
        let video = data.params.spec().codec != Codec::Opus;
        match Content::read(&data.data, video) {
            Some(content) => shown.frames.push((now, content)),
            None => shown.damaged += 1,
        }
    }
}

impl Source {
    fn write(&mut self, rtc: &mut Rtc, now: Instant, start: Instant) -> Result<(), RtcError> {
        let (codec, rate) = match self.frames.is_video() {
            true => (Codec::Vp8, Frequency::NINETY_KHZ),
            false => (Codec::Opus, Frequency::FORTY_EIGHT_KHZ),
        };
        let Some(writer) = rtc.writer(self.mid) else {
            return Ok(());
        };
        let pt = writer
            .payload_params()
            .find(|p| p.spec().codec == codec)
            .map(|p| p.pt());
        let Some(pt) = pt else { return Ok(()) };
        let ticks = now.saturating_duration_since(start).as_micros() * u128::from(rate.get());
        let ticks = u64::try_from(ticks / 1_000_000).unwrap_or(u64::MAX);
        writer.write(pt, now, MediaTime::new(ticks, rate), self.frames.next())
    }
}
