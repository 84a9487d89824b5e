//! A run: members come at their rate, stay, talk, come and go, and leave.

mod janus;
mod member;
mod plain;
mod sampler;
mod server;
mod tally;
mod tokens;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::Clock;
use crate::light::{ClientPlan, Engine, Figures};
use crate::scenario::{Scenario, Via, Who};
use crate::verdict::{Fault, judge};
use crate::websocket::Trust;

pub use sampler::Sample;
pub use server::ServerFigures;
pub use tally::{Counts, MemberRecord, Role, Tally};
pub use tokens::Tokens;

/// After the last message, until what is on its way has come.
const QUIET: Duration = Duration::from_secs(1);
/// How long leaving may take all together.
const LEAVE_MAX: Duration = Duration::from_secs(20);

/// The server under test.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its base, as `http://127.0.0.1:8080`.
    pub url: String,
    /// Where publishers go, if not below the base; `{room}` stands for the room.
    pub whip: Option<String>,
    /// Where subscribers go.
    pub whep: Option<String>,
    /// Where Janus takes WebSockets, as `ws://127.0.0.1:8188`.
    pub janus: Option<String>,
    /// Which certificates are believed.
    pub trust: Trust,
    /// What members show.
    pub tokens: Tokens,
    /// Where its metrics are, as `http://127.0.0.1:9090/metrics`.
    pub metrics: Option<String>,
    /// Its process here, for processor time and memory.
    pub pid: Option<u32>,
}

impl Target {
    fn is_secure(&self) -> bool {
        let secure = |url: &str| url.starts_with("https://") || url.starts_with("wss://");
        secure(&self.url) || self.janus.as_deref().is_some_and(secure)
    }
}

/// How the run is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads of light clients.
    pub threads: usize,
    /// Where recorded patterns are kept.
    pub patterns: PathBuf,
    /// What clients send from; by default the address that reaches the server.
    pub local: Option<IpAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 1,
            patterns: PathBuf::from("target/loadtest"),
            local: None,
        }
    }
}

/// Everything that a run has shown.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was run.
    pub scenario: Scenario,
    /// Seconds from first to last.
    pub seconds: f64,
    /// Each member's life.
    pub members: Vec<MemberRecord>,
    /// What was counted by signalling.
    pub counts: Counts,
    /// What light clients counted.
    pub figures: Figures,
    /// Each second.
    pub samples: Vec<Sample>,
    /// What does not hold.
    pub faults: Vec<Fault>,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Members come.
    Joining,
    /// All are there.
    Holding,
    /// Nobody talks any more.
    Quiet,
    /// All go.
    Leaving,
}

/// What all members share.
struct Context {
    scenario: Scenario,
    target: Target,
    clock: Clock,
    engine: Arc<Engine>,
    tally: Arc<Tally>,
    tls: Arc<rustls::ClientConfig>,
    feeds: janus::Feeds,
    publisher: ClientPlan,
    subscriber: ClientPlan,
    phase: watch::Receiver<Phase>,
    /// Tells rooms of different runs apart.
    run: u32,
}

/// One place of one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    room: u32,
    role: Role,
    number: u32,
}

impl Context {
    fn plan(&self, role: Role) -> &ClientPlan {
        match role {
            Role::Publisher => &self.publisher,
            Role::Subscriber => &self.subscriber,
        }
    }

    fn room(&self, room: u32) -> String {
        format!("{}-{:04x}-{room}", self.scenario.name, self.run)
    }

    fn comes_and_goes(&self, role: Role) -> bool {
        self.scenario.churn.is_some_and(|churn| match churn.who {
            Who::All => true,
            Who::Publishers => role == Role::Publisher,
            Who::Subscribers => role == Role::Subscriber,
        })
    }
}

/// Runs a scenario. `progress` is called each second, from a thread of its own.
///
/// # Errors
/// When the run cannot begin: no threads, no recording, a URL that leads nowhere. What members meet
/// is in the outcome.
pub async fn run(
    scenario: Scenario,
    target: Target,
    options: &Options,
    progress: impl FnMut(&Sample) + Send + 'static,
) -> Result<Outcome> {
    let clock = Clock::start();
    let tls = if target.is_secure() {
        target.trust.client()?
    } else {
        Trust::All.client()?
    };
    let local = match options.local {
        Some(local) => local,
        None => local_towards(target.janus.as_ref().unwrap_or(&target.url))?,
    };
    let (publisher, subscriber) = scenario.plans(&options.patterns)?;
    let engine = Engine::start(options.threads, local, scenario.behaviour(), clock)?;
    let tally = Arc::new(Tally::default());
    let (phase, watched) = watch::channel(Phase::Joining);
    let sampler = sampler::start(
        Arc::clone(&engine),
        Arc::clone(&tally),
        &target,
        clock,
        watched.clone(),
        progress,
    )?;
    let context = Arc::new(Context {
        scenario,
        target,
        clock,
        engine,
        tally,
        tls,
        feeds: janus::Feeds::default(),
        publisher,
        subscriber,
        phase: watched,
        run: fastrand::u32(0..0x1_0000),
    });
    let members = come(&context).await;
    phase.send_replace(Phase::Holding);
    sleep(Duration::from_secs_f64(context.scenario.duration_s)).await;
    phase.send_replace(Phase::Quiet);
    sleep(QUIET).await;
    phase.send_replace(Phase::Leaving);
    go(members).await;
    let samples = sampler.finish();
    finish(&context, samples)
}

/// Lets members in, publishers first; the tasks that are their lives.
async fn come(context: &Arc<Context>) -> JoinSet<()> {
    let mut members = JoinSet::new();
    let mut due = Instant::now();
    let step = Duration::from_secs_f64(1.0 / context.scenario.join_rate);
    for (role, count) in [
        (Role::Publisher, context.scenario.publishers.count),
        (Role::Subscriber, context.scenario.subscribers.count),
    ] {
        if role == Role::Subscriber && context.scenario.publishers.count > 0 {
            due = Instant::now() + Duration::from_secs_f64(context.scenario.settle_s);
        }
        for number in 0..count {
            for room in 0..context.scenario.rooms {
                sleep_until(due).await;
                due += step;
                let place = Place { room, role, number };
                members.spawn(stay(Arc::clone(context), place));
            }
        }
    }
    // The last to come have joined, or have failed.
    let all = context.scenario.members();
    let end = Instant::now() + LEAVE_MAX;
    while context.tally.settled() < all && Instant::now() < end {
        sleep(Duration::from_millis(20)).await;
    }
    members
}

async fn go(mut members: JoinSet<()>) {
    let all = async { while members.join_next().await.is_some() {} };
    if tokio::time::timeout(LEAVE_MAX, all).await.is_err() {
        members.abort_all();
    }
}

/// One place for the whole run: a member, or one after the other.
async fn stay(context: Arc<Context>, place: Place) {
    let mut generation = 0;
    loop {
        let record = match context.scenario.via {
            Via::Signalling => member::live(&context, place, generation).await,
            Via::Janus => janus::live(&context, place).await,
            Via::Whip => plain::live(&context, place, generation).await,
        };
        context.tally.put(record);
        let over = *context.phase.borrow() >= Phase::Quiet;
        let Some(churn) = context.scenario.churn.filter(|_| !over) else {
            return;
        };
        if !context.comes_and_goes(place.role) {
            return;
        }
        sleep(Duration::from_secs_f64(churn.rest_s)).await;
        generation += 1;
    }
}

/// When a member that comes and goes is to leave.
fn leaves_at(context: &Context, place: Place) -> Option<Instant> {
    let churn = context
        .scenario
        .churn
        .filter(|_| context.comes_and_goes(place.role))?;
    let [least, most] = churn.stay_s;
    let stay = least + fastrand::f64() * (most - least);
    Some(Instant::now() + Duration::from_secs_f64(stay))
}

/// Waits until all leave, or this one's time is up.
async fn until_over(phase: &mut watch::Receiver<Phase>, leaves: Option<Instant>) {
    let mut over = std::pin::pin!(phase.wait_for(|phase| *phase == Phase::Leaving));
    match leaves {
        Some(at) => drop(tokio::time::timeout_at(at, &mut over).await),
        None => drop(over.await),
    }
}

fn finish(context: &Context, samples: Vec<Sample>) -> Result<Outcome> {
    let now = context.clock.now();
    #[allow(clippy::cast_precision_loss, reason = "seconds for a report")]
    let seconds = context.clock.micros(now) as f64 / 1e6;
    let mut outcome = Outcome {
        scenario: context.scenario.clone(),
        seconds,
        members: context.tally.take_records(),
        counts: context.tally.counts(),
        figures: context.engine.figures()?,
        samples,
        faults: Vec::new(),
    };
    outcome.faults = judge(&outcome);
    Ok(outcome)
}

/// The address of ours from which the server is reached.
fn local_towards(url: &str) -> Result<IpAddr> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let with_port = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut addresses = with_port
        .to_socket_addrs()
        .with_context(|| url.to_owned())?;
    let server: SocketAddr = addresses.next().with_context(|| url.to_owned())?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    Ok(socket.local_addr()?.ip())
}
