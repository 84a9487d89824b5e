//! Sends spans to a collector: OTLP over HTTP in its JSON encoding.

use std::time::Duration;

use metrics::{counter, describe_counter};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::attribute;
use crate::telemetry::metrics::TRACES_SPANS;

/// Spans sent at once.
const BATCH_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const BATCH_WAIT: Duration = Duration::from_millis(500);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Attempts with one batch, and the pause between them; then it is dropped.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn describe() {
    describe_counter!(TRACES_SPANS, "Spans by what became of them");
}

/// What sends them.
pub(crate) struct Exporter {
    /// The collector's URL for traces.
    pub(crate) endpoint: String,
    /// This worker.
    pub(crate) worker: String,
    pub(crate) client: reqwest::Client,
    pub(crate) spans: mpsc::Receiver<Value>,
}

impl Exporter {
    /// Sends what comes until the process ends.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        while self.spans.recv_many(&mut batch, BATCH_MAX).await > 0 {
            tokio::time::sleep(BATCH_WAIT).await;
            while batch.len() < BATCH_MAX
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let sent = self.send(std::mem::take(&mut batch)).await;
            let outcome = if sent { "sent" } else { "dropped" };
            counter!(TRACES_SPANS, "outcome" => outcome).increment(count);
        }
    }

    async fn send(&self, spans: Vec<Value>) -> bool {
        let body = self.envelope(spans).to_string();
        for attempt in 1..=ATTEMPTS {
            let post = self.client.post(&self.endpoint);
            let post = post.header("content-type", "application/json");
            let answer = post.timeout(PATIENCE).body(body.clone()).send().await;
            match answer.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return true,
                Err(error) => tracing::debug!(%error, "the collector of traces takes nothing"),
            }
            if attempt < ATTEMPTS {
                tokio::time::sleep(PAUSE).await;
            }
        }
        false
    }

    fn envelope(&self, spans: Vec<Value>) -> Value {
        let resource = [
            attribute("service.name", "troupe"),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
            attribute("service.instance.id", &self.worker),
        ];
        json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": { "name": "troupe" }, "spans": spans }],
        }] })
    }
}
