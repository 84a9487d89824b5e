//! Measures the scenarios of `sim::quality` and writes docs/quality.md with its plots.
//!
//! `troupe-quality DOCS COMMIT`: where the docs are, and what the page says it was made from.
//! `troupe-quality compare -`: our estimator beside stock str0m's.
//! `troupe-quality NAME SEED`: one run of one scenario, its figures and each second of it on
//! standard output.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use sim::quality::{
    Row, SCENARIOS, SEEDS, Scenario, Timeline, compare, measure, page, section, svg,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [first, second] = words.as_slice() else {
        eprintln!("troupe-quality DOCS COMMIT | NAME SEED");
        return ExitCode::FAILURE;
    };
    let one = SCENARIOS.iter().find(|scenario| scenario.name == first);
    match one {
        Some(scenario) => {
            let row = measure(scenario, &[second.parse().unwrap_or(1)]);
            print(&row);
            print_seconds(&row.timeline);
        }
        None if first == "compare" => println!("{}", section(&compare())),
        None => {
            if let Err(error) = write(Path::new(first), second) {
                eprintln!("{first}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn print(row: &Row) {
    for (figure, _) in &row.figures {
        println!("{}: {:.2} {}", figure.name, figure.value, figure.unit);
    }
}

fn print_seconds(timeline: &Timeline) {
    println!("second capacity estimate received queue_ms layer");
    let last = |points: &[(f64, f64)], end: f64| {
        let before = points.iter().take_while(|(at, _)| *at < end).last();
        before.map_or(0.0, |(_, value)| *value)
    };
    let mut second = 0.0;
    while second < timeline.seconds {
        let end = second + 1.0;
        let inside = |(at, _): &&(f64, f64)| (second..end).contains(at);
        let queue = timeline.queue.iter().filter(inside);
        let queue = queue.map(|(_, wait)| *wait).fold(0.0, f64::max);
        let received = timeline.received.iter().filter(inside);
        let received: f64 = received.map(|(_, rate)| rate / 2.0).sum();
        let (capacity, estimate, layer) = (
            last(&timeline.capacity, end),
            last(&timeline.estimate, end),
            last(&timeline.layers, end),
        );
        println!("{second} {capacity} {estimate:.0} {received:.0} {queue:.0} {layer}");
        second = end;
    }
}

fn write(docs: &Path, commit: &str) -> std::io::Result<()> {
    let images = docs.join("images/quality");
    std::fs::create_dir_all(&images)?;
    let mut rows: Vec<(Scenario, Row)> = Vec::new();
    for scenario in SCENARIOS {
        let row = measure(&scenario, &SEEDS);
        eprintln!(
            "{}: {}",
            scenario.name,
            if row.holds() { "kept" } else { "not kept" }
        );
        print(&row);
        let plot = images.join(format!("{}.svg", scenario.name));
        std::fs::write(plot, svg(scenario.title, &row.timeline))?;
        rows.push((scenario, row));
    }
    std::fs::write(
        docs.join("quality.md"),
        page(commit, &SEEDS, &rows, &section(&compare())),
    )
}
