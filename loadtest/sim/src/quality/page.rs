//! docs/quality.md.

use std::fmt::Write;

use super::{Bound, Figure, Row, Scenario};

/// What stands above the tables.
const HEAD: &str = "\
# Quality on bad networks

Made by `make bench-quality`; the figures follow from the seeds alone, byte for byte. A whole shard
with its estimator, allocator and pacer serves light clients (`loadtest/sim/src/call`) in virtual
time through modelled links. A camera has three layers of 150, 500 and 1,500 kb/s with three
temporal layers each; a microphone has 32 kb/s and as much redundancy. Clients ask for repairs and
keyframes as libwebrtc does, also for sound, send transport-wide feedback every 50 ms, and count a
freeze by the rule of webrtc-stats; sound is played from a buffer of 200 ms, pictures from one of
80 ms, about what browsers keep on a path that jitters little.
Every bottleneck has a drop-tail queue of 300 ms at its rate and, where nothing else is said, a
round trip of 40 ms.
Figures leave out the first 15 s and are medians of the seeds. UDP payloads are counted, not IP
headers. Real browsers beside a plain call of theirs: [quality-browsers.md](quality-browsers.md).
";

/// The page, with one table and one plot a scenario, and what is told after them.
#[must_use]
pub fn page(commit: &str, seeds: &[u64], rows: &[(Scenario, Row)], after: &str) -> String {
    let mut out = String::from(HEAD);
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let kept = rows.iter().filter(|(_, row)| row.holds()).count();
    let _ = write!(
        out,
        "\nCommit {commit}, seeds {}. {kept} of {} rows are kept.\n\n",
        seeds.join(", "),
        rows.len(),
    );
    out.push_str("| scenario | target | measured | kept |\n| --- | --- | --- | --- |\n");
    for (scenario, row) in rows {
        let figures: Vec<String> = row
            .figures
            .iter()
            .map(|(figure, _)| words(figure))
            .collect();
        let Scenario {
            name,
            title,
            target,
            ..
        } = scenario;
        let kept = if row.holds() { "yes" } else { "**no**" };
        let measured = figures.join("; ");
        let _ = writeln!(
            out,
            "| [{title}](#{name}) | {target} | {measured} | {kept} |"
        );
    }
    for (scenario, row) in rows {
        section(&mut out, scenario, row);
    }
    out.push_str(after);
    out
}

fn section(out: &mut String, scenario: &Scenario, row: &Row) {
    let Scenario {
        name, title, why, ..
    } = scenario;
    let _ = write!(
        out,
        "\n## {name}\n\n{title}; the plot is of the first seed.\n\n"
    );
    if !row.holds() && !why.is_empty() {
        let _ = write!(out, "Not kept: {why}\n\n");
    }
    let _ = write!(out, "![{title}](images/quality/{name}.svg)\n\n");
    out.push_str("| figure | bound | median | by seed |\n| --- | --- | --- | --- |\n");
    for (figure, values) in &row.figures {
        let bound = match figure.bound {
            Bound::AtMost(limit) => format!("≤ {}", number(limit)),
            Bound::AtLeast(limit) => format!("≥ {}", number(limit)),
            Bound::None => "–".to_owned(),
        };
        let values: Vec<String> = values.iter().map(|value| number(*value)).collect();
        let Figure {
            name, value, unit, ..
        } = figure;
        let _ = writeln!(
            out,
            "| {} | {bound} | {} | {} |",
            format!("{name}, {unit}").trim_end_matches(", "),
            number(*value),
            values.join(", "),
        );
    }
}

fn words(figure: &Figure) -> String {
    let text = format!("{} {} {}", figure.name, number(figure.value), figure.unit);
    let text = text.trim_end();
    match figure.bound.holds(figure.value) {
        true => text.to_owned(),
        false => format!("**{text}**"),
    }
}

/// As many digits as mean something.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}
