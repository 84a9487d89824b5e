//! A bottleneck and what is sent through it, in virtual time.
//!
//! One drop-tail queue that several flows share, a delay each way, loss from a seeded generator,
//! and feedback every 50 ms. Time goes in steps of a millisecond; packets leave the queue at exact
//! moments between.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

pub(crate) mod flow;
pub(crate) mod link;

use std::time::{Duration, Instant};

use flow::{Flow, Source};
use link::Link;
use media_types::Bitrate;

pub(crate) const STEP: Duration = Duration::from_millis(1);

pub(crate) const fn kbps(kbps: u64) -> Bitrate {
    Bitrate::from_kbps(kbps)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) struct World {
    pub(crate) base: Instant,
    pub(crate) at: Duration,
    pub(crate) link: Link,
    pub(crate) flows: Vec<Flow>,
}

impl World {
    pub(crate) fn new(link: Link, flows: usize, source: Source) -> Self {
        let base = Instant::now();
        // No two cameras take their pictures at the same moment.
        let phase = |flow: usize| ms(u64::try_from(flow).unwrap() * 13 % 33);
        let flows = (0..flows)
            .map(|flow| Flow::new(base, source, phase(flow)))
            .collect();
        Self {
            base,
            at: Duration::ZERO,
            link,
            flows,
        }
    }

    /// Lets time pass until `end`.
    pub(crate) fn run(&mut self, end: Duration) {
        while self.at < end {
            self.at += STEP;
            let now = self.base + self.at;
            let first = self.link.draw(self.flows.len());
            let (after, before) = self.flows.split_at_mut(first);
            let before = before
                .iter_mut()
                .enumerate()
                .map(|(index, flow)| (first + index, flow));
            for (index, flow) in before.chain(after.iter_mut().enumerate()) {
                flow.send(now, self.at, |packet| {
                    self.link.push(self.at, index, packet)
                });
            }
            for arrival in self.link.serve(self.at) {
                self.flows[arrival.flow].arrive(&arrival);
            }
            for flow in &mut self.flows {
                flow.report(now, self.at, self.link.delay);
            }
        }
    }
}

/// The mean of a flow's estimate over a span, in kb/s.
pub(crate) fn mean(flow: &Flow, from: Duration, to: Duration) -> u64 {
    let seen: Vec<u64> = within(flow, from, to)
        .map(|sample| sample.estimate.bps())
        .collect();
    seen.iter().sum::<u64>() / 1_000 / u64::try_from(seen.len()).unwrap()
}

/// The least of it.
pub(crate) fn least(flow: &Flow, from: Duration, to: Duration) -> u64 {
    let least = within(flow, from, to)
        .map(|sample| sample.estimate.bps())
        .min();
    least.unwrap() / 1_000
}

/// When the estimate first reached `rate` from `from` on.
pub(crate) fn reached(flow: &Flow, from: Duration, rate: Bitrate) -> Option<Duration> {
    let mut samples = within(flow, from, Duration::MAX);
    samples
        .find(|sample| sample.estimate >= rate)
        .map(|sample| sample.at)
}

/// The longest time for which packets stood in a queue longer than `limit`.
pub(crate) fn longest_queue(flow: &Flow, limit: Duration) -> Duration {
    let (mut since, mut longest) = (None, Duration::ZERO);
    for delivered in &flow.delivered {
        if delivered.queue > limit {
            let since = *since.get_or_insert(delivered.at);
            longest = longest.max(delivered.at - since);
        } else {
            since = None;
        }
    }
    longest
}

/// What arrived over a span, in kb/s.
pub(crate) fn goodput(flow: &Flow, from: Duration, to: Duration) -> u64 {
    let within = |at: Duration| at >= from && at < to;
    let arrived = flow
        .delivered
        .iter()
        .filter(|delivered| within(delivered.at));
    let bytes: u64 = arrived.map(|delivered| delivered.size.bytes()).sum();
    bytes * 8 / u64::try_from((to - from).as_millis()).unwrap()
}

/// The share of packets that waited longer than `limit`.
pub(crate) fn late(flow: &Flow, from: Duration, limit: Duration) -> f64 {
    let all: Vec<_> = flow.delivered.iter().filter(|d| d.at >= from).collect();
    let late = all
        .iter()
        .filter(|delivered| delivered.queue > limit)
        .count();
    late as f64 / all.len() as f64
}

fn within(flow: &Flow, from: Duration, to: Duration) -> impl Iterator<Item = &flow::Sample> {
    let inside = move |at: Duration| at >= from && at < to;
    flow.samples.iter().filter(move |sample| inside(sample.at))
}
