//! A real etcd of the test's own, and a path to it that can be cut and slowed.
#![allow(dead_code, reason = "each test crate uses a part")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use control_plane_etcd::{EtcdOptions, EtcdStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// etcd on two cores that others use too.
const START_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Etcd {
    folder: TempDir,
    client: SocketAddr,
    peer: SocketAddr,
    tls: Option<[PathBuf; 3]>,
    process: Child,
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.local_addr().expect("an address")
}

impl Etcd {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Where there are certificates (authority, certificate, key), clients must have one as well.
    pub(crate) async fn start_with(tls: Option<[PathBuf; 3]>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let (client, peer) = (free(), free());
        let process = spawn(&folder, client, peer, tls.as_ref());
        let mut etcd = Self {
            folder,
            client,
            peer,
            tls,
            process,
        };
        etcd.wait().await;
        etcd
    }

    async fn wait(&mut self) {
        let until = Instant::now() + START_DEADLINE;
        while tokio::net::TcpStream::connect(self.client).await.is_err() {
            assert!(Instant::now() < until, "etcd does not start");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.client
    }

    pub(crate) fn options(&self) -> EtcdOptions {
        EtcdOptions::new([format!("http://{}", self.client)])
    }

    pub(crate) async fn store(&self) -> EtcdStore {
        connect(&self.options()).await
    }

    /// As `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.expect("dies");
    }

    /// With the same data at the same place.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(&self.folder, self.client, self.peer, self.tls.as_ref());
        self.wait().await;
    }

    /// etcd's own tool, as an operator would use it.
    pub(crate) async fn ctl(&self, words: &[&str]) {
        let endpoint = format!("http://{}", self.client);
        let done = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &endpoint])
            .args(words)
            .output()
            .await
            .expect("etcdctl runs");
        assert!(done.status.success(), "{words:?}: {done:?}");
    }
}

/// The listener may be there some moments before the leader is.
pub(crate) async fn connect(options: &EtcdOptions) -> EtcdStore {
    let connected = timeout(START_DEADLINE, async {
        loop {
            match EtcdStore::connect(options).await {
                Ok(store) => return store,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    });
    connected.await.expect("etcd answers")
}

fn spawn(
    folder: &TempDir,
    client: SocketAddr,
    peer: SocketAddr,
    tls: Option<&[PathBuf; 3]>,
) -> Child {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut command = Command::new("etcd");
    command
        .args(["--name", "one", "--log-level", "error"])
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .arg(format!("--listen-client-urls={scheme}://{client}"))
        .arg(format!("--advertise-client-urls={scheme}://{client}"))
        .arg(format!("--listen-peer-urls=http://{peer}"))
        .arg(format!("--initial-advertise-peer-urls=http://{peer}"))
        .arg(format!("--initial-cluster=one=http://{peer}"))
        // The tests kill the process, not the machine.
        .arg("--unsafe-no-fsync")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some([authority, certificate, key]) = tls {
        command
            .arg("--client-cert-auth")
            .arg("--trusted-ca-file")
            .arg(authority)
            .arg("--cert-file")
            .arg(certificate)
            .arg("--key-file")
            .arg(key);
    }
    command
        .spawn()
        .expect("etcd is installed (package etcd-server)")
}

/// What a path does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathState {
    Open,
    /// Each piece waits this long.
    Slow(Duration),
    /// Nothing passes, and nobody is told.
    Cut,
}

/// A path to etcd.
pub(crate) struct Path {
    state: Arc<watch::Sender<PathState>>,
    address: SocketAddr,
}

impl Path {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(watch::Sender::new(PathState::Open));
        let told = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = tokio::net::TcpStream::connect(target).await else {
                    continue;
                };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(carry(near_in, far_out, told.subscribe()));
                tokio::spawn(carry(far_in, near_out, told.subscribe()));
            }
        });
        Self { state, address }
    }

    pub(crate) fn set(&self, state: PathState) {
        self.state.send_replace(state);
    }

    pub(crate) fn options(&self) -> EtcdOptions {
        EtcdOptions::new([format!("http://{}", self.address)])
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<PathState>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let now = *state.borrow_and_update();
        match now {
            PathState::Open => {}
            PathState::Slow(delay) => sleep(delay).await,
            PathState::Cut => {
                let open = state.wait_for(|state| *state != PathState::Cut).await;
                if open.is_err() {
                    return;
                }
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
