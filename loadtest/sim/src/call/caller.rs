//! A light client: it speaks to a shard as a browser does, and repeats itself from run to run.

use std::time::{Duration, Instant};

use loadtest::network::Chance;
use media_rtp::extension::{ExtensionKind, ExtensionMap, Extensions};
use media_rtp::header::RtpHeader;
use media_rtp::receive::unwrap_rtx;
use media_rtp::rtcp::feedback::{write_nack, write_pli};
use media_rtp::rtcp::report::{ReportBlock, write_receiver_report};
use media_rtp::rtcp::source::write_cname;
use media_rtp::rtcp::twcc::TwccRecorder;
use media_rtp::rtcp::{RtcpPacket, packets};
use media_types::Bitrate;

use super::CallPlan;
use super::ear::Ear;
use super::offer::{self, RIDS, SEQUENCE_ID, VP8};
use super::screen::{BUFFER, Picture, Screen};
use super::source::{FRAME_TIME, Studio};
use super::wire::{Incoming, Wire};

/// As often as libwebrtc sends it where the rate allows.
const FEEDBACK_PERIOD: Duration = Duration::from_millis(50);
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// How often slots look after themselves.
const TICK: Duration = Duration::from_millis(20);

enum Sink {
    Screen(Screen),
    Ear(Ear),
}

struct Slot {
    mid: usize,
    ssrc: u32,
    rtx: Option<u32>,
    sink: Sink,
}

/// A light client.
pub struct Caller {
    wire: Wire,
    number: u32,
    plan: CallPlan,
    studio: Option<Studio>,
    slots: Vec<Slot>,
    extensions: ExtensionMap,
    recorder: TwccRecorder,
    begun: bool,
    feedback_at: Instant,
    report_at: Instant,
    tick_at: Instant,
    /// Bytes of media that came, by tenths of a second since the start.
    received: Vec<u64>,
    start: Instant,
}

impl Caller {
    pub(super) fn new(now: Instant, number: u32, plan: CallPlan, chance: Chance) -> Self {
        let mut extensions = ExtensionMap::new();
        let inserted = extensions.insert(ExtensionKind::TransportSequence, SEQUENCE_ID);
        inserted.expect("a legal id");
        Self {
            wire: Wire::new(now, number),
            number,
            plan,
            studio: plan
                .publish
                .then(|| Studio::new(now, number, plan.rates, chance)),
            slots: Vec::new(),
            extensions,
            recorder: TwccRecorder::new(),
            begun: false,
            feedback_at: now,
            report_at: now,
            tick_at: now,
            received: Vec::new(),
            start: now,
        }
    }

    pub(super) fn offer(&self) -> String {
        offer::write(&self.plan, self.wire.ufrag())
    }

    pub(super) fn answer(&mut self, now: Instant, answer: &str) {
        let answer = offer::read(answer);
        let lines = offer::lines(&self.plan);
        let rtt = self.plan.rtt;
        for (mid, ssrc, rtx) in answer.sources {
            let sink = match lines.get(mid) {
                Some((true, false)) => Sink::Screen(Screen::new(rtt)),
                Some((false, false)) => Sink::Ear(Ear::new(rtt)),
                _ => continue,
            };
            self.slots.push(Slot {
                mid,
                ssrc,
                rtx,
                sink,
            });
        }
        self.wire.start(now, &answer.ufrag, &answer.pwd);
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        match self.wire.handle_datagram(now, datagram) {
            Incoming::Rtp(header, clear, payload) => self.on_rtp(now, &header, &clear, &payload),
            Incoming::Rtcp(compound) => self.on_rtcp(now, &compound),
            Incoming::Nothing => {}
        }
        if self.wire.is_open() && !self.begun {
            self.begun = true;
            if let Some(studio) = &mut self.studio {
                studio.begin(now);
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.wire.handle_timeout(now);
        if !self.begun {
            return;
        }
        if let Some(studio) = &mut self.studio {
            studio.handle_timeout(now, &mut self.wire);
        }
        if self.feedback_at <= now {
            self.feedback_at = now + FEEDBACK_PERIOD;
            self.send_feedback();
        }
        if self.report_at <= now {
            self.report_at = now + REPORT_PERIOD;
            self.send_reports(now);
        }
        if self.tick_at <= now {
            self.tick_at = now + TICK;
            self.look_after_slots(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let own = [self.feedback_at, self.report_at, self.tick_at];
        let own = own.into_iter().filter(|_| self.begun);
        let studio = self.studio.iter().map(Studio::poll_timeout);
        let studio = studio.filter(|_| self.begun);
        own.chain(studio).chain(self.wire.poll_timeout()).min()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.wire.poll_transmit()
    }

    pub(super) fn set_layers(&mut self, rids: &[String], bounds: &[(String, Bitrate)]) {
        if let Some(studio) = &mut self.studio {
            studio.set_layers(rids, bounds);
        }
    }

    /// Whether it speaks or is silent from now on.
    pub fn set_speaking(&mut self, speaking: bool) {
        if let Some(studio) = &mut self.studio {
            studio.set_speaking(speaking);
        }
    }

    /// What all its video slots have shown, by mid.
    pub fn pictures(&self) -> impl Iterator<Item = (usize, &[Picture])> {
        self.slots.iter().filter_map(|slot| match &slot.sink {
            Sink::Screen(screen) => Some((slot.mid, screen.pictures.as_slice())),
            Sink::Ear(_) => None,
        })
    }

    /// What one viewer of a publisher sees: its pictures with the times at which they are shown, a
    /// buffer's length after the fastest was there, or when they come if that is later.
    #[must_use]
    pub fn shown(&self, publisher: u32) -> Vec<Picture> {
        let all = self.pictures().flat_map(|(_, pictures)| pictures);
        let mut shown: Vec<Picture> = all
            .filter(|picture| picture.publisher == publisher)
            .copied()
            .collect();
        let origin = |picture: &Picture| picture.at.checked_sub(FRAME_TIME * picture.frame);
        let origin = shown.iter().filter_map(origin).min();
        let mut last = self.start;
        for picture in &mut shown {
            let due = origin.map(|origin| origin + FRAME_TIME * picture.frame + BUFFER);
            picture.at = picture.at.max(due.unwrap_or(picture.at)).max(last);
            last = picture.at;
        }
        shown
    }

    /// Keyframes that its decoders had to ask for.
    #[must_use]
    pub fn keyframe_requests(&self) -> u32 {
        let screens = self.slots.iter().filter_map(|slot| match &slot.sink {
            Sink::Screen(screen) => Some(screen.keyframe_requests),
            Sink::Ear(_) => None,
        });
        screens.sum()
    }

    /// Of the sound of a publisher that was due within `from..to`: frames, and those played.
    #[must_use]
    pub fn sound(&self, publisher: u32, from: Instant, to: Instant) -> (u64, u64) {
        let ears = self.slots.iter().filter_map(|slot| match &slot.sink {
            Sink::Ear(ear) => Some(ear.played(publisher, from, to)),
            Sink::Screen(_) => None,
        });
        ears.fold((0, 0), |sum, one| (sum.0.max(one.0), sum.1 + one.1))
    }

    /// Sound frames that it made.
    #[must_use]
    pub fn spoken(&self) -> u32 {
        self.studio.as_ref().map_or(0, Studio::audio_frames)
    }

    /// Media that came in each tenth of a second since the start, in bytes, repairs included.
    #[must_use]
    pub fn received(&self) -> &[u64] {
        &self.received
    }

    fn on_rtp(&mut self, now: Instant, header: &RtpHeader, clear: &[u8], payload: &[u8]) {
        let values = Extensions::read(header, clear, &self.extensions);
        if let Some(sequence) = values.transport_sequence {
            self.recorder.record(now, sequence);
        }
        let Ok(payload) = header.unpadded(payload) else {
            return;
        };
        let by_ssrc = |slot: &&mut Slot| slot.ssrc == header.ssrc || slot.rtx == Some(header.ssrc);
        let Some(slot) = self.slots.iter_mut().find(by_ssrc) else {
            return;
        };
        note_received(
            &mut self.received,
            now.saturating_duration_since(self.start),
            payload,
        );
        let repair = slot.ssrc != header.ssrc;
        match &mut slot.sink {
            Sink::Ear(ear) => ear.on_packet(now, header.payload_type, header.sequence, payload),
            Sink::Screen(screen) if repair => {
                // What is empty is padding.
                if let Some((sequence, payload)) = unwrap_rtx(payload) {
                    screen.on_packet(now, sequence, header.marker, payload);
                }
            }
            Sink::Screen(screen) => {
                debug_assert!(payload.is_empty() || header.payload_type == VP8);
                screen.on_packet(now, header.sequence, header.marker, payload);
            }
        }
        let nacks = slot.missing().poll(now);
        self.send_nack(header.ssrc, &nacks);
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a client may ignore what is news to it"
    )]
    fn on_rtcp(&mut self, now: Instant, compound: &[u8]) {
        for packet in packets(compound).flatten() {
            match packet {
                RtcpPacket::Pli(pli) => self.request_keyframe(pli.media),
                RtcpPacket::Fir(fir) => {
                    for entry in fir.entries() {
                        self.request_keyframe(entry.ssrc);
                    }
                }
                RtcpPacket::Remb(remb) => {
                    if let Some(studio) = &mut self.studio {
                        studio.set_allowed(remb.bitrate);
                    }
                }
                RtcpPacket::SenderReport(report) => {
                    let of = |slot: &&mut Slot| slot.ssrc == report.ssrc;
                    if let Some(slot) = self.slots.iter_mut().find(of) {
                        let middle = report.figures.ntp.middle();
                        slot.missing().on_sender_report(now, middle);
                    }
                }
                _ => {}
            }
        }
    }

    fn request_keyframe(&mut self, ssrc: u32) {
        if let Some(studio) = &mut self.studio {
            studio.request_keyframe(ssrc);
        }
    }

    fn ssrc(&self) -> u32 {
        1_000 * (self.number + 1) + 900
    }

    fn send_feedback(&mut self) {
        let (sender, media) = (self.ssrc(), self.slots.first().map_or(0, |slot| slot.ssrc));
        loop {
            let mut compound = Vec::new();
            if !self.recorder.write_feedback(&mut compound, sender, media) {
                return;
            }
            self.wire.send_rtcp(&compound);
        }
    }

    fn send_reports(&mut self, now: Instant) {
        let blocks: Vec<ReportBlock> = self
            .slots
            .iter_mut()
            .filter_map(|slot| {
                let (ssrc, figures) = (slot.ssrc, slot.missing().report(now)?);
                Some(ReportBlock { ssrc, figures })
            })
            .collect();
        if blocks.is_empty() {
            return;
        }
        let mut compound = Vec::new();
        write_receiver_report(&mut compound, self.ssrc(), &blocks);
        write_cname(&mut compound, self.ssrc(), "caller");
        self.wire.send_rtcp(&compound);
    }

    fn look_after_slots(&mut self, now: Instant) {
        for place in 0..self.slots.len() {
            let slot = &mut self.slots[place];
            let media = slot.ssrc;
            let nacks = slot.missing().poll(now);
            let keyframe = match &mut slot.sink {
                Sink::Screen(screen) => screen.poll_keyframe(now),
                Sink::Ear(_) => false,
            };
            self.send_nack(media, &nacks);
            if keyframe {
                let mut compound = Vec::new();
                write_pli(&mut compound, self.ssrc(), media);
                self.wire.send_rtcp(&compound);
            }
        }
    }

    fn send_nack(&mut self, media: u32, nacks: &[u16]) {
        let media = self
            .slots
            .iter()
            .find(|slot| slot.rtx == Some(media))
            .map_or(media, |slot| slot.ssrc);
        if !nacks.is_empty() {
            let mut compound = Vec::new();
            write_nack(&mut compound, self.ssrc(), media, nacks);
            self.wire.send_rtcp(&compound);
        }
    }
}

impl Slot {
    fn missing(&mut self) -> &mut super::repair::Missing {
        match &mut self.sink {
            Sink::Screen(screen) => &mut screen.missing,
            Sink::Ear(ear) => &mut ear.missing,
        }
    }
}

/// Rids as a client knows them.
pub(super) fn known_rids<'a>(rids: impl Iterator<Item = &'a str>) -> Vec<String> {
    rids.filter(|rid| RIDS.contains(rid))
        .map(str::to_owned)
        .collect()
}

fn note_received(received: &mut Vec<u64>, since_start: Duration, payload: &[u8]) {
    let step = usize::try_from(since_start.as_millis() / 100).unwrap_or(0);
    if received.len() <= step {
        received.resize(step + 1, 0);
    }
    received[step] += u64::try_from(payload.len()).unwrap_or(0);
}
