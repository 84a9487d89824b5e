//! Workers on one etcd: one answers for all; what becomes of rooms, and of who is in them, when a
//! worker is drained or killed and when the store goes away. Real processes, and clients that do
//! what the library does.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use loadtest::{Bot, Plan, Signalling};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

mod held;
mod script;

use crate::support::etcd::Etcd;
use crate::support::member::Member;
use crate::support::{self, Server};

const ROOMS: usize = 50;
/// What is asked for; tests beside others assert five times as much.
const DRAIN_MAX: Duration = Duration::from_secs(60);
const BACK_MAX: Duration = Duration::from_secs(5);
const LADEN: u32 = 5;
/// Of the workers that these tests start.
const LEASE: Duration = Duration::from_secs(3);
/// How long etcd is away: twenty lives of a lease, and longer than a session outlives its client.
const AWAY: Duration = Duration::from_secs(60);
/// How long a member's media run before it is seen to again, and how often it pings.
const TURN: Duration = Duration::from_millis(200);
const PING_TURNS: u32 = 25;

/// Joins; the error's `data` where that is refused.
async fn join(server: &Server, room: &str, identity: &str) -> Result<Result<Signalling, Value>> {
    let token = server.token(room, identity).await?;
    let mut signalling = Signalling::connect(&server.signalling()).await?;
    let params = json!({ "token": token });
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "join", "params": params});
    signalling.send_text(request.to_string()).await?;
    let mut answer = signalling.receive().await?;
    Ok(match answer.get_mut("error") {
        None => Ok(signalling),
        Some(error) => Err(error["data"].take()),
    })
}

/// Two members in each of so many rooms of a worker.
async fn fill(server: &Server, rooms: usize) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    for room in 0..rooms {
        for name in ["ann", "bob"] {
            let token = server.token(&format!("room-{room}"), name).await?;
            members.push(Member::join(&server.signalling(), &token).await?);
        }
    }
    Ok(members)
}

/// The rooms of a worker, each with its peers.
async fn rooms(server: &Server) -> Result<Vec<(String, u64)>> {
    let text = server.get_viewed("rooms?local=true&limit=1000").await?;
    let items = text["items"].as_array().context("items")?;
    let room = |item: &Value| {
        let name = item["name"].as_str().unwrap_or_default().to_owned();
        (name, item["peers"].as_u64().unwrap_or_default())
    };
    Ok(items.iter().map(room).collect())
}

/// Waits until all members are on another worker than this one.
async fn all_left(members: &[Member], gone: &str, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        let stories: Vec<_> = members.iter().map(Member::story).collect();
        if let Some(failed) = stories.iter().find_map(|it| it.failed.as_ref()) {
            bail!("a member was lost: {failed}");
        }
        let left = stories
            .iter()
            .filter(|it| it.url != gone && !it.url.is_empty());
        let left = left.count();
        if left == members.len() {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "{left} of {} are there",
            members.len()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn fifty_rooms_leave_a_worker_that_is_told_to_end() -> Result<()> {
    let etcd = Etcd::start().await?;
    let (mut one, two) = (etcd.worker().await?, etcd.worker().await?);
    let members = fill(&one, ROOMS).await?;
    let gone = one.signalling();
    let told = Instant::now();
    one.signal("TERM")?;
    all_left(&members, &gone, DRAIN_MAX * LADEN).await?;
    let followed = told.elapsed();
    let status = one.ended().await?;
    let ended = told.elapsed();
    println!(
        "{ROOMS} rooms with {} peers: all are on the other worker after {followed:?}, the process \
         has ended after {ended:?}",
        members.len()
    );
    assert_eq!(status.code(), Some(0));
    ensure!(ended < DRAIN_MAX * LADEN, "{ended:?}");
    let there = rooms(&two).await?;
    assert_eq!(there.len(), ROOMS, "no room is lost");
    ensure!(there.iter().all(|(_, peers)| *peers == 2), "{there:?}");
    for member in &members {
        let story = member.story();
        assert_eq!((story.moved, story.lost), (1, 0), "{story:?}");
        assert_eq!(story.url, two.signalling());
    }
    Ok(())
}

/// Waits until all members have heard of both workers.
async fn all_know_two(members: &[Member]) -> Result<()> {
    let end = Instant::now() + LEASE * LADEN;
    while members.iter().any(|it| it.story().endpoints < 2) {
        ensure!(Instant::now() < end, "nobody hears of the other worker");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn who_was_on_a_worker_that_is_killed_is_back_on_another() -> Result<()> {
    let etcd = Etcd::start().await?;
    let (mut one, two) = (etcd.worker().await?, etcd.worker().await?);
    let moved = {
        let _ann = join(&one, "hall", "ann").await?.expect("is let in");
        join(&two, "hall", "bob")
            .await?
            .err()
            .expect("is elsewhere")
    };
    assert_eq!(
        (&moved["type"], &moved["url"]),
        (&json!("moved"), &json!(one.signalling()))
    );
    let members = fill(&one, 10).await?;
    all_know_two(&members).await?;
    let gone = one.signalling();
    let killed = Instant::now();
    one.kill()?;
    let lapsed = async {
        loop {
            let workers = two.get_viewed("workers").await?;
            if workers["items"]
                .as_array()
                .is_some_and(|all| all.len() == 1)
            {
                return Ok::<Instant, anyhow::Error>(Instant::now());
            }
            ensure!(killed.elapsed() < LEASE * 10, "the lease does not end");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let back = all_left(&members, &gone, LEASE * 2 + BACK_MAX * LADEN);
    let (lapsed, back) = tokio::join!(lapsed, back);
    let lapsed = lapsed?;
    back?;
    let mut after = Vec::new();
    for member in &members {
        let story = member.story();
        assert_eq!((story.lost, story.moved), (1, 0), "{story:?}");
        let back = story.back.context("is back")?;
        after.push(back.saturating_duration_since(lapsed));
    }
    after.sort_unstable();
    let worst = *after.last().context("members")?;
    println!(
        "kill -9: the lease of {LEASE:?} ended after {:?}; of {} peers the last was back {worst:?} \
         later, half of them within {:?}",
        lapsed - killed,
        after.len(),
        after[after.len() / 2]
    );
    ensure!(worst < BACK_MAX * LADEN, "{worst:?}");
    let there = rooms(&two).await?;
    let full = there
        .iter()
        .filter(|(name, peers)| name.starts_with("room-") && *peers == 2);
    assert_eq!(full.count(), 10, "{there:?}");
    Ok(())
}

/// Frames, and those that a lost packet went before.
fn frames(bot: &Bot) -> (u64, u64) {
    let received = bot.received();
    let sum = |of: fn(&loadtest::Received) -> u64| received.values().map(of).sum();
    (sum(|it| it.frames), sum(|it| it.gaps))
}

/// Waits until something is let in.
async fn let_in(server: &Server, room: &str, name: &str, limit: Duration) -> Result<Duration> {
    let began = Instant::now();
    loop {
        match join(server, room, name).await? {
            Ok(_) => return Ok(began.elapsed()),
            Err(error) => ensure!(began.elapsed() < limit, "still refused: {error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Whether workers ask etcd, as they tell it.
const BREAKER: (&str, &str) = ("troupe_breaker_open", "breaker=\"store\"");
/// How soon a worker that does not says so, five times; etcd's own deadline is 2 s.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// A new room is refused without a question to etcd, and who asked hears when to ask again; the
/// slowest of ten such answers.
async fn refused_at_once(server: &Server, room: &str) -> Result<Duration> {
    server.wait_metric(BREAKER.0, BREAKER.1, 1.0).await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let began = Instant::now();
        let refused = join(server, room, "eve").await?.err().expect("no store");
        slowest = slowest.max(began.elapsed());
        assert_eq!(
            (&refused["type"], &refused["retryAfterMs"]),
            (&json!("unavailable"), &json!(1_000))
        );
    }
    ensure!(slowest < REFUSED_WITHIN, "refused after {slowest:?}");
    Ok(slowest)
}

/// A turn of a member that is there.
async fn live(bot: &mut Bot, turn: u32) -> Result<()> {
    if turn.is_multiple_of(PING_TURNS) {
        let ping = json!({"jsonrpc": "2.0", "id": 0, "method": "ping", "params": {}});
        bot.signalling.send_text(ping.to_string()).await?;
    }
    bot.run_for(TURN).await
}

/// A call of two on a worker: who sends, until told to end, and who receives.
async fn call(
    server: &Server,
    over: &Arc<AtomicBool>,
) -> Result<(tokio::task::JoinHandle<Result<Bot>>, Bot)> {
    let plan = |publish, slots| Plan { publish, slots };
    let token = server.token("hall", "ann").await?;
    let mut ann = Bot::join(&server.signalling(), &token).await?;
    let token = server.token("hall", "bob").await?;
    let mut bob = Bot::join(&server.signalling(), &token).await?;
    ann.open_media(plan(true, 0)).await?;
    bob.open_media(plan(false, 2)).await?;
    let ends = Arc::clone(over);
    let sends = tokio::spawn(async move {
        let mut turns = 0..;
        while !ends.load(Ordering::Relaxed) {
            live(&mut ann, turns.next().unwrap_or(0)).await?;
        }
        Ok(ann)
    });
    let flows = |media: &loadtest::Media| media.received().values().any(|it| it.frames > 10);
    let limit = Duration::from_secs(20);
    bob.media()?.run_until(limit, flows).await?;
    Ok((sends, bob))
}

#[tokio::test]
async fn without_etcd_running_rooms_go_on_and_new_ones_say_why_not() -> Result<()> {
    let mut etcd = Etcd::start().await?;
    let (one, two) = (etcd.worker().await?, etcd.worker().await?);
    let over = Arc::new(AtomicBool::new(false));
    let (sends, mut bob) = call(&one, &over).await?;
    let (before, began) = (frames(&bob), Instant::now());
    etcd.kill()?;
    let mut turns = 0..;
    while began.elapsed() < AWAY {
        live(&mut bob, turns.next().unwrap_or(0)).await?;
    }
    let after = frames(&bob);
    let shown = u32::try_from(after.0 - before.0)?;
    let rate = f64::from(shown) / began.elapsed().as_secs_f64();
    let late = join(&one, "hall", "eve").await?;
    ensure!(
        late.is_ok(),
        "a room that runs takes joins: {:?}",
        late.err()
    );
    let refusals = [
        refused_at_once(&one, "attic").await?,
        refused_at_once(&two, "cellar").await?,
    ];
    etcd.restart().await?;
    let back = Instant::now();
    let healed = [
        let_in(&one, "attic", "eve", Duration::from_secs(30)).await?,
        let_in(&two, "cellar", "eve", Duration::from_secs(30)).await?,
    ];
    let listed = |page: &Value| page["items"].as_array().map(Vec::len);
    while listed(&two.get_viewed("workers").await?) != Some(2) {
        ensure!(
            back.elapsed() < Duration::from_secs(60),
            "a worker stays unlisted"
        );
        sleep(Duration::from_millis(100)).await;
    }
    println!(
        "etcd away for {AWAY:?} (leases of {LEASE:?}): {rate:.1} frames/s, {} after a lost packet; \
         new rooms are refused after {refusals:?}, open {healed:?} after it is back, both workers \
         are listed after {:?}",
        after.1 - before.1,
        back.elapsed()
    );
    for worker in [&one, &two] {
        worker.wait_metric(BREAKER.0, BREAKER.1, 0.0).await?;
    }
    assert_eq!(after.1 - before.1, 0, "packets of the call were lost");
    ensure!(rate > 10.0, "the call was slowed: {rate:.1} frames/s");
    // The owner is the same, and the others know it again.
    let moved = join(&two, "hall", "zoe")
        .await?
        .err()
        .expect("is elsewhere");
    assert_eq!(moved["url"], one.signalling());
    over.store(true, Ordering::Relaxed);
    sends.await??;
    Ok(())
}

/// The first line of a worker's stream of events that holds all of these words.
async fn heard(server: &Server, words: &'static [&'static str]) -> Result<String> {
    let url = server.admin_url("/admin/v1/events?after=1");
    let bearer = format!("Bearer {}", Server::operator_token()?);
    let reads = tokio::task::spawn_blocking(move || -> Result<String> {
        let request = ureq::get(&url)
            .header("authorization", &bearer)
            .header("accept", "text/event-stream");
        let mut body = request.call()?.into_body();
        for line in BufReader::new(body.as_reader()).lines() {
            let line = line?;
            if words.iter().all(|word| line.contains(word)) {
                return Ok(line);
            }
        }
        bail!("the stream has ended")
    });
    tokio::time::timeout(Duration::from_secs(20), reads).await??
}

#[tokio::test]
async fn one_worker_answers_for_all() -> Result<()> {
    let etcd = Etcd::start().await?;
    let (one, two) = (etcd.worker().await?, etcd.worker().await?);
    let mut ann = join(&one, "hall", "ann").await?.expect("is let in");
    let _bob = join(&two, "attic", "bob").await?.expect("is let in");
    let end = Instant::now() + Duration::from_secs(20);
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().into_iter().flatten();
        items
            .filter_map(|it| it["name"].as_str().map(str::to_owned))
            .collect()
    };
    // A worker is known to others once it has told how far its log is.
    while names(&two.get_viewed("rooms").await?) != ["attic", "hall"] {
        ensure!(Instant::now() < end, "rooms of all workers are not listed");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(names(&two.get_viewed("rooms?local=true").await?), ["attic"]);
    let first = two.get_viewed("rooms?limit=1").await?;
    assert_eq!(names(&first), ["attic"]);
    let cursor = first["cursor"].as_str().context("a cursor")?;
    let rest = two
        .get_viewed(&format!("rooms?limit=1&cursor={cursor}"))
        .await?;
    assert_eq!(names(&rest), ["hall"]);
    let peers = two.get_viewed("rooms/hall/peers").await?;
    assert_eq!(peers["items"][0]["peerId"], "ann");
    heard(&two, &["peer.joined", "\"hall\"", "\"ann\""]).await?;
    let (status, _) = two.act("DELETE", "rooms/hall/peers/ann").await?;
    assert_eq!(status, 204);
    ann.notification("closing").await?;
    let (status, _) = two.act("DELETE", "rooms/hall/peers/nobody").await?;
    assert_eq!(status, 404, "what the other worker says is handed on");
    // It is written down where it was done, once.
    let logged = async |server: &Server| -> Result<usize> {
        let (_, log) = server.act("GET", "audit?local=true").await?;
        let records = log["records"].as_array().context("records")?.clone();
        let body = |it: &&Value| {
            it["body"]
                .as_str()
                .is_some_and(|it| it.contains("peers/ann"))
        };
        Ok(records.iter().filter(body).count())
    };
    assert_eq!([logged(&one).await?, logged(&two).await?], [1, 0]);
    let owner = two.get_viewed("rooms/hall").await?["worker"].clone();
    let owner = owner.as_str().context("an owner")?;
    let (status, _) = two.act("POST", &format!("workers/{owner}/drain")).await?;
    assert_eq!(status, 202);
    ensure!(
        one.get_admin("/readyz").await.is_err(),
        "the other worker drains"
    );
    ensure!(
        two.get_admin("/readyz").await.is_ok(),
        "the one that was asked does not"
    );
    Ok(())
}

/// Somebody asks a worker that is being emptied for a room that nobody has.
#[tokio::test]
async fn a_new_room_opens_at_the_worker_that_is_not_being_emptied() -> Result<()> {
    let etcd = Etcd::start().await?;
    let (one, two) = (etcd.worker().await?, etcd.worker().await?);
    let token = one.token("before", "ann").await?;
    let ann = Member::join(&one.signalling(), &token).await?;
    support::eventually("each knows of the other", || Ok(ann.story().endpoints == 2)).await?;
    let id = one.get_viewed("rooms/before").await?["worker"].clone();
    let id = id.as_str().context("a worker")?;
    let (status, _) = one.act("POST", &format!("workers/{id}/drain")).await?;
    assert_eq!(status, 202);
    all_left(
        std::slice::from_ref(&ann),
        &one.signalling(),
        BACK_MAX * LADEN,
    )
    .await?;
    let token = one.token("new", "bob").await?;
    let bob = Member::join(&one.signalling(), &token).await?;
    assert_eq!(bob.story().url, two.signalling());
    let mut there = rooms(&two).await?;
    there.sort();
    assert_eq!(there, [("before".to_owned(), 1), ("new".to_owned(), 1)]);
    Ok(())
}
