//! What QUIC brings: RTMP in pieces of any size, and frames in their containers.

use std::time::Instant;

use bytes::Bytes;
use media_ingest::IngestError;
use media_ingest::moq::{Container, pack};
use media_ingest::rtmp::{Session, SessionConfig, SessionEvent};

/// The length of a client's part of the handshake.
const HANDSHAKE: usize = 1 + 2 * 1_536;
/// About what a packet carries.
const PIECE_BYTES_MAX: usize = 1_200;

/// One reading of a client's bytes.
struct Reading {
    now: Instant,
    session: Session,
    events: Vec<SessionEvent>,
    ended: Option<IngestError>,
}

impl Reading {
    fn new(now: Instant) -> Self {
        let config = SessionConfig {
            message_bytes_max: 65_536,
            ..SessionConfig::default()
        };
        let mut reading = Self {
            now,
            session: Session::new(now, config),
            events: Vec::new(),
            ended: None,
        };
        let mut hello = [0; HANDSHAKE];
        hello[0] = 3;
        reading.take(&hello);
        reading
    }

    /// The streams that something is asked for with these bytes.
    fn take(&mut self, bytes: &[u8]) -> Vec<u32> {
        if self.ended.is_none() {
            self.ended = self.session.handle_bytes(self.now, bytes).err();
        }
        let mut asked = Vec::new();
        while let Some(event) = self.session.poll_event() {
            if let SessionEvent::Publish { stream, .. } | SessionEvent::Play { stream, .. } = event
            {
                asked.push(stream);
            }
            self.events.push(event);
        }
        let _sent = self.session.poll_transmit();
        asked
    }

    fn accept(&mut self, streams: &[u32]) {
        for stream in streams {
            // It may have been taken back in the same bytes.
            let _asked = self.session.accept(self.now, *stream);
        }
    }
}

/// A seed, and what follows the handshake: however a stream of QUIC is cut, it says the same.
pub(crate) fn pieces(input: &[u8]) {
    let Some((&seed, mut rest)) = input.split_first() else {
        return;
    };
    #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
    let now = Instant::now();
    let (mut small, mut large) = (Reading::new(now), Reading::new(now));
    let mut state = u32::from(seed) | 0x100;
    let mut waiting = Vec::new();
    while !rest.is_empty() {
        // A linear congruential generator (Numerical Recipes) picks lengths, short ones often.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let most = if state & 0x100 == 0 {
            7
        } else {
            PIECE_BYTES_MAX
        };
        let wanted = usize::try_from(state >> 16).unwrap_or(0) % most + 1;
        let (piece, more) = rest.split_at(wanted.min(rest.len()));
        rest = more;
        waiting.extend_from_slice(piece);
        let asked = small.take(piece);
        if asked.is_empty() && !rest.is_empty() {
            continue;
        }
        // The other one hears all of it at once, and is answered at the same place.
        large.take(&waiting);
        waiting.clear();
        small.accept(&asked);
        large.accept(&asked);
    }
    let full = [IngestError::EventsFull, IngestError::OutputFull];
    if large.ended.is_some_and(|ended| full.contains(&ended)) {
        // Who takes nothing away in between reaches the bounds sooner.
        return;
    }
    assert_eq!(small.ended, large.ended);
    assert_eq!(small.events, large.events);
}

/// A frame in either container: its bytes are the last of what came, a frame that is cut short has
/// no other time, and what is packed is unpacked again.
pub(crate) fn container(input: &[u8]) {
    let frame = Bytes::copy_from_slice(input);
    for container in [Container::Legacy, Container::Loc] {
        let Ok((micros, data)) = container.unpack(&frame) else {
            continue;
        };
        assert!(frame.ends_with(&data));
        let head = frame.len() - data.len();
        for end in 0..frame.len() {
            let cut = container.unpack(&frame.slice(..end));
            let expected = (end >= head).then(|| (micros, frame.slice(head..end)));
            assert_eq!(cut.ok(), expected);
        }
        let bounded = micros.min((1 << 62) - 1);
        let again = Container::Legacy.unpack(&pack(micros, &data));
        assert_eq!(again, Ok((bounded, data)));
    }
}
