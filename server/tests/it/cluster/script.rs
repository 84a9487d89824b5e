//! `make cluster`: one etcd and three workers by the script that it runs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

/// Nothing of this takes a tenth of it on an idle machine.
const LONG: Duration = Duration::from_secs(60);

/// The script, in a process group of its own as a terminal has it; all of it ends with the test.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.signal("KILL"));
        drop(self.0.wait());
    }
}

impl Script {
    fn start(port: u16, folder: &std::path::Path) -> Result<Self> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let script = Command::new("setsid")
            .args(["--wait", "control-plane/deploy/cluster.sh"])
            .current_dir(root)
            .env("TROUPE_BIN", env!("CARGO_BIN_EXE_troupe"))
            .env("TROUPE_CLUSTER_DIR", folder)
            .env("TROUPE_CLUSTER_PORT", port.to_string())
            .env("TROUPE_CLUSTER_OPEN", "no")
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(script))
    }

    /// What Ctrl-C does to all of it.
    fn signal(&self, name: &str) -> Result<()> {
        let group = format!("-{}", self.0.id());
        Command::new("kill")
            .args(["-s", name, "--", &group])
            .status()?;
        Ok(())
    }
}

/// What the script prints, up to the line that begins so.
async fn printed(script: &mut Script, last: &'static str) -> Result<Vec<String>> {
    let output = script.0.stdout.take().context("its output")?;
    let reads = tokio::task::spawn_blocking(move || {
        let mut lines = Vec::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let is_last = line.starts_with(last);
            lines.push(line);
            if is_last {
                break;
            }
        }
        lines
    });
    Ok(timeout(LONG, reads).await??)
}

async fn get(url: String, token: &str) -> Result<String> {
    let bearer = format!("Bearer {token}");
    let asked = tokio::task::spawn_blocking(move || -> Result<String> {
        let request = ureq::get(&url).header("authorization", &bearer);
        Ok(request.call()?.body_mut().read_to_string()?)
    });
    asked.await?
}

#[tokio::test]
async fn make_cluster_starts_three_workers_and_ends_all_of_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Below the ports that the kernel gives; the store's is 15,710 above.
    let port = 10_000 + u16::try_from(std::process::id() % 100)? * 40;
    let mut script = Script::start(port, folder.path())?;
    let lines = printed(&mut script, "all workers:").await?;
    let workers = lines.iter().filter(|line| line.starts_with("worker "));
    assert_eq!(workers.count(), 3, "{lines:?}");
    let console = lines
        .iter()
        .find_map(|line| line.strip_prefix("console, signed in: "));
    let (base, token) = console
        .and_then(|url| url.split_once("#token="))
        .context("a console")?;
    let page = get(base.to_owned(), token).await?;
    ensure!(page.contains("<title>"), "no page: {page}");
    let end = Instant::now() + LONG;
    loop {
        let all: Value =
            serde_json::from_str(&get(format!("{base}admin/v1/workers"), token).await?)?;
        if all["items"].as_array().is_some_and(|all| all.len() == 3) {
            break;
        }
        ensure!(Instant::now() < end, "{all}");
        sleep(Duration::from_millis(100)).await;
    }
    let figures = get(format!("{base}metrics"), token).await?;
    ensure!(
        figures.contains("troupe_relay_links"),
        "workers are to be linked"
    );

    script.signal("INT")?;
    let end = Instant::now() + LONG;
    while script.0.try_wait()?.is_none() {
        ensure!(Instant::now() < end, "it does not end");
        sleep(Duration::from_millis(50)).await;
    }
    for n in 0..3 {
        let admin = std::net::TcpStream::connect(("127.0.0.1", port + 1_010 + n));
        ensure!(admin.is_err(), "worker {} is still there", n + 1);
    }
    Ok(())
}
