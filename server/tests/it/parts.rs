//! One room on three workers: real processes, a real etcd, QUIC between them, and light clients.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use loadtest::{Bot, Plan, RequestError, Signalling};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

mod afar;
mod caller;
mod crashes;
mod emptied;
mod nat;
mod plain;
mod split;

use crate::support::Server;
use crate::support::etcd::Etcd;

const ROOM: &str = "hall";
/// Nothing of this takes a tenth of it on an idle machine.
const LONG: Duration = Duration::from_secs(40);

/// A worker that takes one peer of a room, and is linked to the others.
async fn worker(etcd: &Etcd, certificates: &str) -> Result<Server> {
    worker_with(
        etcd,
        certificates,
        &[("TROUPE_ROOM__PEERS_PER_WORKER", "1")],
    )
    .await
}

async fn worker_with(etcd: &Etcd, certificates: &str, more: &[(&str, &str)]) -> Result<Server> {
    let endpoints = etcd.endpoints();
    let own = [
        ("TROUPE_CLUSTER__STORE", "etcd"),
        ("TROUPE_CLUSTER__ETCD__ENDPOINTS", &endpoints),
        ("TROUPE_CLUSTER__LEASE_TTL", "3s"),
        ("TROUPE_CLUSTER__LISTEN", "127.0.0.1:0"),
        ("TROUPE_CLUSTER__TLS__DIRECTORY", certificates),
    ];
    Server::start(&[&own, more].concat()).await
}

/// Until each worker is linked to both others.
async fn all_linked(workers: &[Server]) -> Result<()> {
    for server in workers {
        server.wait_metric("troupe_relay_links", "", 2.0).await?;
    }
    Ok(())
}

/// Joins as a client does that goes where it is sent; at which worker it is.
async fn join(workers: &[Server], identity: &str) -> Result<(usize, Bot)> {
    let end = Instant::now() + LONG;
    let mut at = 0;
    while Instant::now() < end {
        let server = &workers[at];
        let token = server.token(ROOM, identity).await?;
        let error = match Bot::join(&server.signalling(), &token).await {
            Ok(bot) => return Ok((at, bot)),
            Err(error) => error,
        };
        let refused = error.downcast_ref::<RequestError>().context("an answer")?;
        match refused.kind.as_str() {
            "moved" => {
                let found = workers
                    .iter()
                    .position(|it| Some(it.signalling()) == refused.url);
                at = found.context("one of the three")?;
            }
            "unavailable" | "overloaded" => sleep(Duration::from_millis(200)).await,
            other => bail!("{identity} is refused: {other}"),
        }
    }
    bail!("{identity} gets nowhere")
}

/// Drives the media of all for so long; each says that it is there.
async fn run(bots: &mut [Bot], time: Duration) -> Result<()> {
    let ping = json!({"jsonrpc": "2.0", "id": 0, "method": "ping", "params": {}}).to_string();
    for bot in bots.iter_mut() {
        bot.signalling.send_text(ping.clone()).await?;
    }
    let runs = bots.iter_mut().map(|bot| bot.run_for(time));
    let all = futures_util::future::join_all(runs).await;
    all.into_iter().collect()
}

fn received(bot: &mut Bot) -> Result<u64> {
    Ok(bot
        .media()?
        .received()
        .values()
        .map(|slot| slot.frames)
        .sum())
}

/// One of them alone sends for two seconds: each of its frames reaches all others once. How many
/// those are.
async fn all_arrives(bots: &mut [Bot], from: usize) -> Result<u64> {
    let quiet = Duration::from_millis(500);
    for bot in bots.iter_mut() {
        bot.media()?.set_sending(false);
    }
    run(bots, quiet).await?;
    let sent = bots[from].media()?.sent();
    let before: Vec<u64> = bots.iter_mut().map(received).collect::<Result<_>>()?;
    bots[from].media()?.set_sending(true);
    run(bots, Duration::from_secs(2)).await?;
    bots[from].media()?.set_sending(false);
    run(bots, quiet).await?;
    let all = bots[from].media()?.sent() - sent;
    for (place, bot) in bots.iter_mut().enumerate() {
        let expected = if place == from { 0 } else { all };
        assert_eq!(
            received(bot)? - before[place],
            expected,
            "at client {place}"
        );
        bot.media()?.set_sending(true);
    }
    Ok(all)
}

/// Until everybody has everybody else's sound and picture.
async fn all_see_all(bots: &mut [Bot]) -> Result<()> {
    until_flows(bots, 4).await
}

/// Until media flow to so many slots of each.
async fn until_flows(bots: &mut [Bot], slots: usize) -> Result<()> {
    let end = Instant::now() + LONG;
    let flows = |bot: &Bot| {
        bot.received()
            .values()
            .filter(|slot| slot.frames > 20)
            .count()
    };
    while !bots.iter().all(|bot| flows(bot) == slots) {
        ensure!(Instant::now() < end, "media does not reach everybody");
        run(bots, Duration::from_millis(200)).await?;
    }
    Ok(())
}

/// Whichever worker operators ask.
async fn each_tells_of_all(workers: &[Server], bots: &mut [Bot]) -> Result<()> {
    let end = Instant::now() + LONG;
    let mut owners = BTreeSet::new();
    for server in workers {
        loop {
            let (_, room) = server.act("GET", &format!("rooms/{ROOM}")).await?;
            let path = format!("rooms/{ROOM}/peers");
            let (_, peers) = server.act("GET", &path).await?;
            let own = server.act("GET", &format!("{path}?local=true")).await?.1;
            let names = |list: &Value| -> Vec<String> {
                let items = list["items"].as_array().into_iter().flatten();
                items.map(|peer| peer["peerId"].to_string()).collect()
            };
            let all = [r#""ann""#, r#""bob""#, r#""eve""#];
            if room["peers"] == 3 && names(&peers) == all && names(&own).len() == 1 {
                owners.insert(room["worker"].to_string());
                break;
            }
            ensure!(Instant::now() < end, "{room} {peers} {own}");
            run(bots, Duration::from_millis(100)).await?;
        }
    }
    assert_eq!(owners.len(), 1, "{owners:?}");
    Ok(())
}

/// Whichever worker operators ask, peers of the others do what they are told.
async fn each_acts_for_all(workers: &[Server], places: &[usize], bots: &mut [Bot]) -> Result<()> {
    let room = format!("rooms/{ROOM}");
    let eve = format!("{room}/peers/eve");
    let first = &workers[places[0]];
    let mute = r#"{"muted": true}"#;
    let (status, body) = first.act_with("POST", &format!("{eve}/mute"), mute).await?;
    assert_eq!(status, 204, "{body}");
    let (status, body) = first.act_with("PATCH", &eve, r#"{"name": "Eve"}"#).await?;
    assert_eq!(status, 204, "{body}");
    for bot in &mut bots[..2] {
        let muted = bot.signalling.notification("trackMuted").await?;
        assert_eq!(
            (&muted["peerId"], &muted["muted"]),
            (&"eve".into(), &true.into())
        );
        let updated = bot.signalling.notification("peerUpdated").await?;
        assert_eq!(
            (&updated["peerId"], &updated["name"]),
            (&"eve".into(), &"Eve".into())
        );
    }
    let (status, _) = first.act("DELETE", &format!("{room}/peers/nobody")).await?;
    assert_eq!(status, 404);
    // How a room is set is its owner's, who is asked by whoever else is.
    for (n, server) in workers.iter().enumerate() {
        let patch = json!({ "metadata": { "n": n } }).to_string();
        let (status, body) = server.act_with("PATCH", &room, &patch).await?;
        assert_eq!(
            (status, &body["settings"]["metadata"]["n"]),
            (200, &n.into()),
            "{body}"
        );
    }
    let end = Instant::now() + LONG;
    for server in workers {
        while server.act("GET", &room).await?.1["settings"]["metadata"]["n"] != 2 {
            ensure!(Instant::now() < end, "a part does not hear of the settings");
            run(bots, Duration::from_millis(50)).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_room_on_three_workers_and_one_of_them_dies() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let path = certificates.path().to_str().context("a path")?;
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(worker(&etcd, path).await?);
    }
    all_linked(&workers).await?;
    let mut bots = Vec::new();
    let mut places = Vec::new();
    for identity in ["ann", "bob", "eve"] {
        let (place, mut bot) = join(&workers, identity).await?;
        bot.open_media(Plan {
            publish: true,
            slots: 2,
        })
        .await?;
        places.push(place);
        bots.push(bot);
    }
    let mut different = places.clone();
    different.sort_unstable();
    assert_eq!(different, [0, 1, 2], "each is in at a worker of its own");

    all_see_all(&mut bots).await?;
    each_tells_of_all(&workers, &mut bots).await?;
    for from in 0..3 {
        let all = all_arrives(&mut bots, from).await?;
        println!("{all} frames from worker {from} reached both others, each once");
    }

    each_acts_for_all(&workers, &places, &mut bots).await?;

    // `kill -9` of one that holds a part: its peer leaves, and nothing else changes.
    let dead = places[2];
    workers[dead].kill()?;
    let died = Instant::now();
    drop(bots.pop());
    let left = bots[0].signalling.notification("peerLeft").await?;
    assert_eq!(
        (&left["peerId"], &left["reason"]),
        (&"eve".into(), &"timeout".into())
    );
    println!(
        "its peer left {:?} after the kill -9 (lease of 3 s)",
        died.elapsed()
    );
    let all = all_arrives(&mut bots, 0).await?;
    println!("{all} frames from worker 0 reached the one that is left");
    Ok(())
}

/// The places of the room of the next test, and how many come.
const PLACES: usize = 30;
const CROWD: usize = 90;

/// Comes to a worker as a client does; `None`: the room is full.
async fn enter(
    workers: &[Server],
    first: usize,
    name: &str,
) -> Result<Option<(usize, Signalling)>> {
    let end = Instant::now() + LONG;
    let mut at = first;
    while Instant::now() < end {
        let token = workers[at].token(ROOM, name).await?;
        let mut signalling = Signalling::connect(&workers[at].signalling()).await?;
        let params = json!({ "token": token });
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "join", "params": params});
        signalling.send_text(request.to_string()).await?;
        let answer = signalling.receive().await?;
        let error = &answer["error"]["data"];
        match error["type"].as_str() {
            None => return Ok(Some((at, signalling))),
            Some("moved") => {
                let url = error["url"].as_str().context("a url")?;
                let found = workers.iter().position(|it| it.signalling() == url);
                at = found.context("one of the three")?;
            }
            Some("room_full") => return Ok(None),
            Some("unavailable" | "overloaded") => sleep(Duration::from_millis(200)).await,
            Some(_) => bail!("{name} is refused: {error}"),
        }
    }
    bail!("{name} gets nowhere")
}

#[tokio::test]
async fn a_crowd_at_three_workers_fills_a_room_and_no_more() -> Result<()> {
    let etcd = Etcd::start().await?;
    let certificates = tempfile::tempdir()?;
    let path = certificates.path().to_str().context("a path")?;
    let limits = [
        ("TROUPE_ROOM__PEERS_PER_WORKER", "12"),
        ("TROUPE_ROOM__MAX_PEERS", "30"),
        (
            "TROUPE_LIMITS__PER_ADDRESS",
            "{ per_second = 10000, burst = 10000 }",
        ),
        (
            "TROUPE_LIMITS__PER_ROOM",
            "{ per_second = 10000, burst = 10000 }",
        ),
    ];
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(worker_with(&etcd, path, &limits).await?);
    }
    all_linked(&workers).await?;
    let began = Instant::now();
    let names: Vec<String> = (0..CROWD).map(|n| format!("p{n}")).collect();
    let wishes = names.iter().enumerate();
    let wishes = wishes.map(|(n, name)| enter(&workers, n % 3, name));
    let ends = futures_util::future::join_all(wishes).await;
    let members: Vec<_> = ends.into_iter().filter_map(Result::transpose).collect();
    let members = members.into_iter().collect::<Result<Vec<_>>>()?;
    let at = [0, 1, 2].map(|n| members.iter().filter(|(at, _)| *at == n).count());
    println!(
        "of {CROWD} at once {at:?} are in after {:?}",
        began.elapsed()
    );
    assert_eq!(members.len(), PLACES, "{at:?}");
    ensure!(at.iter().all(|many| *many <= 12), "{at:?}");
    let mut peers = 0;
    for server in &workers {
        let path = format!("rooms/{ROOM}/peers?local=true&limit=1000");
        let page = server.act("GET", &path).await?.1;
        peers += page["items"].as_array().context("items")?.len();
    }
    assert_eq!(peers, PLACES);
    Ok(())
}
