//! Encoders' bytes: RTMP, AMF, FLV, and what is made of them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use media_ingest::flv::{Tag, TagKind, read_tag, take_tag};
use media_ingest::limits::{EVENTS_MAX, OUTPUT_BYTES_MAX};
use media_ingest::packetize::Packetizer;
use media_ingest::rtmp::{Session, SessionConfig, SessionEvent, amf};
use media_ingest::source::{Source, SourceEvent};
use media_types::EncodedFrame;
use media_types::frame::LIVE_PAYLOAD_BYTES_MAX;

/// The length of a client's part of the handshake.
const HANDSHAKE: usize = 1 + 2 * 1_536;

fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
    Instant::now()
}

/// A connection that says yes to everything, up to the frames that come of it.
struct Bench {
    now: Instant,
    session: Session,
    source: Source,
}

impl Bench {
    fn new() -> Self {
        let now = now();
        let config = SessionConfig {
            message_bytes_max: 65_536,
            ..SessionConfig::default()
        };
        Self {
            now,
            session: Session::new(now, config),
            source: Source::default(),
        }
    }

    /// Whether the connection goes on.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let goes_on = self.session.handle_bytes(self.now, bytes).is_ok();
        let mut events = 0;
        while let Some(event) = self.session.poll_event() {
            events += 1;
            match event {
                SessionEvent::Publish { stream, .. } | SessionEvent::Play { stream, .. } => {
                    // It may have been taken back in the same bytes.
                    let _asked = self.session.accept(self.now, stream);
                }
                SessionEvent::Media { tag, .. } => self.tag(&tag),
                SessionEvent::Connected(_)
                | SessionEvent::Metadata { .. }
                | SessionEvent::Paused { .. }
                | SessionEvent::Ended { .. } => {}
            }
        }
        assert!(events <= EVENTS_MAX, "{events} events");
        let output = self.session.poll_transmit().unwrap_or_default();
        assert!(
            output.len() <= 2 * OUTPUT_BYTES_MAX,
            "{} bytes",
            output.len()
        );
        goes_on
    }

    fn tag(&mut self, tag: &Tag) {
        let unix = Duration::from_secs(1_700_000_000);
        let _either = self.source.handle_tag(self.now, unix, tag);
        while let Some(event) = self.source.poll_event() {
            if let SourceEvent::Frame { frame, .. } = event {
                assert!(frame.data.len() <= 2 * tag.data.len() + 64, "frames grow");
                cut(&frame);
            }
        }
        self.now += Duration::from_millis(7);
    }
}

fn cut(frame: &EncodedFrame) {
    let Some(codec) = frame.codec.forwarded() else {
        return;
    };
    if let Ok(payloads) = Packetizer::new(codec).packetize(&frame.data, frame.keyframe) {
        let fits = |length: usize| (1..=LIVE_PAYLOAD_BYTES_MAX).contains(&length);
        assert!(!payloads.is_empty() && payloads.iter().all(|payload| fits(payload.len())));
    }
}

/// What comes after the handshake, in two pieces.
pub(crate) fn rtmp(input: &[u8]) {
    let mut bench = Bench::new();
    let mut hello = [0; HANDSHAKE];
    hello[0] = 3;
    assert!(bench.take(&hello));
    let (first, second) = input.split_at(input.len() / 3);
    let _goes_on = bench.take(first) && bench.take(second);
}

/// Everything from the first byte.
pub(crate) fn handshake(input: &[u8]) {
    let mut bench = Bench::new();
    for piece in input.chunks(700) {
        if !bench.take(piece) {
            return;
        }
    }
}

/// What is read is written, and read again as the same.
pub(crate) fn amf(input: &[u8]) {
    let Ok(values) = amf::read(input) else {
        return;
    };
    let mut bytes = Vec::new();
    values
        .iter()
        .for_each(|value| amf::write(&mut bytes, value));
    // Texts are counted as what they are written as, which may be longer than what was read.
    if let Ok(again) = amf::read(&bytes) {
        let mut twice = Vec::new();
        again.iter().for_each(|value| amf::write(&mut twice, value));
        assert_eq!(twice, bytes);
    }
}

/// Tags of a file, one after the other, at one moment of one source.
pub(crate) fn flv(input: &[u8]) {
    let mut bench = Bench::new();
    let mut rest = Bytes::copy_from_slice(input);
    while let Ok(Some((kind, timestamp, data))) = take_tag(&mut rest) {
        let kind = match kind {
            8 => TagKind::Audio,
            9 => TagKind::Video,
            _ => TagKind::Script,
        };
        let tag = Tag {
            kind,
            timestamp,
            data,
        };
        let _parcels = read_tag(&tag);
        bench.tag(&tag);
    }
}
