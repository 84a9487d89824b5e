//! Round trips of signalling with the real server over a real WebSocket: what the socket answers,
//! what the peer's actor answers, what goes round by the room, and a whole join.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "criterion's macros make public items, and time is what is measured"
)]

use std::time::{Duration, Instant};

use anyhow::Result;
use criterion::{Criterion, criterion_group, criterion_main};
use loadtest::Signalling;
use serde_json::{Value, json};
use tokio::runtime::Builder;

#[path = "../tests/it/support/server.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod support;
use support::Server;

async fn join(server: &Server, room: &str, identity: &str) -> Result<Signalling> {
    let token = server.token(room, identity).await?;
    let mut signalling = Signalling::connect(&server.signalling()).await?;
    let asked = json!({ "token": token });
    signalling.request("join", asked).await?;
    Ok(signalling)
}

async fn ask(
    signalling: &mut Signalling,
    rounds: u64,
    method: &str,
    params: &Value,
) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..rounds {
        signalling.request(method, params.clone()).await?;
        drop(signalling.take_kept());
    }
    Ok(start.elapsed())
}

async fn joins(server: &Server, rounds: u64) -> Result<Duration> {
    let mut spent = Duration::ZERO;
    for round in 0..rounds {
        let token = server.token("joins", &format!("b{round}")).await?;
        let start = Instant::now();
        let mut signalling = Signalling::connect(&server.signalling()).await?;
        let asked = json!({ "token": token });
        signalling.request("join", asked).await?;
        spent += start.elapsed();
        signalling.request("leave", json!({})).await?;
        let _ = signalling.close().await;
    }
    Ok(spent)
}

/// Limits that a client which does nothing but ask would run into.
const UNHURRIED: [(&str, &str); 4] = [
    ("TROUPE_SESSION__MESSAGES_PER_SECOND", "1000000"),
    ("TROUPE_SESSION__MESSAGES_BURST", "1000000"),
    ("TROUPE_SESSION__TALK_PER_SECOND", "1000000"),
    ("TROUPE_SESSION__TALK_BURST", "1000000"),
];

fn signalling(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let server = runtime
        .block_on(Server::start(&UNHURRIED))
        .expect("a server");
    let mut ana = runtime
        .block_on(join(&server, "bench", "ana"))
        .expect("a member");
    let mut group = criterion.benchmark_group("signalling");
    group.sample_size(20);
    for (name, method, params) in [
        ("ping, by the socket", "ping", json!({})),
        ("stats, by the peer", "stats", json!({})),
        ("chat, by the room", "chat", json!({ "text": "hello" })),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let asked = ask(&mut ana, rounds, method, &params);
                runtime.block_on(asked).expect("answers")
            });
        });
    }
    group.bench_function("connect and join", |bencher| {
        bencher.iter_custom(|rounds| runtime.block_on(joins(&server, rounds)).expect("joins"));
    });
    group.finish();
}

/// A whole `make bench` is to be a matter of minutes.
fn brief() -> Criterion {
    let brief = Criterion::default().warm_up_time(Duration::from_millis(500));
    brief.measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = brief();
    targets = signalling
}
criterion_main!(benches);
