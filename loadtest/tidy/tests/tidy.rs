//! The rules about the tree itself. Each prints every offence, not the first.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

use std::path::Path;

use tidy::{CODEC_BINDINGS, CODECS, File, TABLE, Tree, functions, members};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;
const LINE_CHARACTERS_MAX: usize = 100;

const ROOT_ENTRIES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "Makefile",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "rust-toolchain.toml",
    "server",
    "actors",
    "media",
    "signaling",
    "control-plane",
    "loadtest",
    "docs",
];

fn tree() -> Tree {
    Tree::read().expect("the tree is readable")
}

fn none(offences: &[String], rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn files_stay_short() {
    let sources = [".rs", ".ts", ".tsx", ".mjs", ".css"];
    let offences: Vec<String> = tree()
        .ending(&sources)
        .map(|file| (file.text.lines().count(), &file.path))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    none(&offences, "a file has at most 500 lines; split it by noun");
}

#[test]
fn functions_stay_short() {
    let tree = tree();
    let mut offences = Vec::new();
    for file in tree.ending(&[".rs"]) {
        for function in functions(&file.text) {
            if function.length > FUNCTION_LINES_MAX {
                let (path, name) = (&file.path, &function.name);
                offences.push(format!(
                    "{path}:{} {name}: {}",
                    function.line, function.length
                ));
            }
        }
    }
    none(&offences, "a function has at most 60 lines");
}

#[test]
fn lines_fit_the_page() {
    let tree = tree();
    let mut offences = Vec::new();
    for file in tree.ending(&[".rs"]) {
        for (index, line) in file.text.lines().enumerate() {
            if line.chars().count() > LINE_CHARACTERS_MAX && !line.contains("http") {
                offences.push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    none(&offences, "a line has at most 100 characters");
}

#[test]
fn the_root_holds_only_what_it_may() {
    let tree = tree();
    let mut offences: Vec<String> = tree
        .files
        .iter()
        .map(|file| file.path.split('/').next().unwrap_or_default())
        .filter(|entry| !entry.starts_with('.') && !ROOT_ENTRIES.contains(entry))
        .map(str::to_owned)
        .collect();
    offences.dedup();
    none(&offences, "a new root entry needs an ADR");
}

#[test]
fn crates_depend_only_downwards() {
    let tree = tree();
    let mut offences = Vec::new();
    for member in members(&tree.root).expect("cargo tells of the workspace") {
        let Some(row) = TABLE.iter().find(|row| row.name == member.name) else {
            offences.push(format!("{} has no row", member.name));
            continue;
        };
        for dependency in &member.dependencies {
            let ours = TABLE.iter().any(|row| row.name == dependency);
            let allowed = row.ours.contains(&dependency.as_str());
            if (ours && !allowed) || row.never.contains(&dependency.as_str()) {
                offences.push(format!("{} → {dependency}", member.name));
            }
        }
    }
    none(&offences, "the dependency table of docs/architecture.md");
}

#[test]
fn codecs_are_linked_by_their_process_alone() {
    let members = members(&tree().root).expect("cargo tells of the workspace");
    let links = |member: &tidy::Member| {
        let binds = |name: &String| {
            CODEC_BINDINGS
                .iter()
                .any(|binding| name.starts_with(binding))
        };
        member.dependencies.iter().any(binds)
    };
    let linking: Vec<_> = members.iter().filter(|member| links(member)).collect();
    let names: Vec<_> = linking.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, [CODECS]);
    let uses = |member: &&tidy::Member| member.dependencies.iter().any(|name| name == CODECS);
    assert_eq!(
        members.iter().filter(uses).count(),
        0,
        "nothing may link the process's crate"
    );
}

#[test]
fn libraries_open_with_what_they_are() {
    let tree = tree();
    let offences: Vec<String> = tree
        .ending(&["src/lib.rs"])
        .filter(|file| {
            !file.text.starts_with("//! ") || !file.text.contains("#![forbid(unsafe_code)]")
        })
        .map(|file| file.path.clone())
        .collect();
    none(&offences, "lib.rs opens with //! and forbids unsafe code");
}

#[test]
fn nothing_is_left_open() {
    // Written in two parts so that this file does not offend against its own rule.
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("#[", "ignore"),
        concat!(".", "skip("),
        concat!("test.", "only"),
    ];
    let tree = tree();
    let mut offences = Vec::new();
    for file in tree.ending(&[".rs", ".ts", ".tsx", ".mjs"]) {
        for (index, line) in file.text.lines().enumerate() {
            let iterator = file.path.ends_with(".rs");
            let open = |mark: &&str| line.contains(*mark) && !(iterator && *mark == ".skip(");
            if marks.iter().any(open) {
                offences.push(format!("{}:{} {}", file.path, index + 1, line.trim()));
            }
        }
    }
    none(&offences, "nothing unfinished, nothing skipped");
}

#[test]
fn links_lead_somewhere() {
    let tree = tree();
    let mut offences = Vec::new();
    for file in tree.ending(&[".md"]) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for link in file
            .text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !tree.root.join(folder).join(target).exists() {
                offences.push(format!("{} → {link}", file.path));
            }
        }
    }
    none(&offences, "a relative link names a file");
}

#[test]
fn lock_files_name_no_host() {
    let tree = tree();
    let offences: Vec<String> = tree
        .ending(&["package-lock.json"])
        .filter(|file| file.text.contains("\"resolved\": \"http"))
        .map(|file| file.path.clone())
        .collect();
    none(&offences, "package-lock.json records no download address");
}

/// The metrics that a text names: what a histogram is scraped as counts as its name.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("troupe_") && !word.ends_with('_'))
        .map(|word| {
            let parts = ["_seconds_bucket", "_seconds_sum", "_seconds_count"];
            match parts.iter().find(|part| word.ends_with(*part)) {
                Some(_) => word.rsplit_once('_').map_or(word, |(name, _)| name),
                None => word,
            }
        })
}

/// The metrics that are named here and nowhere made.
fn unknown_metrics<'a>(tree: &Tree, files: impl Iterator<Item = &'a File>) -> Vec<String> {
    let sources: Vec<&str> = tree
        .ending(&["metrics.rs"])
        .map(|f| f.text.as_str())
        .collect();
    let made = |name: &str| {
        sources
            .iter()
            .any(|text| text.contains(&format!("\"{name}\"")))
    };
    let named = files.flat_map(|file| metrics_in(&file.text));
    named
        .filter(|name| !made(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn documented_metrics_exist() {
    let tree = tree();
    none(
        &unknown_metrics(&tree, tree.ending(&["docs/operations.md"])),
        "docs/operations.md names only metrics that exist",
    );
}

#[test]
fn metrics_of_dashboards_and_alerts_exist() {
    let tree = tree();
    let files = || {
        tree.ending(&[
            "deploy/grafana/troupe.json",
            "deploy/grafana/troupe-cluster.json",
            "deploy/prometheus/alerts.yml",
        ])
    };
    let named: usize = files().map(|file| metrics_in(&file.text).count()).sum();
    assert!(named > 30, "dashboards and alerts name {named} metrics");
    none(
        &unknown_metrics(&tree, files()),
        "dashboards and alerts name only metrics that exist",
    );
}

#[test]
fn every_alert_has_its_page() {
    let tree = tree();
    let runbook = tree.ending(&["docs/runbook.md"]).next();
    let runbook = runbook.map_or("", |file| file.text.as_str());
    let alerts = tree.ending(&["deploy/prometheus/alerts.yml"]);
    let names = alerts.flat_map(|file| {
        let lines = file.text.lines();
        lines.filter_map(|line| line.trim().strip_prefix("- alert: "))
    });
    let missing: Vec<String> = names
        .filter(|name| !runbook.contains(&format!("## {name}\n")))
        .map(str::to_owned)
        .collect();
    none(&missing, "every alert has a page in docs/runbook.md");
}
