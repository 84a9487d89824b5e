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
    _data: tempfile::TempDir,
}

impl Etcd {
    /// Starts one on free ports.
    pub(crate) async fn start() -> Result<Self> {
        let port = || -> Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let (client, peer) = (port()?, port()?);
        let data = tempfile::tempdir()?;
        let url = format!("http://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let process = Command::new("etcd")
            .args(["--name", "one", "--log-level", "error", "--unsafe-no-fsync"])
            .arg("--data-dir")
            .arg(data.path().join("etcd"))
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=one={peers}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let etcd = Self {
            process,
            url,
            _data: data,
        };
        let end = Instant::now() + Duration::from_secs(30);
        while support::get(format!("{}/health", etcd.url)).await.is_err() {
            ensure!(Instant::now() < end, "etcd does not start");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(etcd)
    }

    /// A worker on it.
    pub(crate) async fn worker(&self) -> Result<Server> {
        let endpoints = format!("[\"{}\"]", self.url);
        Server::start(&[
            ("TROUPE_CLUSTER__STORE", "etcd"),
            ("TROUPE_CLUSTER__ETCD__ENDPOINTS", &endpoints),
            ("TROUPE_CLUSTER__LEASE_TTL", "3s"),
        ])
        .await
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
