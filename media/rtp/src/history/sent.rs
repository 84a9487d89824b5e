//! Which packet a subscriber got under which number.

use std::time::{Duration, Instant};

use crate::descriptor::PicturePatch;
use crate::limits::{
    RESEND_BUDGET_BYTES, RESEND_BUDGET_SHARE, RESEND_GAP_MIN, RESENDS_MAX, SENT_PACKETS_MAX,
    SENT_PACKETS_MIN, SENT_TICKS,
};
use crate::sequence::SequenceNumber;
use crate::timestamp::RtpTimestamp;

/// What is needed to send a packet of a history once more, exactly as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentPacket {
    /// Unwrapped incoming sequence number: the key into the history.
    pub in_seq: u64,
    /// Which of the track's streams (simulcast layers) it came from.
    pub stream: u8,
    /// Outgoing timestamp.
    pub out_ts: u32,
    /// The marker bit that it was sent with.
    pub marker: bool,
    /// Outgoing picture numbers.
    pub patch: PicturePatch,
}

/// Whether to send a packet again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Send it.
    Packet(SentPacket),
    /// It was sent again less than a round trip ago, and may still arrive.
    TooSoon,
    /// It was sent too often already, or the budget is spent.
    Refused,
    /// Not sent, or too long ago.
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    in_seq: u64,
    out_ts: u32,
    patch: PicturePatch,
    /// Milliseconds from the map's start to the last resend.
    resent_ms: u32,
    out_seq: u16,
    stream: u8,
    /// The lowest bit: in use; the next: marker; above: resends.
    state: u8,
}

const IN_USE: u8 = 0x01;
const MARKER: u8 = 0x02;
const RESENDS_SHIFT: u8 = 2;
const ONE_RESEND: u8 = 1 << RESENDS_SHIFT;

const _: () = assert!(size_of::<Entry>() <= 24);
const _: () = assert!(RESENDS_MAX < u8::MAX >> RESENDS_SHIFT);

const VACANT: Entry = Entry {
    in_seq: 0,
    out_ts: 0,
    patch: PicturePatch {
        picture_id: 0,
        tl0_pic_idx: 0,
        key_idx: 0,
    },
    resent_ms: 0,
    out_seq: 0,
    stream: 0,
    state: 0,
};

/// The last packets sent to one subscriber, by outgoing sequence number.
///
/// It reaches back a second: it takes nothing before the first packet, then 3 KB, and doubles, up
/// to 96 KB, while a packet that it would forget is younger than that.
#[derive(Debug)]
pub struct SentMap {
    entries: Box<[Entry]>,
    start: Instant,
    budget: u64,
}

impl SentMap {
    /// An empty map; `now` is where its clock starts.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            entries: Box::default(),
            start: now,
            budget: RESEND_BUDGET_BYTES,
        }
    }

    /// Remembers a packet of `size` bytes as sent with the number `out_seq`.
    pub fn on_sent(&mut self, out_seq: u64, packet: SentPacket, size: usize) {
        let size = u64::try_from(size).unwrap_or(0);
        self.budget = (self.budget + size / RESEND_BUDGET_SHARE).min(RESEND_BUDGET_BYTES);
        let out_seq = SequenceNumber::of(out_seq).0;
        self.grow_for(out_seq, packet.out_ts);
        if let Some(entry) = self.entry_mut(out_seq) {
            *entry = Entry {
                in_seq: packet.in_seq,
                out_ts: packet.out_ts,
                patch: packet.patch,
                resent_ms: 0,
                out_seq,
                stream: packet.stream,
                state: IN_USE | if packet.marker { MARKER } else { 0 },
            };
        }
    }

    /// Reads the entry that a packet with the number `out_seq` will have; of no meaning.
    #[must_use]
    pub fn touch(&self, out_seq: u64) -> u64 {
        let mask = self.entries.len().wrapping_sub(1);
        let place = usize::from(SequenceNumber::of(out_seq).0) & mask;
        let entry = self.entries.get(place);
        entry.map_or(self.budget, |entry| entry.in_seq)
    }

    /// What to do about a NACK for `out_seq`. A [`Resend::Packet`] counts as sent again; if its
    /// history no longer has it, nothing is lost but an attempt.
    pub fn resend(&mut self, now: Instant, out_seq: u16, rtt: Duration) -> Resend {
        let now_ms = self.milliseconds(now);
        let budget = self.budget;
        let Some(entry) = self.entry_mut(out_seq) else {
            return Resend::Unknown;
        };
        if entry.out_seq != out_seq || entry.state & IN_USE == 0 {
            return Resend::Unknown;
        }
        let resends = entry.state >> RESENDS_SHIFT;
        let gap = Duration::from_millis(u64::from(now_ms.saturating_sub(entry.resent_ms)));
        if resends > 0 && gap < rtt.max(RESEND_GAP_MIN) {
            return Resend::TooSoon;
        }
        if resends >= RESENDS_MAX || budget == 0 {
            return Resend::Refused;
        }
        entry.resent_ms = now_ms;
        entry.state += ONE_RESEND;
        Resend::Packet(SentPacket {
            in_seq: entry.in_seq,
            stream: entry.stream,
            out_ts: entry.out_ts,
            marker: entry.state & MARKER != 0,
            patch: entry.patch,
        })
    }

    /// Takes a resent packet's `size` in bytes off the budget.
    pub fn on_resent(&mut self, size: usize) {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        self.budget = self.budget.saturating_sub(size);
    }

    /// Milliseconds since the start; they last for 49 days, and then resends are merely allowed.
    fn milliseconds(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.start).as_millis();
        u32::try_from(elapsed).unwrap_or(u32::MAX)
    }

    /// Makes room, if the entry whose place `out_seq` takes is too young to be forgotten.
    fn grow_for(&mut self, out_seq: u16, out_ts: u32) {
        let young = |entry: &Entry| {
            let age = RtpTimestamp(out_ts).distance(RtpTimestamp(entry.out_ts));
            let other = entry.state & IN_USE != 0 && entry.out_seq != out_seq;
            other && age.unsigned_abs() < SENT_TICKS
        };
        if self.entries.is_empty() {
            self.entries = vec![VACANT; SENT_PACKETS_MIN].into_boxed_slice();
        }
        while self.entries.len() < SENT_PACKETS_MAX {
            if !self.entry_mut(out_seq).is_some_and(|entry| young(entry)) {
                return;
            }
            let larger = vec![VACANT; self.entries.len() * 2].into_boxed_slice();
            let smaller = std::mem::replace(&mut self.entries, larger);
            for entry in smaller
                .into_iter()
                .filter(|entry| entry.state & IN_USE != 0)
            {
                if let Some(place) = self.entry_mut(entry.out_seq) {
                    *place = entry;
                }
            }
        }
    }

    fn entry_mut(&mut self, out_seq: u16) -> Option<&mut Entry> {
        // The size is a power of two, or nothing yet.
        let mask = self.entries.len().wrapping_sub(1);
        self.entries.get_mut(usize::from(out_seq) & mask)
    }
}
