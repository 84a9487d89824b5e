//! What a run has shown: as JSON, as Markdown, and as one HTML page with plots.

mod html;
mod markdown;
mod plot;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::light::StreamFigures;
use crate::run::{Counts, Outcome, Sample};
use crate::scenario::Scenario;
use crate::trend::Trend;
use crate::verdict::{Fault, ServerCost, Times};

/// A distribution in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// How many were measured.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// Half of them.
    pub p50_ms: f64,
    /// 95 %.
    pub p95_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds for a report")]
impl From<&Histogram> for Spread {
    fn from(histogram: &Histogram) -> Self {
        let ms = |micros: u64| micros as f64 / 1e3;
        Self {
            count: histogram.count(),
            mean_ms: ms(histogram.mean_micros()),
            p50_ms: ms(histogram.quantile_micros(500)),
            p95_ms: ms(histogram.quantile_micros(950)),
            p99_ms: ms(histogram.quantile_micros(990)),
            max_ms: ms(histogram.most_micros()),
        }
    }
}

/// A report.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether all expectations hold.
    pub passed: bool,
    /// Those that do not.
    pub faults: Vec<Fault>,
    /// What was run.
    pub scenario: Scenario,
    /// Seconds from first to last.
    pub seconds: f64,
    /// From a member's first word to the answer to `join`.
    pub join: Spread,
    /// To the answer to its offer.
    pub answer: Spread,
    /// To the end of ICE and DTLS.
    pub connect: Spread,
    /// To the first packet of media.
    pub first_media: Spread,
    /// To the first keyframe.
    pub first_keyframe: Spread,
    /// From the sender's stamp on a packet to reading it, this tool's own waits included.
    pub latency: Spread,
    /// From sending a chat or data message to its arrival.
    pub message_latency: Spread,
    /// From a ping to its answer.
    pub ping: Spread,
    /// What all received.
    pub received: StreamFigures,
    /// Lost as a share of what was sent to them.
    pub loss: f64,
    /// Packets of media that publishers sent.
    pub sent: u64,
    /// Packets that were decrypted.
    pub opened: u64,
    /// Packets that were not authentic or could not be read.
    pub refused: u64,
    /// Datagrams that our kernel did not take.
    pub unsent: u64,
    /// Signalling.
    pub counts: Counts,
    /// What the server spent.
    pub server: Option<ServerCost>,
    /// What grows, where the run was long enough.
    pub trend: Trend,
    /// Each second.
    pub samples: Vec<Sample>,
    #[serde(skip)]
    plots: Plots,
}

/// Distributions that only plots show.
#[derive(Debug, Clone, Default)]
struct Plots {
    times: Times,
    latency: Histogram,
}

impl Report {
    /// Sums up an outcome.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        let times = Times::of(&outcome.members);
        let figures = outcome.figures;
        let received = figures.received;
        #[allow(clippy::cast_precision_loss, reason = "a share for a report")]
        let loss = received.lost as f64 / (received.packets + received.lost).max(1) as f64;
        Self {
            passed: outcome.faults.is_empty(),
            faults: outcome.faults,
            seconds: outcome.seconds,
            join: (&times.join).into(),
            answer: (&times.answer).into(),
            connect: (&times.connect).into(),
            first_media: (&times.first_media).into(),
            first_keyframe: (&times.first_keyframe).into(),
            latency: (&figures.latency).into(),
            message_latency: (&outcome.counts.message_latency).into(),
            ping: (&outcome.counts.ping).into(),
            received,
            loss,
            sent: figures.sent,
            opened: figures.opened,
            refused: figures.refused,
            unsent: figures.unsent,
            server: ServerCost::of(&outcome.samples, outcome.scenario.members()),
            trend: Trend::of(&outcome.samples),
            counts: outcome.counts,
            scenario: outcome.scenario,
            samples: outcome.samples,
            plots: Plots {
                times,
                latency: figures.latency,
            },
        }
    }

    /// As JSON, with every second.
    ///
    /// # Errors
    /// Never in practice: all of it is plain data.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// As Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::write(self)
    }

    /// As one page that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::write(self)
    }
}
