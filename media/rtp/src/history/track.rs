//! The ring of a stream's last packets.

use std::time::{Duration, Instant};

use media_types::Payload;

use crate::descriptor::FrameInfo;
use crate::extension::{AbsCaptureTime, Extensions, SharedDescriptor};
use crate::level::AudioLevel;

/// How many packets an insert looks at to let go of old ones: more than one, so that a ring filled
/// by a burst empties while packets trickle in.
const EXPIRED_PER_INSERT: usize = 4;

/// How many places an insert looks at in doing so: holes of lost packets are seldom longer.
const SCANNED_PER_INSERT: usize = 64;
/// How far before the first packet of a stream, or of one that jumped, another may still come.
const REORDER_MAX: u64 = 32;

/// Values of header extensions that go on to subscribers as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassThrough {
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// Camera, flip and rotation bits.
    pub video_orientation: Option<u8>,
    /// Least and greatest playout delay.
    pub playout_delay: Option<[u8; 3]>,
    /// When the frame was captured.
    pub abs_capture_time: Option<AbsCaptureTime>,
    /// The dependency descriptor's bytes; empty if there was none.
    pub dependency_descriptor: SharedDescriptor,
}

impl From<&Extensions> for PassThrough {
    fn from(extensions: &Extensions) -> Self {
        let descriptor = extensions.dependency_descriptor.as_deref();
        Self {
            audio_level: extensions.audio_level,
            video_orientation: extensions.video_orientation,
            playout_delay: extensions.playout_delay,
            abs_capture_time: extensions.abs_capture_time.clone(),
            dependency_descriptor: SharedDescriptor::new(descriptor.unwrap_or_default()),
        }
    }
}

/// One packet as it came, opened.
#[derive(Debug, Clone)]
pub struct StoredPacket {
    /// Unwrapped sequence number.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// The payload without padding, shared.
    pub payload: Payload,
    /// What its descriptor says.
    pub frame: FrameInfo,
    /// When it came.
    pub arrived: Instant,
    /// Header extensions to pass on.
    pub extensions: PassThrough,
}

/// What a history keeps: packets up to an age, while there is room for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Packets that there is room for from the start; rounded up to a power of two.
    pub packets_min: usize,
    /// Packets that there is room for at most; rounded up to a power of two.
    pub packets_max: usize,
    /// Bytes of payload that are kept at most.
    pub bytes_max: usize,
    /// How long a packet is kept.
    pub age_max: Duration,
}

/// The last packets of one incoming stream, found by sequence number.
///
/// Bounded by age, by bytes and by count; packets may come late and out of order. Memory is taken
/// at the start, and again when a stream proves too fast for it: the ring then doubles, so that in
/// steady state nothing is taken.
#[derive(Debug)]
pub struct TrackHistory {
    ring: Box<[Option<StoredPacket>]>,
    limits: HistoryLimits,
    bytes: usize,
    /// The lowest number that may still be held.
    oldest: u64,
    /// The highest number ever held, plus one.
    end: u64,
    keyframe: Option<u64>,
}

impl TrackHistory {
    /// A history of the last `packets_max` numbers (rounded up to a power of two), none older than
    /// `age_max`.
    #[must_use]
    pub fn new(packets_max: usize, age_max: Duration) -> Self {
        Self::with_limits(HistoryLimits {
            packets_min: packets_max,
            packets_max,
            bytes_max: usize::MAX,
            age_max,
        })
    }

    /// A history whose room grows with its stream: what counts is the age of its packets, and
    /// their number and bytes bound the memory.
    #[must_use]
    pub fn with_limits(mut limits: HistoryLimits) -> Self {
        let size = limits.packets_min.max(1).next_power_of_two();
        limits.packets_max = limits.packets_max.max(size).next_power_of_two();
        Self {
            ring: (0..size).map(|_| None).collect(),
            limits,
            bytes: 0,
            oldest: 0,
            end: 0,
            keyframe: None,
        }
    }

    /// Keeps a packet; one that is older than the ring reaches back is refused with `false`.
    pub fn insert(&mut self, packet: StoredPacket) -> bool {
        let now = packet.arrived;
        let sequence = packet.sequence;
        self.expire_some(now, EXPIRED_PER_INSERT, SCANNED_PER_INSERT);
        if sequence >= self.end {
            self.grow_for(sequence);
            self.advance(sequence);
        }
        if sequence < self.oldest {
            return false;
        }
        let starts = packet.frame.keyframe;
        self.put(sequence, Some(packet));
        if starts {
            self.keyframe = self.keyframe.max(Some(sequence));
        }
        self.shed(sequence);
        true
    }

    /// Bytes of payload that are held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The packet with this number, if it is still held.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<&StoredPacket> {
        let packet = self.ring.get(self.index_of(sequence))?.as_ref()?;
        (packet.sequence == sequence).then_some(packet)
    }

    /// The packets held from a number on, in order, leaving out those that are missing.
    pub fn since(&self, sequence: u64) -> impl Iterator<Item = &StoredPacket> {
        (sequence.max(self.oldest)..self.end).filter_map(|sequence| self.get(sequence))
    }

    /// The first packet of the newest keyframe, if it is still held.
    #[must_use]
    pub fn keyframe(&self) -> Option<&StoredPacket> {
        self.get(self.keyframe?)
    }

    /// Lets go of what is too old at `now`; for streams that fall silent.
    pub fn expire(&mut self, now: Instant) {
        self.expire_some(now, self.ring.len(), self.ring.len());
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        self.empty();
        self.oldest = self.end;
        self.keyframe = None;
    }

    #[cfg(test)]
    pub(super) fn ring_size(&self) -> usize {
        self.ring.len()
    }

    const fn index_of(&self, sequence: u64) -> usize {
        // The ring's size is a power of two; the upper half of the number does not matter.
        let [.., a, b, c, d] = sequence.to_be_bytes();
        u32::from_be_bytes([a, b, c, d]) as usize & (self.ring.len() - 1)
    }

    fn slot_mut(&mut self, sequence: u64) -> Option<&mut Option<StoredPacket>> {
        let index = self.index_of(sequence);
        self.ring.get_mut(index)
    }

    /// Changes what is at a number's place, and counts its bytes.
    fn put(&mut self, sequence: u64, packet: Option<StoredPacket>) {
        let size = |packet: &Option<StoredPacket>| {
            let payload = packet.as_ref().map(|packet| &packet.payload);
            payload.map_or(0, Payload::len)
        };
        let added = size(&packet);
        if let Some(slot) = self.slot_mut(sequence) {
            let removed = size(slot);
            *slot = packet;
            self.bytes = (self.bytes + added).saturating_sub(removed);
        }
    }

    fn empty(&mut self) {
        self.ring.fill_with(|| None);
        self.bytes = 0;
    }

    /// Doubles the ring as long as `newest` would push out what is young. A number far ahead is a
    /// jump, for which nothing need be kept.
    fn grow_for(&mut self, newest: u64) {
        let span = usize::try_from(newest - self.oldest).unwrap_or(usize::MAX);
        if span >= self.ring.len() * 2 || self.oldest >= self.end {
            return;
        }
        while span >= self.ring.len() && self.ring.len() < self.limits.packets_max {
            let larger = (0..self.ring.len() * 2).map(|_| None).collect();
            let smaller = std::mem::replace(&mut self.ring, larger);
            for packet in smaller.into_iter().flatten() {
                let sequence = packet.sequence;
                if let Some(slot) = self.slot_mut(sequence) {
                    *slot = Some(packet);
                }
            }
        }
    }

    /// Lets go of the oldest while there are too many bytes, but never of `newest`.
    fn shed(&mut self, newest: u64) {
        while self.bytes > self.limits.bytes_max && self.oldest < newest {
            self.put(self.oldest, None);
            self.oldest += 1;
        }
    }

    /// Moves the window up so that `newest` is its end, and empties the places that go round.
    fn advance(&mut self, newest: u64) {
        let size = u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        let start = (newest + 1).saturating_sub(size);
        if start >= self.end {
            self.empty();
            self.oldest = start.max(newest.saturating_sub(REORDER_MAX));
        } else {
            for sequence in self.oldest..start {
                self.put(sequence, None);
            }
            self.oldest = self.oldest.max(start);
        }
        self.end = newest + 1;
    }

    /// Lets go of at most `count` packets from the front, looking at no more than `scan` places. A
    /// missing packet before a young one keeps its place: it may be repaired yet.
    fn expire_some(&mut self, now: Instant, count: usize, scan: usize) {
        let age_max = self.limits.age_max;
        let mut expired = 0;
        for sequence in (self.oldest..self.end).take(scan) {
            let Some(packet) = self.get(sequence) else {
                continue;
            };
            if now.saturating_duration_since(packet.arrived) <= age_max {
                return;
            }
            self.put(sequence, None);
            self.oldest = sequence + 1;
            expired += 1;
            if expired == count {
                return;
            }
        }
    }
}
