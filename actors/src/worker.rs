//! The root of the tree. Holds no business state: it hears who failed for good, and then the worker
//! cannot go on.

use std::sync::Arc;

use supervision::{Behaviour, Children, Exit, Goodbye, Notice, Outcome, Scope, Stopper, Strategy};

use crate::context::Context;

/// Children of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerChild {
    /// The supervisor of the shards' actors.
    Plane,
    /// Who moves rooms from and to other workers.
    Migrations,
    /// The rooms of one control thread.
    Rooms(usize),
}

pub(crate) enum WorkerMessage {
    /// A child was started.
    Adopt(WorkerChild, Stopper),
    /// Something happened to a child.
    Child(WorkerChild, Notice),
}

pub(crate) struct Worker {
    context: Arc<Context>,
    children: Children<WorkerChild>,
    leaving: bool,
}

impl Worker {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            children: Children::new(Strategy::OneForOne),
            leaving: false,
        }
    }
}

impl Behaviour for Worker {
    type Message = WorkerMessage;

    fn handle(&mut self, message: WorkerMessage, scope: &mut Scope<Self>) {
        let (key, notice) = match message {
            WorkerMessage::Adopt(key, stopper) => {
                self.children.insert(key, stopper);
                return;
            }
            WorkerMessage::Child(key, notice) => (key, notice),
        };
        let outcome = self.children.handle(&key, &notice);
        if let Notice::Exited(Exit::Failed { reason, .. }) = notice {
            tracing::error!(child = ?key, reason, "the worker cannot go on");
            (self.context.environment.fatal)(&reason);
        }
        if self.leaving && matches!(outcome, Outcome::Empty(_)) {
            scope.stop();
        }
    }

    fn stopping(&mut self, _: &mut Scope<Self>) -> Goodbye {
        self.leaving = true;
        if self.children.stop_all() {
            Goodbye::Later
        } else {
            Goodbye::Now
        }
    }
}
