//! What a worker keeps over a `kill -9`, and what two workers on one etcd agree on.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use loadtest::Signalling;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{self, Server};

/// Joins; the error's `data` where that is refused.
async fn join(server: &Server, room: &str, identity: &str) -> Result<Result<Signalling, Value>> {
    let token = server.token(room, identity).await?;
    join_at(&server.signalling(), &token).await
}

async fn join_at(url: &str, token: &str) -> Result<Result<Signalling, Value>> {
    let mut signalling = Signalling::connect(url).await?;
    let params = json!({ "token": token });
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "join", "params": params});
    signalling.send_text(request.to_string()).await?;
    let mut answer = signalling.receive().await?;
    Ok(match answer.get_mut("error") {
        None => Ok(signalling),
        Some(error) => Err(error["data"].take()),
    })
}

#[tokio::test]
async fn a_room_and_its_settings_outlive_the_process() -> Result<()> {
    let mut server = Server::start(&[]).await?;
    let token = Server::operator_token()?;
    server
        .put_room_with("pair", &token, r#"{"maxPeers": 2}"#)
        .await?;
    server.kill_and_restart().await?;
    let _ann = join(&server, "pair", "ann").await?.expect("is let in");
    let _bob = join(&server, "pair", "bob").await?.expect("is let in");
    let refused = join(&server, "pair", "eve").await?.err().expect("is full");
    assert_eq!(refused["type"], "room_full");
    Ok(())
}

#[tokio::test]
async fn one_file_has_one_worker() -> Result<()> {
    let server = Server::start(&[]).await?;
    let status = server.refused_beside()?;
    assert_eq!(status.code(), Some(69));
    Ok(())
}

/// A real etcd; killed when dropped.
struct Etcd {
    process: Child,
    url: String,
    _data: tempfile::TempDir,
}

impl Etcd {
    async fn start() -> Result<Self> {
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

    async fn worker(&self) -> Result<Server> {
        let endpoints = format!("[\"{}\"]", self.url);
        Server::start(&[
            ("TROUPE_CLUSTER__STORE", "etcd"),
            ("TROUPE_CLUSTER__ETCD__ENDPOINTS", &endpoints),
            ("TROUPE_CLUSTER__LEASE_TTL", "3s"),
        ])
        .await
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
async fn a_room_has_one_worker_and_another_takes_it_when_that_dies() -> Result<()> {
    let etcd = Etcd::start().await?;
    let (one, two) = (etcd.worker().await?, etcd.worker().await?);
    let _ann = join(&one, "hall", "ann").await?.expect("is let in");
    let moved = join(&two, "hall", "bob")
        .await?
        .err()
        .expect("is elsewhere");
    assert_eq!(moved["type"], "moved");
    assert_eq!(moved["url"], one.signalling());
    let _bob = join(&one, "hall", "bob")
        .await?
        .expect("is let in where it was sent");

    drop(one);
    let died = Instant::now();
    let back = loop {
        match join(&two, "hall", "ann").await? {
            Ok(_) => break died.elapsed(),
            Err(_) if died.elapsed() < Duration::from_secs(30) => {
                sleep(Duration::from_millis(100)).await;
            }
            Err(error) => bail!("the room stays lost: {error}"),
        }
    };
    println!("the room is open on another worker {back:?} after a kill -9 (lease of 3 s)");
    Ok(())
}

#[tokio::test]
async fn without_etcd_running_rooms_go_on_and_new_ones_say_why_not() -> Result<()> {
    let mut etcd = Etcd::start().await?;
    let worker = etcd.worker().await?;
    let mut ann = join(&worker, "hall", "ann").await?.expect("is let in");
    etcd.process.kill()?;
    etcd.process.wait()?;
    let bob = join(&worker, "hall", "bob").await?;
    assert!(bob.is_ok(), "a room that runs takes joins: {:?}", bob.err());
    ann.notification("peerJoined").await?;
    let refused = join(&worker, "attic", "eve")
        .await?
        .err()
        .expect("no store");
    assert_eq!(refused["type"], "unavailable");
    Ok(())
}

#[test]
fn a_store_that_is_not_there_ends_the_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let status = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["serve", "--dev"])
        .current_dir(folder.path())
        .env("TROUPE_CLUSTER__STORE", "etcd")
        .env(
            "TROUPE_CLUSTER__ETCD__ENDPOINTS",
            "[\"http://127.0.0.1:1\"]",
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    assert_eq!(status.code(), Some(69));
    Ok(())
}
