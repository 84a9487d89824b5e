//! A client that does what the library does, but for media: it pings, follows its room when that
//! moves, and comes back by its resume token when its worker is gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadtest::Signalling;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};

const PING_PERIOD: Duration = Duration::from_secs(1);
/// Between two attempts to come back, and the longest that one may take.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
const ATTEMPT_MAX: Duration = Duration::from_secs(2);
const FOLLOW_MAX: Duration = Duration::from_secs(20);

/// What became of it so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    /// Where its session is; empty while it has none.
    pub(crate) url: String,
    /// Workers that it knows of.
    pub(crate) endpoints: usize,
    /// Moves that it followed.
    pub(crate) moved: u32,
    /// Times that its worker was gone.
    pub(crate) lost: u32,
    /// When it was back the last time.
    pub(crate) back: Option<Instant>,
    /// Why it gave up.
    pub(crate) failed: Option<String>,
}

/// One such client; it ends when this is dropped.
pub(crate) struct Member {
    story: Arc<Mutex<Story>>,
    task: JoinHandle<()>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A session, and what its `join` was answered.
struct Session {
    signalling: Signalling,
    url: String,
    resume: Value,
    endpoints: Vec<String>,
}

impl Member {
    /// Joins.
    pub(crate) async fn join(url: &str, token: &str) -> Result<Self> {
        let session = enter(url, json!({ "token": token })).await?;
        let story = Arc::new(Mutex::new(Story {
            url: session.url.clone(),
            endpoints: session.endpoints.len(),
            ..Story::default()
        }));
        let told = Arc::clone(&story);
        let task = tokio::spawn(async move {
            if let Err(error) = live(session, &told).await {
                change(&told, |story| story.failed = Some(format!("{error:#}")));
            }
        });
        Ok(Self { story, task })
    }

    /// What became of it so far.
    pub(crate) fn story(&self) -> Story {
        let story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.clone()
    }
}

fn change(story: &Mutex<Story>, how: impl FnOnce(&mut Story)) {
    how(&mut story.lock().unwrap_or_else(PoisonError::into_inner));
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// One `join`; who is told that the room is elsewhere goes there.
async fn enter(url: &str, params: Value) -> Result<Session> {
    let mut url = url.to_owned();
    for _ in 0..3 {
        let mut signalling = Signalling::connect(&url).await?;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "join", "params": params});
        signalling.send_text(request.to_string()).await?;
        let mut answer = signalling.receive().await?;
        let result = answer["result"].take();
        if result.is_object() {
            return Ok(Session {
                resume: result["resumeToken"].clone(),
                endpoints: texts(&result["endpoints"]),
                signalling,
                url,
            });
        }
        let error = &answer["error"]["data"];
        match error["url"].as_str() {
            Some(elsewhere) => elsewhere.clone_into(&mut url),
            None => bail!("refused: {error}"),
        }
    }
    bail!("sent from worker to worker")
}

async fn live(mut session: Session, story: &Mutex<Story>) -> Result<()> {
    let mut pings = interval(PING_PERIOD);
    let ping = json!({"jsonrpc": "2.0", "id": 0, "method": "ping", "params": {}}).to_string();
    loop {
        let heard = tokio::select! {
            heard = session.signalling.receive() => heard,
            _ = pings.tick() => match session.signalling.send_text(ping.clone()).await {
                Ok(()) => continue,
                Err(error) => Err(error),
            },
        };
        match heard {
            Ok(message) if message["method"] == "migrate" => {
                session = follow(session, &message["params"]).await?;
                change(story, |story| {
                    story.moved += 1;
                    session.url.clone_into(&mut story.url);
                });
            }
            Ok(message) if message["method"] == "endpoints" => {
                session.endpoints = texts(&message["params"]["endpoints"]);
                change(story, |story| story.endpoints = session.endpoints.len());
            }
            Ok(message) if message["method"] == "closing" => {
                bail!("sent away: {}", message["params"]);
            }
            Ok(_) => {}
            Err(_) => session = come_back(session, story).await?,
        }
    }
}

/// On both workers for a moment; then the old one is told, and lets go.
async fn follow(mut old: Session, params: &Value) -> Result<Session> {
    let url = params["url"].as_str().context("a url")?;
    let end = Instant::now() + FOLLOW_MAX;
    let next = loop {
        match enter(url, json!({ "resume": params["token"] })).await {
            Ok(next) => break next,
            Err(error) if Instant::now() > end => return Err(error.context("following")),
            Err(_) => sleep(AGAIN_AFTER).await,
        }
    };
    let settled = json!({"jsonrpc": "2.0", "id": 9, "method": "settled", "params": {}});
    old.signalling.send_text(settled.to_string()).await?;
    tokio::spawn(async move { old.signalling.closed().await });
    Ok(next)
}

async fn come_back(old: Session, story: &Mutex<Story>) -> Result<Session> {
    change(story, |story| {
        story.lost += 1;
        story.url.clear();
    });
    loop {
        for url in &old.endpoints {
            let entered = enter(url, json!({ "resume": old.resume }));
            if let Ok(Ok(session)) = timeout(ATTEMPT_MAX, entered).await {
                change(story, |story| {
                    session.url.clone_into(&mut story.url);
                    story.back = Some(Instant::now());
                });
                return Ok(session);
            }
        }
        sleep(AGAIN_AFTER).await;
    }
}
