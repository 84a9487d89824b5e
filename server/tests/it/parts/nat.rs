//! Workers behind NAT: one can be reached by what is forwarded to it alone, the other one not at
//! all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use loadtest::Plan;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::{all_arrives, join, worker_with};
use crate::support::etcd::Etcd;
use crate::support::{Server, free_port};

/// A port that is forwarded to a worker, for one other worker.
struct Forwarder {
    address: SocketAddr,
    packets: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forwarder {
    async fn to(port: u16) -> Result<Self> {
        let (outside, inside) = (
            UdpSocket::bind("127.0.0.1:0").await?,
            UdpSocket::bind("127.0.0.1:0").await?,
        );
        inside.connect(("127.0.0.1", port)).await?;
        let address = outside.local_addr()?;
        let packets = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&packets);
        let task = tokio::spawn(async move {
            let (mut inward, mut outward) = (vec![0; 65_536], vec![0; 65_536]);
            let mut client = None;
            loop {
                // What cannot be passed on is lost, as anywhere.
                tokio::select! {
                    came = outside.recv_from(&mut inward) => if let Ok((length, from)) = came {
                        client = Some(from);
                        drop(inside.send(&inward[..length]).await);
                        counted.fetch_add(1, Ordering::Relaxed);
                    },
                    came = inside.recv(&mut outward) => {
                        let (Ok(length), Some(to)) = (came, client) else {
                            continue;
                        };
                        drop(outside.send_to(&outward[..length], to).await);
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Ok(Self {
            address,
            packets,
            task,
        })
    }
}

#[tokio::test]
async fn workers_link_by_what_is_forwarded_to_one_of_them() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let certificates = certificates.path().to_str().context("a path")?;
    let port = free_port()?;
    let forwarder = Forwarder::to(port).await?;
    let (listen, forwarded) = (
        format!("127.0.0.1:{port}"),
        format!("[\"{}\"]", forwarder.address),
    );
    // Nobody listens at the discard port: only the one who cannot be reached can dial.
    let settings = [
        [
            ("TROUPE_CLUSTER__LISTEN", "127.0.0.1:0"),
            ("TROUPE_CLUSTER__ADVERTISE", "[\"127.0.0.1:9\"]"),
            ("TROUPE_ROOM__PEERS_PER_WORKER", "1"),
        ],
        [
            ("TROUPE_CLUSTER__LISTEN", &*listen),
            ("TROUPE_CLUSTER__ADVERTISE", &*forwarded),
            ("TROUPE_ROOM__PEERS_PER_WORKER", "1"),
        ],
    ];
    let mut workers: Vec<Server> = Vec::new();
    for own in &settings {
        workers.push(worker_with(&etcd, certificates, own).await?);
    }
    for server in &workers {
        server.wait_metric("troupe_relay_links", "", 1.0).await?;
    }
    let mut bots = Vec::new();
    for (place, identity) in ["ann", "bob"].into_iter().enumerate() {
        let (at, mut bot) = join(&workers, identity).await?;
        assert_eq!(at, place, "each is in at a worker of its own");
        let plan = Plan {
            publish: true,
            slots: 1,
        };
        bot.open_media(plan).await?;
        bots.push(bot);
    }
    super::until_flows(&mut bots, 2).await?;
    let before = forwarder.packets.load(Ordering::Relaxed);
    for from in 0..2 {
        let all = all_arrives(&mut bots, from).await?;
        println!("{all} frames from worker {from} reached the other's client, each once");
        ensure!(all > 50, "{all}");
    }
    let passed = forwarder.packets.load(Ordering::Relaxed) - before;
    ensure!(passed > 200, "{passed} packets were forwarded");
    Ok(())
}
