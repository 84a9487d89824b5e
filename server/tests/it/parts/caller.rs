//! A client with media that does what the library does: it follows its room, stays where it is if
//! that comes to nothing, and comes back by its resume token when its worker is gone.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use loadtest::{Bot, Plan, RequestError};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::LONG;

/// Who calls somebody.
const PLAN: Plan = Plan {
    publish: true,
    slots: 1,
};
/// How long its media run before its signalling is seen to, and how often it pings.
const TURN: Duration = Duration::from_millis(100);
const PING_TURNS: u32 = 10;
/// How long it tries to follow: a target that waits for the store takes it in later, before the
/// move's deadline of 30 s. And how long one attempt to come back may take.
const FOLLOW_MAX: Duration = Duration::from_secs(20);
const ATTEMPT_MAX: Duration = Duration::from_secs(2);
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// Frames after which a slot's media flow.
const FLOWING: u64 = 20;

/// What became of it so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    /// Where its session is.
    pub(crate) url: String,
    /// Slots of this session in which media flow.
    pub(crate) flowing: usize,
    /// Moves that it followed.
    pub(crate) moved: u32,
    /// Times that it had to come back.
    pub(crate) lost: u32,
    /// Why it gave up.
    pub(crate) failed: Option<String>,
}

/// One such client; it ends when this is dropped.
pub(crate) struct Caller {
    story: Arc<Mutex<Story>>,
    task: JoinHandle<()>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Caller {
    /// Joins the first of these workers; the others are where it looks when that is gone.
    pub(crate) async fn join(workers: Vec<String>, token: &str) -> Result<Self> {
        let url = workers.first().context("a worker")?.clone();
        let mut bot = Bot::join(&url, token).await?;
        bot.open_media(PLAN).await?;
        let story = Arc::new(Mutex::new(Story {
            url: url.clone(),
            ..Story::default()
        }));
        let mut life = Life {
            bot,
            url,
            workers,
            story: Arc::clone(&story),
        };
        let task = tokio::spawn(async move {
            if let Err(error) = life.run().await {
                life.tell(|story| story.failed = Some(format!("{error:#}")));
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

struct Life {
    bot: Bot,
    url: String,
    workers: Vec<String>,
    story: Arc<Mutex<Story>>,
}

impl Life {
    fn tell(&self, how: impl FnOnce(&mut Story)) {
        how(&mut self.story.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn run(&mut self) -> Result<()> {
        for turn in 0_u32.. {
            match self.turn(turn).await {
                Ok(None) => {}
                Ok(Some(migrate)) => self.follow(&migrate).await?,
                Err(_) => self.come_back().await?,
            }
            let slots = self.bot.received();
            let flowing = slots.values().filter(|slot| slot.frames > FLOWING).count();
            self.tell(|story| story.flowing = flowing);
        }
        Ok(())
    }

    /// Media for a moment; where to go, if that was said.
    async fn turn(&mut self, turn: u32) -> Result<Option<Value>> {
        if turn.is_multiple_of(PING_TURNS) {
            let ping = json!({"jsonrpc": "2.0", "id": 0, "method": "ping", "params": {}});
            self.bot.signalling.send_text(ping.to_string()).await?;
        }
        self.bot.run_for(TURN).await?;
        while let Ok(heard) = timeout(Duration::ZERO, self.bot.signalling.listen()).await {
            let mut message = heard?;
            match message["method"].as_str() {
                Some("migrate") => return Ok(Some(message["params"].take())),
                Some("closing") => bail!("sent away"),
                _ => {}
            }
        }
        Ok(None)
    }

    /// On both workers for a moment; stays where that does not come so far.
    async fn follow(&mut self, migrate: &Value) -> Result<()> {
        let url = migrate["url"].as_str().context("a url")?.to_owned();
        let token = migrate["token"].as_str().context("a token")?.to_owned();
        let end = Instant::now() + FOLLOW_MAX;
        let opened = async {
            while Instant::now() < end {
                if let Ok(Ok(bot)) = timeout(ATTEMPT_MAX, open(&url, &token)).await {
                    return Some(bot);
                }
                sleep(AGAIN_AFTER).await;
            }
            None
        };
        let mut opened = pin!(opened);
        let next = loop {
            tokio::select! {
                next = &mut opened => break next,
                // Whether it is still there is seen in the next turn.
                ran = self.bot.run_for(TURN) => if ran.is_err() {
                    sleep(TURN).await;
                },
            }
        };
        let Some(next) = next else {
            return Ok(());
        };
        let mut old = std::mem::replace(&mut self.bot, next);
        self.url.clone_from(&url);
        let settled = json!({"jsonrpc": "2.0", "id": 9, "method": "settled", "params": {}});
        // The worker may be gone by now, which is all one.
        drop(old.signalling.send_text(settled.to_string()).await);
        tokio::spawn(async move { old.signalling.closed().await });
        self.tell(|story| {
            (story.moved, story.flowing) = (story.moved + 1, 0);
            self.url.clone_into(&mut story.url);
        });
        Ok(())
    }

    async fn come_back(&mut self) -> Result<()> {
        self.tell(|story| {
            (story.lost, story.flowing) = (story.lost + 1, 0);
            story.url.clear();
        });
        let token = self.bot.joined["resumeToken"].as_str();
        let token = token.context("a resume token")?.to_owned();
        let end = Instant::now() + LONG;
        for url in self.workers.clone().into_iter().cycle() {
            ensure!(Instant::now() < end, "no worker takes it back");
            let mut url = url;
            let mut entered = timeout(ATTEMPT_MAX, open(&url, &token)).await;
            if let Ok(Err(error)) = &entered
                && let Some(refused) = error.downcast_ref::<RequestError>()
                && let Some(elsewhere) = &refused.url
            {
                url.clone_from(elsewhere);
                entered = timeout(ATTEMPT_MAX, open(&url, &token)).await;
            }
            if let Ok(Ok(bot)) = entered {
                (self.bot, self.url) = (bot, url);
                self.tell(|story| self.url.clone_into(&mut story.url));
                return Ok(());
            }
            sleep(AGAIN_AFTER).await;
        }
        Ok(())
    }
}

async fn open(url: &str, token: &str) -> Result<Bot> {
    let mut bot = Bot::resume(url, token).await?;
    bot.open_media(PLAN).await?;
    Ok(bot)
}
