//! Letters between rooms on several workers.

use std::collections::BTreeSet;

use actors::{ClusterLink, PartLetter, System};
use media_types::WorkerId;
use tokio::sync::{mpsc, watch};

use super::Linked;
use crate::limits::CLUSTER_POST_MAX;

/// Where rooms put their letters.
#[derive(Debug, Clone)]
pub(crate) struct LetterBox {
    sender: mpsc::Sender<(WorkerId, PartLetter)>,
    linked: watch::Receiver<Linked>,
}

/// The other end of the box, for the thread of links.
#[derive(Debug)]
pub(crate) struct Post {
    pub(super) letters: mpsc::Receiver<(WorkerId, PartLetter)>,
    pub(super) linked: watch::Sender<Linked>,
}

/// Who hears what other workers say.
pub(crate) trait Hears: Send {
    /// A worker sent a letter.
    fn told(&self, from: WorkerId, letter: PartLetter);
    /// These workers are linked now, and no others.
    fn linked(&self, workers: BTreeSet<WorkerId>);
}

/// A box and its end.
pub(crate) fn open() -> (LetterBox, Post) {
    let (sender, letters) = mpsc::channel(CLUSTER_POST_MAX);
    let (told, linked) = watch::channel(Linked::new());
    let post = Post {
        letters,
        linked: told,
    };
    (LetterBox { sender, linked }, post)
}

impl LetterBox {
    /// Who is linked.
    #[cfg(test)]
    pub(crate) fn linked(&self) -> watch::Receiver<Linked> {
        self.linked.clone()
    }
}

impl ClusterLink for LetterBox {
    fn tell(&self, to: WorkerId, letter: PartLetter) -> bool {
        self.linked.borrow().contains(&to) && self.sender.try_send((to, letter)).is_ok()
    }
}

impl Hears for System {
    fn told(&self, from: WorkerId, letter: PartLetter) {
        Self::told(self, from, letter);
    }

    fn linked(&self, workers: BTreeSet<WorkerId>) {
        Self::linked(self, workers);
    }
}
