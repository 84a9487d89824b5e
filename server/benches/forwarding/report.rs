//! The table.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

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

/// Keeps the table where `loadtest/bench-table.sh` finds it.
pub(crate) fn save(rows: &[Row]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("target/bench");
    let commit = output(
        "git",
        &["-C", root.to_str().unwrap(), "rev-parse", "--short", "HEAD"],
    );
    let text = format!("At commit `{commit}` on {}:\n\n{}", machine(), table(rows));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("forwarding.md"), text).unwrap();
}
