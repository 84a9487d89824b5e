//! A real etcd.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use crate::support::{self, Server};

/// A real etcd; killed when dropped.
pub(crate) struct Etcd {
    process: Child,
    url: String,
    peers: String,
    data: tempfile::TempDir,
}

fn spawn(url: &str, peers: &str, data: &std::path::Path) -> Result<Child> {
    let process = Command::new("etcd")
        .args(["--name", "one", "--log-level", "error", "--unsafe-no-fsync"])
        .arg("--data-dir")
        .arg(data.join("etcd"))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=one={peers}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(process)
}

impl Etcd {
    /// Starts one on free ports.
    pub(crate) async fn start() -> Result<Self> {
        let port = || -> Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let (client, peer) = (port()?, port()?);
        let data = tempfile::tempdir()?;
        let url = format!("http://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let etcd = Self {
            process: spawn(&url, &peers, data.path())?,
            url,
            peers,
            data,
        };
        etcd.answers().await?;
        Ok(etcd)
    }

    async fn answers(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while support::get(format!("{}/health", self.url)).await.is_err() {
            ensure!(Instant::now() < end, "etcd does not start");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// A start with what it had on its disk.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.process = spawn(&self.url, &self.peers, self.data.path())?;
        self.answers().await
    }

    /// Where it is, as a worker's settings say it.
    pub(crate) fn endpoints(&self) -> String {
        format!("[\"{}\"]", self.url)
    }

    /// A worker on it.
    pub(crate) async fn worker(&self) -> Result<Server> {
        self.worker_with(&[]).await
    }

    /// The same, with more settings.
    pub(crate) async fn worker_with(&self, more: &[(&str, &str)]) -> Result<Server> {
        let endpoints = self.endpoints();
        let own = [
            ("TROUPE_CLUSTER__STORE", "etcd"),
            ("TROUPE_CLUSTER__ETCD__ENDPOINTS", &*endpoints),
            ("TROUPE_CLUSTER__LEASE_TTL", "3s"),
        ];
        Server::start(&[&own, more].concat()).await
    }

    /// Writes a key past all workers.
    pub(crate) fn put(&self, key: &str, value: &str) -> Result<()> {
        let status = Command::new("etcdctl")
            .args(["--endpoints", &self.url, "put", key, value])
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "etcdctl failed");
        Ok(())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
