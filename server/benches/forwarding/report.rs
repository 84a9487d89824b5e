//! The table, and the page that it is written into.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const BEGIN: &str = "<!-- measured -->";
const END: &str = "<!-- end of measured -->";

/// One figure beside its bound.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) value: String,
    pub(crate) target: &'static str,
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| what | measured | target |\n| --- | --- | --- |\n");
    for row in rows {
        writeln!(text, "| {} | {} | {} |", row.what, row.value, row.target).unwrap();
    }
    text
}

/// What criterion has measured last, if it was run: names and medians.
fn criterion(root: &Path) -> String {
    let mut found = Vec::new();
    collect(&root.join("target/criterion"), &mut found);
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let mut text = String::from("| operation | median |\n| --- | --- |\n");
    for (name, nanos) in &found {
        let shown = match nanos {
            10_000.0.. => format!("{:.1} µs", nanos / 1e3),
            _ => format!("{nanos:.0} ns"),
        };
        writeln!(text, "| `{name}` | {shown} |").unwrap();
    }
    text
}

fn collect(folder: &Path, found: &mut Vec<(String, f64)>) {
    let read = |path: &Path| -> Option<Value> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    };
    let (benchmark, estimates) = (folder.join("benchmark.json"), folder.join("estimates.json"));
    if let (Some(benchmark), Some(estimates)) = (read(&benchmark), read(&estimates)) {
        let name = benchmark["full_id"].as_str().unwrap_or_default().to_owned();
        let median = estimates["median"]["point_estimate"].as_f64();
        found.extend(median.map(|median| (name, median)));
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten().filter(|it| it.file_name() != "base") {
        if entry.path().is_dir() {
            collect(&entry.path(), found);
        }
    }
}

fn output(program: &str, words: &[&str]) -> String {
    let ran = Command::new(program).args(words).output();
    let text = ran.map(|ran| String::from_utf8_lossy(&ran.stdout).into_owned());
    text.unwrap_or_default().trim().to_owned()
}

/// The processor's name and how many of it there are.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split(": ").nth(1)).unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} cores, Linux {}", output("uname", &["-r"]))
}

/// Puts the tables into the page, between its marks.
pub(crate) fn write(rows: &[Row]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = root.join("docs/performance.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let commit = output(
        "git",
        &["-C", root.to_str().unwrap(), "rev-parse", "--short", "HEAD"],
    );
    let measured = format!(
        "{BEGIN}\n\nCommit `{commit}`, on {}.\n\n{}\n{}\n{END}",
        machine(),
        table(rows),
        criterion(root),
    );
    std::fs::write(&page, format!("{before}{measured}{after}")).unwrap();
}
