//! Who may depend on whom, and what nobody of them may touch (docs/architecture.md).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One row of the table.
pub struct Row {
    /// The crate.
    pub name: &'static str,
    /// Ours that it may use.
    pub ours: &'static [&'static str],
    /// Foreign crates that it may never use.
    pub never: &'static [&'static str],
}

const fn row(
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
) -> Row {
    Row { name, ours, never }
}

/// No runtime and no sockets: what makes logic replayable.
const IO: &[&str] = &[
    "tokio",
    "actix",
    "actix-web",
    "actix-rt",
    "mio",
    "socket2",
    "quinn-udp",
];
const IO_AND_STR0M: &[&str] = &[
    "tokio",
    "actix",
    "actix-web",
    "actix-rt",
    "mio",
    "socket2",
    "quinn-udp",
    "str0m",
];
const IO_AND_LOCKS: &[&str] = &[
    "tokio",
    "actix",
    "actix-web",
    "actix-rt",
    "mio",
    "socket2",
    "quinn-udp",
    "dashmap",
];
const EVERYTHING_BELOW_SERVER: &[&str] = &[
    "media-types",
    "media-contract",
    "media-rtp",
    "media-bwe",
    "media-webrtc",
    "media-transcode",
    "media-core",
    "media-egress",
    "media-ingest",
    "signaling",
    "supervision",
    "control-plane",
    "control-plane-embedded",
    "control-plane-etcd",
    "actors",
];

/// The only member that may link a codec library: a crash or an exploit in one ends one job.
pub const CODECS: &str = "media-codec";
/// How the names of crates begin that bind codec libraries.
pub const CODEC_BINDINGS: &[&str] = &["ffmpeg", "nvidia-video-codec", "x264", "openh264", "opus"];

/// The table. A member that is not in it fails the test.
pub const TABLE: &[Row] = &[
    row("media-types", &[], IO_AND_STR0M),
    row("media-contract", &["media-types"], IO_AND_STR0M),
    row("media-rtp", &["media-types"], IO_AND_STR0M),
    row("media-bwe", &["media-types"], IO_AND_STR0M),
    row(
        "media-webrtc",
        &["media-types", "media-rtp", "media-bwe"],
        IO,
    ),
    row(
        "media-transcode",
        &["media-types", "media-rtp"],
        IO_AND_STR0M,
    ),
    // The one that links codecs, in a process of its own.
    row(
        "media-codec",
        &["media-types", "media-transcode"],
        IO_AND_STR0M,
    ),
    row(
        "media-core",
        &[
            "media-types",
            "media-contract",
            "media-rtp",
            "media-bwe",
            "media-webrtc",
        ],
        IO_AND_LOCKS,
    ),
    row("media-egress", &["media-types", "media-rtp"], IO_AND_STR0M),
    row("media-ingest", &["media-types", "media-rtp"], IO_AND_STR0M),
    row("signaling", &["media-types"], IO_AND_STR0M),
    row("supervision", &[], &["str0m", "actix-web"]),
    row("control-plane", &["media-types"], &["etcd-client", "actix"]),
    row(
        "control-plane-etcd",
        &["control-plane", "media-types"],
        &["actix", "ring", "openssl"],
    ),
    row(
        "control-plane-embedded",
        &["control-plane", "media-types"],
        &["etcd-client", "actix"],
    ),
    row(
        "actors",
        &[
            "supervision",
            "media-contract",
            "media-types",
            "signaling",
            "control-plane",
        ],
        &[
            "str0m",
            "actix-web",
            "etcd-client",
            "mio",
            "socket2",
            "quinn-udp",
        ],
    ),
    row("troupe", EVERYTHING_BELOW_SERVER, &["ring", "openssl"]),
    row("loadtest", EVERYTHING_BELOW_SERVER, &[]),
    row(
        "sim",
        &[
            "media-types",
            "media-contract",
            "media-rtp",
            "media-bwe",
            "media-webrtc",
            "media-core",
            // Its network is the load generator's.
            "loadtest",
        ],
        &[],
    ),
    row("fuzz", EVERYTHING_BELOW_SERVER, &[]),
    row("tidy", &[], &[]),
];

/// A workspace member as cargo sees it.
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it depends on, without dev-dependencies.
    pub dependencies: Vec<String>,
}

/// Every workspace member.
///
/// # Errors
/// When cargo cannot say.
pub fn members(root: &Path) -> Result<Vec<Member>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root)
        .output()
        .context("cargo tells of the workspace")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().context("packages")?;
    let member = |package: &Value| Member {
        name: text(&package["name"]),
        dependencies: package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    };
    Ok(packages.iter().map(member).collect())
}
