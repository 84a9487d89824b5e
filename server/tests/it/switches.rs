//! A switch that is flipped at one worker acts on the calls of three: how long after the request no
//! picture arrives any more.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use loadtest::{Bot, Plan};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::operations::{admin_token, ask};
use crate::support::Server;
use crate::support::etcd::Etcd;

const FLIPS: usize = 4;
/// Pictures a second, so that the last one tells when it was over.
const FPS: u32 = 200;
/// Asked for, and asserted five times over: two cores have it all at once.
const ACTS_WITHIN: Duration = Duration::from_millis(200);
const LADEN: u32 = 5;
/// How long is looked at what comes; the switch is flipped after a fifth of it.
const LOOK: Duration = Duration::from_millis(1_500);
const TURN: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(40);

/// Two who see each other, at one worker.
struct Call {
    bots: [Bot; 2],
}

impl Call {
    async fn open(server: &Server, room: &str) -> Result<Self> {
        let join = async |name| -> Result<Bot> {
            let token = server.token(room, name).await?;
            let mut bot = Bot::join(&server.signalling(), &token).await?;
            let plan = Plan {
                publish: true,
                slots: 1,
            };
            bot.open_media(plan).await?;
            bot.media()?.set_video(FPS, 200);
            Ok(bot)
        };
        let bots = [join("ann").await?, join("bob").await?];
        Ok(Self { bots })
    }

    /// Pictures so far, or sound.
    fn frames(&self, video: bool) -> u64 {
        let slots = self
            .bots
            .iter()
            .flat_map(|bot| bot.received().into_values());
        let kind = slots.filter(|slot| slot.video == video);
        kind.map(|slot| slot.frames).sum()
    }

    async fn turn(&mut self) -> Result<()> {
        let turns = self.bots.iter_mut().map(|bot| bot.run_for(TURN));
        try_join_all(turns).await.map(drop)
    }

    /// Until pictures come.
    async fn shows(&mut self) -> Result<()> {
        let before = self.frames(true);
        let flow = async {
            while self.frames(true) < before + 200 {
                self.turn().await?;
            }
            Ok(())
        };
        timeout(LONG, flow).await?
    }

    /// When the last picture came; sound goes on all the while.
    async fn last_picture(&mut self) -> Result<Instant> {
        let (end, sound) = (Instant::now() + LOOK, self.frames(false));
        let (mut last, mut seen) = (Instant::now(), self.frames(true));
        while Instant::now() < end {
            self.turn().await?;
            if self.frames(true) > seen {
                (last, seen) = (Instant::now(), self.frames(true));
            }
        }
        ensure!(self.frames(false) > sound, "sound goes on");
        for bot in &mut self.bots {
            let ping = json!({"jsonrpc": "2.0", "id": 0, "method": "ping", "params": {}});
            bot.signalling.send_text(ping.to_string()).await?;
        }
        Ok(last)
    }
}

#[tokio::test]
async fn video_goes_off_in_the_calls_of_three_workers() -> Result<()> {
    let (etcd, token) = (Etcd::start().await?, admin_token()?);
    let (mut workers, mut calls) = (Vec::new(), Vec::new());
    for room in ["one", "two", "three"] {
        let server = etcd.worker().await?;
        calls.push(Call::open(&server, room).await?);
        workers.push(server);
    }
    let mut delays = Vec::new();
    for flip in 0..FLIPS {
        try_join_all(calls.iter_mut().map(Call::shows)).await?;
        let asked = &workers[flip % workers.len()];
        let looks = try_join_all(calls.iter_mut().map(Call::last_picture));
        let off = async {
            sleep(LOOK / 5).await;
            let at = Instant::now();
            let on = Some(json!({ "enabled": true }));
            let (status, body) = ask(asked, &token, "PUT", "flags/video-off", on).await?;
            ensure!(status == 200, "{status} {body}");
            Ok(at)
        };
        let (lasts, at) = tokio::try_join!(looks, off)?;
        let late = lasts.iter().map(|last| last.saturating_duration_since(at));
        delays.extend(late);
        ask(asked, &token, "DELETE", "flags/video-off", None).await?;
    }
    delays.sort_unstable();
    let most = delays[delays.len() - 1];
    println!(
        "no picture comes any more {:?} after video is switched off (p50), {most:?} at the most, \
         of {}",
        delays[delays.len() / 2],
        delays.len()
    );
    ensure!(most < ACTS_WITHIN * LADEN, "{delays:?}");
    Ok(())
}
