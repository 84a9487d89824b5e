//! A real etcd.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use control_plane::Revision;
use control_plane_etcd::{EtcdOptions, EtcdStore};
use tokio::time::{Instant, sleep};

use crate::support::{self, Server};

/// A real etcd; killed when dropped.
pub(crate) struct Etcd {
    process: Child,
    url: String,
    peers: String,
    data: tempfile::TempDir,
    files: Option<Files>,
}

fn spawn(url: &str, peers: &str, data: &Path, files: Option<&Files>) -> Result<Child> {
    let mut command = Command::new("etcd");
    command
        .args(["--name", "one", "--log-level", "error", "--unsafe-no-fsync"])
        .arg("--data-dir")
        .arg(data.join("etcd"))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=one={peers}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some([authority, certificate, key]) = files {
        command
            .args(["--client-cert-auth", "--trusted-ca-file", authority])
            .args(["--cert-file", certificate, "--key-file", key]);
    }
    Ok(command.spawn()?)
}

/// Files of a listener that asks for certificates: who vouches, its own, and that one's key.
pub(crate) type Files = [String; 3];

impl Etcd {
    /// Starts one on free ports.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// Starts one that is spoken to by TLS, and by who shows a certificate.
    pub(crate) async fn start_secure(files: Files) -> Result<Self> {
        Self::start_with(Some(files)).await
    }

    async fn start_with(files: Option<Files>) -> Result<Self> {
        let (client, peer) = (support::free_port()?, support::free_port()?);
        let data = tempfile::tempdir()?;
        let scheme = if files.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let etcd = Self {
            process: spawn(&url, &peers, data.path(), files.as_ref())?,
            url,
            peers,
            data,
            files,
        };
        etcd.answers().await?;
        Ok(etcd)
    }

    async fn answers(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.is_healthy().await? {
            ensure!(Instant::now() < end, "etcd does not start");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn is_healthy(&self) -> Result<bool> {
        let Some([authority, certificate, key]) = &self.files else {
            return Ok(support::get(format!("{}/health", self.url)).await.is_ok());
        };
        let asked = Command::new("etcdctl")
            .args(["--endpoints", &self.url, "--cacert", authority])
            .args(["--cert", certificate, "--key", key])
            .args(["endpoint", "health"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(asked.success())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// A start with what it had on its disk.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.process = spawn(
            &self.url,
            &self.peers,
            self.data.path(),
            self.files.as_ref(),
        )?;
        self.answers().await
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url
            .split_once("://")
            .map_or(&self.url, |(_, address)| address)
    }

    /// The store as workers have it, past all of them.
    pub(crate) async fn store(&self) -> Result<EtcdStore> {
        Ok(EtcdStore::connect(&EtcdOptions::new([&*self.url])).await?)
    }

    /// Has it forget all that was before a revision.
    pub(crate) fn compact(&self, revision: Revision) -> Result<()> {
        self.ctl(&["compact", &revision.0.to_string()])
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
        self.ctl(&["put", key, value])
    }

    fn ctl(&self, words: &[&str]) -> Result<()> {
        let status = Command::new("etcdctl")
            .args(["--endpoints", &self.url])
            .args(words)
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
