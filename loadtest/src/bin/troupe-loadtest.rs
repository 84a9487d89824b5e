//! Load on a server of real-time media, measured at its clients; see docs/loadtest.md.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use loadtest::pattern::record::record;
use loadtest::pattern::{Pattern, Shape};
use loadtest::report::Report;
use loadtest::run::{Options, Sample, Target, Tokens, run};
use loadtest::scenario::Scenario;
use loadtest::websocket::Trust;
use media_types::Codec;
use rustix::process::{Resource, getrlimit, setrlimit};

/// An expectation of the scenario does not hold.
const FAILED: u8 = 1;
/// The run could not be done.
const UNUSABLE: u8 = 2;

/// Puts load on an SFU and says how it fared.
#[derive(Debug, Parser)]
#[command(name = "troupe-loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario; ends with 1 where an expectation does not hold
    Run(Box<RunArguments>),
    /// Says whether a scenario can be used, and what it would do
    Check {
        /// The scenario
        file: PathBuf,
    },
    /// Makes a pattern with ffmpeg, payloads of a real encoder
    Record(RecordArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The scenario
    file: PathBuf,
    /// The server's HTTP listener
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Where publishers go by WHIP; {room} stands for the room
    #[arg(long)]
    whip: Option<String>,
    /// Where subscribers go by WHEP
    #[arg(long)]
    whep: Option<String>,
    /// Where Janus takes WebSockets, as ws://127.0.0.1:8188, for scenarios via it
    #[arg(long)]
    janus: Option<String>,
    /// The authorities of certificates, a PEM file, instead of the system's
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Believes any certificate
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// The name of the key that tokens are made with
    #[arg(long, default_value = "devkey", env = "TROUPE_KEY")]
    key: String,
    /// Its secret
    #[arg(
        long,
        default_value = "devsecret",
        env = "TROUPE_SECRET",
        hide_env_values = true
    )]
    secret: String,
    /// One token for all instead
    #[arg(long, env = "TROUPE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// No tokens at all
    #[arg(long, conflicts_with = "token")]
    no_token: bool,
    /// The server's metrics, as http://127.0.0.1:9090/metrics
    #[arg(long)]
    metrics: Option<String>,
    /// The server's process on this machine, for processor time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// Threads of light clients
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// What clients send from, if not the address that reaches the server
    #[arg(long)]
    local: Option<IpAddr>,
    /// Where recorded patterns are kept
    #[arg(long, default_value = "target/loadtest")]
    patterns: PathBuf,
    /// Seconds to hold, instead of the scenario's
    #[arg(long)]
    duration: Option<f64>,
    /// Writes report.json, report.md and report.html there
    #[arg(long)]
    out: Option<PathBuf>,
    /// Says nothing while it runs
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct RecordArguments {
    /// vp8, h264, av1 or opus
    #[arg(long, default_value = "vp8")]
    codec: String,
    /// Pixels across
    #[arg(long, default_value_t = 1_280)]
    width: u16,
    /// Pixels down
    #[arg(long, default_value_t = 720)]
    height: u16,
    /// Pictures a second
    #[arg(long, default_value_t = 30)]
    fps: u16,
    /// Kilobits a second
    #[arg(long, default_value_t = 1_500)]
    kbps: u32,
    /// The folder that it goes to
    #[arg(long, default_value = "target/loadtest")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run_scenario(*arguments),
        Command::Check { file } => check(&file),
        Command::Record(arguments) => make_pattern(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("troupe-loadtest: {error:#}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn run_scenario(arguments: RunArguments) -> Result<bool> {
    let mut scenario = Scenario::load(&arguments.file)?;
    if let Some(seconds) = arguments.duration {
        ensure!(
            seconds.is_finite() && seconds >= 0.0,
            "--duration: at least 0"
        );
        scenario.duration_s = seconds;
    }
    raise_descriptors(&scenario);
    let tokens = match (arguments.token, arguments.no_token) {
        (Some(token), _) => Tokens::Fixed(token),
        (None, true) => Tokens::None,
        (None, false) => Tokens::Key {
            name: arguments.key,
            secret: arguments.secret,
        },
    };
    let target = Target {
        url: arguments.url,
        whip: arguments.whip,
        whep: arguments.whep,
        janus: arguments.janus,
        trust: match (arguments.ca, arguments.insecure) {
            (Some(file), _) => Trust::Authorities(file),
            (None, true) => Trust::All,
            (None, false) => Trust::System,
        },
        tokens,
        metrics: arguments.metrics,
        pid: arguments.pid,
    };
    let options = Options {
        threads: arguments.threads,
        patterns: arguments.patterns,
        local: arguments.local,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let progress = progress(arguments.quiet);
    let outcome = runtime.block_on(run(scenario, target, &options, progress))?;
    let report = Report::of(outcome);
    if !arguments.quiet {
        eprintln!();
    }
    writeln!(std::io::stdout(), "{}", report.to_markdown())?;
    if let Some(folder) = arguments.out {
        write_reports(&folder, &report)?;
    }
    Ok(report.passed)
}

fn write_reports(folder: &Path, report: &Report) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, text) in [
        ("report.json", report.to_json()?),
        ("report.md", report.to_markdown()),
        ("report.html", report.to_html()),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Every member needs a descriptor or two.
fn raise_descriptors(scenario: &Scenario) {
    let wanted = scenario.members() * 2 + 256;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = limit
            .maximum
            .map_or(Some(wanted), |most| Some(most.min(wanted)));
        if setrlimit(Resource::Nofile, limit).is_err() || limit.current < Some(wanted) {
            eprintln!(
                "troupe-loadtest: {wanted} descriptors are wanted and the limit is lower; \
                 members may fail with \"too many open files\" (ulimit -n)"
            );
        }
    }
}

/// One line a second; over itself where that is a terminal.
fn progress(quiet: bool) -> impl FnMut(&Sample) + Send + 'static {
    let terminal = std::io::stderr().is_terminal();
    let mut before: Option<(f64, u64)> = None;
    move |sample: &Sample| {
        if quiet {
            return;
        }
        let packets = sample.received.packets;
        let rate = before.map_or(0.0, |(at, count)| {
            #[allow(clippy::cast_precision_loss, reason = "a rate to look at")]
            let grown = packets.saturating_sub(count) as f64;
            grown / (sample.at_s - at).max(0.001)
        });
        before = Some((sample.at_s, packets));
        let latency = sample.latency_us.map_or_else(String::new, |(half, most)| {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds to look at")]
            let (half, most) = (half as f64 / 1e3, most as f64 / 1e3);
            format!(", way {half:.2}/{most:.2} ms")
        });
        let line = format!(
            "{:6.1} s {:?}: {} joined, {} connected, {} failed, {rate:.0} packets/s, {} lost\
             {latency}",
            sample.at_s,
            sample.phase,
            sample.joined,
            sample.connected,
            sample.failed,
            sample.received.lost
        );
        if terminal {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}

fn check(file: &Path) -> Result<bool> {
    let scenario = Scenario::load(file)?;
    #[allow(clippy::cast_precision_loss, reason = "seconds to look at")]
    let joining = scenario.members() as f64 / scenario.join_rate;
    writeln!(
        std::io::stdout(),
        "{}: {} rooms, {} members, about {:.0} s",
        scenario.name,
        scenario.rooms,
        scenario.members(),
        joining + scenario.settle_s + scenario.duration_s
    )?;
    Ok(true)
}

fn make_pattern(arguments: &RecordArguments) -> Result<bool> {
    let codec = Codec::ALL
        .into_iter()
        .find(|codec| codec.name() == arguments.codec);
    let codec = codec.with_context(|| format!("--codec: no {}", arguments.codec))?;
    let sound = codec == Codec::Opus;
    let shape = Shape {
        codec,
        width: if sound { 0 } else { arguments.width },
        height: if sound { 0 } else { arguments.height },
        fps: if sound { 50 } else { arguments.fps },
        kbps: arguments.kbps,
    };
    let path = arguments.out.join(shape.file_name());
    record(&path, shape)?;
    let pattern = Pattern::load(&path)?;
    writeln!(
        std::io::stdout(),
        "{}: {} frames",
        path.display(),
        pattern.len()
    )?;
    Ok(true)
}
