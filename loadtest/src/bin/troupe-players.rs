//! Many light players of one stream, and what they cost a server; see docs/live.md.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use loadtest::players::{Source, play};

/// Plays one stream many times and says what that costs the server.
#[derive(Debug, Parser)]
#[command(name = "troupe-players")]
struct Arguments {
    /// The server, as 127.0.0.1:1935.
    #[arg(long)]
    server: SocketAddr,
    /// The process whose processor time counts.
    #[arg(long)]
    pid: u32,
    /// The RTMP application.
    #[arg(long, requires = "key", conflicts_with = "path")]
    app: Option<String>,
    /// The stream key.
    #[arg(long)]
    key: Option<String>,
    /// A path to play by HTTP instead.
    #[arg(long, required_unless_present = "app")]
    path: Option<String>,
    /// How many players.
    #[arg(long, default_value_t = 300)]
    players: usize,
    /// Seconds to play before it counts, and while it counts.
    #[arg(long, default_value_t = 3)]
    warm: u64,
    /// See above.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let source = match (arguments.app, arguments.key, arguments.path) {
        (Some(app), Some(key), _) => Source::Rtmp { app, key },
        (_, _, path) => Source::Http {
            path: path.unwrap_or_default(),
        },
    };
    let times = (
        Duration::from_secs(arguments.warm),
        Duration::from_secs(arguments.seconds),
    );
    let figures = play(
        arguments.server,
        &source,
        arguments.players,
        times,
        arguments.pid,
    )?;
    println!(
        "{{\"players\":{},\"leastKbps\":{:.0},\"medianKbps\":{:.0},\"cpuSeconds\":{:.2},\
         \"percentPerPlayer\":{:.4}}}",
        figures.players,
        figures.least_kbps,
        figures.median_kbps,
        figures.server_cpu_s,
        figures.percent_per_player()
    );
    Ok(())
}
