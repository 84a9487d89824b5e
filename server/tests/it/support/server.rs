//! The real binary on ports of its own, for tests over real sockets.

use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::{Instant, sleep};

const START_TIME_MAX: Duration = Duration::from_secs(20);
const STOP_TIME_MAX: Duration = Duration::from_secs(20);
const SHARDS: u16 = 2;

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    http: u16,
    admin: u16,
    /// Its first media port.
    pub(crate) media: u16,
    environment: Vec<(String, String)>,
    data: tempfile::TempDir,
}

/// A TCP port that nobody has now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The first of neighbouring UDP ports, whose TCP twin is free too.
fn free_media_ports() -> Result<u16> {
    for _ in 0..100 {
        let first = UdpSocket::bind("127.0.0.1:0")?;
        let base = first.local_addr()?.port();
        let others: Result<Vec<_>, _> = (1..SHARDS)
            .map(|n| UdpSocket::bind(("127.0.0.1", base.saturating_add(n))))
            .collect();
        if others.is_ok() && TcpListener::bind(("127.0.0.1", base)).is_ok() {
            return Ok(base);
        }
    }
    bail!("no neighbouring ports are free")
}

fn spawn(data: &tempfile::TempDir, environment: &[(String, String)]) -> Result<Child> {
    let child = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["serve", "--dev"])
        .current_dir(data.path())
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(child)
}

impl Server {
    /// Starts `troupe serve --dev` and waits until it is ready.
    pub(crate) async fn start(environment: &[(&str, &str)]) -> Result<Self> {
        let mut server = Self::launch(environment)?;
        server.ready().await?;
        Ok(server)
    }

    /// Starts it, and leaves it to the caller to see when it is ready.
    pub(crate) fn launch(environment: &[(&str, &str)]) -> Result<Self> {
        let (http, admin, media) = (free_port()?, free_port()?, free_media_ports()?);
        let ports = [
            ("TROUPE_HTTP__LISTEN", format!("127.0.0.1:{http}")),
            ("TROUPE_ADMIN__LISTEN", format!("127.0.0.1:{admin}")),
            ("TROUPE_WEBRTC__PORT", media.to_string()),
            ("TROUPE_WEBRTC__TCP_PORT", media.to_string()),
            ("TROUPE_WEBRTC__SHARDS", SHARDS.to_string()),
            ("TROUPE_LOG__FILTER", "warn".to_owned()),
        ];
        let ports = ports.map(|(name, value)| (name.to_owned(), value));
        let given = environment.iter();
        let given = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment: Vec<_> = ports.into_iter().chain(given).collect();
        let data = tempfile::tempdir()?;
        Ok(Self {
            child: spawn(&data, &environment)?,
            http,
            admin,
            media,
            environment,
            data,
        })
    }

    /// `kill -9`, and a start with the same settings in the same folder.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<()> {
        self.kill()?;
        self.restart().await
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The folder that it runs in.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.data.path()
    }

    /// A URL of its admin listener.
    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }

    /// A start with the same settings in the same folder.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.child = spawn(&self.data, &self.environment)?;
        self.ready().await
    }

    /// A second server in the same folder, with ports of its own; its exit.
    pub(crate) fn refused_beside(&self) -> Result<ExitStatus> {
        let (http, admin) = (free_port()?, free_port()?);
        let status = Command::new(env!("CARGO_BIN_EXE_troupe"))
            .args(["serve", "--dev"])
            .current_dir(self.data.path())
            .envs(self.environment.iter().cloned())
            .env("TROUPE_HTTP__LISTEN", format!("127.0.0.1:{http}"))
            .env("TROUPE_ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        Ok(status)
    }

    async fn ready(&mut self) -> Result<()> {
        let end = Instant::now() + START_TIME_MAX;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at its start: {status}");
            }
            if self.get_admin("/readyz").await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("the server is not ready after {START_TIME_MAX:?}")
    }

    /// The URL of its signalling.
    pub(crate) fn signalling(&self) -> String {
        format!("ws://127.0.0.1:{}/v1/signal", self.http)
    }

    /// A URL of its HTTP listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// A token of the development endpoint.
    pub(crate) async fn token(&self, room: &str, identity: &str) -> Result<String> {
        let url = self.url(&format!("/dev/token?room={room}&identity={identity}"));
        let answer: serde_json::Value = serde_json::from_str(&get(url).await?)?;
        Ok(answer["token"].as_str().context("a token")?.to_owned())
    }

    /// The body of an admin page.
    pub(crate) async fn get_admin(&self, path: &str) -> Result<String> {
        get(format!("http://127.0.0.1:{}{path}", self.admin)).await
    }

    /// The sum over all series of one metric whose labels contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let text = self.get_admin("/metrics").await?;
        let series = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        });
        let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Waits until a metric has a value.
    pub(crate) async fn wait_metric(&self, name: &str, label: &str, value: f64) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let now = self.metric(name, label).await?;
            if (now - value).abs() < f64::EPSILON {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "{name}{{{label}}} is {now}, not {value}"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Resident memory in KiB (proc(5), `VmRSS`).
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }

    /// Processor time used so far (proc(5), `stat`), in steps of 10 ms.
    #[allow(dead_code, reason = "a benchmark includes this file")]
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("a name")?;
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// A token of the command line for the admin API.
    pub(crate) fn operator_token() -> Result<String> {
        role_token("operator")
    }

    /// What the admin API answers to a `GET`.
    pub(crate) async fn get_viewed(&self, path: &str) -> Result<serde_json::Value> {
        let url = self.admin_url(&format!("/admin/v1/{path}"));
        let bearer = format!("Bearer {}", Self::operator_token()?);
        let asked = tokio::task::spawn_blocking(move || -> Result<String> {
            let request = ureq::get(&url).header("authorization", &bearer);
            Ok(request.call()?.body_mut().read_to_string()?)
        });
        Ok(serde_json::from_str(&asked.await??)?)
    }

    /// Asks the admin API as an administrator; status and body.
    pub(crate) async fn act(
        &self,
        method: &'static str,
        path: &str,
    ) -> Result<(u16, serde_json::Value)> {
        self.act_with(method, path, "").await
    }

    /// The same, with a body of JSON.
    pub(crate) async fn act_with(
        &self,
        method: &'static str,
        path: &str,
        body: &str,
    ) -> Result<(u16, serde_json::Value)> {
        let body = body.to_owned();
        let url = self.admin_url(&format!("/admin/v1/{path}"));
        let bearer = format!("Bearer {}", role_token("admin")?);
        let asked = tokio::task::spawn_blocking(move || -> Result<(u16, serde_json::Value)> {
            let request = ureq::http::Request::builder().method(method).uri(url);
            let request = request
                .header("authorization", bearer)
                .header("content-type", "application/json")
                .body(body)?;
            let agent = ureq::Agent::config_builder().http_status_as_error(false);
            let mut response = ureq::Agent::from(agent.build()).run(request)?;
            let text = response.body_mut().read_to_string()?;
            let body = serde_json::from_str(&text).unwrap_or_default();
            Ok((response.status().as_u16(), body))
        });
        asked.await?
    }

    /// Opens a room with settings, or changes them.
    pub(crate) async fn put_room_with(
        &self,
        room: &str,
        token: &str,
        settings: &str,
    ) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/admin/v1/rooms/{room}", self.admin);
        let (token, settings) = (token.to_owned(), settings.to_owned());
        let put = tokio::task::spawn_blocking(move || -> Result<()> {
            let bearer = format!("Bearer {token}");
            let request = ureq::put(&url).header("authorization", &bearer);
            request
                .header("content-type", "application/json")
                .send(settings.as_str())?;
            Ok(())
        });
        put.await?
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Threads.
    pub(crate) fn threads(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?.count())
    }

    /// Sends a signal by name, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()?;
        ensure!(sent.success(), "kill failed");
        Ok(())
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        let end = Instant::now() + STOP_TIME_MAX;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("the server still runs after {STOP_TIME_MAX:?}")
    }
}

/// A token of the command line for the admin API; made once a role.
fn role_token(role: &'static str) -> Result<String> {
    static MADE: Mutex<BTreeMap<&str, String>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(token) = made.get(role) {
        return Ok(token.clone());
    }
    let words = "token --dev --room * --identity operator --admin";
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(words.split(' ').chain([role]))
        .output()?;
    ensure!(output.status.success(), "no token");
    let token = String::from_utf8(output.stdout)?.trim().to_owned();
    made.insert(role, token.clone());
    Ok(token)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// GETs a page; anything but 2xx is an error.
pub(crate) async fn get(url: String) -> Result<String> {
    let body = tokio::task::spawn_blocking(move || -> Result<String> {
        Ok(ureq::get(&url).call()?.body_mut().read_to_string()?)
    });
    body.await?
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds()? {
        ensure!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
