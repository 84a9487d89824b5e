//! Five thousand joins at once, beside a call that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::{Bot, Plan, Signalling};
use media_types::Clock;
use serde_json::json;
use signaling::{Grant, Grants, Secret};
use tokio::time::Instant;
use troupe_server::auth::{TokenRequest, issue};
use troupe_server::clock::SystemClock;
use troupe_server::config::{ApiKey, DEV_KEY, DEV_SECRET, KeyAlgorithm};

use crate::support::Server;

const JOINS: u64 = 5_000;
const AT_ONCE: u64 = 50;
/// The call runs for so long before the storm, and is looked at in the same way.
const CALM: Duration = Duration::from_secs(3);

/// What came of the joins.
#[derive(Debug, Default)]
struct Outcomes {
    begun: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

fn token(n: u64) -> Result<String> {
    let key = ApiKey {
        name: DEV_KEY.to_owned(),
        algorithm: KeyAlgorithm::Hs256,
        secret: Some(Secret::new(DEV_SECRET)),
        public_key: None,
    };
    let grants = Grants::for_room(format!("storm-{}", n % 20).parse()?);
    let request = TokenRequest {
        identity: format!("peer-{n}").parse()?,
        grants: grants.with(Grant::Subscribe),
        ttl: Duration::from_secs(600),
        once: true,
    };
    Ok(issue(&key, request, SystemClock.unix())?)
}

/// One join; a refusal must say when to come back.
async fn join(url: &str, token: String, outcomes: &Outcomes) -> Result<()> {
    let mut signalling = Signalling::connect(url).await?;
    let params = json!({ "token": token });
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "join", "params": params});
    signalling.send_text(request.to_string()).await?;
    let answer = signalling.receive().await?;
    if answer["result"].is_object() {
        outcomes.taken.fetch_add(1, Ordering::Relaxed);
        signalling.request("leave", json!({})).await?;
        return Ok(());
    }
    let data = &answer["error"]["data"];
    ensure!(data["type"] == "rate_limited", "{answer}");
    ensure!(
        data["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0),
        "{answer}"
    );
    outcomes.refused.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn storm(url: String, outcomes: Arc<Outcomes>) -> Result<()> {
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (url, outcomes) = (url.clone(), Arc::clone(&outcomes));
        lanes.spawn(async move {
            loop {
                let n = outcomes.begun.fetch_add(1, Ordering::Relaxed);
                if n >= JOINS {
                    return Ok::<(), anyhow::Error>(());
                }
                join(&url, token(n)?, &outcomes).await?;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    Ok(())
}

/// Frames, and those that a lost packet went before.
fn frames(bot: &Bot) -> (u64, u64) {
    let received = bot.received();
    let sum = |of: fn(&loadtest::Received) -> u64| received.values().map(of).sum();
    (sum(|it| it.frames), sum(|it| it.gaps))
}

#[tokio::test]
async fn a_call_goes_on_while_five_thousand_come() -> Result<()> {
    let server = Server::start(&[
        ("TROUPE_LIMITS__JOINS", "{ per_second = 10, burst = 100 }"),
        ("TROUPE_SESSION__RESUME_WINDOW", "1s"),
    ])
    .await?;
    let mut ann = Bot::join(&server.signalling(), &server.token("call", "ann").await?).await?;
    let mut bob = Bot::join(&server.signalling(), &server.token("call", "bob").await?).await?;
    let plan = |publish, slots| Plan { publish, slots };
    ann.open_media(plan(true, 0)).await?;
    bob.open_media(plan(false, 2)).await?;
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let sends = tokio::spawn(async move {
        while !ends.load(Ordering::Relaxed) {
            ann.run_for(Duration::from_millis(200)).await?;
        }
        Ok::<Bot, anyhow::Error>(ann)
    });
    bob.media()?
        .run_until(Duration::from_secs(20), |media| {
            media.received().values().any(|it| it.frames > 10)
        })
        .await?;
    let before = frames(&bob);
    bob.run_for(CALM).await?;
    let calm = frames(&bob);
    let outcomes = Arc::new(Outcomes::default());
    let begun = Instant::now();
    let storm = storm(server.signalling(), Arc::clone(&outcomes));
    // On a thread of its own, so that the call's clients are not kept from sending.
    let raging = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(storm)
    });
    while !raging.is_finished() {
        bob.run_for(Duration::from_millis(100)).await?;
    }
    raging.await??;
    let took = begun.elapsed();
    let after = frames(&bob);
    over.store(true, Ordering::Relaxed);
    sends.await?.context("the publisher")?;

    judge(
        &outcomes,
        took,
        &Seen {
            before,
            calm,
            after,
        },
    )
}

/// Frames before the calm, after it, and after the storm; each with those after a lost packet.
struct Seen {
    before: (u64, u64),
    calm: (u64, u64),
    after: (u64, u64),
}

fn judge(outcomes: &Outcomes, took: Duration, seen: &Seen) -> Result<()> {
    let Seen {
        before,
        calm,
        after,
    } = seen;
    let [taken, refused] =
        [&outcomes.taken, &outcomes.refused].map(|it| it.load(Ordering::Relaxed));
    let rate = |(from, to): (u64, u64), time: Duration| {
        f64::from(u32::try_from(to - from).unwrap_or(u32::MAX)) / time.as_secs_f64()
    };
    let (still, under) = (
        rate((before.0, calm.0), CALM),
        rate((calm.0, after.0), took),
    );
    println!(
        "{JOINS} joins in {took:?}: {taken} let in, {refused} told to wait; the call: {still:.1} \
         frames/s before, {under:.1} under it, {} after a lost packet",
        after.1 - calm.1
    );
    assert_eq!(taken + refused, JOINS);
    ensure!(refused > JOINS / 2, "only {refused} were refused");
    assert_eq!(after.1 - calm.1, 0, "packets of the call were lost");
    ensure!(under > still * 0.8, "the call was slowed");
    Ok(())
}

/// The status of a page, and when it may be asked for again.
fn answer(url: &str, bearer: &str) -> Result<(u16, Option<u64>)> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let request = ureq::Agent::from(agent.build()).post(url);
    let request = request
        .header("authorization", format!("Bearer {bearer}"))
        .header("content-type", "application/sdp");
    let response = request.send("no SDP")?;
    let wait = response.headers().get("retry-after");
    let wait = wait.map(|value| anyhow::Ok(value.to_str()?.parse()?));
    Ok((response.status().as_u16(), wait.transpose()?))
}

#[tokio::test]
async fn an_address_that_comes_too_often_hears_when_to_come_back_by_http() -> Result<()> {
    let few = "{ per_second = 1, burst = 3 }";
    let server = Server::start(&[("TROUPE_LIMITS__PER_ADDRESS", few)]).await?;
    let (url, bearer) = (server.url("/whip/hall"), server.token("hall", "ann").await?);
    let answers = tokio::task::spawn_blocking(move || -> Result<Vec<_>> {
        (0..4).map(|_| answer(&url, &bearer)).collect()
    });
    let answers = answers.await??;
    // Three are let in to have their offers refused.
    assert_eq!(answers[..3], [(400, None); 3], "{answers:?}");
    assert_eq!(answers[3], (429, Some(1)));
    // Whatever it comes by, it is the same address.
    let refused = Signalling::connect(&server.signalling()).await.err();
    let refused = format!("{:#}", refused.context("it was let in")?);
    ensure!(refused.contains("429"), "{refused}");
    let counted = server.metric("troupe_ratelimit_rejected_total", "limit=\"address\"");
    ensure!(counted.await? >= 2.0);
    Ok(())
}
