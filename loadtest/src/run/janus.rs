//! A member of a Janus `VideoRoom` by its JSON over WebSocket. Publishers offer; subscribers answer
//! what the server offers of one publisher.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::tally::MemberRecord;
use super::{Context, Place, Role, leaves_at, until_over};
use crate::light::ClientId;
use crate::websocket::{self, Socket};

const PROTOCOL: &str = "janus-protocol";
const PLUGIN: &str = "janus.plugin.videoroom";
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Sessions end after a minute of silence.
const KEEPALIVE: Duration = Duration::from_secs(25);
/// The room is there already.
const ROOM_EXISTS: u64 = 427;
/// Tells rooms of different runs apart.
const ROOMS_MAX: u64 = 100_000;
/// Publishers that a room takes.
const PUBLISHERS_MAX: u32 = 1_000;

/// The publishers of each room, in the order of their coming.
#[derive(Debug, Default)]
pub(super) struct Feeds(Mutex<BTreeMap<u32, Vec<u64>>>);

impl Feeds {
    fn add(&self, room: u32, feed: u64) {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.entry(room).or_default().push(feed);
    }

    /// Subscribers are shared out among the publishers.
    fn of(&self, room: u32, number: u32) -> Option<u64> {
        let feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let feeds = feeds.get(&room)?;
        let count = u32::try_from(feeds.len()).ok()?;
        let place = usize::try_from(number.checked_rem(count)?).ok()?;
        feeds.get(place).copied()
    }
}

pub(super) async fn live(context: &Context, place: Place) -> MemberRecord {
    let began = context.clock.micros(context.clock.now());
    let mut record = MemberRecord::new(place.role, place.room, began);
    context.tally.began();
    let mut client = None;
    let came = come(context, place, &mut record, &mut client).await;
    context.tally.settle();
    let left = match came {
        Ok(mut handle) => {
            let lived = handle.stay(context, place).await;
            if let Some(client) = client.take() {
                record.media = context.engine.close(client).await.ok();
            }
            let destroyed = handle.destroy().await;
            lived.and(destroyed)
        }
        Err(error) => Err(error),
    };
    if let Some(client) = client {
        record.media = context.engine.close(client).await.ok();
    }
    record.error = left.err().map(|error| format!("{error:#}"));
    record
}

/// One session with one handle of the plugin.
struct Handle {
    socket: Socket,
    session: u64,
    handle: u64,
    transactions: u64,
}

/// What the plugin said, with the description that came along.
struct Said {
    data: Value,
    sdp: Option<String>,
}

async fn come(
    context: &Context,
    place: Place,
    record: &mut MemberRecord,
    client: &mut Option<ClientId>,
) -> Result<Handle> {
    let url = context.target.janus.as_deref();
    let url = url.context("where Janus is: --janus ws://HOST:8188")?;
    let mut handle = Handle::attach(url, &context.tls).await?;
    let room = u64::from(context.run) * ROOMS_MAX + u64::from(place.room);
    let plan = context.plan(place.role).clone();
    record.watches_video = plan.video_slots > 0;
    let now = || context.clock.micros(context.clock.now());
    match place.role {
        Role::Publisher => {
            handle
                .create(room, context.scenario.publishers.video.as_str())
                .await?;
            let (id, offer) = context.engine.open(plan.clone()).await?;
            *client = Some(id);
            let body = json!({
                "request": "joinandconfigure", "ptype": "publisher", "room": room,
                "display": format!("p{}", place.number),
                "audio": plan.audio.is_some(), "video": !plan.video.is_empty(),
            });
            let said = handle.say(body, Some(("offer", offer))).await?;
            record.joined = Some(now());
            context.tally.joined();
            let feed = said.data["id"].as_u64().context("a publisher's id")?;
            let answer = said.sdp.context("an answer")?;
            record.answered = Some(now());
            context.engine.answer(id, answer).await?;
            context.feeds.add(place.room, feed);
        }
        Role::Subscriber => {
            let feed = context.feeds.of(place.room, place.number);
            let feed = feed.context("nobody publishes in the room")?;
            let body = json!({
                "request": "join", "ptype": "subscriber", "room": room,
                "streams": [{ "feed": feed }],
            });
            let said = handle.say(body, None).await?;
            record.joined = Some(now());
            context.tally.joined();
            let offer = said.sdp.context("an offer")?;
            let (id, answer) = context.engine.accept(plan, offer).await?;
            *client = Some(id);
            let body = json!({ "request": "start", "room": room });
            handle.say(body, Some(("answer", answer))).await?;
            record.answered = Some(now());
        }
    }
    Ok(handle)
}

impl Handle {
    async fn attach(url: &str, tls: &Arc<rustls::ClientConfig>) -> Result<Self> {
        let socket = websocket::connect(url, PROTOCOL, tls)
            .await
            .context("connecting")?;
        let mut handle = Self {
            socket,
            session: 0,
            handle: 0,
            transactions: 0,
        };
        let created = handle.ask(json!({ "janus": "create" })).await?;
        handle.session = created["data"]["id"].as_u64().context("a session")?;
        let attach = json!({ "janus": "attach", "plugin": PLUGIN });
        let attached = handle.ask(attach).await?;
        handle.handle = attached["data"]["id"].as_u64().context("a handle")?;
        Ok(handle)
    }

    /// Asks for a room; another publisher may have been first.
    async fn create(&mut self, room: u64, codec: &str) -> Result<()> {
        let body = json!({
            "request": "create", "room": room, "publishers": PUBLISHERS_MAX, "bitrate": 0,
            "audiocodec": "opus", "videocodec": codec, "notify_joining": false,
        });
        let message = json!({ "janus": "message", "body": body });
        let said = self.ask(message).await?;
        let data = &said["plugindata"]["data"];
        match data["error_code"].as_u64() {
            None | Some(ROOM_EXISTS) => Ok(()),
            Some(_) => bail!("create: {}", data["error"]),
        }
    }

    async fn say(&mut self, body: Value, jsep: Option<(&str, String)>) -> Result<Said> {
        let request = body["request"].as_str().unwrap_or_default().to_owned();
        let mut message = json!({ "janus": "message", "body": body });
        if let Some((kind, sdp)) = jsep {
            message["jsep"] = json!({ "type": kind, "sdp": sdp });
        }
        let mut said = self.ask(message).await?;
        let data = said["plugindata"]["data"].take();
        if let Some(error) = data["error"].as_str() {
            bail!("{request}: {error}");
        }
        let sdp = said["jsep"]["sdp"].as_str().map(str::to_owned);
        Ok(Said { data, sdp })
    }

    /// Sends a request and waits for what is more than an acknowledgement.
    async fn ask(&mut self, mut message: Value) -> Result<Value> {
        let transaction = self.send(&mut message).await?;
        loop {
            let next = timeout(ANSWER_TIME_MAX, self.receive()).await;
            let answer = next.context("an answer")??;
            if answer["transaction"] != json!(transaction) || answer["janus"] == "ack" {
                continue;
            }
            if answer["janus"] == "error" {
                bail!("{}: {}", message["janus"], answer["error"]["reason"]);
            }
            return Ok(answer);
        }
    }

    async fn send(&mut self, message: &mut Value) -> Result<String> {
        self.transactions += 1;
        let transaction = self.transactions.to_string();
        message["transaction"] = json!(transaction);
        if self.session != 0 {
            message["session_id"] = json!(self.session);
        }
        if self.handle != 0 {
            message["handle_id"] = json!(self.handle);
        }
        self.socket.send(Message::text(message.to_string())).await?;
        Ok(transaction)
    }

    async fn receive(&mut self) -> Result<Value> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text)?),
                Some(Ok(Message::Close(frame))) => bail!("closed: {frame:?}"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => bail!("closed without a word"),
            }
        }
    }

    /// Listens and says that it is there, until it is time to go.
    async fn stay(&mut self, context: &Context, place: Place) -> Result<()> {
        let mut phase = context.phase.clone();
        let mut over = std::pin::pin!(until_over(&mut phase, leaves_at(context, place)));
        let first = Instant::now() + KEEPALIVE.mul_f64(fastrand::f64());
        let mut alive = interval_at(first, KEEPALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                message = self.receive() => {
                    let message = message?;
                    let word = message["janus"].as_str().unwrap_or_default().to_owned();
                    context.tally.with(|counts| {
                        *counts.notifications.entry(word).or_default() += 1;
                    });
                }
                _ = alive.tick() => {
                    let handle = std::mem::take(&mut self.handle);
                    let sent = self.send(&mut json!({ "janus": "keepalive" })).await;
                    self.handle = handle;
                    sent?;
                }
            }
        }
    }

    async fn destroy(&mut self) -> Result<()> {
        self.handle = 0;
        self.ask(json!({ "janus": "destroy" })).await?;
        // The other end may be gone first.
        let _ = self.socket.close(None).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_are_shared_out_among_publishers() {
        let feeds = Feeds::default();
        assert_eq!(feeds.of(1, 0), None);
        feeds.add(1, 10);
        feeds.add(1, 11);
        let got: Vec<Option<u64>> = (0..4).map(|number| feeds.of(1, number)).collect();
        assert_eq!(got, [Some(10), Some(11), Some(10), Some(11)]);
        assert_eq!(feeds.of(2, 0), None);
    }
}
