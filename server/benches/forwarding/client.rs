//! A client at the least cost: stock str0m joins, then what is left are keys and counts.
//!
//! It answers with real transport-wide feedback and reports, and knows when each packet left from
//! the time that the server wrote into it, so it need not be there when packets come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_rtp::header::{Element, HeaderFields, RtpHeader, write_header};
use media_rtp::receive::ReceptionFigures;
use media_rtp::rtcp::report::{ReportBlock, write_receiver_report};
use media_rtp::rtcp::twcc::TwccRecorder;
use media_rtp::srtp::{DtlsRole, KeyingMaterial, SrtpProfile, SrtpSender};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::crypto::CryptoProvider;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};

/// What all keys are made of: the scripted handshake draws nothing.
pub(crate) const KEY: u8 = 7;
pub(crate) const PROFILE: SrtpProfile = SrtpProfile::AeadAes256Gcm;
/// str0m's numbers, which are Chromium's.
const ABS_SEND_TIME: u8 = 2;
const TRANSPORT_SEQUENCE: u8 = 3;
const MID: u8 = 4;
const VP8: u8 = 96;
const OPUS: u8 = 111;
/// How often Chromium answers at this rate.
pub(crate) const FEEDBACK: Duration = Duration::from_millis(50);
const REPORT: Duration = Duration::from_secs(1);

/// A client until it is connected.
pub(crate) struct Joining {
    pub(crate) rtc: Rtc,
    pub(crate) addr: SocketAddr,
    /// What it publishes, sound first.
    pub(crate) publishes: Vec<Mid>,
    /// Its slots, sound and picture in turns.
    pub(crate) slots: Vec<Mid>,
}

impl Joining {
    /// A client that publishes sound and picture or not, with so many pairs of slots.
    pub(crate) fn new(
        now: Instant,
        provider: &Arc<CryptoProvider>,
        addr: SocketAddr,
        publishes: bool,
        pairs: usize,
    ) -> (Self, String, SdpPendingOffer) {
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_stats_interval(None)
            .set_crypto_provider(Arc::clone(provider))
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(addr, "udp").unwrap());
        let mut api = rtc.sdp_api();
        let mut add = |direction, count: usize| -> Vec<Mid> {
            let kinds = [MediaKind::Audio, MediaKind::Video];
            let all = std::iter::repeat_n(kinds, count).flatten();
            all.map(|kind| api.add_media(kind, direction, None, None, None))
                .collect()
        };
        let published = add(Direction::SendOnly, usize::from(publishes));
        let slots = add(Direction::RecvOnly, pairs);
        let (offer, pending) = api.apply().unwrap();
        let client = Self {
            rtc,
            addr,
            publishes: published,
            slots,
        };
        (client, offer.to_sdp_string(), pending)
    }

    pub(crate) fn accept(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
    }

    /// What there is to send.
    pub(crate) fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        let mut all = Vec::new();
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return all,
                Output::Transmit(transmit) => all.push(transmit.contents.to_vec()),
                Output::Event(_) => {}
            }
        }
    }

    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let receive = Receive::new(Protocol::Udp, from, self.addr, bytes).unwrap();
        self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
    }

    /// Who it is once it is connected.
    pub(crate) fn connected(self, base: Instant) -> Light {
        let material = KeyingMaterial::split(PROFILE, &[KEY; 88]).unwrap();
        let key = material.sending(DtlsRole::Client);
        Light {
            srtp: SrtpSender::new(PROFILE, key).unwrap(),
            recorder: TwccRecorder::new(),
            sources: Vec::new(),
            base,
            feedback_at: base,
            report_at: base,
            packets: 0,
            published: self.publishes,
            numbers: [0; 2],
            timestamps: [0; 2],
            compound: Vec::new(),
            sealed: Vec::new(),
        }
    }
}

/// A connected client.
pub(crate) struct Light {
    srtp: SrtpSender,
    recorder: TwccRecorder,
    /// Sources of what comes, with their highest numbers.
    sources: Vec<(u32, u16, u16)>,
    base: Instant,
    feedback_at: Instant,
    report_at: Instant,
    /// Packets of sound and picture that came.
    pub(crate) packets: u64,
    published: Vec<Mid>,
    numbers: [u64; 2],
    timestamps: [u32; 2],
    compound: Vec<u8>,
    sealed: Vec<u8>,
}

impl Light {
    /// Takes what came; `now` is the present moment, later than when it left.
    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let Ok(header) = RtpHeader::parse(datagram) else {
            return;
        };
        if matches!(datagram.get(1), Some(192..=223)) || datagram[0] < 128 {
            return;
        }
        let media = header.payload_type == VP8 || header.payload_type == OPUS;
        if media {
            self.packets += 1;
            self.note(header.ssrc, header.sequence);
        }
        let (mut left, mut number) = (now, None);
        for element in header.elements(datagram) {
            match (element.id, element.data) {
                (ABS_SEND_TIME, &[a, b, c]) => left = self.time_of([a, b, c], now),
                (TRANSPORT_SEQUENCE, &[high, low]) => number = Some([high, low]),
                _ => {}
            }
        }
        if let Some(number) = number {
            self.recorder.record(left, u16::from_be_bytes(number));
        }
    }

    /// The last moment before `now` that a 24-bit time of 64 s can mean.
    fn time_of(&self, [a, b, c]: [u8; 3], now: Instant) -> Instant {
        let units = u64::from(u32::from_be_bytes([0, a, b, c]));
        let micros = (units * 1_000_000) >> 18;
        let turn = Duration::from_secs(64);
        let since = now.duration_since(self.base);
        let turns = since.as_micros() as u64 / 64_000_000;
        let time = self.base + turn * turns as u32 + Duration::from_micros(micros);
        if time > now {
            time.checked_sub(turn).unwrap_or(now)
        } else {
            time
        }
    }

    fn note(&mut self, ssrc: u32, sequence: u16) {
        let known = self.sources.iter_mut().find(|(known, ..)| *known == ssrc);
        match known {
            Some((_, highest, cycles)) => {
                if sequence.wrapping_sub(*highest) < 1 << 15 {
                    *cycles += u16::from(sequence < *highest);
                    *highest = sequence;
                }
            }
            None => self.sources.push((ssrc, sequence, 0)),
        }
    }

    /// It answers from then on.
    pub(crate) const fn begin(&mut self, at: Instant) {
        self.feedback_at = at;
        self.report_at = at;
    }

    /// When it has something to answer.
    pub(crate) const fn due(&self) -> Instant {
        self.feedback_at
    }

    /// What it answers now.
    pub(crate) fn answer(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        self.feedback_at = now + FEEDBACK;
        if self.report_at <= now {
            self.report_at = now + REPORT;
            let blocks = self
                .sources
                .iter()
                .map(|&(ssrc, highest, cycles)| ReportBlock {
                    ssrc,
                    figures: ReceptionFigures {
                        fraction_lost: 0,
                        cumulative_lost: 0,
                        extended_highest: u32::from(cycles) << 16 | u32::from(highest),
                        jitter: 20,
                        last_sender_report: 0,
                        delay_since_last: 0,
                    },
                });
            let blocks: Vec<_> = blocks.collect();
            self.compound.clear();
            write_receiver_report(&mut self.compound, 1, &blocks);
            seal(&mut self.srtp, &self.compound, &mut self.sealed, &mut send);
        }
        loop {
            self.compound.clear();
            write_receiver_report(&mut self.compound, 1, &[]);
            let media = self.sources.first().map_or(0, |(ssrc, ..)| *ssrc);
            if !self.recorder.write_feedback(&mut self.compound, 1, media) {
                return;
            }
            seal(&mut self.srtp, &self.compound, &mut self.sealed, &mut send);
        }
    }

    /// A picture of that many packets of that size.
    pub(crate) fn picture(
        &mut self,
        key: bool,
        packets: usize,
        size: usize,
        mut send: impl FnMut(&[u8]),
    ) {
        self.timestamps[1] = self.timestamps[1].wrapping_add(3_000);
        let picture = (self.timestamps[1] / 3_000) as u16 | 0x8000;
        for index in 0..packets {
            let mut payload = vec![0; size];
            let [high, low] = picture.to_be_bytes();
            let start = if index == 0 { 0x90 } else { 0x80 };
            payload[..6].copy_from_slice(&[start, 0xe0, high, low, high, 0]);
            payload[6] = u8::from(!(key && index == 0));
            if key && index == 0 {
                payload[9..16].copy_from_slice(&[0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]);
            }
            self.publish(1, VP8, index + 1 == packets, &payload, &mut send);
        }
    }

    /// 20 ms of sound.
    pub(crate) fn sound(&mut self, size: usize, mut send: impl FnMut(&[u8])) {
        self.timestamps[0] = self.timestamps[0].wrapping_add(960);
        self.publish(0, OPUS, false, &vec![0x78; size], &mut send);
    }

    fn publish(
        &mut self,
        line: usize,
        payload_type: u8,
        marker: bool,
        payload: &[u8],
        send: &mut impl FnMut(&[u8]),
    ) {
        let index = self.numbers[line];
        self.numbers[line] += 1;
        let fields = HeaderFields {
            padding: false,
            marker,
            payload_type,
            sequence: index as u16,
            timestamp: self.timestamps[line],
            ssrc: 100 + line as u32,
        };
        let mid = self.published[line].to_string();
        let element = Element {
            id: MID,
            data: mid.as_bytes(),
        };
        let mut packet = [0; 1_500];
        let header = write_header(&mut packet, &fields, &[element]).unwrap();
        let sealed = self
            .srtp
            .seal_rtp(&mut packet, header, fields.ssrc, index, 0, payload);
        send(&packet[..sealed.unwrap()]);
    }
}

fn seal(
    srtp: &mut SrtpSender,
    compound: &[u8],
    sealed: &mut Vec<u8>,
    send: &mut impl FnMut(&[u8]),
) {
    sealed.clear();
    srtp.seal_rtcp(compound, sealed).unwrap();
    send(sealed);
}
