//! The report as one HTML page: no script, no font, no picture from elsewhere.

use std::fmt::Write;

use super::plot::{Line, lines};
use super::{Report, Spread, markdown};
use crate::histogram::Histogram;
use crate::run::{Sample, ServerFigures};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2em auto;\
padding:0 1em;color:#222;background:#fff}table{border-collapse:collapse;margin:1em 0}\
td,th{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid #ddd}\
td.n{text-align:right;font-variant-numeric:tabular-nums}figure{margin:1.5em 0}\
svg{width:100%;height:auto}svg text{font-size:11px;fill:#666}.grid{stroke:#ddd;fill:none}\
.line{fill:none;stroke-width:1.6}.line.c0{stroke:#1666c0}.line.c1{stroke:#c2410c}\
.line.c2{stroke:#15803d}span.c0{color:#1666c0}span.c1{color:#c2410c}span.c2{color:#15803d}\
.ok{color:#15803d}.bad{color:#b91c1c}@media(prefers-color-scheme:dark){body{color:#ddd;\
background:#15171a}td,th{border-color:#333}.grid{stroke:#333}}";

pub(super) fn write(report: &Report) -> String {
    let name = escaped(&report.scenario.name);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Load test: {name}</title><style>{STYLE}</style>\
         <h1>Load test: {name}</h1><p>{}</p>",
        escaped(&report.scenario.about)
    );
    let (class, word) = if report.passed {
        ("ok", "Passed")
    } else {
        ("bad", "Failed")
    };
    let members = report.scenario.members();
    let _ = write!(
        page,
        "<p><b class=\"{class}\">{word}</b>: {members} members, {:.1} s</p><ul>",
        report.seconds
    );
    for fault in &report.faults {
        let found = escaped(&fault.found);
        let _ = write!(
            page,
            "<li class=\"bad\"><code>{}</code>: {found}</li>",
            fault.key
        );
    }
    page.push_str("</ul>");
    write_times(report, &mut page);
    page.push_str("<table>");
    for (what, value) in markdown::counts(report) {
        let _ = write!(page, "<tr><td>{what}</td><td>{}</td></tr>", escaped(&value));
    }
    page.push_str("</table>");
    write_plots(report, &mut page);
    for (title, words) in [
        ("Errors", &report.counts.errors),
        ("Refused", &report.counts.refused),
        ("Notifications", &report.counts.notifications),
    ] {
        if !words.is_empty() {
            let _ = write!(page, "<h2>{title}</h2><ul>");
            for (word, count) in words {
                let _ = write!(page, "<li>{}: {count}</li>", escaped(word));
            }
            page.push_str("</ul>");
        }
    }
    page.push_str("</html>\n");
    page
}

fn write_times(report: &Report, page: &mut String) {
    page.push_str("<table><tr><th>time (ms)<th>count<th>p50<th>p95<th>p99<th>most</tr>");
    for (what, spread) in markdown::times(report) {
        let Spread {
            count,
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
            ..
        } = spread;
        let _ = write!(page, "<tr><td>{what}<td class=\"n\">{count}");
        for value in [p50_ms, p95_ms, p99_ms, max_ms] {
            let _ = write!(page, "<td class=\"n\">{value:.2}");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

fn write_plots(report: &Report, page: &mut String) {
    let samples = &report.samples;
    write_counts(samples, page);
    write_distributions(report, page);
    write_server(samples, page);
}

/// A line over the seconds of the run.
fn over(name: &'static str, samples: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> Line {
    let points = samples
        .iter()
        .filter_map(|one| Some((one.at_s, value(one)?)));
    let points = points.collect();
    Line { name, points }
}

#[allow(clippy::cast_precision_loss, reason = "points of a plot")]
fn write_counts(samples: &[Sample], page: &mut String) {
    let members = [
        over("joined", samples, |one| Some(one.joined as f64)),
        over("connected", samples, |one| Some(one.connected as f64)),
        over("failed", samples, |one| Some(one.failed as f64)),
    ];
    page.push_str(&lines("Members", " s", &members));
    let packets = [
        rate("received", samples, |one| Some(one.received.packets as f64)),
        rate("published", samples, |one| Some(one.sent as f64)),
        rate("lost", samples, |one| Some(one.received.lost as f64)),
    ];
    page.push_str(&lines("Packets a second", " s", &packets));
    let way = [
        over("p50", samples, |one| {
            one.latency_us.map(|(half, _)| half as f64 / 1e3)
        }),
        over("p99", samples, |one| {
            one.latency_us.map(|(_, most)| most as f64 / 1e3)
        }),
    ];
    page.push_str(&lines(
        "Packets' way: milliseconds in each second",
        " s",
        &way,
    ));
}

fn write_distributions(report: &Report, page: &mut String) {
    let times = &report.plots.times;
    let joining = [
        share("answer to join", &times.join),
        share("first packet", &times.first_media),
        share("first keyframe", &times.first_keyframe),
    ];
    let title = "From join to … : share of members over milliseconds";
    page.push_str(&lines(title, " ms", &joining));
    let mut way = share("share", &report.plots.latency);
    way.points.retain(|(_, share)| *share <= 0.999);
    let title = "Packets' way: share over milliseconds, the slowest 0.1 % left out";
    page.push_str(&lines(title, " ms", &[way]));
}

#[allow(clippy::cast_precision_loss, reason = "points of a plot")]
fn write_server(samples: &[Sample], page: &mut String) {
    let of =
        |value: fn(ServerFigures) -> Option<f64>| move |one: &Sample| one.server.and_then(value);
    let processors = [
        rate("processors", samples, of(|server| server.cpu_s)),
        over("busiest shard's share", samples, of(|server| server.busy)),
    ];
    page.push_str(&lines("Server: processors in use", " s", &processors));
    let resident = |server: ServerFigures| server.resident_bytes.map(|bytes| bytes as f64 / 1e6);
    let memory = [over("MB", samples, of(resident))];
    page.push_str(&lines("Server: megabytes resident", " s", &memory));
}

/// How fast a total grows.
fn rate(name: &'static str, samples: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> Line {
    let points = samples.windows(2).filter_map(|pair| {
        let [before, after] = pair else {
            return None;
        };
        let seconds = after.at_s - before.at_s;
        let grown = value(after)? - value(before)?;
        (seconds > 0.2).then(|| (after.at_s, (grown / seconds).max(0.0)))
    });
    let points = points.collect();
    Line { name, points }
}

#[allow(clippy::cast_precision_loss, reason = "points of a plot")]
fn cumulative(histogram: &Histogram) -> Vec<(f64, f64)> {
    let points = histogram.cumulative().into_iter();
    points
        .map(|(micros, share)| (micros as f64 / 1e3, share))
        .collect()
}

fn share(name: &'static str, histogram: &Histogram) -> Line {
    let points = cumulative(histogram);
    Line { name, points }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
