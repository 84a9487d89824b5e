//! Which finished file is stored next, and when: one that fails waits while the others go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::writer::MANIFEST;

/// The first and the longest wait after a failure to store a file.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The longest wait where the service failed, which has a rest of its own when it goes on.
const SERVICE_RETRY_MAX: Duration = Duration::from_secs(8);

/// A file of a recording.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileKey {
    /// The recording's name.
    pub(super) recording: String,
    /// The file's, or the manifest's.
    pub(super) name: String,
}

impl FileKey {
    /// The manifest, which follows when nothing else of a recording waits.
    pub(super) fn is_manifest(&self) -> bool {
        self.name == MANIFEST
    }
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Not tried before then.
    due: Instant,
    /// How long it waits after the next failure.
    wait: Duration,
    /// It failed, and by its own fault.
    failed: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This file.
    Store(FileKey),
    /// Nothing for this long.
    Wait(Duration),
    /// Nothing waits.
    Idle,
}

/// The files that wait. It does nothing itself and is told the time.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: BTreeMap<FileKey, Turn>,
    /// Nobody is tried before then.
    rest: Option<Instant>,
}

impl Turns {
    /// A file is finished. One that waits already keeps its turn.
    pub(super) fn add(&mut self, file: FileKey, now: Instant) {
        self.waiting.entry(file).or_insert(Turn {
            due: now,
            wait: RETRY.0,
            failed: false,
        });
    }

    /// Who has been due for longest.
    pub(super) fn next(&self, now: Instant) -> Next {
        let first = self.waiting.iter().min_by_key(|(_, turn)| turn.due);
        let Some((file, turn)) = first else {
            return Next::Idle;
        };
        let due = self.rest.map_or(turn.due, |rest| rest.max(turn.due));
        if due <= now {
            Next::Store(file.clone())
        } else {
            Next::Wait(due.saturating_duration_since(now))
        }
    }

    /// Storage is left alone until then.
    pub(super) fn rest(&mut self, until: Instant) {
        self.rest = Some(until);
    }

    /// Whether storage is left alone.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rest.is_some_and(|rest| now < rest)
    }

    /// The service failed: another may go first, and this one soon.
    pub(super) fn put_off(&mut self, file: &FileKey, now: Instant) {
        if let Some(turn) = self.waiting.get_mut(file) {
            turn.due = now + turn.wait.min(SERVICE_RETRY_MAX);
            turn.wait = turn.wait.saturating_mul(2).min(RETRY.1);
        }
    }

    /// It could not be stored: it waits longer each time, and holds nobody up.
    pub(super) fn failed(&mut self, file: &FileKey, now: Instant) {
        if let Some(turn) = self.waiting.get_mut(file) {
            turn.due = now + turn.wait;
            turn.wait = turn.wait.saturating_mul(2).min(RETRY.1);
            turn.failed = true;
        }
    }

    /// It waits no more: it is stored, or given up.
    pub(super) fn done(&mut self, file: &FileKey) {
        self.waiting.remove(file);
    }

    /// Forgets recordings that are gone.
    pub(super) fn keep(&mut self, alive: impl Fn(&str) -> bool) {
        self.waiting.retain(|file, _| alive(&file.recording));
    }

    /// Whether a file of this recording failed and still waits.
    pub(super) fn suffers(&self, recording: &str) -> bool {
        let mut all = self.waiting.iter();
        all.any(|(file, turn)| turn.failed && file.recording == recording)
    }

    /// The recordings that wait, each once.
    pub(super) fn recordings(&self) -> Vec<String> {
        let mut all: Vec<_> = self.waiting.keys().map(|file| &file.recording).collect();
        all.dedup();
        all.into_iter().cloned().collect()
    }

    /// Recorded files of all recordings that wait; manifests are none.
    pub(super) fn files(&self) -> usize {
        let all = self.waiting.keys();
        all.filter(|file| !file.is_manifest()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn key(recording: &str, name: &str) -> FileKey {
        FileKey {
            recording: recording.to_owned(),
            name: name.to_owned(),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a base to count from")]
    fn base() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_file_that_fails_waits_longer_each_time_and_alone() {
        let (mut turns, start) = (Turns::default(), base());
        let (bad, good) = (key("a", "0.mp4"), key("b", "0.mp4"));
        assert_eq!(turns.next(start), Next::Idle);
        turns.add(bad.clone(), start);
        turns.add(good.clone(), start + S);
        let mut now = start + S;
        assert_eq!(turns.next(now), Next::Store(bad.clone()));
        turns.failed(&bad, now);
        assert_eq!(turns.next(now), Next::Store(good.clone()));
        turns.done(&good);
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(turns.next(now), Next::Wait(S * wait));
            now += S * wait;
            assert_eq!(turns.next(now), Next::Store(bad.clone()));
            turns.failed(&bad, now);
        }
        // What is told again of it changes nothing.
        turns.add(bad.clone(), now);
        assert_eq!(turns.next(now), Next::Wait(60 * S));
        assert!(turns.suffers("a") && !turns.suffers("b"));
    }

    #[test]
    fn while_storage_is_left_alone_nobody_is_tried() {
        let (mut turns, mut now) = (Turns::default(), base());
        let (first, second) = (key("a", "0"), key("b", "0"));
        turns.add(first.clone(), now);
        turns.add(second.clone(), now + S);
        turns.put_off(&first, now);
        assert!(!turns.suffers("a"), "it is not its fault");
        turns.rest(now + S * 4);
        assert!(turns.rests(now));
        assert_eq!(turns.next(now), Next::Wait(S * 4));
        now += S * 4;
        assert!(!turns.rests(now));
        assert_eq!(turns.next(now), Next::Store(first.clone()));
        for wait in [2, 4, 8, 8, 8] {
            turns.done(&second);
            turns.put_off(&first, now);
            assert_eq!(turns.next(now), Next::Wait(S * wait));
        }
        turns.add(key("a", "1"), now);
        turns.add(second, now);
        assert_eq!(turns.recordings(), ["a", "b"]);
    }

    #[test]
    fn files_of_all_recordings_are_counted_and_forgotten_with_them() {
        let (mut turns, now) = (Turns::default(), base());
        for file in [
            key("a", "0"),
            key("a", "1"),
            key("b", "0"),
            key("b", MANIFEST),
        ] {
            turns.add(file, now);
        }
        assert_eq!(turns.files(), 3);
        turns.keep(|recording| recording == "b");
        assert_eq!(turns.files(), 1);
        turns.done(&key("b", "0"));
        assert_eq!(turns.next(now), Next::Store(key("b", MANIFEST)));
        assert_eq!(turns.files(), 0);
    }
}
