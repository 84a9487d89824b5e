//! What operators do, to one worker and to three on one etcd: with real processes.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use control_plane::{Condition, Store};
use control_plane_embedded::EmbeddedStore;
use loadtest::Signalling;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use troupe_server::clock::SystemClock;

use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::receiver::Receiver;

/// An `admin` of the development keys.
pub(crate) fn admin_token() -> Result<String> {
    let words = "token --dev --room * --identity root --admin admin";
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(words.split(' '))
        .output()?;
    ensure!(output.status.success(), "no token");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Asks the admin API; status and body.
pub(crate) async fn ask(
    server: &Server,
    token: &str,
    method: &'static str,
    path: &str,
    body: Option<Value>,
) -> Result<(u16, Value)> {
    let url = server.admin_url(&format!("/admin/v1/{path}"));
    let bearer = format!("Bearer {token}");
    let asked = tokio::task::spawn_blocking(move || -> Result<(u16, Value)> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", bearer)
            .header("content-type", "application/json")
            .body(body.map(|body| body.to_string()).unwrap_or_default())?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build();
        let mut response = ureq::Agent::from(agent).run(request)?;
        let text = response.body_mut().read_to_string()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok((response.status().as_u16(), body))
    });
    asked.await?
}

/// Joins; the error's `data` where that is refused.
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

/// Waits until something holds.
async fn until<F>(what: &str, mut holds: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let end = Instant::now() + Duration::from_secs(20);
    while !holds().await? {
        ensure!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a test may read the clock")]
fn unix_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[tokio::test]
async fn a_changed_entry_of_the_audit_log_is_found() -> Result<()> {
    let mut server = Server::start(&[]).await?;
    let token = admin_token()?;
    for room in ["a", "b", "c"] {
        let path = format!("rooms/{room}");
        let (status, _) = ask(&server, &token, "PUT", &path, Some(json!({}))).await?;
        ensure!(status == 201, "PUT answers {status}");
    }
    let viewer = Server::operator_token()?;
    let (status, _) = ask(&server, &viewer, "PATCH", "config", Some(json!({}))).await?;
    ensure!(status == 403, "an operator is no admin");
    let (_, log) = ask(&server, &token, "GET", "audit", None).await?;
    let said: Vec<(&str, u64)> = log["items"]
        .as_array()
        .context("items")?
        .iter()
        .map(|item| {
            let entry = &item["entry"];
            let action = entry["action"].as_str().unwrap_or_default();
            (action, entry["status"].as_u64().unwrap_or_default())
        })
        .collect();
    let put = |room: &str| format!("PUT /admin/v1/rooms/{room}");
    let [a, b, c] = ["a", "b", "c"].map(put);
    let refused = "PATCH /admin/v1/config";
    assert_eq!(said, [(&*a, 201), (&*b, 201), (&*c, 201), (refused, 403)]);
    ensure!(verify(&server)?.0, "the log is good at first");

    server.kill()?;
    let file = server.folder().join("data/admin.redb");
    let store = EmbeddedStore::open(&file, Arc::new(SystemClock))?;
    let key = format!("audit/entry/{:020}", 2);
    let entry = store.get(&key).await?.context("an entry")?;
    let forged = String::from_utf8(entry.value)?.replace("root", "ghost");
    let condition = Condition::At(entry.revision);
    store
        .swap(&key, condition, forged.into_bytes(), None)
        .await?;
    drop(store);
    server.restart().await?;
    let (good, words) = verify(&server)?;
    ensure!(!good && words.contains("entry 2 was changed"), "{words}");
    server.wait_metric("troupe_audit_broken", "", 1.0).await
}

/// `troupe admin audit verify`: whether it is content, and what it says.
fn verify(server: &Server) -> Result<(bool, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["admin", "--dev", "--url", &server.admin_url("")])
        .args(["audit", "verify"])
        .output()?;
    let words = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&words).into_owned(),
    ))
}

#[tokio::test]
async fn events_are_posted_in_order_until_they_are_taken() -> Result<()> {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    // More than open the breaker, which lets the next one through after a second.
    let mut receiver = Receiver::start(KEY, 6)?;
    let server = Server::start(&[]).await?;
    let token = admin_token()?;
    let url = format!("http://127.0.0.1:{}/hook", receiver.port);
    let hooks = json!([{ "url": url, "key": KEY, "events": ["room.*", "peer.*"] }]);
    let patch = json!({ "webhooks": hooks });
    let (status, body) = ask(&server, &token, "PATCH", "config", Some(patch)).await?;
    ensure!(status == 200, "{status} {body}");
    // A receiver begins with what happens once it is known.
    let first = tokio::task::spawn_blocking(move || {
        let first = receiver.next();
        (receiver, first)
    });
    let mut peers = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    while !first.is_finished() {
        ensure!(Instant::now() < end, "nothing is posted");
        let name = format!("p{}", peers.len());
        let joined = join_at(&server.signalling(), &server.token("hall", &name).await?).await?;
        peers.push(joined.ok().context("is let in")?);
        sleep(Duration::from_millis(100)).await;
    }
    let (receiver, first) = first.await?;
    let joins = peers.len();
    drop(peers);
    let token2 = token.clone();
    ask(&server, &token2, "DELETE", "rooms/hall", None).await?;
    let attempts = posted(&server, receiver, first?).await?;
    ensure!(
        attempts.iter().all(|it| it["good"] == true),
        "a bad signature"
    );
    let failed = attempts.iter().filter(|it| it["taken"] == false).count();
    ensure!(failed == 6, "{failed} attempts failed");
    let taken: Vec<&Value> = attempts.iter().filter(|it| it["taken"] == true).collect();
    let hall = taken.iter().filter(|it| it["event"]["room"] == "hall");
    let seqs: Vec<u64> = hall.filter_map(|it| it["event"]["seq"].as_u64()).collect();
    ensure!(
        seqs.windows(2).all(|pair| pair[0] < pair[1]),
        "out of order: {seqs:?}"
    );
    ensure!(!seqs.is_empty() && joins > 0);

    replayed(&server, &token, &taken).await
}

/// All attempts until the room has closed, of which some open the breaker.
async fn posted(server: &Server, receiver: Receiver, first: Value) -> Result<Vec<Value>> {
    let attempts = tokio::task::spawn_blocking(move || -> Result<Vec<Value>> {
        let mut receiver = receiver;
        let mut attempts = vec![first];
        while attempts
            .last()
            .is_none_or(|last| last["event"]["type"] != "room.closed")
        {
            attempts.push(receiver.next()?);
        }
        Ok(attempts)
    });
    let end = Instant::now() + Duration::from_secs(60);
    let mut opened = false;
    while !attempts.is_finished() {
        ensure!(Instant::now() < end, "not all is posted");
        let breaker = server.metric("troupe_breaker_open", "breaker=\"webhook\"");
        opened |= breaker.await? > 0.0;
        sleep(Duration::from_millis(50)).await;
    }
    ensure!(opened, "the breaker did not open");
    attempts.await?
}

/// What was posted can be read again from any of its numbers.
async fn replayed(server: &Server, token: &str, taken: &[&Value]) -> Result<()> {
    let id = taken[0]["event"]["id"].as_u64().context("an id")?;
    let path = format!("events?after={}&limit=1000", id - 1);
    let (_, again) = ask(server, token, "GET", &path, None).await?;
    let items = again["items"].as_array().context("items")?;
    let wanted = |item: &&Value| {
        let kind = item["type"].as_str().unwrap_or_default();
        kind.starts_with("room.") || kind.starts_with("peer.")
    };
    let replayed: Vec<&Value> = items.iter().filter(wanted).collect();
    let posted: Vec<&Value> = taken.iter().map(|it| &it["event"]).collect();
    assert_eq!(replayed[..posted.len()], posted[..]);
    Ok(())
}

#[tokio::test]
async fn a_flag_reaches_three_workers_and_a_bad_value_none() -> Result<()> {
    const FLIPS: usize = 40;
    let etcd = Etcd::start().await?;
    let workers = [
        etcd.worker().await?,
        etcd.worker().await?,
        etcd.worker().await?,
    ];
    let token = admin_token()?;
    let mut flipped = Vec::new();
    for n in 0..FLIPS {
        let flag = json!({ "enabled": n % 2 == 0, "value": n });
        let server = &workers[n % workers.len()];
        let at = unix_ms();
        let (status, body) = ask(server, &token, "PUT", "flags/chat-off", Some(flag)).await?;
        ensure!(status == 200, "{status} {body}");
        flipped.push(at);
    }
    let mut delays = Vec::new();
    for worker in &workers {
        let last = json!(FLIPS - 1);
        until("the last flip", || async {
            let (_, flag) = ask(worker, &token, "GET", "flags/chat-off", None).await?;
            Ok(flag["value"] == last)
        })
        .await?;
        let (_, events) = ask(worker, &token, "GET", "events?local=true&limit=1000", None).await?;
        for event in events["items"].as_array().context("items")? {
            if let (Some(n), Some(at)) = (
                event["data"]["flag"]["value"].as_u64(),
                event["at"].as_u64(),
            ) {
                delays.push(at.saturating_sub(flipped[usize::try_from(n)?]));
            }
        }
    }
    delays.sort_unstable();
    let (p50, p99) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    println!(
        "a flag acts on three workers after {p50} ms (p50), {p99} ms (p99) of {}",
        delays.len()
    );
    ensure!(
        delays.len() == FLIPS * 3,
        "{} of {} arrived",
        delays.len(),
        FLIPS * 3
    );
    ensure!(p99 < 1_000, "p99 is {p99} ms");

    a_bad_value_reaches_none(&etcd, &workers, &token).await
}

async fn a_bad_value_reaches_none(etcd: &Etcd, workers: &[Server; 3], token: &str) -> Result<()> {
    etcd.put(
        "/troupe/v1/config/limits",
        r#"{"version":1,"section":{"joins":{"per_second":-1}}}"#,
    )?;
    for worker in workers {
        worker.wait_metric("troupe_config_refused", "", 1.0).await?;
        let (_, config) = ask(worker, token, "GET", "config", None).await?;
        assert_eq!(config["refused"][0]["what"], "limits");
        assert_eq!(config["config"]["limits"]["joins"]["per_second"], 0);
    }
    let bad = json!({ "limits": { "joins": { "per_second": "many" } } });
    let (status, _) = ask(&workers[0], token, "PATCH", "config", Some(bad)).await?;
    assert_eq!(status, 400);
    let good = json!({ "limits": { "joins": { "per_second": 7, "burst": 9 } } });
    ask(&workers[0], token, "PATCH", "config", Some(good)).await?;
    for worker in workers {
        worker.wait_metric("troupe_config_refused", "", 0.0).await?;
        let (_, config) = ask(worker, token, "GET", "config", None).await?;
        assert_eq!(config["config"]["limits"]["joins"]["burst"], 9);
    }
    Ok(())
}

#[tokio::test]
async fn switches_act_on_what_runs() -> Result<()> {
    let server = Server::start(&[]).await?;
    let token = admin_token()?;
    let join =
        async |name: &str| join_at(&server.signalling(), &server.token("hall", name).await?).await;
    let mut ann = join("ann").await?.ok().context("is let in")?;
    let on = || Some(json!({ "enabled": true, "percent": 0, "rooms": ["hall"] }));
    ask(&server, &token, "PUT", "flags/joins-off", on()).await?;
    until("joins are off", || async {
        Ok(join("bob")
            .await?
            .err()
            .is_some_and(|error| error["type"] == "overloaded" && error["retryAfterMs"] == 5_000))
    })
    .await?;
    ask(&server, &token, "DELETE", "flags/joins-off", None).await?;
    until("joins are on", || async { Ok(join("bob").await?.is_ok()) }).await?;
    ask(&server, &token, "PUT", "flags/chat-off", on()).await?;
    until("chat is off", || async {
        let (_, flags) = ask(&server, &token, "GET", "flags", None).await?;
        Ok(flags["items"][0]["name"] == "chat-off")
    })
    .await?;
    let refused = ann.request("chat", json!({ "text": "hi" })).await;
    ensure!(refused.is_err(), "chat is off: {refused:?}");
    ask(&server, &token, "DELETE", "flags/chat-off", None).await?;
    until("chat is on", || async {
        let (_, flags) = ask(&server, &token, "GET", "flags", None).await?;
        Ok(flags["items"].as_array().is_some_and(Vec::is_empty))
    })
    .await?;
    ann.request("chat", json!({ "text": "hi" })).await?;
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_every_worker() -> Result<()> {
    let etcd = Etcd::start().await?;
    let mut workers = [
        etcd.worker().await?,
        etcd.worker().await?,
        etcd.worker().await?,
    ];
    let token = admin_token()?;
    let other = workers[0].token("hall", "eve").await?;
    let eve = join_at(&workers[0].signalling(), &other).await?;
    let mut eve = eve.ok().context("is let in")?;
    let wanted = workers[0].token("hall", "eve").await?;
    let revoked = Instant::now();
    let body = json!({ "sub": "eve", "end": true });
    let (status, answer) = ask(&workers[2], &token, "POST", "tokens/revoke", Some(body)).await?;
    ensure!(status == 200, "{status} {answer}");
    for worker in &workers {
        until("the token is refused", || async {
            let refused = join_at(&worker.signalling(), &wanted).await?.err();
            Ok(refused.is_some_and(|error| error["type"] == "unauthorized"))
        })
        .await?;
    }
    let took = revoked.elapsed();
    println!("a revoked token is refused on three workers after {took:?}");
    ensure!(took < Duration::from_secs(5), "{took:?}");
    eve.notification("closing").await?;
    // A worker that starts later knows it too.
    workers[1].kill_and_restart().await?;
    until("a new life knows it", || async {
        let refused = join_at(&workers[1].signalling(), &wanted).await?.err();
        Ok(refused.is_some_and(|error| error["type"] == "unauthorized"))
    })
    .await
}

#[tokio::test]
async fn who_comes_too_often_is_told_when_to_come_back() -> Result<()> {
    let few = "{ per_second = 1, burst = 3 }";
    let server = Server::start(&[("TROUPE_LIMITS__PER_ROOM", few)]).await?;
    let mut refused = None;
    for n in 0..5 {
        let token = server.token("hall", &format!("p{n}")).await?;
        if let Err(error) = join_at(&server.signalling(), &token).await? {
            refused = Some((n, error));
            break;
        }
    }
    let (n, error) = refused.context("nobody was refused")?;
    assert_eq!((n, &error["type"]), (3, &json!("rate_limited")));
    let wait = error["retryAfterMs"].as_u64().context("a wait")?;
    ensure!((1..=1_000).contains(&wait), "{wait} ms");
    // The refusal used nothing up: the same token comes in once it has waited.
    let token = server.token("hall", "late").await?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match join_at(&server.signalling(), &token).await? {
            Ok(_) => break,
            Err(error) if Instant::now() < end => {
                let wait = error["retryAfterMs"].as_u64().context("a wait")?;
                sleep(Duration::from_millis(wait)).await;
            }
            Err(error) => bail!("still refused: {error}"),
        }
    }
    ensure!(
        server
            .metric("troupe_ratelimit_rejected_total", "limit=\"room\"")
            .await?
            >= 1.0
    );
    Ok(())
}

#[tokio::test]
async fn every_route_that_is_described_is_there() -> Result<()> {
    let server = Server::start(&[]).await?;
    let document: Value = serde_json::from_str(&server.get_admin("/admin/v1/openapi.json").await?)?;
    let paths = document["paths"].as_object().context("paths")?;
    ensure!(paths.len() > 20, "{} paths", paths.len());
    for (path, methods) in paths {
        let path = path
            .trim_start_matches("/admin/v1/")
            .replace(['{', '}'], "");
        for method in methods.as_object().context("methods")?.keys() {
            if path == "openapi.json" {
                continue;
            }
            let verb = match method.as_str() {
                "get" => "GET",
                "put" => "PUT",
                "patch" => "PATCH",
                "post" => "POST",
                _ => "DELETE",
            };
            let body = matches!(verb, "PUT" | "PATCH" | "POST").then(|| json!({}));
            let (status, _) = ask(&server, "no.good.token", verb, &path, body).await?;
            // 400 where the body is judged before the token.
            ensure!(status == 401 || status == 400, "{verb} {path}: {status}");
        }
        let (status, _) = ask(&server, "no.good.token", "OPTIONS", &path, None).await?;
        ensure!(status == 405, "OPTIONS {path}: {status}");
    }
    Ok(())
}
