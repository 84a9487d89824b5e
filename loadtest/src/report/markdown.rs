//! The report as Markdown.

use std::fmt::Write;

use super::{Report, Spread};

/// Rows of the table of times: what, and how long.
pub(super) fn times(report: &Report) -> Vec<(&'static str, Spread)> {
    let rows = [
        ("answer to join", report.join),
        ("answer to the offer", report.answer),
        ("ICE and DTLS", report.connect),
        ("first packet", report.first_media),
        ("first keyframe", report.first_keyframe),
        ("packet, publisher to subscriber", report.latency),
        ("message", report.message_latency),
        ("ping", report.ping),
    ];
    rows.into_iter()
        .filter(|(_, spread)| spread.count > 0)
        .collect()
}

/// Rows of the table of counts.
pub(super) fn counts(report: &Report) -> Vec<(&'static str, String)> {
    let received = &report.received;
    let counts = &report.counts;
    let mut rows = vec![
        (
            "members",
            format!(
                "{} came, {} joined, {} failed",
                counts.began, counts.joined, counts.failed
            ),
        ),
        ("packets published", report.sent.to_string()),
        ("packets received", received.packets.to_string()),
        (
            "lost",
            format!("{} ({:.4} %)", received.lost, report.loss * 100.0),
        ),
        ("repaired by retransmission", received.repaired.to_string()),
        (
            "duplicates, padding",
            format!("{}, {}", received.duplicates, received.padding),
        ),
        (
            "keyframes, layer switches",
            format!("{}, {}", received.keyframes, received.layer_switches),
        ),
        (
            "decrypted, refused",
            format!("{}, {}", report.opened, report.refused),
        ),
    ];
    if counts.chats_sent + counts.data_sent > 0 {
        let of = |came: u64, expected: u64| format!("{came} of {expected}");
        rows.push((
            "chat messages",
            of(counts.chats_received, counts.chats_expected),
        ));
        rows.push((
            "data messages",
            of(counts.data_received, counts.data_expected),
        ));
    }
    if report.unsent > 0 {
        rows.push(("not taken by our kernel", report.unsent.to_string()));
    }
    rows.extend(server(report));
    rows.extend(trend(report));
    rows
}

fn server(report: &Report) -> Vec<(&'static str, String)> {
    let Some(cost) = report.server else {
        return Vec::new();
    };
    let rows = [
        (
            "server: processors in use",
            cost.cores.map(|cores| format!("{cores:.3}")),
        ),
        (
            "server: packets sent a second",
            cost.packets_out_per_s.map(|rate| format!("{rate:.0}")),
        ),
        (
            "server: packets for a second of one core",
            cost.packets_out_per_core_s.map(|rate| format!("{rate:.0}")),
        ),
        (
            "server: kB for each member",
            cost.bytes_each.map(|bytes| format!("{:.1}", bytes / 1e3)),
        ),
        (
            "server: MB resident at most",
            #[allow(clippy::cast_precision_loss, reason = "megabytes for a report")]
            cost.resident_bytes_max
                .map(|bytes| format!("{:.0}", bytes as f64 / 1e6)),
        ),
    ];
    rows.into_iter()
        .filter_map(|(what, value)| Some((what, value?)))
        .collect()
}

fn trend(report: &Report) -> Vec<(&'static str, String)> {
    let trend = report.trend;
    let mut rows = Vec::new();
    if let (Some(bytes), Some(share)) = (trend.bytes_per_hour, trend.growth_per_hour) {
        let (mega, percent) = (bytes / 1e6, share * 100.0);
        let value = format!("{mega:+.2} MB, {percent:+.1} %");
        rows.push(("server: memory in an hour, after warm-up", value));
    }
    if let (Some(before), Some(after)) = (trend.late_before, trend.late_after) {
        let value = format!("{:.1} %, {:.1} %", before * 100.0, after * 100.0);
        rows.push(("late seconds, first and second half", value));
    }
    rows
}

pub(super) fn write(report: &Report) -> String {
    let mut text = format!("# Load test: {}\n\n", report.scenario.name);
    if !report.scenario.about.is_empty() {
        let _ = write!(text, "{}\n\n", report.scenario.about);
    }
    let verdict = if report.passed {
        "**Passed**"
    } else {
        "**Failed**"
    };
    let members = report.scenario.members();
    let _ = write!(
        text,
        "{verdict}: {members} members, {:.1} s.\n\n",
        report.seconds
    );
    for fault in &report.faults {
        let _ = writeln!(text, "- `{}`: {}", fault.key, fault.found);
    }
    if !report.faults.is_empty() {
        text.push('\n');
    }
    text.push_str("| time (ms) | count | p50 | p95 | p99 | most |\n|---|---|---|---|---|---|\n");
    for (what, spread) in times(report) {
        let Spread {
            count,
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
            ..
        } = spread;
        let _ = writeln!(
            text,
            "| {what} | {count} | {p50_ms:.2} | {p95_ms:.2} | {p99_ms:.2} | {max_ms:.2} |"
        );
    }
    text.push_str("\n| what | |\n|---|---|\n");
    for (what, value) in counts(report) {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    for (title, words) in [
        ("Errors", &report.counts.errors),
        ("Refused", &report.counts.refused),
        ("Notifications", &report.counts.notifications),
    ] {
        if !words.is_empty() {
            let _ = write!(text, "\n{title}:\n\n");
            for (word, count) in words {
                let _ = writeln!(text, "- {word}: {count}");
            }
        }
    }
    text
}
