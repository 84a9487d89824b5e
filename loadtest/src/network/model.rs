//! The network as a function of what came before: no datagrams, only their sizes and times.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_types::DataSize;

use super::{Chance, Link, Queue, Trace};

/// Why a datagram did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The link was down.
    Outage,
    /// The link was in its bad state.
    Burst,
    /// By independent chance.
    Chance,
    /// The bottleneck's queue was full.
    Queue,
}

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost(Cause),
    /// It arrives.
    Arrives {
        /// When.
        at: Instant,
        /// Once more, then too.
        twice: bool,
        /// Behind others that were sent after it.
        reordered: bool,
        /// How long it waited in the bottleneck's queue before its own first bit left.
        waited: Duration,
        /// When its last bit left the bottleneck.
        departed: Instant,
    },
}

/// One direction of a path.
#[derive(Debug, Clone)]
pub struct Model {
    trace: Trace,
    start: Instant,
    chance: Chance,
    bad: bool,
    /// What is in the bottleneck's queue: when each leaves it, and its size.
    queue: VecDeque<(Instant, DataSize)>,
    queued: DataSize,
    /// The latest arrival of an ordinary datagram: jitter alone does not reorder.
    last: Instant,
}

impl Model {
    /// An idle path.
    #[must_use]
    pub fn new(start: Instant, trace: impl Into<Trace>, chance: Chance) -> Self {
        Self {
            trace: trace.into(),
            start,
            chance,
            bad: false,
            queue: VecDeque::new(),
            queued: DataSize::ZERO,
            last: start,
        }
    }

    /// What it does over time.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// From a time since the start on it is another link, until what follows then.
    pub fn change(&mut self, at: Duration, link: Link) {
        self.trace = self.trace.clone().then(at, link);
    }

    /// When it began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// A datagram comes to the path; times must not go back.
    pub fn push(&mut self, now: Instant, size: DataSize) -> Fate {
        let elapsed = now.saturating_duration_since(self.start);
        let Self {
            trace,
            chance,
            bad,
            last,
            ..
        } = self;
        let link = trace.at(elapsed);
        if let Some(cause) = loses(link, elapsed, chance, bad) {
            return Fate::Lost(cause);
        }
        let jitter = u64::try_from(link.jitter.as_micros()).unwrap_or(u64::MAX);
        let (reorder_ppm, duplicate_ppm) = (link.reorder_ppm, link.duplicate_ppm);
        let delay = link.delay;
        let Some((waited, departed)) = pass(
            &mut self.queue,
            &mut self.queued,
            trace,
            Arrival {
                start: self.start,
                now,
                size,
            },
        ) else {
            return Fate::Lost(Cause::Queue);
        };
        let jitter = Duration::from_micros(chance.below(jitter));
        let mut at = departed + delay + jitter;
        let reordered = chance.happens(reorder_ppm);
        if reordered {
            at += delay * 2;
        } else {
            at = at.max(*last);
            *last = at;
        }
        Fate::Arrives {
            at,
            twice: chance.happens(duplicate_ppm),
            reordered,
            waited,
            departed,
        }
    }
}

fn loses(link: &Link, elapsed: Duration, chance: &mut Chance, bad: &mut bool) -> Option<Cause> {
    if link.is_out(elapsed) {
        return Some(Cause::Outage);
    }
    match link.burst {
        Some(burst) => {
            let turn = match *bad {
                true => burst.leave_ppm,
                false => burst.enter_ppm,
            };
            *bad ^= chance.happens(turn);
            if *bad && (burst.loss_ppm >= 1_000_000 || chance.happens(burst.loss_ppm)) {
                return Some(Cause::Burst);
            }
        }
        None => *bad = false,
    }
    chance.happens(link.loss_ppm).then_some(Cause::Chance)
}

struct Arrival {
    start: Instant,
    now: Instant,
    size: DataSize,
}

/// How long it waits and when it has left the bottleneck; `None` when the queue is full.
fn pass(
    queue: &mut VecDeque<(Instant, DataSize)>,
    queued: &mut DataSize,
    trace: &Trace,
    Arrival { start, now, size }: Arrival,
) -> Option<(Duration, Instant)> {
    while let Some((_, gone)) = queue.front().filter(|(at, _)| *at <= now) {
        *queued = queued.saturating_sub(*gone);
        queue.pop_front();
    }
    let link = trace.at(now.saturating_duration_since(start));
    let Some(rate) = link.rate else {
        return Some((Duration::ZERO, now));
    };
    let limit = match link.queue {
        Queue::Bytes(limit) => limit.bytes(),
        Queue::Time(time) => rate.bytes_in(time),
    };
    if queued.saturating_add(size).bytes() > limit {
        return None;
    }
    let free = queue.back().map_or(now, |(at, _)| *at);
    let departed = serve(trace, start, free, size)?;
    queue.push_back((departed, size));
    *queued = queued.saturating_add(size);
    Some((free.saturating_duration_since(now), departed))
}

/// When the last bit leaves if the first may leave at `from`; `None` if it never does. A rate that
/// changes meanwhile changes what is under way.
fn serve(trace: &Trace, start: Instant, from: Instant, size: DataSize) -> Option<Instant> {
    let (mut at, mut left) = (from, size);
    loop {
        let (link, end) = trace.segment(at.saturating_duration_since(start));
        let Some(rate) = link.rate else {
            return Some(at);
        };
        let need = rate.time_for(left);
        match end.map(|end| start + end) {
            Some(end) if at.checked_add(need).is_none_or(|done| done > end) => {
                let sent = rate.bytes_in(end.saturating_duration_since(at));
                left = left.saturating_sub(DataSize::from_bytes(sent));
                at = end;
            }
            _ => return at.checked_add(need),
        }
    }
}

#[cfg(test)]
mod tests;
