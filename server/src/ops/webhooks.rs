//! Posting events to receivers, in order, until they are taken.
//!
//! A receiver's place in the journal is all that is kept of it: what it did not take yet is read
//! from there again, also after a restart. Events of one room go one after another, also where the
//! room moves from worker to worker (`order`); rooms do not wait for each other (`queue`).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use control_plane::{Condition, Swap};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use media_types::RoomName;
use metrics::{counter, gauge};
use reqwest::{RequestBuilder, StatusCode};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::events::Event;
use super::{LOAD_PERIOD, Ops};
use crate::config::WebhookConfig;
use crate::telemetry::traces::{Kind, Span};
use crate::telemetry::{WEBHOOK_DELIVERIES, WEBHOOK_LAG};

mod order;
mod queue;
mod route;

pub(super) use order::Turns;
use queue::Job;
pub(super) use route::Route;
pub use route::{ReceiverStatus, RoomStanding};

/// The header of the signature.
pub const SIGNATURE: &str = "Troupe-Signature";
/// Before the first repetition; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often the place of a receiver is written at the most: one sync to the disk does for all
/// that is taken meanwhile.
const PLACE_PERIOD: Duration = Duration::from_millis(100);
const PREFIX: &str = "webhooks/";

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.BODY`.
#[must_use]
pub fn sign(key: &str, unix: Duration, body: &str) -> String {
    let time = unix.as_secs();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let hex: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("t={time},v1={hex}")
}

enum Outcome {
    Taken,
    /// It will never be taken.
    Refused,
    /// Try again.
    Failed,
}

impl Ops {
    /// Posts to the receivers in force; one that stays goes on.
    pub(super) async fn post(self: Arc<Self>) {
        let mut running: Vec<(Arc<Route>, AbortHandle)> = Vec::new();
        let mut tasks = JoinSet::new();
        loop {
            let wanted = self.sections.live().webhooks.clone();
            running.retain(|(route, task)| {
                let stays = wanted.contains(&route.hook);
                if !stays {
                    task.abort();
                }
                stays
            });
            for hook in &wanted {
                if !running.iter().any(|(route, _)| route.hook == *hook) {
                    let route = Arc::new(Route::new(hook.clone()));
                    let task = tasks.spawn(Arc::clone(&self).serve(Arc::clone(&route)));
                    running.push((route, task));
                }
            }
            let routes = running.iter().map(|(route, _)| Arc::clone(route));
            self.routes.store(Arc::new(routes.collect()));
            while tasks.try_join_next().is_some() {}
            tokio::time::sleep(LOAD_PERIOD).await;
        }
    }

    /// The receivers of this worker's events, and what is left of a room in epochs below one.
    #[must_use]
    pub fn receivers(&self, about: Option<(&RoomName, u64)>) -> Vec<ReceiverStatus> {
        let routes = self.routes.load();
        let status = |route: &Arc<Route>| route.status(&self.worker, &self.journal, about);
        routes.iter().map(status).collect()
    }

    /// Whether all that happened is posted, to whom it can be, and kept for whom it cannot.
    #[must_use]
    pub fn has_posted(&self) -> bool {
        let routes = self.routes.load();
        let posted = routes.iter().all(|route| route.has_posted(&self.journal));
        posted && self.journal.is_saved()
    }

    /// Posts to one receiver until the task is dropped.
    async fn serve(self: Arc<Self>, route: Arc<Route>) {
        let name = place(&route.hook.url);
        self.journal.loaded().await;
        let mut news = self.journal.listen();
        let now = *news.borrow();
        let mut kept = self.place(&name, now).await;
        route.begin(kept);
        let mut writes = tokio::time::interval(PLACE_PERIOD);
        writes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = FuturesUnordered::new();
        // Whether its place may be another one than was written down.
        let mut moved = true;
        loop {
            for job in route.jobs(&self.journal) {
                work.push(self.carry_out(&route, job));
            }
            tokio::select! {
                Some(job) = work.next() => {
                    route.done(&job);
                    moved = true;
                }
                _ = writes.tick(), if moved => {
                    moved = false;
                    if let Some(place) = route.place().filter(|place| *place != kept) {
                        self.remember(&name, place).await;
                        route.note_kept(place);
                        kept = place;
                    }
                }
                changed = news.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    moved = true;
                }
            }
        }
    }

    async fn carry_out(&self, route: &Route, job: Job) -> Job {
        match &job {
            Job::Wait { room, epoch, from } => {
                self.wait_for(from, (room, *epoch), &route.hook.url).await;
            }
            Job::Post { id, .. } => self.post_one(route, *id).await,
        }
        job
    }

    /// Where the receiver was; a new one begins with what happens from now on.
    async fn place(&self, name: &str, now: u64) -> u64 {
        let found = self.own.get(name).await.ok().flatten();
        let text = found.map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
        match text.and_then(|text| text.parse().ok()) {
            Some(at) => at,
            None => {
                self.remember(name, now).await;
                now
            }
        }
    }

    async fn remember(&self, name: &str, at: u64) {
        let value = at.to_string().into_bytes();
        let mut condition = Condition::Absent;
        for _ in 0..2 {
            match self.own.swap(name, condition, value.clone(), None).await {
                Ok(Swap::Conflict(Some(entry))) => condition = Condition::At(entry.revision),
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "the place of a receiver cannot be kept");
                    return;
                }
            }
        }
    }

    /// Posts one event until it is taken, or refused for good, or kept no more.
    async fn post_one(&self, route: &Route, id: u64) {
        let mut pause = PAUSE_MIN;
        while let Some(event) = self.journal.get(id) {
            let turn = route.turn().await;
            if let Err(wait) = route.breaker.admit(self.clock.now()) {
                drop(turn);
                tokio::time::sleep(wait).await;
                continue;
            }
            // On the heap: rooms pause in any number, and an attempt takes kilobytes.
            let outcome = Box::pin(self.attempt(&route.hook, &event)).await;
            drop(turn);
            let failed = matches!(outcome, Outcome::Failed);
            route.breaker.note(!failed, self.clock.now());
            let label = match outcome {
                Outcome::Taken => "taken",
                Outcome::Refused => "refused",
                Outcome::Failed => "failed",
            };
            counter!(WEBHOOK_DELIVERIES, "outcome" => label).increment(1);
            if !failed {
                route.note_taken();
                let unix = u64::try_from(self.clock.unix().as_millis()).unwrap_or(u64::MAX);
                let lag = Duration::from_millis(unix.saturating_sub(event.at));
                gauge!(WEBHOOK_LAG).set(lag.as_secs_f64());
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        route.note_lost();
    }

    async fn attempt(&self, hook: &WebhookConfig, event: &Event) -> Outcome {
        let id = event.id;
        let body = serde_json::to_string(event).unwrap_or_default();
        let signature = sign(hook.key.expose(), self.clock.unix(), &body);
        let mut span = Span::begin("webhook", Kind::Client, None).with("troupe.event", id);
        let mut request = self
            .poster
            .post(&hook.url)
            .header("content-type", "application/json")
            .header(SIGNATURE, signature)
            .header("Troupe-Event-Id", id.to_string())
            .timeout(hook.timeout)
            .body(body);
        if let Some(context) = span.context() {
            request = request.header("traceparent", context.text());
        }
        let outcome = ask(hook, id, request).await;
        if matches!(outcome, Outcome::Failed | Outcome::Refused) {
            span.fail("not taken");
        }
        outcome
    }
}

async fn ask(hook: &WebhookConfig, id: u64, request: RequestBuilder) -> Outcome {
    match request.send().await.map(|response| response.status()) {
        Ok(status) if status.is_success() => Outcome::Taken,
        Ok(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => Outcome::Failed,
        Ok(status) if status.is_client_error() => {
            tracing::warn!(url = hook.url, %status, id, "a receiver refuses an event");
            Outcome::Refused
        }
        Ok(status) => {
            tracing::debug!(url = hook.url, %status, id, "a receiver fails");
            Outcome::Failed
        }
        Err(error) => {
            tracing::debug!(url = hook.url, %error, id, "a receiver does not answer");
            Outcome::Failed
        }
    }
}
/// The key of a receiver's place.
fn place(url: &str) -> String {
    let hash = super::audit::hash_of("webhook", url);
    format!("{PREFIX}{}", hash.get(..16).unwrap_or(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_receivers_compute() {
        // printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let signature = sign(
            "0123456789abcdef",
            Duration::from_secs(1_700_000_000),
            "{\"id\":1}",
        );
        let expected =
            "t=1700000000,v1=4bcaced68dfea90a68df035b89cb7fb26692d899d32a1ccb1b0616cf48e4d1ed";
        assert_eq!(signature, expected);
    }
}
