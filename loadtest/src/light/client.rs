//! One light client: its wire, what it publishes, and what it receives.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use media_rtp::extension::{ExtensionKind, ExtensionMap};
use media_rtp::header::RtpHeader;
use media_rtp::receive::unwrap_rtx;
use media_rtp::rtcp::feedback::{write_nack, write_pli};
use media_rtp::rtcp::report::{ReportBlock, write_receiver_report};
use media_rtp::rtcp::source::write_cname;
use media_rtp::rtcp::twcc::TwccRecorder;
use media_rtp::rtcp::{RtcpPacket, packets};
use media_types::{MediaKind, NtpTime};

use super::answer::Answer;
use super::figures::{Figures, Record, StreamFigures};
use super::handshake::Identity;
use super::publish::{Exit, Studio};
use super::stream::{Look, Stream};
use super::wire::{Incoming, Outbox, Wire};
use super::{Behaviour, ClientPlan, offer, reply};
use crate::clock::Clock;
use crate::pattern::stamp_of;

/// Streams of one client; a server that makes more of them has lost count.
const STREAMS_MAX: usize = 512;

/// What all clients of an engine thread share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) identity: Identity,
    pub(super) behaviour: Behaviour,
    pub(super) figures: Figures,
    pub(super) out: Outbox,
    pub(super) payload: Vec<u8>,
    pub(super) scratch: Vec<u8>,
}

pub(super) struct Client {
    plan: ClientPlan,
    wire: Wire,
    answer: Option<Answer>,
    studio: Option<Studio>,
    streams: Vec<Stream>,
    /// Repair streams with what they repair.
    repairs: Vec<(u32, u32)>,
    extensions: ExtensionMap,
    recorder: TwccRecorder,
    feedback_at: Option<Instant>,
    report_at: Option<Instant>,
    ssrc: u32,
    record: Record,
    padding: u64,
}

impl Client {
    pub(super) fn new(plan: ClientPlan) -> Self {
        Self {
            plan,
            wire: Wire::new(),
            answer: None,
            studio: None,
            streams: Vec::new(),
            repairs: Vec::new(),
            extensions: ExtensionMap::new(),
            recorder: TwccRecorder::new(),
            feedback_at: None,
            report_at: None,
            ssrc: fastrand::u32(1..),
            record: Record::default(),
            padding: 0,
        }
    }

    pub(super) fn offer(&self, local: SocketAddr, shared: &Shared) -> String {
        offer::write(&self.plan, &self.wire, local, &shared.identity.fingerprint)
    }

    /// # Errors
    /// When the answer cannot be used.
    pub(super) fn answer(&mut self, now: Instant, text: &str, shared: &mut Shared) -> Result<()> {
        let answer = Answer::read(text)?;
        if self.plan.audio.is_some() || !self.plan.video.is_empty() {
            // Only to hear of a refusal now; the studio opens with the connection.
            Studio::new(now, &self.plan, &answer)?;
        }
        self.extensions = answer.extensions;
        self.repairs.clone_from(&answer.repairs);
        self.answer = Some(answer.clone());
        self.wire.start(now, answer, &mut shared.out);
        Ok(())
    }

    /// Takes the server's offer and begins to connect; the answer.
    ///
    /// # Errors
    /// When the offer cannot be used.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        text: &str,
        local: SocketAddr,
        shared: &mut Shared,
    ) -> Result<String> {
        let offer = Answer::read(text)?;
        let answer = reply::write(text, &self.wire, local, &shared.identity.fingerprint);
        self.extensions = offer.extensions;
        self.repairs.clone_from(&offer.repairs);
        self.wire.start(now, offer, &mut shared.out);
        Ok(answer)
    }

    pub(super) fn set_layers(&mut self, rids: &[String]) {
        if let Some(studio) = &mut self.studio {
            studio.set_layers(rids);
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.record.connected.is_some() && !self.wire.has_ended()
    }

    pub(super) fn received(&self) -> StreamFigures {
        let mut sum = StreamFigures {
            padding: self.padding,
            ..StreamFigures::default()
        };
        for stream in &self.streams {
            sum.add(&stream.figures());
        }
        sum
    }

    pub(super) fn record(&self) -> Record {
        let streams = self.streams.len();
        Record {
            ended: self.wire.has_ended(),
            streams: u64::try_from(streams).unwrap_or(0),
            received: self.received(),
            sent: self.studio.as_ref().map_or(0, |studio| studio.sent),
            keyframes_asked: self
                .studio
                .as_ref()
                .map_or(0, |studio| studio.keyframes_asked),
            ..self.record
        }
    }

    pub(super) fn close(&mut self, now: Instant, shared: &mut Shared) {
        self.wire.close(now, &mut shared.out);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let studio = self.studio.as_ref().and_then(Studio::poll_timeout);
        let holes = self.streams.iter().filter_map(Stream::poll_timeout).min();
        let own = [
            self.wire.poll_timeout(),
            self.feedback_at,
            self.report_at,
            studio,
            holes,
        ];
        own.into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) {
        self.wire.handle_timeout(now, &mut shared.out);
        if self.record.connected.is_none() {
            return;
        }
        self.publish(now, shared);
        if self.feedback_at.is_some_and(|at| at <= now) {
            self.feedback_at = None;
            self.send_feedback(shared);
        }
        let reports = self.report_at.is_some_and(|at| at <= now);
        if reports {
            self.report_at = Some(now + shared.behaviour.report);
            self.send_reports(now, shared);
        }
        let holes = self.streams.iter().filter_map(Stream::poll_timeout).min();
        if reports || holes.is_some_and(|at| at <= now) {
            self.repair(now, shared);
        }
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        shared: &mut Shared,
    ) {
        shared.figures.datagrams += 1;
        let identity = &shared.identity;
        match self
            .wire
            .handle_datagram(now, identity, from, datagram, &mut shared.out)
        {
            Incoming::Rtp => self.on_rtp(now, datagram, shared),
            Incoming::Rtcp => self.on_rtcp(now, datagram, shared),
            Incoming::Taken => self.notice_connection(now, shared),
        }
    }

    fn notice_connection(&mut self, now: Instant, shared: &Shared) {
        if self.record.connected.is_some() || self.wire.keys().is_none() {
            return;
        }
        self.record.connected = Some(shared.clock.micros(now));
        self.report_at = Some(now + shared.behaviour.report);
        if let Some(answer) = self.answer.take() {
            self.studio = Studio::new(now, &self.plan, &answer).ok();
        }
    }

    fn publish(&mut self, now: Instant, shared: &mut Shared) {
        let (Some(studio), Some(to)) = (&mut self.studio, self.wire.remote) else {
            return;
        };
        let Some(keys) = self.wire.keys() else {
            return;
        };
        let mut out = Vec::new();
        let sent = studio.sent;
        let mut exit = Exit {
            clock: shared.clock,
            sender: &mut keys.sender,
            out: &mut out,
            scratch: &mut shared.scratch,
        };
        studio.handle_timeout(now, &mut exit);
        shared.figures.sent += studio.sent - sent;
        let bytes: usize = out.iter().map(Vec::len).sum();
        shared.figures.sent_bytes += u64::try_from(bytes).unwrap_or(0);
        shared
            .out
            .extend(out.into_iter().map(|datagram| (to, datagram)));
    }

    fn on_rtp(&mut self, now: Instant, datagram: &[u8], shared: &mut Shared) {
        let known = RtpHeader::parse(datagram)
            .ok()
            .and_then(|header| Some((header, offer::codec_of(header.payload_type)?)));
        let Some((header, (codec, repair))) = known else {
            shared.figures.refused += 1;
            return;
        };
        for element in header.elements(datagram) {
            match self.extensions.kind(element.id) {
                Some(ExtensionKind::TransportSequence) => {
                    if let Some(number) = element.data.first_chunk() {
                        self.recorder.record(now, u16::from_be_bytes(*number));
                        let at = now + shared.behaviour.feedback;
                        self.feedback_at.get_or_insert(at);
                    }
                }
                Some(ExtensionKind::AbsCaptureTime) if !repair => {
                    if let Some(stamp) = element.data.first_chunk() {
                        note_latency(now, NtpTime(u64::from_be_bytes(*stamp)), shared);
                    }
                }
                _ => {}
            }
        }
        if repair {
            self.on_repair(now, &header, datagram, shared);
            return;
        }
        let at = self
            .streams
            .iter()
            .position(|stream| stream.ssrc == header.ssrc);
        let at = at.or_else(|| {
            let room = self.streams.len() < STREAMS_MAX;
            room.then(|| {
                let nack = shared.behaviour.nack;
                self.streams.push(Stream::new(header.ssrc, codec, nack));
                self.streams.len() - 1
            })
        });
        let Some(stream) = at.and_then(|at| self.streams.get_mut(at)) else {
            return;
        };
        let first = match codec.kind() {
            MediaKind::Audio => &mut self.record.first_audio,
            MediaKind::Video => &mut self.record.first_video,
        };
        first.get_or_insert(shared.clock.micros(now));
        let look = stream.count(now, &header, datagram.len(), shared.behaviour.open_every);
        if look == Look::Open {
            self.look(now, at.unwrap_or(0), &header, datagram, shared);
        }
    }

    /// Decrypts a packet of the sample and looks into it.
    fn look(
        &mut self,
        now: Instant,
        place: usize,
        header: &RtpHeader,
        datagram: &[u8],
        shared: &mut Shared,
    ) {
        let Some(length) = open(&mut self.wire, header, datagram, shared) else {
            return;
        };
        let payload = shared.payload.get(..length).unwrap_or_default();
        let Ok(payload) = header.unpadded(payload) else {
            return;
        };
        let keyframe = self
            .streams
            .get_mut(place)
            .is_some_and(|stream| stream.look(payload, header.marker));
        if keyframe {
            self.record
                .first_keyframe
                .get_or_insert(shared.clock.micros(now));
        }
        let stamped = self.extensions.id(ExtensionKind::AbsCaptureTime).is_some();
        if let Some(stamp) = stamp_of(payload).filter(|_| !stamped) {
            note_latency(now, stamp, shared);
        }
    }

    fn on_repair(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        datagram: &[u8],
        shared: &mut Shared,
    ) {
        let Some(length) = open(&mut self.wire, header, datagram, shared) else {
            return;
        };
        let payload = shared.payload.get(..length).unwrap_or_default();
        let unpadded = header.unpadded(payload).ok();
        let Some((sequence, _)) = unpadded.and_then(unwrap_rtx) else {
            self.padding += 1;
            return;
        };
        let repaired = self
            .repairs
            .iter()
            .find(|(repair, _)| *repair == header.ssrc);
        let media = repaired.map(|(_, media)| *media);
        let mut streams = self.streams.iter_mut();
        let stream = streams.find(|stream| match media {
            Some(media) => stream.ssrc == media,
            None => stream.codec.kind() == MediaKind::Video,
        });
        if let Some(stream) = stream {
            stream.repaired(now, sequence, datagram.len());
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a client may ignore what is news to it"
    )]
    fn on_rtcp(&mut self, now: Instant, datagram: &[u8], shared: &mut Shared) {
        shared.figures.control += 1;
        let mut compound = std::mem::take(&mut shared.scratch);
        let opened = match self.wire.keys() {
            Some(keys) => keys.receiver.open_rtcp(datagram, &mut compound).is_ok(),
            None => false,
        };
        if opened {
            shared.figures.opened += 1;
        } else {
            shared.figures.refused += 1;
        }
        for packet in packets(&compound).flatten().filter(|_| opened) {
            match packet {
                RtcpPacket::Pli(pli) => self.request_keyframe(pli.media),
                RtcpPacket::Fir(fir) => {
                    fir.entries()
                        .for_each(|entry| self.request_keyframe(entry.ssrc));
                }
                RtcpPacket::SenderReport(report) => {
                    let mut streams = self.streams.iter_mut();
                    if let Some(stream) = streams.find(|stream| stream.ssrc == report.ssrc) {
                        let figures = report.figures;
                        stream.on_sender_report(now, figures.ntp, figures.rtp_timestamp);
                    }
                }
                _ => {}
            }
        }
        shared.scratch = compound;
    }

    fn request_keyframe(&mut self, ssrc: u32) {
        if let Some(studio) = &mut self.studio {
            studio.request_keyframe(ssrc);
        }
    }

    fn send_feedback(&mut self, shared: &mut Shared) {
        let media = self.streams.first().map_or(0, |stream| stream.ssrc);
        let mut compound = Vec::new();
        while self
            .recorder
            .write_feedback(&mut compound, self.ssrc, media)
        {
            self.send_control(&compound, shared);
            compound.clear();
        }
    }

    fn send_reports(&mut self, now: Instant, shared: &mut Shared) {
        let reports = self
            .streams
            .iter_mut()
            .filter_map(|stream| stream.report(now));
        let blocks: Vec<ReportBlock> = reports.collect();
        if !blocks.is_empty() {
            let mut compound = Vec::new();
            write_receiver_report(&mut compound, self.ssrc, &blocks);
            write_cname(&mut compound, self.ssrc, "troupe-loadtest");
            self.send_control(&compound, shared);
        }
    }

    /// Asks for what is missing.
    fn repair(&mut self, now: Instant, shared: &mut Shared) {
        let mut compound = Vec::new();
        for stream in &mut self.streams {
            let (nacks, keyframe) = stream.poll(now);
            if !nacks.is_empty() {
                write_nack(&mut compound, self.ssrc, stream.ssrc, &nacks);
            }
            if keyframe {
                write_pli(&mut compound, self.ssrc, stream.ssrc);
            }
        }
        if !compound.is_empty() {
            self.send_control(&compound, shared);
        }
    }

    fn send_control(&mut self, compound: &[u8], shared: &mut Shared) {
        let (Some(to), Some(keys)) = (self.wire.remote, self.wire.keys()) else {
            return;
        };
        let mut sealed = Vec::new();
        if keys.sender.seal_rtcp(compound, &mut sealed).is_ok() {
            shared.figures.control_sent += 1;
            shared.out.push((to, sealed));
        }
    }
}

/// Decrypts into the shared buffer; how many bytes.
fn open(
    wire: &mut Wire,
    header: &RtpHeader,
    datagram: &[u8],
    shared: &mut Shared,
) -> Option<usize> {
    shared
        .payload
        .resize(datagram.len().max(shared.payload.len()), 0);
    let receiver = &mut wire.keys()?.receiver;
    match receiver.open_rtp(header, datagram, &mut shared.payload) {
        Ok(opened) => {
            shared.figures.opened += 1;
            Some(opened.length)
        }
        Err(_) => {
            shared.figures.refused += 1;
            None
        }
    }
}

fn note_latency(now: Instant, stamp: NtpTime, shared: &mut Shared) {
    if let Some(passed) = shared.clock.since(stamp, now) {
        shared.figures.latency.note(passed);
        shared.figures.latency_now.note(passed);
    }
}
