//! As many connections as a worker takes, and who comes then.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use loadtest::Signalling;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::{self, Server};

const OPEN: &str = "troupe_http_connections";
const THREADS: usize = 2;
const A_THREAD: usize = 2;
/// How long those that wait are seen to wait.
const WAITS: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(20);

async fn join(url: String, token: String) -> Result<Signalling> {
    let mut signalling = Signalling::connect(&url).await?;
    let params = json!({ "token": token });
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "join", "params": params});
    signalling.send_text(request.to_string()).await?;
    let answer = signalling.receive().await?;
    ensure!(answer["result"].is_object(), "{answer}");
    Ok(signalling)
}

#[tokio::test]
async fn who_comes_to_a_full_worker_waits_for_a_place() -> Result<()> {
    let limits = [
        ("TROUPE_HTTP__WORKERS", &*THREADS.to_string()),
        ("TROUPE_HTTP__CONNECTIONS_MAX", &*A_THREAD.to_string()),
    ];
    let server = Server::start(&limits).await?;
    let mut tokens = Vec::new();
    for n in 0..=THREADS * A_THREAD {
        tokens.push(server.token("hall", &format!("p{n}")).await?);
    }
    server.wait_metric(OPEN, "", 0.0).await?;
    let last = tokens.pop().context("a token")?;
    let mut inside = Vec::new();
    for token in tokens {
        inside.push(join(server.signalling(), token).await?);
    }
    server.wait_metric(OPEN, "", 4.0).await?;

    let session = tokio::spawn(join(server.signalling(), last));
    let page = tokio::spawn(support::get(server.url("/v1/quic")));
    sleep(WAITS).await;
    ensure!(
        !session.is_finished() && !page.is_finished(),
        "a full worker answers"
    );
    let counts = [
        server.metric(OPEN, "").await?,
        server.metric("troupe_signaling_connections", "").await?,
    ];
    assert_eq!(counts, [4.0, 4.0]);
    for member in &mut inside {
        let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping", "params": {}});
        member.send_text(ping.to_string()).await?;
    }

    // One of the two who wait needs its place for a moment only.
    inside.truncate(2);
    let session = timeout(LONG, session).await???;
    // What it answers where there is no QUIC is an answer, too.
    let answered = timeout(LONG, page).await?;
    drop(answered?);
    server.wait_metric(OPEN, "", 3.0).await?;
    drop((session, inside));
    server.wait_metric(OPEN, "", 0.0).await
}
