//! A worker's own way to etcd, which can be cut or held up while the others' is open.

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::etcd::Etcd;

/// Bytes that are carried at one time.
const PIECE: usize = 64 * 1024;

/// What the way does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// They wait, and nobody is told.
    Held,
    /// Connections end, and there are no new ones.
    Cut,
}

/// A way to etcd; closed when dropped.
pub(crate) struct Path {
    /// As a worker's settings say it.
    pub(crate) endpoints: String,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Drop for Path {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Path {
    pub(crate) async fn to(etcd: &Etcd) -> Result<Self> {
        let target = etcd.address().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoints = format!("[\"http://{}\"]", listener.local_addr()?);
        let (sender, state) = watch::channel(State::Open);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), state.clone()));
            }
        });
        Ok(Self {
            endpoints,
            state: sender,
            task,
        })
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// One connection, until the way is cut.
async fn carry(client: TcpStream, target: String, mut state: watch::Receiver<State>) {
    if *state.borrow() == State::Cut {
        return;
    }
    if let Ok(server) = TcpStream::connect(target).await {
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pass(from_client, to_server, state.clone()) => {}
            () = pass(from_server, to_client, state.clone()) => {}
            _ = state.wait_for(|state| *state == State::Cut) => {}
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let moves_on = state.wait_for(|state| *state != State::Held).await.is_ok();
        if !moves_on || to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
