//! Recordings of a worker that drains go on at the workers that its rooms move to.
//!
//! What a room of that worker is recorded by ends when its clients leave. The worker that has the
//! room then is asked to record the same, as soon as the room is its own: clients come to it before
//! they leave here, so that both files have what lies between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use media_types::RoomName;
use metrics::counter;
use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, sleep};

use super::{Record, RecordingBody, Recordings};
use crate::auth::{WORKER_HEADER, WorkerAsk};
use crate::egress::metrics::RECORDINGS_ONWARD;
use crate::ops::Ops;
use crate::ops::others::Other;

/// Between two looks at where a room is, and between two attempts.
const LOOK: Duration = Duration::from_millis(100);
/// Twice what a worker takes to be empty.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a worker may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The first file of a recording waits up to 2 s for a second track; both record meanwhile.
const OVERLAP: Duration = Duration::from_secs(3);

impl Recordings {
    /// Has each recording that runs go on where its room is, or moves to. Rooms that are still here
    /// once `settled` is set stay, and so do their recordings.
    pub async fn hand_over(&self, ops: &Ops, settled: &AtomicBool) {
        if ops.others().await.is_empty() {
            return;
        }
        let running: Vec<Arc<Record>> = {
            let records = self.lock();
            let running = records.values().filter(|it| it.view().state.is_running());
            running.map(Arc::clone).collect()
        };
        let end = Instant::now() + LIMIT;
        join_all(running.iter().map(|it| go_on(it, ops, end, settled))).await;
    }
}

/// Has one recording go on elsewhere, until it was told to end here.
async fn go_on(record: &Record, ops: &Ops, end: Instant, settled: &AtomicBool) {
    let body = RecordingBody::onward(&record.view());
    let mut refused = None;
    while Instant::now() < end && !*record.stop.borrow() {
        // Before the question: a room that moves meanwhile is asked for once more.
        let is_settled = settled.load(Ordering::Acquire);
        match elsewhere(ops, &body.room).await {
            Some(other) => match begin(ops, &other, &body).await {
                Ok(()) => {
                    counter!(RECORDINGS_ONWARD, "outcome" => "done").increment(1);
                    tracing::info!(recording = body.continues, worker = other.worker, "goes on");
                    return ended(record).await;
                }
                Err(error) => refused = Some(error),
            },
            None if is_settled => break,
            None => {}
        }
        sleep(LOOK).await;
    }
    if let Some(error) = refused {
        counter!(RECORDINGS_ONWARD, "outcome" => "refused").increment(1);
        tracing::warn!(
            recording = body.continues,
            error,
            "a recording does not go on"
        );
    }
}

/// The other worker that has a room.
async fn elsewhere(ops: &Ops, room: &RoomName) -> Option<Other> {
    let owner = ops
        .owner_of(room)
        .await
        .filter(|owner| *owner != ops.worker)?;
    let others = ops.others().await;
    others.iter().find(|other| other.worker == owner).cloned()
}

/// Ends what goes on elsewhere, once both have the same for a while.
async fn ended(record: &Record) {
    let end = Instant::now() + OVERLAP;
    while Instant::now() < end && record.view().state.is_running() {
        sleep(LOOK).await;
    }
    record.stop.send_replace(true);
}

/// Asks a worker to record; why it does not.
async fn begin(ops: &Ops, other: &Other, body: &RecordingBody) -> Result<(), String> {
    let text = body.text();
    let asked = ops
        .client
        .post(format!("{}/admin/v1/recordings", other.url))
        .header(WORKER_HEADER, ops.signed(WorkerAsk::Recording, &text))
        .header(CONTENT_TYPE, "application/json")
        .timeout(ANSWER_MAX)
        .body(text);
    let answer = asked.send().await.map_err(|error| error.to_string())?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("{} answers {status}", other.worker)),
    }
}
