//! A parent's book of its children.

use crate::{Exit, Notice, Stopper};

/// What the end of one child means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Nothing.
    OneForOne,
    /// They go too, youngest first.
    AllForOne,
}

/// What a notice amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<K> {
    /// The child lives.
    Alive,
    /// This child is gone, others remain.
    Exited(K, Exit),
    /// The last child is gone; with [`Strategy::AllForOne`] the exit is the one that began it.
    Empty(Exit),
}

enum Phase {
    /// Children come and go.
    Steady,
    /// All are going, one at a time, youngest first.
    Leaving(Exit),
}

/// Children in the order in which they were started.
pub struct Children<K> {
    strategy: Strategy,
    phase: Phase,
    entries: Vec<(K, Stopper)>,
}

impl<K: PartialEq + Clone> Children<K> {
    /// An empty book.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            phase: Phase::Steady,
            entries: Vec::new(),
        }
    }

    /// Writes a child into the book.
    pub fn insert(&mut self, key: K, stopper: Stopper) {
        self.entries.push((key, stopper));
    }

    /// Asks one child to stop; its exit comes as a notice.
    pub fn stop(&self, key: &K) -> bool {
        let found = self.entries.iter().find(|(own, _)| own == key);
        if let Some((_, stopper)) = found {
            stopper.stop();
        }
        found.is_some()
    }

    /// Asks all to stop, youngest first, each after the one before has gone. Returns whether there
    /// is anybody to wait for; [`Outcome::Empty`] tells when all are gone.
    pub fn stop_all(&mut self) -> bool {
        self.leave(Exit::Normal);
        !self.entries.is_empty()
    }

    /// Takes a notice about `key`.
    pub fn handle(&mut self, key: &K, notice: &Notice) -> Outcome<K> {
        let Notice::Exited(exit) = notice else {
            return Outcome::Alive;
        };
        self.entries.retain(|(own, _)| own != key);
        if self.strategy == Strategy::AllForOne && exit.is_failure() {
            self.leave(exit.clone());
        } else if matches!(self.phase, Phase::Leaving(_)) {
            self.stop_youngest();
        }
        if !self.entries.is_empty() {
            return Outcome::Exited(key.clone(), exit.clone());
        }
        match std::mem::replace(&mut self.phase, Phase::Steady) {
            Phase::Steady => Outcome::Empty(exit.clone()),
            Phase::Leaving(first) => Outcome::Empty(first),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn leave(&mut self, exit: Exit) {
        if matches!(self.phase, Phase::Steady) && !self.entries.is_empty() {
            self.phase = Phase::Leaving(exit);
            self.stop_youngest();
        }
    }

    fn stop_youngest(&self) {
        if let Some((_, stopper)) = self.entries.last() {
            stopper.stop();
        }
    }
}
