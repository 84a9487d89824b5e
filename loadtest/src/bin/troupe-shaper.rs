//! A bad network between real clients and a server; see docs/testing.md.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use loadtest::network::Script;
use loadtest::{Shaper, ShaperConfig};

/// Forwards UDP between clients and one media port through a scripted bad network.
#[derive(Debug, Parser)]
#[command(name = "troupe-shaper")]
struct Arguments {
    /// What clients send to, as 127.0.0.2:7800.
    #[arg(long)]
    listen: SocketAddr,
    /// The server's media port, as 127.0.0.1:7800.
    #[arg(long)]
    upstream: SocketAddr,
    /// What the network does; docs/testing.md shows one.
    #[arg(long)]
    script: PathBuf,
    /// Goes before the script's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds to run; goes before the script's.
    #[arg(long)]
    duration: Option<f64>,
    /// Stops when standard input is closed too, so that it ends with who started it.
    #[arg(long)]
    with_stdin: bool,
    /// Where the report goes instead of standard output.
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let path = &arguments.script;
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut script = Script::parse(&text).with_context(|| path.display().to_string())?;
    script.seed = arguments.seed.unwrap_or(script.seed);
    if let Some(seconds) = arguments.duration {
        script.duration = Some(Duration::try_from_secs_f64(seconds).context("--duration")?);
    }
    let (listen, upstream) = (arguments.listen, arguments.upstream);
    let shaper = Shaper::start(ShaperConfig {
        listen,
        upstream,
        script,
    })
    .with_context(|| format!("listening on {listen}"))?;
    eprintln!("shaping {} to {upstream}", shaper.address);
    stop_on_interrupt(shaper.stopper())?;
    if arguments.with_stdin {
        stop_on_stdin(shaper.stopper());
    }
    let report = serde_json::to_string_pretty(&shaper.join()?)?;
    match arguments.report {
        Some(path) => std::fs::write(&path, report).with_context(|| path.display().to_string())?,
        None => writeln!(std::io::stdout(), "{report}")?,
    }
    Ok(())
}

fn stop_on_interrupt(stop: impl Fn() + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            stop();
        }
    });
    Ok(())
}

fn stop_on_stdin(stop: impl Fn() + Send + 'static) {
    std::thread::spawn(move || {
        let mut rest = [0; 256];
        while std::io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
        stop();
    });
}
