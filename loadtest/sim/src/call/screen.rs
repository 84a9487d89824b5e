//! One video slot of a light client: packets to frames, repairs, and what a viewer sees.
//!
//! It behaves as a browser does: a gap is asked for at once and then every round trip, ten times; a
//! keyframe is asked for when none has come within 200 ms of the first packet, or nothing could be
//! shown for three seconds. A frame is shown as soon as what it refers to has been.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media_rtp::descriptor::vp8::Vp8Descriptor;
use media_rtp::sequence::{SequenceNumber, SequenceUnwrapper};

use super::repair::Missing;
use super::source::{Stamp, read_stamp};

/// The jitter buffer: pictures are shown so long after the fastest was there, or when they come if
/// that is later. Browsers keep about so much on a path that jitters little.
pub(super) const BUFFER: Duration = Duration::from_millis(80);
const KEYFRAME_WAIT: Duration = Duration::from_millis(200);
const FRAME_WAIT: Duration = Duration::from_secs(3);
/// A slot that nothing comes to is paused, and nothing is asked for.
const STREAM_SILENT: Duration = Duration::from_secs(1);

/// One frame that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// When.
    pub at: Instant,
    /// Its publisher's number.
    pub publisher: u32,
    /// Its simulcast layer, 0 lowest.
    pub spatial: usize,
    /// Its temporal layer.
    pub temporal: u8,
    /// Its number; 30 are made in a second.
    pub frame: u32,
}

#[derive(Debug, Clone)]
struct Piece {
    /// `None` for padding.
    start: Option<bool>,
    marker: bool,
    temporal: u8,
    sync: bool,
    picture: u16,
    tl0: u8,
    stamp: Option<Stamp>,
}

/// A whole frame within the numbers.
#[derive(Debug, Clone)]
struct Frame {
    end: u64,
    first: Piece,
}

/// A video slot.
pub(super) struct Screen {
    unwrapper: SequenceUnwrapper,
    pieces: BTreeMap<u64, Piece>,
    decoded_to: Option<u64>,
    last_tl0: Option<u8>,
    last_picture: u16,
    pub(super) missing: Missing,
    first_at: Option<Instant>,
    last_packet: Option<Instant>,
    /// When it was last shown something, or began to wait for that.
    since: Option<Instant>,
    keyframe_asked: Option<Instant>,
    pub(super) keyframe_requests: u32,
    pub(super) pictures: Vec<Picture>,
}

impl Screen {
    pub(super) fn new(rtt: Duration) -> Self {
        Self {
            unwrapper: SequenceUnwrapper::default(),
            pieces: BTreeMap::new(),
            decoded_to: None,
            last_tl0: None,
            last_picture: 0,
            missing: Missing::new(rtt),
            first_at: None,
            last_packet: None,
            since: None,
            keyframe_asked: None,
            keyframe_requests: 0,
            pictures: Vec::new(),
        }
    }

    /// A packet of the slot has come, by itself or as a repair.
    pub(super) fn on_packet(&mut self, now: Instant, sequence: u16, marker: bool, payload: &[u8]) {
        let index = self.unwrapper.unwrap(SequenceNumber(sequence));
        self.first_at.get_or_insert(now);
        self.since.get_or_insert(now);
        self.last_packet = Some(now);
        self.missing.on_packet(now, index);
        if self.decoded_to.is_some_and(|to| index <= to) {
            return;
        }
        if let Some(piece) = read_piece(marker, payload) {
            self.pieces.insert(index, piece);
            while self.show_next(now) {}
        }
    }

    /// Whether to ask for a keyframe now.
    pub(super) fn poll_keyframe(&mut self, now: Instant) -> bool {
        let recent = |at| now.saturating_duration_since(at) < STREAM_SILENT;
        let Some(since) = self.since.filter(|_| self.last_packet.is_some_and(recent)) else {
            return false;
        };
        let wait = match self.last_tl0 {
            None => KEYFRAME_WAIT,
            Some(_) => FRAME_WAIT,
        };
        let from = self.keyframe_asked.map_or(since, |asked| asked.max(since));
        let overflowed = self.missing.take_overflow();
        if !overflowed && now.saturating_duration_since(from) < wait {
            return false;
        }
        self.keyframe_asked = Some(now);
        self.keyframe_requests += 1;
        true
    }

    /// Shows the next frame that can be, if there is one.
    fn show_next(&mut self, now: Instant) -> bool {
        let starts = self.pieces.iter();
        let starts = starts.filter(|(_, piece)| piece.start == Some(true));
        let whole = starts.filter_map(|(&index, _)| self.frame_at(index));
        let Some(frame) = whole.into_iter().find(|frame| self.can_show(&frame.first)) else {
            return false;
        };
        let Piece {
            temporal,
            tl0,
            picture,
            stamp,
            ..
        } = frame.first;
        if temporal == 0 {
            self.last_tl0 = Some(tl0);
        }
        self.last_picture = picture;
        self.decoded_to = Some(frame.end);
        self.pieces = self.pieces.split_off(&(frame.end + 1));
        self.missing.forget_to(frame.end);
        self.since = Some(now);
        if let Some(stamp) = stamp {
            self.pictures.push(Picture {
                at: now,
                publisher: stamp.number,
                spatial: stamp.place,
                temporal,
                frame: stamp.frame,
            });
        }
        true
    }

    fn frame_at(&self, start: u64) -> Option<Frame> {
        let first = self.pieces.get(&start)?.clone();
        let mut end = start;
        loop {
            let piece = self.pieces.get(&end)?;
            if end > start && (piece.start == Some(true) || piece.picture != first.picture) {
                return None;
            }
            if piece.marker {
                return Some(Frame { end, first });
            }
            end += 1;
        }
    }

    fn can_show(&self, first: &Piece) -> bool {
        if first.stamp.is_some_and(|stamp| stamp.keyframe) {
            return true;
        }
        let Some(last_tl0) = self.last_tl0 else {
            return false;
        };
        match (first.temporal, first.sync) {
            (0, _) => first.tl0 == last_tl0.wrapping_add(1),
            (_, true) => first.tl0 == last_tl0,
            (_, false) => {
                let follows = (self.last_picture + 1) & 0x7fff == first.picture & 0x7fff;
                first.tl0 == last_tl0 && follows
            }
        }
    }
}

fn read_piece(marker: bool, payload: &[u8]) -> Option<Piece> {
    if payload.is_empty() {
        return Some(Piece {
            start: None,
            marker: false,
            temporal: 0,
            sync: false,
            picture: 0,
            tl0: 0,
            stamp: None,
        });
    }
    let descriptor = Vp8Descriptor::parse(payload)?;
    let body = payload.get(descriptor.length..)?;
    let start = descriptor.start_of_frame;
    Some(Piece {
        start: Some(start),
        marker,
        temporal: descriptor.temporal.unwrap_or(0),
        sync: descriptor.layer_sync,
        picture: descriptor.picture.id.map_or(0, |id| id.value),
        tl0: descriptor.picture.tl0_pic_idx.unwrap_or(0),
        stamp: read_stamp(body).filter(|_| start),
    })
}
