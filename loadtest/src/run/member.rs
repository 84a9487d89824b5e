//! A member that comes by Troupe's signalling.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::tally::MemberRecord;
use super::{Context, Phase, Place, leaves_at};
use crate::light::ClientId;
use crate::scenario::Talk;
use crate::signalling::{RequestError, Signalling};

/// Where the server does not say.
const HEARTBEAT_MS: u64 = 5_000;
/// Begins the text of our messages; the time of sending follows in 16 hexadecimal digits.
const MARK: &str = "lt";
const DIGITS: usize = 16;

pub(super) async fn live(context: &Context, place: Place, generation: u32) -> MemberRecord {
    let began = context.clock.micros(context.clock.now());
    let mut record = MemberRecord::new(place.role, place.room, began);
    context.tally.began();
    let mut client = None;
    let came = come(context, place, generation, &mut record, &mut client).await;
    context.tally.settle();
    let lived = match came {
        Ok(mut member) => {
            let lived = member.stay(place).await;
            // Media first, so that its end is ours and not the server's.
            close(context, client.take(), &mut record).await;
            if lived.is_ok() {
                // The other end may be gone first.
                let _ = member.signalling.request("leave", json!({})).await;
                let _ = member.signalling.close().await;
            }
            lived
        }
        Err(error) => Err(error),
    };
    close(context, client, &mut record).await;
    record.error = lived.err().map(|error| word(&error));
    record
}

async fn close(context: &Context, client: Option<ClientId>, record: &mut MemberRecord) {
    if let Some(client) = client {
        record.media = context.engine.close(client).await.ok();
    }
}

/// A short word for an error, so that a thousand of the same are one line.
fn word(error: &anyhow::Error) -> String {
    match error.downcast_ref::<RequestError>() {
        Some(refused) => refused.kind.clone(),
        None => format!("{error:#}"),
    }
}

/// One who is in.
struct Member<'a> {
    context: &'a Context,
    signalling: Signalling,
    client: Option<ClientId>,
    heartbeat: Duration,
    next_id: u64,
    pinged: Option<(u64, std::time::Instant)>,
}

async fn come<'a>(
    context: &'a Context,
    place: Place,
    generation: u32,
    record: &mut MemberRecord,
    client: &mut Option<ClientId>,
) -> Result<Member<'a>> {
    let clock = context.clock;
    let room = context.room(place.room);
    let letter = if place.role == super::Role::Publisher {
        'p'
    } else {
        's'
    };
    let identity = format!("{letter}{}-{generation}", place.number);
    let now = clock.unix(clock.now()).as_secs();
    let token = context.target.tokens.issue(&room, &identity, now)?;
    let base = context
        .target
        .url
        .trim_end_matches('/')
        .replacen("http", "ws", 1);
    let url = format!("{base}/v1/signal?room={room}");
    let mut signalling = Signalling::connect_with(&url, &context.tls)
        .await
        .context("connecting")?;
    let joined = signalling
        .request("join", json!({ "token": token }))
        .await?;
    record.joined = Some(clock.micros(clock.now()));
    context.tally.joined();
    let heartbeat = joined["heartbeat"]["intervalMs"]
        .as_u64()
        .unwrap_or(HEARTBEAT_MS);
    let plan = context.plan(place.role);
    let sends = usize::from(plan.audio.is_some()) + usize::from(!plan.video.is_empty());
    record.watches_video = plan.video_slots > 0;
    if sends + plan.audio_slots + plan.video_slots > 0 {
        let (id, offer) = context.engine.open(plan.clone()).await?;
        *client = Some(id);
        let sources = plan.audio.iter().map(|_| "microphone");
        let sources = sources.chain(plan.video.first().map(|_| "camera"));
        let track =
            |(mid, source): (usize, &str)| json!({ "mid": mid.to_string(), "source": source });
        let tracks: Vec<Value> = sources.enumerate().map(track).collect();
        let offer = json!({ "sdp": offer, "tracks": tracks });
        let answer = signalling.request("offer", offer).await?;
        record.answered = Some(clock.micros(clock.now()));
        let sdp = answer["sdp"].as_str().context("an answer without sdp")?;
        context.engine.answer(id, sdp.to_owned()).await?;
    }
    Ok(Member {
        context,
        signalling,
        client: *client,
        heartbeat: Duration::from_millis(heartbeat),
        next_id: 1_000,
        pinged: None,
    })
}

impl Member<'_> {
    /// Pings, talks and listens until it is time to go.
    async fn stay(&mut self, place: Place) -> Result<()> {
        let mut phase = self.context.phase.clone();
        let leaves = leaves_at(self.context, place);
        let far = Instant::now() + Duration::from_secs(1_000_000);
        let scenario = &self.context.scenario;
        let (chat, data) = (scenario.chat, scenario.data);
        let mut pings = ticks(Some(self.heartbeat));
        let mut chats = ticks(chat.map(period));
        let mut datas = ticks(data.map(period));
        for message in self.signalling.take_kept() {
            self.take(&message);
        }
        loop {
            tokio::select! {
                biased;
                () = over(&mut phase) => return Ok(()),
                () = tokio::time::sleep_until(leaves.unwrap_or(far)) => return Ok(()),
                message = self.signalling.listen() => self.take(&message?),
                _ = pings.tick() => self.ping().await?,
                _ = chats.tick() => self.chat(chat).await?,
                _ = datas.tick() => self.send(data).await?,
            }
        }
    }

    async fn request(&mut self, method: &str, params: Value) -> Result<()> {
        self.next_id += 1;
        let id = self.next_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.signalling.send_text(request.to_string()).await
    }

    async fn ping(&mut self) -> Result<()> {
        self.request("ping", json!({})).await?;
        self.pinged = Some((self.next_id, self.context.clock.now()));
        Ok(())
    }

    fn talks(&self) -> bool {
        *self.context.phase.borrow() == Phase::Holding
    }

    async fn chat(&mut self, talk: Option<Talk>) -> Result<()> {
        let Some(talk) = talk.filter(|_| self.talks()) else {
            return Ok(());
        };
        let scenario = &self.context.scenario;
        let members = scenario.publishers.count + scenario.subscribers.count;
        self.context.tally.with(|counts| {
            counts.chats_sent += 1;
            counts.chats_expected += u64::from(members);
        });
        let text = self.text(talk.bytes);
        self.request("chat", json!({ "text": text })).await
    }

    async fn send(&mut self, talk: Option<Talk>) -> Result<()> {
        let Some(talk) = talk.filter(|_| self.talks()) else {
            return Ok(());
        };
        self.context.tally.with(|counts| counts.data_sent += 1);
        let text = self.text(talk.bytes);
        let params = json!({ "to": "room", "topic": "load", "payload": text });
        self.request("send", params).await
    }

    fn text(&self, bytes: usize) -> String {
        let micros = self.context.clock.micros(self.context.clock.now());
        format!("{:.<bytes$}", format!("{MARK}{micros:0DIGITS$x}"))
    }

    fn take(&mut self, message: &Value) {
        let Some(method) = message["method"].as_str() else {
            self.take_answer(message);
            return;
        };
        let params = &message["params"];
        let text = match method {
            "chat" => params["text"].as_str(),
            "message" => params["payload"].as_str(),
            "publishLayers" => {
                self.take_layers(params);
                None
            }
            _ => None,
        };
        let clock = self.context.clock;
        let sent = text.and_then(|text| text.strip_prefix(MARK)?.get(..DIGITS));
        let sent = sent.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        self.context.tally.with(|counts| {
            *counts.notifications.entry(method.to_owned()).or_default() += 1;
            if let Some(sent) = sent {
                let now = clock.micros(clock.now());
                counts.message_latency.note_micros(now.saturating_sub(sent));
                match method {
                    "chat" => counts.chats_received += 1,
                    _ => counts.data_received += 1,
                }
            }
        });
    }

    fn take_answer(&mut self, message: &Value) {
        let id = message["id"].as_u64();
        let pinged = self.pinged.take_if(|(ping, _)| Some(*ping) == id);
        self.context.tally.with(|counts| {
            if let Some((_, at)) = pinged {
                let passed = self.context.clock.now().saturating_duration_since(at);
                counts.ping.note(passed);
            }
            if let Some(delivered) = message["result"]["delivered"].as_u64() {
                counts.data_expected += delivered;
            }
            if let Some(refused) = message["error"]["data"]["type"].as_str() {
                *counts.refused.entry(refused.to_owned()).or_default() += 1;
            }
        });
    }

    fn take_layers(&self, params: &Value) {
        let active = params["active"].as_array();
        let rids = active.map(|rids| {
            let words = rids.iter().filter_map(Value::as_str);
            words.map(str::to_owned).collect::<Vec<_>>()
        });
        let obeys = self.context.scenario.publishers.obey_layers;
        if let (Some(client), Some(rids), true) = (self.client, rids, obeys) {
            // An engine that has stopped is noticed elsewhere.
            let _ = self.context.engine.set_layers(client, rids);
        }
    }
}

/// Until all leave. Its own function, so that no guard of the channel outlives it.
async fn over(phase: &mut tokio::sync::watch::Receiver<Phase>) {
    drop(phase.wait_for(|phase| *phase == Phase::Leaving).await);
}

fn period(talk: Talk) -> Duration {
    Duration::from_secs_f64(1.0 / talk.rate)
}

/// Ticks of that period from a random moment on; practically none without one.
fn ticks(period: Option<Duration>) -> Interval {
    let period = period.unwrap_or(Duration::from_secs(1_000_000));
    let first = Instant::now() + period.mul_f64(fastrand::f64());
    let mut ticks = interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
