//! Whether a run was as its scenario expects.

use serde::Serialize;

use crate::histogram::Histogram;
use crate::run::{MemberRecord, Outcome, Phase, Sample};
use crate::trend::Trend;

/// One expectation that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The key of the expectation.
    pub key: &'static str,
    /// What was found instead.
    pub found: String,
}

/// Times of all members, in microseconds from their beginning.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// To the answer to `join`.
    pub join: Histogram,
    /// To the answer to the offer.
    pub answer: Histogram,
    /// To the end of ICE and DTLS.
    pub connect: Histogram,
    /// To the first packet of media, of those who receive.
    pub first_media: Histogram,
    /// To the first keyframe.
    pub first_keyframe: Histogram,
}

impl Times {
    /// The times of these members.
    #[must_use]
    pub fn of(members: &[MemberRecord]) -> Self {
        let mut times = Self::default();
        for member in members {
            let media = member.media.as_ref();
            let note = |histogram: &mut Histogram, at: Option<u64>| {
                if let Some(at) = at {
                    histogram.note_micros(at.saturating_sub(member.began));
                }
            };
            note(&mut times.join, member.joined);
            note(&mut times.answer, member.answered);
            note(&mut times.connect, media.and_then(|media| media.connected));
            note(
                &mut times.first_media,
                media.and_then(|media| media.first_media()),
            );
            note(
                &mut times.first_keyframe,
                media.and_then(|media| media.first_keyframe),
            );
        }
        times
    }
}

/// What the server spent while all were there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerCost {
    /// Seconds that it was watched.
    pub seconds: f64,
    /// Processors in use.
    pub cores: Option<f64>,
    /// Media packets that it sent, a second.
    pub packets_out_per_s: Option<f64>,
    /// Media packets that it sent for each second of processor time.
    pub packets_out_per_core_s: Option<f64>,
    /// Bytes that it grew by from the first reading to the full house, for each member.
    pub bytes_each: Option<f64>,
    /// Growth from a quarter of the time to the end, as a share.
    pub growth: Option<f64>,
    /// The most that was resident.
    pub resident_bytes_max: Option<u64>,
}

#[allow(clippy::cast_precision_loss, reason = "shares and means for a report")]
impl ServerCost {
    /// From the samples of a run.
    #[must_use]
    pub fn of(samples: &[Sample], members: u64) -> Option<Self> {
        let holding: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.phase == Phase::Holding && sample.server.is_some())
            .collect();
        let (first, last) = (holding.first()?, holding.last()?);
        let (from, to) = (first.server?, last.server?);
        let seconds = last.at_s - first.at_s;
        let over = |value: f64, time: f64| (time > 0.0).then(|| value / time);
        let cpu = to.cpu_s.zip(from.cpu_s).map(|(to, from)| to - from);
        let out = to
            .packets_out
            .zip(from.packets_out)
            .map(|(to, from)| to - from);
        let resident = |sample: &Sample| sample.server.and_then(|server| server.resident_bytes);
        let before = samples.first().and_then(resident);
        let after = resident(last);
        let each = before.zip(after).filter(|_| members > 0);
        let quarter = samples.iter().find(|sample| sample.at_s >= last.at_s / 4.0);
        let quarter = quarter.and_then(resident).map(|bytes| bytes as f64);
        Some(Self {
            seconds,
            cores: cpu.and_then(|cpu| over(cpu, seconds)),
            packets_out_per_s: out.and_then(|out| over(out, seconds)),
            packets_out_per_core_s: out.zip(cpu).and_then(|(out, cpu)| over(out, cpu)),
            bytes_each: each.map(|(before, after)| (after as f64 - before as f64) / members as f64),
            growth: quarter
                .zip(after)
                .map(|(quarter, after)| after as f64 / quarter - 1.0),
            resident_bytes_max: samples.iter().filter_map(resident).max(),
        })
    }
}

/// What of the expectations does not hold.
#[must_use]
pub fn judge(outcome: &Outcome) -> Vec<Fault> {
    let mut faults = Vec::new();
    judge_members(outcome, &mut faults);
    judge_times(outcome, &mut faults);
    judge_server(outcome, &mut faults);
    faults
}

fn judge_members(outcome: &Outcome, faults: &mut Vec<Fault>) {
    let expect = outcome.scenario.expect;
    let mut at_most = |key, found: u64, most: Option<u64>| {
        if most.is_some_and(|most| found > most) {
            let found = found.to_string();
            faults.push(Fault { key, found });
        }
    };
    let received = outcome.figures.received;
    at_most("failed_max", outcome.counts.failed, expect.failed_max);
    at_most("lost_max", received.lost, expect.lost_max);
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    let loss = received.lost as f64 / (received.packets + received.lost).max(1) as f64;
    if expect.loss_max.is_some_and(|most| loss > most) {
        let found = format!("{:.3} %", loss * 100.0);
        faults.push(Fault {
            key: "loss_max",
            found,
        });
    }
    let blind = outcome.members.iter().filter(|member| {
        let seen = member
            .media
            .is_some_and(|media| media.first_keyframe.is_some());
        member.watches_video && !seen
    });
    let blind = blind.count();
    if expect.keyframes && outcome.scenario.has_video() && blind > 0 {
        let found = format!("{blind} members saw none");
        faults.push(Fault {
            key: "keyframes",
            found,
        });
    }
    let counts = &outcome.counts;
    let complete = counts.chats_received == counts.chats_expected
        && counts.data_received == counts.data_expected;
    let refused = counts.refused.values().sum::<u64>();
    if expect.messages && (!complete || refused > 0) {
        let found = format!(
            "chat {} of {}, data {} of {}, {refused} refused",
            counts.chats_received,
            counts.chats_expected,
            counts.data_received,
            counts.data_expected
        );
        faults.push(Fault {
            key: "messages",
            found,
        });
    }
}

fn judge_times(outcome: &Outcome, faults: &mut Vec<Fault>) {
    let expect = outcome.scenario.expect;
    let times = Times::of(&outcome.members);
    let latency = &outcome.figures.latency;
    for (key, histogram, most) in [
        ("join_p99_ms", &times.join, expect.join_p99_ms),
        (
            "first_media_p99_ms",
            &times.first_media,
            expect.first_media_p99_ms,
        ),
        (
            "first_keyframe_p99_ms",
            &times.first_keyframe,
            expect.first_keyframe_p99_ms,
        ),
        ("latency_p99_ms", latency, expect.latency_p99_ms),
    ] {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds for a report")]
        let found = histogram.quantile_micros(990) as f64 / 1e3;
        let none = histogram.count() == 0;
        if most.is_some_and(|most| found > most || none) {
            let found = if none {
                "none".to_owned()
            } else {
                format!("{found:.1}")
            };
            faults.push(Fault { key, found });
        }
    }
}

fn judge_server(outcome: &Outcome, faults: &mut Vec<Fault>) {
    let expect = outcome.scenario.expect;
    let members = outcome.scenario.members();
    let cost = ServerCost::of(&outcome.samples, members).unwrap_or_default();
    let kilobytes = cost.bytes_each.map(|bytes| bytes / 1e3);
    for (key, found, most) in [
        ("server_cores_max", cost.cores, expect.server_cores_max),
        ("server_kb_each_max", kilobytes, expect.server_kb_each_max),
        ("server_growth_max", cost.growth, expect.server_growth_max),
        (
            "late_growth_max",
            Trend::of(&outcome.samples).late_growth(),
            expect.late_growth_max,
        ),
    ] {
        // Without a way to look it cannot be judged, and that is no fault of the server's.
        if let (Some(found), Some(most)) = (found, most)
            && found > most
        {
            let found = format!("{found:.3}");
            faults.push(Fault { key, found });
        }
    }
}
