//! Recording arrivals and writing feedback about them.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Chunk, FIXED_BYTES, FORMAT, REFERENCE_TICKS, Status, TICK_US};
use crate::rtcp::{HEADER_BYTES, TRANSPORT_FEEDBACK, put_u32, write};

/// A feedback packet stays below this, so that it fits a datagram beside a report.
pub const FEEDBACK_BYTES_MAX: usize = 1_100;
/// Packets kept on record, which is also the most that a gap may be long: half a second of a very
/// fast sender. A run-length chunk can say as many.
const RECORD_MAX: u64 = 8_191;
/// Packets kept after they were reported on, so that one that comes late is reported all the same.
const REORDERED_MAX: u64 = 256;
/// The first number, unwrapped; what comes before it in disorder must not be below zero.
const ORIGIN: u64 = 1 << 32;
const RUN_MAX: usize = 0x1fff;

/// Records when the packets of one transport arrive, until it is written into feedback.
#[derive(Debug, Default)]
pub struct TwccRecorder {
    /// The time that ticks count from: the first arrival.
    origin: Option<Instant>,
    /// The unwrapped number of the first record.
    start: u64,
    /// Ticks of each packet's arrival, `None` while it is missing. Never ends in a missing one.
    records: VecDeque<Option<i64>>,
    /// The first number not reported on yet.
    next: u64,
    /// Whether records were dropped: then what came before `start` is not known to be missing.
    trimmed: bool,
    feedback_count: u8,
    /// Of the packet being written.
    statuses: Vec<(Status, i16)>,
}

impl TwccRecorder {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a packet with this transport-wide number. A number that has come before is
    /// ignored, and so is one too old to be told from it.
    pub fn record(&mut self, now: Instant, sequence: u16) {
        let origin = *self.origin.get_or_insert(now);
        let elapsed = now.saturating_duration_since(origin).as_micros();
        let ticks = i64::try_from(elapsed).unwrap_or(i64::MAX) / TICK_US;
        if self.records.is_empty() {
            self.start = ORIGIN | u64::from(sequence);
            self.next = self.start;
        }
        let number = unwrap(self.end(), sequence);
        if number < self.start && !self.extend_front(number) {
            return;
        }
        self.make_room(number);
        while self.end() <= number {
            self.records.push_back(None);
        }
        let at = usize::try_from(number - self.start).unwrap_or(usize::MAX);
        if let Some(record @ None) = self.records.get_mut(at) {
            *record = Some(ticks);
            self.next = self.next.min(number);
        }
    }

    /// Whether there is something to report.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.next < self.end()
    }

    /// Appends one feedback packet of at most [`FEEDBACK_BYTES_MAX`] bytes and returns `true`, or
    /// returns `false` if there is nothing left to report. To be called until then.
    pub fn write_feedback(&mut self, out: &mut Vec<u8>, sender: u32, media: u32) -> bool {
        let Some(reference) = self.collect() else {
            return false;
        };
        let [.., b0, b1] = self.next.to_be_bytes();
        let [_, t0, t1, t2] = reference.to_be_bytes();
        let feedback_count = self.feedback_count;
        let statuses = &self.statuses;
        let mut reported = 0;
        write(out, TRANSPORT_FEEDBACK, FORMAT, |out| {
            put_u32(out, sender);
            put_u32(out, media);
            let count_at = out.len() + 2;
            out.extend_from_slice(&[b0, b1, 0, 0, t0, t1, t2, feedback_count]);
            reported = write_chunks(out, statuses);
            let reported = statuses.get(..reported).unwrap_or_default();
            for &(status, delta) in reported {
                let [high, low] = delta.to_be_bytes();
                match status {
                    Status::Missing => {}
                    Status::Small => out.push(low),
                    Status::Large => out.extend_from_slice(&[high, low]),
                }
            }
            let count = u16::try_from(reported.len()).unwrap_or(u16::MAX);
            if let Some(field) = out.get_mut(count_at..) {
                crate::bytes::put(field, &count.to_be_bytes());
            }
        });
        self.feedback_count = feedback_count.wrapping_add(1);
        self.next += u64::try_from(reported).unwrap_or(0);
        self.trim(self.next.saturating_sub(REORDERED_MAX));
        true
    }

    /// One past the newest number.
    fn end(&self) -> u64 {
        self.start + u64::try_from(self.records.len()).unwrap_or(0)
    }

    /// Makes room for a number before the first, if it cannot have been reported on.
    fn extend_front(&mut self, number: u64) -> bool {
        if self.trimmed || self.end() - number > REORDERED_MAX {
            return false;
        }
        while self.start > number {
            self.records.push_front(None);
            self.start -= 1;
        }
        true
    }

    /// Drops the oldest records so that `number` fits. What is lost with them is never reported,
    /// and the sender takes it for lost when its own time is up.
    fn make_room(&mut self, number: u64) {
        let first = (number + 1).saturating_sub(RECORD_MAX);
        if first >= self.end() {
            self.records.clear();
            self.start = number;
            self.next = number;
            self.trimmed = true;
        } else {
            self.trim(first);
        }
    }

    fn trim(&mut self, first: u64) {
        while self.start < first && self.records.pop_front().is_some() {
            self.start += 1;
            self.trimmed = true;
        }
        self.next = self.next.max(self.start);
    }

    /// Fills `statuses` from the first unreported packet on, as far as one feedback can reach, and
    /// returns the reference time, or `None` if there is nothing to report.
    fn collect(&mut self) -> Option<i32> {
        self.statuses.clear();
        let skipped = usize::try_from(self.next - self.start).unwrap_or(usize::MAX);
        let records = self.records.iter().skip(skipped).copied();
        let first = records.clone().flatten().next()?;
        let reference = first / REFERENCE_TICKS;
        let mut before = reference * REFERENCE_TICKS;
        for record in records {
            let status = match record {
                None => (Status::Missing, 0),
                Some(ticks) => {
                    let Ok(delta) = i16::try_from(ticks - before) else {
                        // Too far apart for one feedback: the next has its own reference.
                        break;
                    };
                    before = ticks;
                    let small = u8::try_from(delta).is_ok();
                    (if small { Status::Small } else { Status::Large }, delta)
                }
            };
            self.statuses.push(status);
            if self.statuses.len() >= FEEDBACK_BYTES_MAX && status.0 != Status::Missing {
                break;
            }
        }
        // 24 bits with sign on the wire, where it wraps.
        i32::try_from(reference & 0xff_ffff).ok()
    }
}

/// The unwrapped number nearest to the one after the newest.
fn unwrap(end: u64, sequence: u16) -> u64 {
    let [.., high, low] = end.to_be_bytes();
    let distance = sequence.wrapping_sub(u16::from_be_bytes([high, low]));
    end.saturating_add_signed(distance.cast_signed().into())
}

/// Appends chunks for as many statuses as fit with their deltas, and returns how many those are.
fn write_chunks(out: &mut Vec<u8>, statuses: &[(Status, i16)]) -> usize {
    let mut size = HEADER_BYTES + FIXED_BYTES;
    let mut rest = statuses;
    while let Some(&(first, _)) = rest.first() {
        let room = FEEDBACK_BYTES_MAX.saturating_sub(size + 2);
        let (chunk, taken) = next_chunk(first, rest);
        let chosen = rest.get(..taken).unwrap_or_default();
        let deltas: usize = chosen.iter().map(|(status, _)| status.delta_bytes()).sum();
        if deltas > room || size + 2 > FEEDBACK_BYTES_MAX {
            break;
        }
        out.extend_from_slice(&chunk.0.to_be_bytes());
        size += 2 + deltas;
        rest = rest.get(taken..).unwrap_or_default();
    }
    statuses.len() - rest.len()
}

/// The chunk that says most about the statuses at the front, and how many it takes.
fn next_chunk(first: Status, rest: &[(Status, i16)]) -> (Chunk, usize) {
    let same = rest.iter().take_while(|(status, _)| *status == first);
    let run = same.count().min(RUN_MAX);
    let one_bit = rest.get(..14.min(rest.len())).unwrap_or_default();
    let fits_one_bit = one_bit.iter().all(|(status, _)| *status != Status::Large);
    let vector = if fits_one_bit { 14 } else { 7 };
    let symbol = first as u16;
    if run >= vector || run == rest.len() {
        // A run of what was received is cut so that it is never too much for a packet of its own.
        let run = if first == Status::Missing {
            run
        } else {
            run.min(RUN_MAX.min(FEEDBACK_BYTES_MAX / 4))
        };
        let length = u16::try_from(run).unwrap_or(0);
        return (Chunk(symbol << 13 | length), run);
    }
    let taken = vector.min(rest.len());
    let (head, width) = if fits_one_bit {
        (0x8000, 1)
    } else {
        (0xc000, 2)
    };
    let mut bits = head;
    let mut shift = 14;
    for (status, _) in rest.iter().take(taken) {
        shift -= width;
        bits |= (*status as u16) << shift;
    }
    (Chunk(bits), taken)
}
