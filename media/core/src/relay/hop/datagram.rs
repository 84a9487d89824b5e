//! The datagrams of a hop.
//!
//! | first byte | then |
//! | --- | --- |
//! | 1 a packet | transport-wide number, hop number, label, epoch, packet |
//! | 2 the head of one | the same, with a number that both halves share before the label |
//! | 3 its tail | transport-wide number, hop number, shared number, rest of the packet |
//! | 4 feedback | first number, count, for each: 0 not there, or when after the one before |
//! | 5 wanted again | count, first hop number, distances |
//! | 6 padding | transport-wide number, zeros |

use std::time::Duration;

use media_bwe::PacketReport;
use media_types::Epoch;

use crate::limits::{HOP_NACKS_MAX, HOP_REPORTS_MAX};
use crate::relay::wire::{Reader, WireError, Writer};

const WHOLE: u8 = 1;
const HEAD: u8 = 2;
const TAIL: u8 = 3;
const FEEDBACK: u8 = 4;
const NACK: u8 = 5;
const PADDING: u8 = 6;

/// What a datagram costs before its packet: kind, both numbers, shared number, label, epoch.
pub(super) const OVERHEAD: usize = 1 + 2 + 4 + 2 + 5 + 9;
/// Arrivals are told in steps of so many microseconds: far below what delay is judged by.
const STEP_US: i64 = 16;

/// A packet, or a half of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Whole { label: u32, epoch: Epoch },
    Head { join: u16, label: u32, epoch: Epoch },
    Tail { join: u16 },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnitPart<'a> {
    pub(super) part: Part,
    pub(super) body: &'a [u8],
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Datagram<'a> {
    Unit {
        transport_sequence: u16,
        number: u32,
        unit: UnitPart<'a>,
    },
    Padding {
        transport_sequence: u16,
    },
    Feedback(Vec<PacketReport>),
    Nack(Vec<u32>),
}

impl<'a> Datagram<'a> {
    pub(super) const fn transport_sequence(&self) -> Option<u16> {
        match self {
            Self::Unit {
                transport_sequence, ..
            }
            | Self::Padding { transport_sequence } => Some(*transport_sequence),
            Self::Feedback(_) | Self::Nack(_) => None,
        }
    }

    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut from = Reader(bytes);
        let kind = from.byte()?;
        match kind {
            WHOLE | HEAD | TAIL => read_unit(kind, &mut from),
            FEEDBACK => read_feedback(from).map(Self::Feedback),
            NACK => read_nack(from).map(Self::Nack),
            PADDING => Ok(Self::Padding {
                transport_sequence: from.short()?,
            }),
            _ => Err(WireError::Bad("datagram")),
        }
    }
}

fn read_unit<'a>(kind: u8, from: &mut Reader<'a>) -> Result<Datagram<'a>, WireError> {
    let (transport_sequence, number) = (from.short()?, from.word()?);
    let join = match kind {
        WHOLE => 0,
        _ => from.short()?,
    };
    let part = match kind {
        TAIL => Part::Tail { join },
        _ => {
            let label = u32::try_from(from.number()?);
            let label = label.map_err(|_large| WireError::Bad("label"))?;
            let epoch = Epoch(from.number()?);
            match kind {
                WHOLE => Part::Whole { label, epoch },
                _ => Part::Head { join, label, epoch },
            }
        }
    };
    Ok(Datagram::Unit {
        transport_sequence,
        number,
        unit: UnitPart {
            part,
            body: from.rest(),
        },
    })
}

pub(super) fn write_unit(
    out: &mut Vec<u8>,
    transport_sequence: u16,
    number: u32,
    part: &Part,
    body: &[u8],
) {
    let mut to = Writer(out);
    to.byte(match part {
        Part::Whole { .. } => WHOLE,
        Part::Head { .. } => HEAD,
        Part::Tail { .. } => TAIL,
    });
    to.short(transport_sequence);
    to.word(number);
    match part {
        Part::Whole { label, epoch } => {
            to.number((*label).into());
            to.number(epoch.0);
        }
        Part::Head { join, label, epoch } => {
            to.short(*join);
            to.number((*label).into());
            to.number(epoch.0);
        }
        Part::Tail { join } => to.short(*join),
    }
    to.raw(body);
}

pub(super) fn write_padding(out: &mut Vec<u8>, transport_sequence: u16, size: usize) {
    let mut to = Writer(out);
    to.byte(PADDING);
    to.short(transport_sequence);
    out.resize(size.max(3), 0);
}

/// Appends what came of the numbers from `base` on; whatever exceeds `room` is left out. How many
/// are in.
pub(super) fn write_feedback(
    out: &mut Vec<u8>,
    room: usize,
    base: u16,
    arrivals: &[Option<Duration>],
) -> usize {
    let mut list = Vec::with_capacity(room);
    let mut last = 0;
    let mut count = 0;
    // The kind, the base and a count of two bytes.
    let room = room.saturating_sub(5);
    for arrival in arrivals.iter().take(HOP_REPORTS_MAX) {
        let mark = list.len();
        let mut to = Writer(&mut list);
        match arrival {
            None => to.number(0),
            Some(at) => {
                let steps = i64::try_from(at.as_micros()).unwrap_or(i64::MAX) / STEP_US;
                to.number(1 + zigzag(steps.wrapping_sub(last)));
                last = steps;
            }
        }
        if list.len() > room {
            list.truncate(mark);
            break;
        }
        count += 1;
    }
    let mut to = Writer(out);
    to.byte(FEEDBACK);
    to.short(base);
    to.number(u64::try_from(count).unwrap_or(0));
    to.raw(&list);
    count
}

fn read_feedback(mut from: Reader<'_>) -> Result<Vec<PacketReport>, WireError> {
    let base = from.short()?;
    let count = usize::try_from(from.number()?).unwrap_or(usize::MAX);
    if count > HOP_REPORTS_MAX {
        return Err(WireError::Bad("count"));
    }
    let mut reports = Vec::with_capacity(count);
    let mut last: i64 = 0;
    for offset in (0..=u16::MAX).take(count) {
        let arrived = match from.number()? {
            0 => None,
            value => {
                last = last.wrapping_add(unzigzag(value - 1));
                let steps = u64::try_from(last).map_err(|_early| WireError::Bad("time"))?;
                let micros = steps.saturating_mul(STEP_US.unsigned_abs());
                Some(Duration::from_micros(micros))
            }
        };
        reports.push(PacketReport {
            sequence: base.wrapping_add(offset),
            arrived,
        });
    }
    from.end()?;
    Ok(reports)
}

/// Appends hop numbers that are wanted again, ascending.
pub(super) fn write_nack(out: &mut Vec<u8>, numbers: &[u32]) {
    let Some(&first) = numbers.first() else {
        return;
    };
    let mut to = Writer(out);
    to.byte(NACK);
    to.number(u64::try_from(numbers.len()).unwrap_or(0));
    to.word(first);
    let mut last = first;
    for &number in numbers.iter().skip(1) {
        to.number(number.wrapping_sub(last).into());
        last = number;
    }
}

fn read_nack(mut from: Reader<'_>) -> Result<Vec<u32>, WireError> {
    let count = usize::try_from(from.number()?).unwrap_or(usize::MAX);
    if count == 0 || count > HOP_NACKS_MAX {
        return Err(WireError::Bad("count"));
    }
    let mut numbers = Vec::with_capacity(count);
    let mut last = from.word()?;
    numbers.push(last);
    for _ in 1..count {
        let distance = u32::try_from(from.number()?);
        last = last.wrapping_add(distance.map_err(|_far| WireError::Bad("distance"))?);
        numbers.push(last);
    }
    from.end()?;
    Ok(numbers)
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
