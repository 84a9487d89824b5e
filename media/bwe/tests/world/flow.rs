//! One sender with its receiver.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_bwe::{EstimatorConfig, GccEstimator, Pacer, PacketReport, Priority};
use media_types::{Bitrate, DataSize};

use super::link::{Arrival, Packet};

const FEEDBACK: Duration = Duration::from_millis(50);
const FRAME: Duration = Duration::from_millis(33);
const PACKET: u64 = 1_200;
/// What a padding packet weighs at most.
const ITEMS_MAX: usize = 4_096;

/// What a sender sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// All that it may, up to this.
    Greedy(Bitrate),
    /// The highest of these layers that fits into 0.9 of the estimate; a higher one only after a
    /// second in which it fitted.
    Layers(&'static [u64]),
    /// This much, whatever it may.
    Fixed(Bitrate, Bitrate),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) estimate: Bitrate,
}

pub(crate) struct Flow {
    pub(crate) estimator: GccEstimator,
    pub(crate) samples: Vec<Sample>,
    pub(crate) delivered: Vec<Arrival>,
    /// When which rate was chosen.
    pub(crate) switches: Vec<(Duration, Bitrate)>,
    /// Every so many pictures one is six times as large.
    pub(crate) keyframes: Option<u64>,
    pictures: u64,
    source: Source,
    pacer: Pacer<DataSize>,
    next_frame: Duration,
    fits_since: Option<Duration>,
    sending: Bitrate,
    /// Arrived and not yet reported, by number.
    pending: VecDeque<(u16, Duration)>,
    next_report: Duration,
    reported: u16,
    on_the_way: VecDeque<(Duration, Vec<PacketReport>)>,
}

impl Flow {
    pub(crate) fn new(base: Instant, source: Source, phase: Duration) -> Self {
        let config = EstimatorConfig::default();
        let mut estimator = GccEstimator::new(config);
        let wanted = match source {
            Source::Greedy(most) | Source::Fixed(_, most) => most,
            Source::Layers(layers) => Bitrate::from_kbps(*layers.last().unwrap()).percent(112),
        };
        estimator.set_wanted(base, wanted);
        Self {
            estimator,
            samples: Vec::new(),
            delivered: Vec::new(),
            switches: Vec::new(),
            keyframes: None,
            pictures: 0,
            source,
            pacer: Pacer::new(base, config.start, ITEMS_MAX),
            next_frame: phase,
            fits_since: None,
            sending: Bitrate::ZERO,
            pending: VecDeque::new(),
            next_report: FEEDBACK,
            reported: 0,
            on_the_way: VecDeque::new(),
        }
    }

    fn choose(&mut self, at: Duration, estimate: Bitrate) -> Bitrate {
        let layers = match self.source {
            Source::Greedy(most) => return estimate.min(most),
            Source::Fixed(rate, _) => return rate,
            Source::Layers(layers) => layers,
        };
        let budget = estimate.percent(90);
        let fitting = layers.iter().rev().map(|layer| Bitrate::from_kbps(*layer));
        let best = fitting.into_iter().find(|layer| *layer <= budget);
        let best = best.unwrap_or(Bitrate::from_kbps(layers[0]));
        if best <= self.sending {
            self.fits_since = None;
            return best;
        }
        let since = *self.fits_since.get_or_insert(at);
        if at - since >= Duration::from_secs(1) || self.sending == Bitrate::ZERO {
            self.fits_since = None;
            return best;
        }
        self.sending
    }

    pub(crate) fn send(&mut self, now: Instant, at: Duration, mut out: impl FnMut(Packet)) {
        let estimate = self.estimator.estimate(now);
        self.samples.push(Sample { at, estimate });
        if at >= self.next_frame {
            self.next_frame += FRAME;
            let rate = self.choose(at, estimate);
            if rate != self.sending && matches!(self.source, Source::Layers(_)) {
                self.switches.push((at, rate));
            }
            self.sending = rate;
            self.pictures += 1;
            let every = self.keyframes.unwrap_or(u64::MAX);
            let large = self.pictures.is_multiple_of(every);
            let mut left = rate.bytes_in(FRAME) * if large { 6 } else { 1 };
            while left > 0 {
                let size = DataSize::from_bytes(left.min(PACKET));
                left -= size.bytes();
                self.pacer.push(now, Priority::Video, size, size);
            }
        }
        if let Some(cluster) = self.estimator.poll_probe(now) {
            self.pacer.start_probe(now, cluster);
        }
        self.pacer.set_rate(self.estimator.pacing_rate(now));
        while let Some(departure) = self.pacer.pop_next(now) {
            let size = departure.item;
            let sequence = match departure.probe {
                Some(probe) => self.estimator.on_probe_sent(now, size, probe),
                None => self.estimator.on_sent(now, size),
            };
            out(Packet { sequence, size });
        }
        while let Some((size, probe)) = self.pacer.poll_padding(now) {
            let sequence = self.estimator.on_probe_sent(now, size, probe);
            self.pacer.on_padding(now, size);
            out(Packet { sequence, size });
        }
    }

    pub(crate) fn arrive(&mut self, arrival: &Arrival) {
        self.delivered.push(*arrival);
        self.pending.push_back((arrival.sequence, arrival.at));
    }

    /// Sends feedback when it is due, and takes what has come back.
    pub(crate) fn report(&mut self, now: Instant, at: Duration, delay: Duration) {
        if at >= self.next_report {
            self.next_report += FEEDBACK;
            let mut reports = Vec::new();
            while self
                .pending
                .front()
                .is_some_and(|(_, arrived)| *arrived <= at)
            {
                let (sequence, arrived) = self.pending.pop_front().unwrap();
                while self.reported != sequence {
                    reports.push(PacketReport {
                        sequence: self.reported,
                        arrived: None,
                    });
                    self.reported = self.reported.wrapping_add(1);
                }
                // The wire's resolution is 250 us.
                let micros = u64::try_from(arrived.as_micros()).unwrap() / 250 * 250;
                reports.push(PacketReport {
                    sequence,
                    arrived: Some(Duration::from_micros(micros)),
                });
                self.reported = self.reported.wrapping_add(1);
            }
            if !reports.is_empty() {
                self.on_the_way.push_back((at + delay, reports));
            }
        }
        while self.on_the_way.front().is_some_and(|(due, _)| *due <= at) {
            let (_, reports) = self.on_the_way.pop_front().unwrap();
            self.estimator.on_feedback(now, reports);
        }
    }
}
