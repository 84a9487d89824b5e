//! Which finished file is stored next, and when: one that fails waits while the others go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::writer::MANIFEST;

/// The first and the longest wait after a failure to store a file.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

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
        match first {
            None => Next::Idle,
            Some((file, turn)) if turn.due <= now => Next::Store(file.clone()),
            Some((_, turn)) => Next::Wait(turn.due.saturating_duration_since(now)),
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
