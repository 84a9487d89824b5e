//! The way to an actor: a box with a hard bound.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::{Notice, NoticeHook};

/// Why a letter was not taken; the message comes back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TellError<M> {
    /// The box is full.
    #[error("the mailbox is full")]
    Full(M),
    /// The actor is gone for good.
    #[error("the actor is gone")]
    Closed(M),
}

impl<M> TellError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The box was full; the question was never put.
    #[error("the mailbox is full")]
    Full,
    /// The actor was gone; the question was never put.
    #[error("the actor is gone")]
    Closed,
    /// No answer within the deadline; one may still be under way and is dropped.
    #[error("no answer within the deadline")]
    TimedOut,
    /// The handler failed, or dropped the reply.
    #[error("the question was lost")]
    Lost,
}

/// Where the answer to one question goes. Dropped without an answer, the asker gets
/// [`AskError::Lost`].
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// A reply and where it arrives.
    #[must_use]
    pub fn channel() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers; an asker who has stopped waiting does not mind.
    pub fn send(self, answer: T) {
        let _ = self.0.send(answer);
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// What travels to a host.
pub(crate) enum Letter<M> {
    /// A message in its place of the box.
    Message(M, Permit),
    /// A notice of a child: takes no place, since each child sends a handful in its whole life and
    /// a parent that misses an exit never recovers.
    Notice(M),
    /// The parent wants the actor gone.
    Stop,
}

/// A carrier of letters: a host under actix, or a test's probe.
pub(crate) trait Post<M>: Send + Sync {
    /// Takes the letter, or gives it back when nobody is there any more.
    fn post(&self, letter: Letter<M>) -> Result<(), Letter<M>>;
}

/// What all clones of a mailbox and its host share.
pub(crate) struct Shared {
    capacity: usize,
    waiting: AtomicUsize,
    closed: AtomicBool,
    stop_asked: AtomicBool,
}

impl Shared {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            stop_asked: AtomicBool::new(false),
        })
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn stop_asked(&self) -> bool {
        self.stop_asked.load(Ordering::Acquire)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

/// One place in a box, given back on drop.
pub(crate) struct Permit(Arc<Shared>);

impl Permit {
    fn acquire(shared: &Arc<Shared>) -> Option<Self> {
        let more = |waiting| (waiting < shared.capacity).then_some(waiting + 1);
        let taken = shared
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Self(Arc::clone(shared)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The address of an actor; cloning it adds no room to the box.
pub struct Mailbox<M> {
    post: Arc<dyn Post<M>>,
    shared: Arc<Shared>,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self {
            post: Arc::clone(&self.post),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.waiting();
        write!(f, "Mailbox({waiting}/{})", self.shared.capacity)
    }
}

impl<M: Send + 'static> Mailbox<M> {
    pub(crate) fn new(post: Arc<dyn Post<M>>, shared: Arc<Shared>) -> Self {
        Self { post, shared }
    }

    /// Puts a message into the box. Never blocks; may be called from any thread.
    ///
    /// # Errors
    /// [`TellError::Full`] at the bound, [`TellError::Closed`] when the actor is gone for good. An
    /// actor between two lives is neither.
    pub fn tell(&self, message: M) -> Result<(), TellError<M>> {
        if self.is_closed() {
            return Err(TellError::Closed(message));
        }
        let Some(permit) = Permit::acquire(&self.shared) else {
            return Err(TellError::Full(message));
        };
        match self.post.post(Letter::Message(message, permit)) {
            Err(Letter::Message(message, _)) => Err(TellError::Closed(message)),
            Ok(()) | Err(Letter::Notice(_) | Letter::Stop) => Ok(()),
        }
    }

    /// Asks and waits for the answer, no longer than `deadline` by tokio's clock.
    ///
    /// The question is put before this returns; only the waiting is left to the future.
    pub fn ask<T: Send + 'static, Q: FnOnce(Reply<T>) -> M>(
        &self,
        deadline: Duration,
        question: Q,
    ) -> impl Future<Output = Result<T, AskError>> + use<T, M, Q> {
        let (reply, answer) = Reply::channel();
        let put = self.tell(question(reply)).map_err(|error| match error {
            TellError::Full(_) => AskError::Full,
            TellError::Closed(_) => AskError::Closed,
        });
        async move {
            put?;
            match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(AskError::Lost),
                Err(_) => Err(AskError::TimedOut),
            }
        }
    }

    /// A hook that brings a child's notices here as messages. They take no place in the box.
    pub fn notices(&self, mut to_message: impl FnMut(Notice) -> M + Send + 'static) -> NoticeHook {
        let parent = self.clone();
        Box::new(move |notice| {
            let _ = parent.post.post(Letter::Notice(to_message(notice)));
        })
    }

    pub(crate) fn stopper(&self) -> Stopper {
        let mailbox = self.clone();
        Stopper {
            stop: Arc::new(move || {
                mailbox.shared.stop_asked.store(true, Ordering::Release);
                let _ = mailbox.post.post(Letter::Stop);
            }),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> Mailbox<M> {
    /// Messages in the box now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.waiting()
    }

    /// The bound.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Whether the actor is gone for good.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Whether both lead to the same actor.
    #[must_use]
    pub fn same_actor(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

/// The right to stop one actor, whatever its messages are.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<dyn Fn() + Send + Sync>,
    shared: Arc<Shared>,
}

impl Stopper {
    /// Asks the actor to stop after what is in its box; it is not restarted.
    pub fn stop(&self) {
        (self.stop)();
    }

    /// Whether the actor is gone for good.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stopper(gone: {})", self.is_gone())
    }
}
