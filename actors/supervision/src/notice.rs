//! What a parent hears of its children.

use std::sync::Arc;

use crate::fence::fenced;
use crate::mailbox::Shared;

/// Why a life ended for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// It was done, or was asked to stop.
    Normal,
    /// It failed and its policy restarts nothing, or no more; the text is the panic's.
    Failed {
        /// The text of the last panic.
        reason: String,
        /// Restarts that the policy granted in its window before it was spent.
        restarts: u32,
    },
    /// Its thread went away under it, or never took it.
    Aborted,
}

impl Exit {
    /// Whether something went wrong.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        *self != Self::Normal
    }
}

/// One event in the life of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Its first life began.
    Started,
    /// It failed, and a fresh behaviour took its place; the number counts the restarts.
    Restarted(u32),
    /// It is gone; always the last notice, and there is always one.
    Exited(Exit),
}

/// How notices reach the parent; see [`crate::Mailbox::notices`].
pub type NoticeHook = Box<dyn FnMut(Notice) + Send>;

/// Sends notices, and makes sure that the last one is an exit and finds the mailbox closed, even
/// when the arbiter goes away with the actor on it.
pub(crate) struct Obituary {
    hook: NoticeHook,
    shared: Arc<Shared>,
    told: bool,
}

impl Obituary {
    pub(crate) fn new(hook: NoticeHook, shared: Arc<Shared>) -> Self {
        Self {
            hook,
            shared,
            told: false,
        }
    }

    pub(crate) fn tell(&mut self, notice: Notice) {
        if self.told {
            return;
        }
        if matches!(notice, Notice::Exited(_)) {
            self.told = true;
            self.shared.close();
        }
        if let Err(reason) = fenced(|| (self.hook)(notice)) {
            tracing::error!(reason, "a notice hook failed");
        }
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        self.tell(Notice::Exited(Exit::Aborted));
    }
}
