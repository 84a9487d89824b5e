//! A room's events in their order, whichever workers have it: the first of an epoch waits for what
//! the worker that had the room before has yet to post.
//!
//! That worker is asked for it. It is waited for while it answers that there is something; where
//! its lease has ended, or it does not answer, the room's events go on without.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::counter;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::route::RoomStanding;
use crate::auth::{WORKER_HEADER, WorkerAsk};
use crate::ops::Ops;
use crate::ops::others::{Known, Other};
use crate::telemetry::WEBHOOK_WAITS;

/// How long a worker may say nothing, or only that it still has the room.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// How long it may take to answer once.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Questions that are on their way to a worker at one time, however many rooms have come.
const ASKED_MAX: usize = 16;
/// Before it is asked again for the first time; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Whose turn it is to ask, of each worker that is waited for.
#[derive(Default)]
pub(in crate::ops) struct Turns(Mutex<BTreeMap<String, Arc<Turn>>>);

impl Turns {
    fn of(&self, worker: &str) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(worker.to_owned()).or_default())
    }
}

/// Whose turn it is to ask one worker.
struct Turn {
    free: Semaphore,
    /// How often it has answered.
    answers: AtomicU64,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            free: Semaphore::new(ASKED_MAX),
            answers: AtomicU64::new(0),
        }
    }
}

impl Turn {
    /// Waits for a turn, and says how much of that was no silence of the worker: all of it, where
    /// others were answered meanwhile.
    async fn take(&self, now: impl Fn() -> Instant) -> (Option<SemaphorePermit<'_>>, Duration) {
        let (began, answers) = (now(), self.answers.load(Ordering::Relaxed));
        let permit = self.free.acquire().await.ok();
        let waited = now().saturating_duration_since(began);
        let answered = self.answers.load(Ordering::Relaxed) != answers;
        (permit, if answered { waited } else { Duration::ZERO })
    }

    fn hear(&self, said: Said) {
        if !matches!(said, Said::Gone | Said::Silent) {
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is known of the worker that had a room before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Its lease has ended.
    Gone,
    /// It does not answer.
    Silent,
    /// It has yet to post something of the room.
    Waits,
    /// It has posted all, and still takes the room for its own.
    Owns,
    /// It has posted all there is.
    Done,
}

/// What follows from it.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    AskAfter(Duration),
    /// The room's events go on; why, in the figures.
    Over(&'static str),
}

/// How long it is waited for.
#[derive(Debug)]
struct Patience {
    until: Instant,
    pause: Duration,
    asked: bool,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self {
            until: now + SILENT_MAX,
            pause: PAUSE_MIN,
            asked: false,
        }
    }

    /// So long it was not asked, though it might have answered.
    fn extend(&mut self, by: Duration) {
        self.until += by;
    }

    fn hear(&mut self, now: Instant, said: Said) -> Then {
        match said {
            Said::Done if self.asked => return Then::Over("done"),
            Said::Done => return Then::Over("none"),
            Said::Gone => return Then::Over("gone"),
            Said::Waits => self.until = now + SILENT_MAX,
            Said::Silent | Said::Owns if now >= self.until => return Then::Over("gave_up"),
            Said::Silent | Said::Owns => {}
        }
        self.asked = true;
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        Then::AskAfter(pause)
    }
}

/// Of what another worker lists, what is looked at.
#[derive(Deserialize)]
struct Listed {
    items: Vec<Receiver>,
}

#[derive(Deserialize)]
struct Receiver {
    url: String,
    room: Option<RoomStanding>,
}

/// Whom to ask, or what is known without.
fn find<'a>(known: &'a Known, worker: &str) -> Result<&'a Other, Said> {
    let other = known.others.iter().find(|other| other.worker == worker);
    other.ok_or(match known.is_fresh {
        true => Said::Gone,
        // It may have come since.
        false => Said::Silent,
    })
}

fn judge(listed: &Listed, url: &str) -> Said {
    // It does not post there, or not any more.
    let Some(receiver) = listed.items.iter().find(|it| it.url == url) else {
        return Said::Done;
    };
    match &receiver.room {
        Some(room) if room.waiting > 0 => Said::Waits,
        Some(room) if room.owned => Said::Owns,
        Some(_) => Said::Done,
        // It has only just begun, and does not know where it was.
        None => Said::Owns,
    }
}

impl Ops {
    /// Waits until a worker has posted what it has of a room's epochs below that one.
    pub(super) async fn wait_for(&self, from: &str, (room, epoch): (&str, u64), url: &str) {
        let mut patience = Patience::new(self.clock.now());
        let turn = self.turns.of(from);
        loop {
            let (permit, excused) = turn.take(|| self.clock.now()).await;
            patience.extend(excused);
            let said = self.ask_after(from, (room, epoch), url).await;
            turn.hear(said);
            drop(permit);
            match patience.hear(self.clock.now(), said) {
                Then::AskAfter(pause) => tokio::time::sleep(pause).await,
                Then::Over(outcome) => {
                    counter!(WEBHOOK_WAITS, "outcome" => outcome).increment(1);
                    if matches!(outcome, "gave_up") {
                        tracing::warn!(room, from, url, "events go on without those before");
                    }
                    return;
                }
            }
        }
    }

    async fn ask_after(&self, from: &str, (room, epoch): (&str, u64), url: &str) -> Said {
        let known = self.others_lately().await;
        let other = match find(&known, from) {
            Ok(other) => other,
            Err(said) => return said,
        };
        let asked = timeout(ANSWER_MAX, self.ask_receivers(other, room, epoch));
        let listed = asked.await.ok().flatten();
        listed.map_or(Said::Silent, |listed| judge(&listed, url))
    }

    async fn ask_receivers(&self, other: &Other, room: &str, epoch: u64) -> Option<Listed> {
        let query = format!("local=true&limit=1000&room={room}&epoch={epoch}");
        let signature = self.signed(WorkerAsk::Webhooks, &query);
        let asked = self
            .client
            .get(format!("{}/admin/v1/webhooks?{query}", other.url))
            .header(WORKER_HEADER, signature);
        let answer = asked.send().await.ok()?.error_for_status();
        serde_json::from_slice(&answer.ok()?.bytes().await.ok()?).ok()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a base to count from")]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    const ALL: u32 = 16;
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn who_has_nothing_is_asked_once_and_who_has_until_it_is_done() {
        let now = Instant::now();
        assert_eq!(Patience::new(now).hear(now, Said::Done), Then::Over("none"));
        assert_eq!(Patience::new(now).hear(now, Said::Gone), Then::Over("gone"));
        let mut patience = Patience::new(now);
        // It answers for much longer than it may be silent.
        for (n, pause) in [100, 200, 400, 800, 1_000, 1_000].into_iter().enumerate() {
            let now = now + SILENT_MAX * u32::try_from(n).unwrap();
            let then = patience.hear(now, Said::Waits);
            assert_eq!(then, Then::AskAfter(pause * MS));
        }
        let done = patience.hear(now + SILENT_MAX * 7, Said::Done);
        assert_eq!(done, Then::Over("done"));
    }

    #[test]
    fn who_is_silent_or_keeps_the_room_is_given_up() {
        for said in [Said::Silent, Said::Owns] {
            let now = Instant::now();
            let mut patience = Patience::new(now);
            patience.hear(now + 10 * PAUSE_MAX, Said::Waits);
            let end = now + 10 * PAUSE_MAX + SILENT_MAX;
            let then = patience.hear(end - MS, said);
            assert!(matches!(then, Then::AskAfter(_)), "{then:?}");
            assert_eq!(patience.hear(end, said), Then::Over("gave_up"));
        }
    }

    #[test]
    fn only_the_store_says_that_a_worker_is_gone() {
        let other = |worker: &str| Other {
            worker: worker.to_owned(),
            url: format!("http://{worker}"),
        };
        let known = |others: &[&str], is_fresh| Known {
            others: Arc::new(others.iter().map(|worker| other(worker)).collect()),
            is_fresh,
        };
        for (is_fresh, said) in [(true, Said::Gone), (false, Said::Silent)] {
            assert_eq!(find(&known(&["a", "b"], is_fresh), "b"), Ok(&other("b")));
            assert_eq!(find(&known(&["a"], is_fresh), "b"), Err(said));
            assert_eq!(find(&known(&[], is_fresh), "b"), Err(said));
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_loses_no_patience_while_others_are_answered() {
        let turns = Turns::default();
        let (turn, start) = (turns.of("a"), Instant::now());
        for (said, excused) in [
            (Said::Silent, Duration::ZERO),
            (Said::Gone, Duration::ZERO),
            (Said::Waits, SILENT_MAX),
            (Said::Done, SILENT_MAX),
        ] {
            let all = turn.free.acquire_many(ALL).await.unwrap();
            let times = Cell::new(start);
            let waits = turn.take(|| times.replace(start + SILENT_MAX));
            let answers = async {
                turn.hear(said);
                drop(all);
            };
            // It waits before anything is said.
            let ((permit, waited), ()) = tokio::join!(waits, answers);
            assert_eq!((permit.is_some(), waited), (true, excused), "{said:?}");
        }
        // Who asks another worker does not wait for these.
        let _all = turn.free.acquire_many(ALL).await.unwrap();
        assert!(turns.of("a").free.try_acquire().is_err());
        assert!(turns.of("b").free.try_acquire().is_ok());
    }

    #[test]
    fn what_another_worker_lists_says_whether_to_wait() {
        let said = |items| {
            judge(
                &serde_json::from_value(json!({"items": items})).unwrap(),
                "u",
            )
        };
        let room = |waiting: u64, owned: bool| {
            let room = json!({"waiting": waiting, "owned": owned});
            json!([{"url": "v", "room": {"waiting": 9, "owned": true}}, {"url": "u", "room": room}])
        };
        assert_eq!(said(room(2, false)), Said::Waits);
        assert_eq!(said(room(1, true)), Said::Waits);
        assert_eq!(said(room(0, true)), Said::Owns);
        assert_eq!(said(room(0, false)), Said::Done);
        assert_eq!(said(json!([])), Said::Done);
        assert_eq!(said(json!([{"url": "u", "at": null}])), Said::Owns);
    }
}
