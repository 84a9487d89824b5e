//! A client with media that goes where its room goes: it is on both workers for a moment.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadtest::{Bot, Plan};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::support::Server;

/// How long it tries to follow.
const FOLLOW_MAX: Duration = Duration::from_secs(40);
/// How long its media run before its signalling is seen to, and how often it pings.
const TURN: Duration = Duration::from_millis(100);
const PING_TURNS: u32 = 10;
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// What is noted of what it is told.
const NEWS: [&str; 4] = [
    "peerJoined",
    "peerLeft",
    "trackPublished",
    "trackUnpublished",
];

/// What became of it so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    /// Where its session is.
    pub(crate) url: String,
    /// Moves that it followed.
    pub(crate) moved: u32,
    /// The frames of each slot of this session.
    pub(crate) frames: Vec<u64>,
    /// Those of all that did not follow on their predecessor without a lost packet.
    pub(crate) gaps: u64,
    /// The longest time without a frame in any slot since [`Follower::calm`].
    pub(crate) pause: Duration,
    /// Who was told to have come or gone, and tracks likewise.
    pub(crate) news: Vec<String>,
    /// Why it gave up.
    pub(crate) failed: Option<String>,
}

/// One such client; it ends when this is dropped.
pub(crate) struct Follower {
    story: Arc<Mutex<Story>>,
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Follower {
    /// Joins and has its media connected.
    pub(crate) async fn join(server: &Server, room: &str, name: &str, plan: Plan) -> Result<Self> {
        let url = server.signalling();
        let bot = Bot::join(&url, &server.token(room, name).await?).await?;
        Self::begin(bot, url, plan).await
    }

    /// Goes on with somebody who is in at that worker, without media so far.
    pub(crate) async fn begin(mut bot: Bot, url: String, plan: Plan) -> Result<Self> {
        bot.open_media(plan).await?;
        let story = Arc::new(Mutex::new(Story {
            url,
            ..Story::default()
        }));
        let told = Arc::clone(&story);
        let task = tokio::spawn(async move {
            if let Err(error) = live(bot, plan, &told).await {
                change(&told, |story| story.failed = Some(format!("{error:#}")));
            }
        });
        Ok(Self { story, task })
    }

    /// Measures pauses, and collects news, from now on.
    pub(crate) fn calm(&self) {
        change(&self.story, |story| {
            story.pause = Duration::ZERO;
            story.news.clear();
        });
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

async fn live(mut bot: Bot, plan: Plan, story: &Mutex<Story>) -> Result<()> {
    let ping = json!({"jsonrpc": "2.0", "id": 0, "method": "ping", "params": {}}).to_string();
    for turn in 0_u32.. {
        if turn.is_multiple_of(PING_TURNS) {
            bot.signalling.send_text(ping.clone()).await?;
        }
        bot.run_for(TURN).await?;
        while let Ok(heard) = timeout(Duration::ZERO, bot.signalling.listen()).await {
            let message = heard?;
            if message["method"] == "closing" {
                bail!("sent away: {}", message["params"]);
            }
            let method = message["method"].as_str().unwrap_or_default();
            if NEWS.contains(&method) {
                let news = format!("{method} {}", message["params"]);
                change(story, |story| story.news.push(news));
            }
            if method == "migrate" {
                bot = follow(bot, plan, &message["params"]).await?;
                change(story, |story| {
                    story.moved += 1;
                    story.frames.clear();
                    message["params"]["url"]
                        .as_str()
                        .unwrap_or_default()
                        .clone_into(&mut story.url);
                });
            }
        }
        let frames = bot.received().values().map(|slot| slot.frames).collect();
        let gaps = bot.received().values().map(|slot| slot.gaps).sum();
        let pauses = bot.media()?.take_pauses();
        change(story, |story| {
            (story.frames, story.gaps) = (frames, gaps);
            story.pause = pauses.into_iter().fold(story.pause, Duration::max);
        });
    }
    Ok(())
}

/// Opens the new session while the old one's media go on; then the old worker is told.
async fn follow(mut old: Bot, plan: Plan, params: &Value) -> Result<Bot> {
    let mut opening = pin!(open(params, plan));
    let new = loop {
        tokio::select! {
            opened = &mut opening => break opened?,
            ran = old.run_for(TURN) => ran?,
        }
    };
    let settled = json!({"jsonrpc": "2.0", "id": 9, "method": "settled", "params": {}});
    old.signalling.send_text(settled.to_string()).await?;
    tokio::spawn(async move { old.signalling.closed().await });
    Ok(new)
}

async fn open(params: &Value, plan: Plan) -> Result<Bot> {
    let url = params["url"].as_str().context("a url")?;
    let token = params["token"].as_str().context("a token")?;
    let end = Instant::now() + FOLLOW_MAX;
    let mut bot = loop {
        match Bot::resume(url, token).await {
            Ok(bot) => break bot,
            Err(error) if Instant::now() > end => return Err(error.context("following")),
            Err(_) => sleep(AGAIN_AFTER).await,
        }
    };
    bot.open_media(plan).await?;
    Ok(bot)
}
