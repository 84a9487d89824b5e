//! Posting events to receivers, in order, until they are taken.
//!
//! A receiver's place in the journal is all that is kept of it: what it did not take yet is read
//! from there again, also after a restart. Events of one room go one after another; rooms do not
//! wait for each other within a batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use control_plane::{Condition, Store, Swap};
use futures_util::future::join_all;
use media_types::Clock;
use metrics::{counter, gauge};
use reqwest::{Client, RequestBuilder, StatusCode};

use super::breaker::Breaker;
use super::events::{Event, Journal};
use crate::config::WebhookConfig;
use crate::telemetry::traces::{Kind, Span};
use crate::telemetry::{WEBHOOK_DELIVERIES, WEBHOOK_LAG, WEBHOOK_LOST};

/// The header of the signature.
pub const SIGNATURE: &str = "Troupe-Signature";
/// Events that are read at once; one a room of them is on its way at one time.
const BATCH_MAX: usize = 64;
/// Before the first repetition; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(60);
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

/// What is needed to post.
pub(super) struct Courier {
    pub(super) journal: Arc<Journal>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) client: Client,
}

enum Outcome {
    Taken,
    /// It will never be taken.
    Refused,
    /// Try again.
    Failed,
}

impl Courier {
    /// Posts to one receiver until the task is dropped.
    pub(super) async fn serve(self: Arc<Self>, hook: WebhookConfig) {
        let breaker = Breaker::new("webhook");
        let name = place(&hook.url);
        self.journal.loaded().await;
        let mut news = self.journal.listen();
        let now = *news.borrow();
        let mut at = self.place(&name, now).await;
        loop {
            let since = self.journal.since(at, BATCH_MAX);
            if since.lost {
                counter!(WEBHOOK_LOST).increment(1);
                tracing::warn!(
                    url = hook.url,
                    "a receiver was away for longer than events are kept"
                );
            }
            let Some(last) = since.events.last().map(|event| event.id) else {
                if news.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let mut rooms: BTreeMap<Option<&str>, Vec<&Event>> = BTreeMap::new();
            for event in &since.events {
                if hook.wants(&event.kind) {
                    rooms.entry(event.room.as_deref()).or_default().push(event);
                }
            }
            let posts = rooms.into_values().map(|events| async {
                for event in events {
                    self.post(&hook, event, &breaker).await;
                }
            });
            join_all(posts).await;
            at = last;
            self.remember(&name, at).await;
        }
    }

    /// Where the receiver was; a new one begins with what happens from now on.
    async fn place(&self, name: &str, now: u64) -> u64 {
        let found = self.store.get(name).await.ok().flatten();
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
            match self.store.swap(name, condition, value.clone(), None).await {
                Ok(Swap::Conflict(Some(entry))) => condition = Condition::At(entry.revision),
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "the place of a receiver cannot be kept");
                    return;
                }
            }
        }
    }

    /// Posts one event until it is taken, or refused for good.
    async fn post(&self, hook: &WebhookConfig, event: &Event, breaker: &Breaker) {
        let body = serde_json::to_string(event).unwrap_or_default();
        let mut pause = PAUSE_MIN;
        loop {
            if let Err(wait) = breaker.admit(self.clock.now()) {
                tokio::time::sleep(wait).await;
                continue;
            }
            let outcome = self.attempt(hook, event.id, &body).await;
            breaker.note(!matches!(outcome, Outcome::Failed), self.clock.now());
            let label = match outcome {
                Outcome::Taken => "taken",
                Outcome::Refused => "refused",
                Outcome::Failed => "failed",
            };
            counter!(WEBHOOK_DELIVERIES, "outcome" => label).increment(1);
            if !matches!(outcome, Outcome::Failed) {
                let unix = u64::try_from(self.clock.unix().as_millis()).unwrap_or(u64::MAX);
                let lag = Duration::from_millis(unix.saturating_sub(event.at));
                gauge!(WEBHOOK_LAG).set(lag.as_secs_f64());
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, hook: &WebhookConfig, id: u64, body: &str) -> Outcome {
        let signature = sign(hook.key.expose(), self.clock.unix(), body);
        let mut span = Span::begin("webhook", Kind::Client, None).with("troupe.event", id);
        let mut request = self
            .client
            .post(&hook.url)
            .header("content-type", "application/json")
            .header(SIGNATURE, signature)
            .header("Troupe-Event-Id", id.to_string())
            .timeout(hook.timeout)
            .body(body.to_owned());
        if let Some(context) = span.context() {
            request = request.header("traceparent", context.text());
        }
        let outcome = self.ask(hook, id, request).await;
        if matches!(outcome, Outcome::Failed | Outcome::Refused) {
            span.fail("not taken");
        }
        outcome
    }

    async fn ask(&self, hook: &WebhookConfig, id: u64, request: RequestBuilder) -> Outcome {
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
