//! What a light client sends: patterns, paced as a browser paces, sealed at the moment of sending.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_rtp::header::{Element, HeaderFields, write_header};
use media_rtp::level::AudioLevel;
use media_rtp::rtcp::report::{SenderFigures, write_sender_report};
use media_rtp::rtcp::source::write_cname;
use media_rtp::srtp::SrtpSender;
use media_types::{Codec, MediaKind, NtpTime};

use super::ClientPlan;
use super::answer::{Answer, first_type};
use super::offer::{CAPTURE_TIME_ID, LEVEL_ID, Line, MID_ID, RID_ID, RIDS, SEQUENCE_ID, lines};
use crate::clock::Clock;
use crate::pattern::Pattern;

/// As libwebrtc's pacer: so much faster than the rate, in percent.
const PACE_PERCENT: u64 = 250;
/// Packets that are due within this go now, since no timer is finer.
const PACE_STEP: Duration = Duration::from_millis(2);
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// Encoders pass over a request so soon after the last keyframe.
const KEYFRAME_REST: Duration = Duration::from_millis(300);
/// An engine this late leaves frames out.
const LATE_MAX: Duration = Duration::from_millis(500);
const DATAGRAM_BYTES: usize = 1_400;
/// How loud a publisher is: a voice, in -dBov.
const VOICE: std::ops::Range<u8> = 18..40;

struct Source {
    pattern: Arc<Pattern>,
    ssrc: u32,
    payload_type: u8,
    mid: String,
    rid: Option<&'static str>,
    /// The sequence number, unwrapped.
    index: u64,
    timestamp: u32,
    picture: u16,
    place: usize,
    frame_at: Instant,
    /// Payloads of the frame that have not left yet.
    waiting: Range<usize>,
    packet_at: Instant,
    wants_keyframe: bool,
    keyframe_at: Option<Instant>,
    active: bool,
    packets: u32,
    octets: u32,
}

/// What sending needs from outside.
pub(super) struct Exit<'a> {
    pub(super) clock: Clock,
    pub(super) sender: &'a mut SrtpSender,
    pub(super) out: &'a mut Vec<Vec<u8>>,
    pub(super) scratch: &'a mut Vec<u8>,
}

/// Camera and microphone of one client.
pub(super) struct Studio {
    sources: Vec<Source>,
    report_at: Instant,
    sequence: u16,
    level: u8,
    /// Which extensions the server took.
    taken: [bool; 16],
    pub(super) sent: u64,
    pub(super) keyframes_asked: u64,
}

impl Studio {
    /// # Errors
    /// When the server refused what is to be sent.
    pub(super) fn new(now: Instant, plan: &ClientPlan, answer: &Answer) -> anyhow::Result<Self> {
        let mut sources = Vec::new();
        for (mid, line) in lines(plan).into_iter().enumerate() {
            let patterns = match line {
                Line::SendAudio => plan.audio.iter().collect::<Vec<_>>(),
                Line::SendVideo => plan.video.iter().collect(),
                Line::PlayAudio | Line::ShowVideo => continue,
            };
            let payload_type = first_type(answer, mid)?;
            let layered = patterns.len() > 1;
            for (pattern, rid) in patterns.into_iter().zip(RIDS) {
                let rid = layered.then_some(rid);
                sources.push(Source::new(now, pattern, payload_type, mid, rid));
            }
        }
        let mut taken = [false; 16];
        for (_, id) in answer.extensions.iter() {
            if let Some(one) = taken.get_mut(usize::from(id)) {
                *one = true;
            }
        }
        Ok(Self {
            sources,
            report_at: now + REPORT_PERIOD / 4,
            sequence: 0,
            level: fastrand::u8(VOICE),
            taken,
            sent: 0,
            keyframes_asked: 0,
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let active = self.sources.iter().filter(|source| source.active);
        let due = active.map(|source| {
            let waits = !source.waiting.is_empty();
            let packet = waits.then_some(source.packet_at);
            packet.map_or(source.frame_at, |at| at.min(source.frame_at))
        });
        due.min().map(|at| at.min(self.report_at))
    }

    /// Which layers are to be sent from now on.
    pub(super) fn set_layers(&mut self, rids: &[String]) {
        for source in self
            .sources
            .iter_mut()
            .filter(|source| source.rid.is_some())
        {
            let active = rids.iter().any(|rid| Some(rid.as_str()) == source.rid);
            source.wants_keyframe |= active && !source.active;
            source.active = active;
        }
    }

    pub(super) fn request_keyframe(&mut self, ssrc: u32) {
        if let Some(source) = self.sources.iter_mut().find(|source| source.ssrc == ssrc) {
            source.wants_keyframe = true;
            self.keyframes_asked += 1;
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, exit: &mut Exit<'_>) {
        for place in 0..self.sources.len() {
            self.send_due(place, now, exit);
        }
        if self.report_at <= now {
            self.report_at = now + REPORT_PERIOD;
            self.report(now, exit);
        }
    }

    fn send_due(&mut self, place: usize, now: Instant, exit: &mut Exit<'_>) {
        loop {
            let Some(source) = self.sources.get_mut(place) else {
                return;
            };
            let frame_due = source.frame_at <= now;
            let packet_due = source.packet_at <= now + PACE_STEP || frame_due;
            if !source.waiting.is_empty() && packet_due {
                self.send(place, now, exit);
            } else if frame_due {
                source.begin_frame(now);
            } else {
                return;
            }
        }
    }

    fn send(&mut self, place: usize, now: Instant, exit: &mut Exit<'_>) {
        let (level, taken) = (self.level, self.taken);
        let Some(source) = self.sources.get_mut(place) else {
            return;
        };
        let Some(at) = source.waiting.next() else {
            return;
        };
        let stamp = exit.clock.ntp(exit.clock.now());
        source
            .pattern
            .write(at, source.picture, stamp, exit.scratch);
        let number = self.sequence.to_be_bytes();
        let level = AudioLevel {
            level_dbov: level,
            voice: true,
        }
        .to_byte();
        let packet = source.packet(stamp, number, level, &taken, exit);
        if let Some(packet) = packet {
            self.sequence = self.sequence.wrapping_add(1);
            self.sent += 1;
            exit.out.push(packet);
        }
        source.pace(now, exit.scratch.len());
    }

    fn report(&mut self, now: Instant, exit: &mut Exit<'_>) {
        for source in self.sources.iter().filter(|source| source.packets > 0) {
            let mut compound = Vec::new();
            let figures = SenderFigures {
                ntp: exit.clock.ntp(now),
                rtp_timestamp: source.timestamp,
                packets: source.packets,
                octets: source.octets,
            };
            write_sender_report(&mut compound, source.ssrc, &figures, &[]);
            write_cname(&mut compound, source.ssrc, "troupe-loadtest");
            let mut sealed = Vec::new();
            if exit.sender.seal_rtcp(&compound, &mut sealed).is_ok() {
                exit.out.push(sealed);
            }
        }
    }
}

impl Source {
    fn new(
        now: Instant,
        pattern: &Arc<Pattern>,
        payload_type: u8,
        mid: usize,
        rid: Option<&'static str>,
    ) -> Self {
        let interval = interval(pattern);
        // Nobody begins at the same moment, but the layers of one camera do.
        let wait = interval.mul_f64(if rid.is_some() { 0.0 } else { fastrand::f64() });
        Self {
            pattern: Arc::clone(pattern),
            ssrc: fastrand::u32(1..),
            payload_type,
            mid: mid.to_string(),
            rid,
            index: fastrand::u64(0..30_000),
            timestamp: fastrand::u32(..),
            picture: fastrand::u16(0..0x7fff),
            place: 0,
            frame_at: now + wait,
            waiting: 0..0,
            packet_at: now,
            wants_keyframe: true,
            keyframe_at: None,
            active: true,
            packets: 0,
            octets: 0,
        }
    }

    fn begin_frame(&mut self, now: Instant) {
        let interval = interval(&self.pattern);
        if now.saturating_duration_since(self.frame_at) > LATE_MAX {
            self.frame_at = now;
        }
        self.frame_at += interval;
        self.timestamp = self.timestamp.wrapping_add(self.pattern.shape.ticks());
        if !self.active {
            return;
        }
        let rested = |at| now.saturating_duration_since(at) >= KEYFRAME_REST;
        if self.wants_keyframe && self.keyframe_at.is_none_or(rested) {
            self.place = self.pattern.keyframe_from(self.place);
        }
        let (keyframe, payloads) = self.pattern.frame(self.place);
        if keyframe {
            self.wants_keyframe = false;
            self.keyframe_at = Some(now);
        }
        self.place = (self.place + 1) % self.pattern.len().max(1);
        self.picture = (self.picture + 1) & 0x7fff;
        self.waiting = payloads;
        self.packet_at = now;
    }

    fn packet(
        &mut self,
        stamp: NtpTime,
        number: [u8; 2],
        level: u8,
        taken: &[bool; 16],
        exit: &mut Exit<'_>,
    ) -> Option<Vec<u8>> {
        let [.., s0, s1] = self.index.to_be_bytes();
        let fields = HeaderFields {
            padding: false,
            marker: self.waiting.is_empty() && self.pattern.shape.codec != Codec::Opus,
            payload_type: self.payload_type,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        let stamp = stamp.0.to_be_bytes();
        let rid = self.rid.unwrap_or_default();
        let video = self.pattern.shape.codec.kind() == MediaKind::Video;
        let level = [level];
        let elements = [
            (SEQUENCE_ID, &number[..], true),
            (MID_ID, self.mid.as_bytes(), true),
            (CAPTURE_TIME_ID, &stamp, true),
            (RID_ID, rid.as_bytes(), self.rid.is_some()),
            (LEVEL_ID, &level, !video),
        ];
        let wanted = elements.into_iter().filter(|(id, _, applies)| {
            *applies && taken.get(usize::from(*id)).is_some_and(|taken| *taken)
        });
        let elements: Vec<Element<'_>> = wanted.map(|(id, data, _)| Element { id, data }).collect();
        let mut packet = vec![0; DATAGRAM_BYTES];
        let header = write_header(&mut packet, &fields, &elements).ok()?;
        let (ssrc, index) = (self.ssrc, self.index);
        let payload = exit.scratch.as_slice();
        let sealed = exit
            .sender
            .seal_rtp(&mut packet, header, ssrc, index, 0, payload);
        packet.truncate(sealed.ok()?);
        self.index += 1;
        self.packets = self.packets.wrapping_add(1);
        let octets = u32::try_from(payload.len()).unwrap_or(0);
        self.octets = self.octets.wrapping_add(octets);
        Some(packet)
    }

    /// When the frame's next packet may go.
    fn pace(&mut self, now: Instant, bytes: usize) {
        let bits = u64::try_from(bytes).unwrap_or(0) * 8;
        // Kilobits a second are bits a millisecond.
        let rate = u64::from(self.pattern.shape.kbps.max(1)) * PACE_PERCENT / 100;
        let gap = Duration::from_micros(bits * 1_000 / rate.max(1));
        self.packet_at = self.packet_at.max(now) + gap;
    }
}

fn interval(pattern: &Pattern) -> Duration {
    Duration::from_secs(1) / u32::from(pattern.shape.fps.max(1))
}
