//! What a light client publishes: a camera in three layers and a microphone.

use std::time::{Duration, Instant};

use loadtest::network::Chance;
use media_rtp::header::{Element, HeaderFields};
use media_rtp::rtcp::report::{SenderFigures, write_sender_report};
use media_rtp::rtcp::source::write_cname;
use media_types::{Bitrate, NtpTime};

use super::offer::{LEVEL_ID, MID_ID, OPUS, RED, RID_ID, RIDS, SEQUENCE_ID, VP8};
use super::wire::Wire;

/// Frames a second of the camera.
pub(super) const FPS: u32 = 30;
/// Between two of them.
pub(super) const FRAME_TIME: Duration = Duration::from_micros(1_000_000 / FPS as u64);
const AUDIO_TIME: Duration = Duration::from_millis(20);
const PACKET_BYTES: usize = 1_100;
/// Sound while one speaks, and between words.
const SPEECH_BYTES: usize = 80;
const SILENCE_BYTES: usize = 12;
/// How much larger than the mean a keyframe is, in percent.
const KEYFRAME_PERCENT: u64 = 400;
/// Encoders pass over a request so soon after the last keyframe.
const KEYFRAME_REST: Duration = Duration::from_millis(300);
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// Size of each temporal layer's frames in percent of the mean: the base has 40 % of the rate in a
/// quarter of the frames.
const TEMPORAL: [(u8, bool, u64); 4] = [
    (0, false, 160),
    (2, true, 80),
    (1, true, 80),
    (2, false, 80),
];
const WIDTHS: [u16; 3] = [320, 640, 1_280];
const HEIGHTS: [u16; 3] = [180, 360, 720];

/// The transport-wide number, the m-line and the layer of what is sent.
struct Sending<'a> {
    wire: &'a mut Wire,
    sequence: &'a mut u16,
}

impl Sending<'_> {
    fn send(&mut self, fields: &HeaderFields, index: u64, more: &[Element<'_>], payload: &[u8]) {
        let number = self.sequence.to_be_bytes();
        *self.sequence = self.sequence.wrapping_add(1);
        let mut elements = vec![Element {
            id: SEQUENCE_ID,
            data: &number,
        }];
        elements.extend_from_slice(more);
        self.wire.send_rtp(fields, index, &elements, payload);
    }
}

/// One simulcast layer.
struct Encoding {
    ssrc: u32,
    rate: Bitrate,
    /// What the server lets it cost.
    bound: Bitrate,
    active: bool,
    wants_keyframe: bool,
    keyframe_at: Option<Instant>,
    index: u64,
    picture: u16,
    tl0: u8,
    key_idx: u8,
    phase: usize,
    packets: u32,
    octets: u32,
    last_timestamp: u32,
}

impl Encoding {
    /// Whether the next frame is a keyframe, its VP8 descriptor behind the first byte (RFC 7741,
    /// section 4.2), and its size.
    fn next(&mut self, now: Instant, spread: u64) -> (bool, [u8; 5], usize) {
        let rested = |at| now.saturating_duration_since(at) >= KEYFRAME_REST;
        let keyframe = self.wants_keyframe && self.keyframe_at.is_none_or(rested);
        if keyframe {
            self.wants_keyframe = false;
            self.keyframe_at = Some(now);
            self.phase = 0;
            self.key_idx = (self.key_idx + 1) & 0x1f;
        }
        let (temporal, sync, share) = TEMPORAL[self.phase % TEMPORAL.len()];
        let share = if keyframe { KEYFRAME_PERCENT } else { share };
        self.phase += 1;
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let [high, low] = (self.picture & 0x7fff).to_be_bytes();
        self.picture = self.picture.wrapping_add(1);
        let layer = temporal << 6 | u8::from(sync) << 5 | self.key_idx;
        let mean = self.rate.min(self.bound).bytes_in(FRAME_TIME);
        let size = usize::try_from(mean * share / 100 * spread / 100).unwrap_or(0);
        (keyframe, [0xf0, high | 0x80, low, self.tl0, layer], size)
    }
}

/// Camera and microphone of one client.
pub(super) struct Studio {
    number: u32,
    start: Instant,
    chance: Chance,
    encodings: Vec<Encoding>,
    video_at: Instant,
    frame: u32,
    audio_at: Instant,
    audio_frame: u32,
    audio_index: u64,
    last_audio: Vec<u8>,
    speaking: bool,
    report_at: Instant,
    sequence: u16,
    /// What a REMB of the server allows.
    allowed: Option<Bitrate>,
}

impl Studio {
    pub(super) fn new(now: Instant, number: u32, rates: [Bitrate; 3], mut chance: Chance) -> Self {
        let base = 1_000 * (number + 1);
        let encodings = (1..).zip(rates).map(|(place, rate)| Encoding {
            ssrc: base + place,
            rate,
            bound: rate,
            active: true,
            wants_keyframe: true,
            keyframe_at: None,
            index: chance.below(20_000),
            picture: u16::try_from(chance.below(0x8000)).unwrap_or(0),
            tl0: 0,
            key_idx: 0,
            phase: 0,
            packets: 0,
            octets: 0,
            last_timestamp: 0,
        });
        Self {
            number,
            start: now,
            encodings: encodings.collect(),
            video_at: now + Duration::from_micros(chance.below(33_000)),
            frame: 0,
            audio_at: now + Duration::from_micros(chance.below(20_000)),
            audio_frame: 0,
            audio_index: chance.below(20_000),
            last_audio: Vec::new(),
            speaking: true,
            report_at: now,
            sequence: 0,
            allowed: None,
            chance,
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.start);
        self.video_at += late;
        self.audio_at += late;
        self.report_at = now + Duration::from_millis(200);
    }

    pub(super) fn set_speaking(&mut self, speaking: bool) {
        self.speaking = speaking;
    }

    /// Only these layers are watched; some are to be kept under a rate.
    pub(super) fn set_layers(&mut self, rids: &[String], bounds: &[(String, Bitrate)]) {
        for (encoding, rid) in self.encodings.iter_mut().zip(RIDS) {
            let bound = bounds.iter().find(|(other, _)| other == rid);
            encoding.bound = bound.map_or(encoding.rate, |(_, bound)| *bound);
            let active = rids.iter().any(|other| other == rid);
            encoding.wants_keyframe |= active && !encoding.active;
            encoding.active = active;
        }
    }

    /// What the server lets it send.
    pub(super) fn set_allowed(&mut self, allowed: Bitrate) {
        self.allowed = Some(allowed);
    }

    pub(super) fn request_keyframe(&mut self, ssrc: u32) {
        let asked = self
            .encodings
            .iter_mut()
            .find(|encoding| encoding.ssrc == ssrc);
        if let Some(encoding) = asked {
            encoding.wants_keyframe = true;
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.video_at.min(self.audio_at).min(self.report_at)
    }

    /// Sound frames made so far.
    pub(super) fn audio_frames(&self) -> u32 {
        self.audio_frame
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, wire: &mut Wire) {
        while self.audio_at <= now {
            self.sound(wire);
            self.audio_at += AUDIO_TIME;
        }
        while self.video_at <= now {
            self.picture(now, wire);
            self.video_at += FRAME_TIME;
        }
        if self.report_at <= now {
            self.report_at = now + REPORT_PERIOD;
            self.report(now, wire);
        }
    }

    fn sound(&mut self, wire: &mut Wire) {
        let size = if self.speaking {
            SPEECH_BYTES
        } else {
            SILENCE_BYTES
        };
        let mut block = vec![0x78; size];
        block[..4].copy_from_slice(&self.audio_frame.to_be_bytes());
        block[4..8].copy_from_slice(&self.number.to_be_bytes());
        let mut payload = Vec::with_capacity(2 * size + 5);
        if !self.last_audio.is_empty() {
            // RFC 2198: the frame before, 960 ticks ago.
            let length = u32::try_from(self.last_audio.len()).unwrap_or(0);
            let word = u32::from(0x80 | OPUS) << 24 | 960 << 10 | length;
            payload.extend(word.to_be_bytes());
        }
        payload.push(OPUS);
        payload.extend(&self.last_audio);
        payload.extend(&block);
        self.last_audio = block;
        let level = if self.speaking { 0x80 | 20 } else { 127 };
        let fields = HeaderFields {
            payload_type: RED,
            sequence: low(self.audio_index),
            timestamp: self.audio_frame.wrapping_mul(960),
            ssrc: 1_000 * (self.number + 1),
            ..HeaderFields::default()
        };
        let more = [
            Element {
                id: MID_ID,
                data: b"0",
            },
            Element {
                id: LEVEL_ID,
                data: &[level],
            },
        ];
        let sequence = &mut self.sequence;
        Sending { wire, sequence }.send(&fields, self.audio_index, &more, &payload);
        self.audio_index += 1;
        self.audio_frame += 1;
    }

    fn picture(&mut self, now: Instant, wire: &mut Wire) {
        let mut left = self.allowed.unwrap_or(Bitrate::MAX);
        for place in 0..self.encodings.len() {
            // As browsers do, the highest layers go first when the rate does not do.
            let fits = self.encodings[place].rate <= left;
            left = left.saturating_sub(self.encodings[place].rate);
            if self.encodings[place].active && (fits || place == 0) {
                let spread = 85 + self.chance.below(31);
                self.encode(now, wire, place, spread);
            }
        }
        self.frame += 1;
    }

    fn encode(&mut self, now: Instant, wire: &mut Wire, place: usize, spread: u64) {
        let (number, frame) = (self.number, self.frame);
        let encoding = &mut self.encodings[place];
        let (keyframe, descriptor, size) = encoding.next(now, spread);
        let stamp = Stamp {
            number,
            place,
            frame,
            keyframe,
        };
        let body = body(stamp, size);
        let offset = encoding.ssrc * 7;
        encoding.last_timestamp = frame.wrapping_mul(90_000 / FPS).wrapping_add(offset);
        let count = body.chunks(PACKET_BYTES).count();
        for (at, chunk) in body.chunks(PACKET_BYTES).enumerate() {
            let first = if at == 0 { 0x90 } else { 0x80 };
            let payload = [&[first], &descriptor[..], chunk].concat();
            let fields = HeaderFields {
                marker: at + 1 == count,
                payload_type: VP8,
                sequence: low(encoding.index),
                timestamp: encoding.last_timestamp,
                ssrc: encoding.ssrc,
                ..HeaderFields::default()
            };
            let rid = RIDS[place].as_bytes();
            let more = [(MID_ID, &b"1"[..]), (RID_ID, rid)].map(|(id, data)| Element { id, data });
            let sequence = &mut self.sequence;
            Sending { wire, sequence }.send(&fields, encoding.index, &more, &payload);
            encoding.index += 1;
            encoding.packets += 1;
            encoding.octets += u32::try_from(payload.len()).unwrap_or(0);
        }
    }

    fn report(&mut self, now: Instant, wire: &mut Wire) {
        let ntp = NtpTime::from_unix(now.saturating_duration_since(self.start));
        // What the clock would say now, a part of a frame later.
        let since = FRAME_TIME.saturating_sub(self.video_at.saturating_duration_since(now));
        let ticks = u32::try_from(since.as_micros() * 9 / 100).unwrap_or(0);
        for encoding in self
            .encodings
            .iter()
            .filter(|encoding| encoding.packets > 0)
        {
            let figures = SenderFigures {
                ntp,
                rtp_timestamp: encoding.last_timestamp.wrapping_add(ticks),
                packets: encoding.packets,
                octets: encoding.octets,
            };
            let mut compound = Vec::new();
            write_sender_report(&mut compound, encoding.ssrc, &figures, &[]);
            write_cname(&mut compound, encoding.ssrc, "studio");
            wire.send_rtcp(&compound);
        }
    }
}

/// Who made a frame, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) number: u32,
    pub(super) place: usize,
    pub(super) frame: u32,
    pub(super) keyframe: bool,
}

const STAMP_AT: usize = 10;
const STAMP_BYTES: usize = 9;

/// A VP8 frame's first bytes (RFC 6386, section 9.1), its stamp, and filler.
fn body(stamp: Stamp, size: usize) -> Vec<u8> {
    let mut body = vec![0; size.max(STAMP_AT + STAMP_BYTES)];
    body[0] = u8::from(!stamp.keyframe);
    if stamp.keyframe {
        body[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
        body[6..8].copy_from_slice(&WIDTHS[stamp.place].to_le_bytes());
        body[8..10].copy_from_slice(&HEIGHTS[stamp.place].to_le_bytes());
    }
    body[10..14].copy_from_slice(&stamp.number.to_be_bytes());
    body[14] = u8::try_from(stamp.place).unwrap_or(0);
    body[15..19].copy_from_slice(&stamp.frame.to_be_bytes());
    body
}

/// Reads what [`body`] wrote, from a frame's first packet.
pub(super) fn read_stamp(body: &[u8]) -> Option<Stamp> {
    let word = |at: usize| {
        let bytes = body.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    Some(Stamp {
        number: word(10)?,
        place: usize::from(*body.get(14)?),
        frame: word(15)?,
        keyframe: body.first()? & 1 == 0,
    })
}

fn low(index: u64) -> u16 {
    u16::try_from(index & 0xffff).unwrap_or(0)
}
