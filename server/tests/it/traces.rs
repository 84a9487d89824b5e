//! Spans as a collector gets them, from two workers on one etcd.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use loadtest::Signalling;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::Server;
use crate::support::etcd::Etcd;
use crate::support::member::Member;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const HOOK_KEY: &str = "0123456789abcdef0123456789abcdef";
const CAUSE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What has come in: spans, and the numbers and contexts of posted events.
#[derive(Default)]
struct Held {
    spans: Vec<Value>,
    posts: Vec<(String, String)>,
}

/// A collector that takes OTLP over HTTP as JSON, and a receiver of webhooks.
struct Collector {
    port: u16,
    held: Arc<Mutex<Held>>,
}

impl Collector {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let collector = Self {
            port: listener.local_addr()?.port(),
            held: Arc::default(),
        };
        let held = Arc::clone(&collector.held);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let held = Arc::clone(&held);
                std::thread::spawn(move || serve(stream, &held));
            }
        });
        Ok(collector)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spans(&self) -> Vec<Value> {
        self.held().spans.clone()
    }
}

/// Requests of one connection (HTTP/1.1, with lengths).
fn serve(stream: TcpStream, held: &Mutex<Held>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut headers = BTreeMap::new();
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && !line.trim().is_empty() {
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            line.clear();
        }
        let Some(length) = headers.get("content-length") else {
            return Ok(());
        };
        let mut body = vec![0; length.parse()?];
        reader.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body)?;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = headers.remove("troupe-event-id") {
            let context = headers.remove("traceparent").unwrap_or_default();
            held.posts.push((event, context));
        }
        for resource in body["resourceSpans"].as_array().into_iter().flatten() {
            let attributes = resource["resource"]["attributes"]
                .as_array()
                .into_iter()
                .flatten();
            let worker = attributes
                .filter(|it| it["key"] == "service.instance.id")
                .map(|it| it["value"]["stringValue"].clone())
                .next();
            for span in resource["scopeSpans"][0]["spans"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let mut span = span.clone();
                span["worker"] = worker.clone().unwrap_or_default();
                held.spans.push(span);
            }
        }
        drop(held);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
    }
}

/// Waits until the collector has spans that fit.
async fn until(what: &str, collector: &Collector, fits: impl Fn(&[Value]) -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while !fits(&collector.spans()) {
        ensure!(
            Instant::now() < end,
            "{what}: {:#?}",
            names(&collector.spans())
        );
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn names(spans: &[Value]) -> BTreeSet<String> {
    let words = |it: &Value| format!("{} {}", it["name"], it["traceId"]);
    spans.iter().map(words).collect()
}

#[tokio::test]
async fn a_collector_gets_joins_requests_moves_posts_and_calls_to_the_store() -> Result<()> {
    let collector = Collector::start()?;
    let etcd = Etcd::start().await?;
    let endpoint = format!("http://127.0.0.1:{}/v1/traces", collector.port);
    let hook = format!("http://127.0.0.1:{}/hook", collector.port);
    let hooks = json!({ "version": 1, "section": [{ "url": hook, "key": HOOK_KEY }] });
    etcd.put("/troupe/v1/config/webhooks", &hooks.to_string())?;
    let settings = [("TROUPE_TRACES__ENDPOINT", &*endpoint)];
    let one = etcd.worker_with(&settings).await?;
    let two = etcd.worker_with(&settings).await?;
    a_join_is_part_of_what_it_says(&collector, &one).await?;
    let token = one.token("hall", "ann").await?;
    let ann = Member::join(&one.signalling(), &token).await?;
    a_request_that_is_handed_on_is_one_trace(&collector, &two).await?;
    the_steps_of_a_move_are_one_trace(&collector).await?;
    an_event_is_posted_with_its_span(&collector).await?;
    assert_eq!(ann.story().moved, 1);
    let label = "outcome=\"sent\"";
    let shown = one.metric("troupe_traces_spans_total", label).await?;
    ensure!(shown >= 5.0, "{shown} spans");
    println!("{} spans of two workers", collector.spans().len());
    Ok(())
}

/// The claim of the room is part of the join.
async fn a_join_is_part_of_what_it_says(collector: &Collector, one: &Server) -> Result<()> {
    let mut bob = Signalling::connect(&one.signalling()).await?;
    let token = one.token("hall", "bob").await?;
    let params = json!({ "token": token, "traceparent": CAUSE });
    bob.request("join", params).await?;
    let caused = |it: &&Value| it["traceId"] == TRACE;
    until("the join", collector, |spans| {
        let join = spans.iter().filter(caused).find(|it| it["name"] == "join");
        join.is_some_and(|join| {
            let child = |it: &Value| it["parentSpanId"] == join["spanId"];
            join["parentSpanId"] == "b7ad6b7169203331"
                && spans
                    .iter()
                    .any(|it| it["name"] == "store swap" && child(it))
        })
    })
    .await?;
    bob.request("leave", json!({})).await?;
    Ok(())
}

async fn a_request_that_is_handed_on_is_one_trace(
    collector: &Collector,
    two: &Server,
) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    while two.act("POST", "rooms/hall/migrate").await?.0 != 202 {
        ensure!(Instant::now() < end, "the other worker cannot be reached");
        sleep(Duration::from_millis(100)).await;
    }
    until("the request", collector, |spans| {
        let posts = || spans.iter().filter(|it| it["name"] == "POST");
        let handed =
            |a: &Value, b: &Value| b["parentSpanId"] == a["spanId"] && b["worker"] != a["worker"];
        posts().any(|a| posts().any(|b| handed(a, b)))
    })
    .await
}

/// Whichever worker wrote them.
async fn the_steps_of_a_move_are_one_trace(collector: &Collector) -> Result<()> {
    let steps = ["planned", "prepared", "committed", "moving", "drained"];
    until("the move", collector, |spans| {
        let Some(whole) = spans.iter().find(|it| it["name"] == "migration") else {
            return false;
        };
        steps.iter().all(|step| {
            let name = format!("migration {step}");
            spans.iter().any(|it| {
                it["name"] == name.as_str()
                    && it["traceId"] == whole["traceId"]
                    && it["parentSpanId"] == whole["spanId"]
            })
        })
    })
    .await?;
    let is_step = |it: &&Value| {
        let name = it["name"].as_str();
        name.is_some_and(|name| name.starts_with("migration "))
    };
    let spans = collector.spans();
    let steps = spans.iter().filter(is_step);
    let workers: BTreeSet<String> = steps.map(|it| it["worker"].to_string()).collect();
    assert_eq!(workers.len(), 2, "{workers:?}");
    Ok(())
}

/// Receivers can go on with the trace that the post is part of.
async fn an_event_is_posted_with_its_span(collector: &Collector) -> Result<()> {
    until("the post", collector, |spans| {
        let posts = spans.iter().filter(|it| it["name"] == "webhook");
        let held = collector.held();
        posts.into_iter().any(|span| {
            let word = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
            let context = format!("00-{}-{}-01", word("traceId"), word("spanId"));
            let of = |event: &str| {
                let attributes = span["attributes"].as_array().into_iter().flatten();
                let mut named = attributes.filter(|it| it["key"] == "troupe.event");
                named.any(|it| it["value"]["stringValue"] == event)
            };
            let mut posts = held.posts.iter();
            posts.any(|(event, given)| *given == context && of(event))
        })
    })
    .await
}
