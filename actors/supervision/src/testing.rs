//! Driving a behaviour by hand, without actix and without a runtime.
//!
//! ```
//! use supervision::{Behaviour, Scope, testing::Driver};
//! use std::time::Duration;
//!
//! struct Bell(u32);
//! impl Behaviour for Bell {
//!     type Message = ();
//!     fn started(&mut self, scope: &mut Scope<Self>) {
//!         scope.every(Duration::from_secs(1), || ());
//!     }
//!     fn handle(&mut self, (): (), _: &mut Scope<Self>) {
//!         self.0 += 1;
//!     }
//! }
//!
//! let mut bell = Driver::new(Bell(0));
//! bell.advance(Duration::from_millis(3_500));
//! assert_eq!(bell.behaviour().0, 3);
//! ```

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::mailbox::{Letter, Post, Shared};
use crate::scope::{Effect, Nursery, Ring, Work};
use crate::{Behaviour, Child, Goodbye, Mailbox, Observer, Scope, TimerId};

struct Queue<M>(Mutex<Vec<Letter<M>>>);

impl<M> Queue<M> {
    fn take(&self) -> Vec<Letter<M>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<M: Send> Post<M> for Queue<M> {
    fn post(&self, letter: Letter<M>) -> Result<(), Letter<M>> {
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push(letter);
        Ok(())
    }
}

/// The far end of a mailbox that belongs to no actor.
pub struct Probe<M> {
    queue: Arc<Queue<M>>,
    shared: Arc<Shared>,
    mailbox: Mailbox<M>,
}

/// A mailbox of that bound, to be read by the test.
#[must_use]
pub fn probe<M: Send + 'static>(capacity: usize) -> Probe<M> {
    let queue = Arc::new(Queue(Mutex::new(Vec::new())));
    let shared = Shared::new(capacity);
    let mailbox = Mailbox::new(Arc::clone(&queue) as Arc<dyn Post<M>>, Arc::clone(&shared));
    Probe {
        queue,
        shared,
        mailbox,
    }
}

impl<M: Send + 'static> Probe<M> {
    /// Its mailbox.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox<M> {
        &self.mailbox
    }

    /// Takes what has arrived.
    pub fn take(&self) -> Vec<M> {
        let messages = self.queue.take().into_iter();
        messages
            .filter_map(|letter| match letter {
                Letter::Message(message, _) | Letter::Notice(message) => Some(message),
                Letter::Stop => None,
            })
            .collect()
    }

    /// Whether its parent asked it to stop.
    #[must_use]
    pub fn stop_asked(&self) -> bool {
        self.shared.stop_asked()
    }

    /// Closes the mailbox, as if the actor had gone.
    pub fn close(&self) {
        self.shared.close();
    }

    pub(crate) fn child(&self) -> Child<M> {
        Child {
            mailbox: self.mailbox.clone(),
            stopper: self.mailbox.stopper(),
        }
    }
}

struct NoObserver;
impl Observer for NoObserver {}

/// A behaviour under a test's hands. Panics are not fenced: they fail the test.
pub struct Driver<B: Behaviour> {
    behaviour: B,
    scope: Scope<B>,
    own: Probe<B::Message>,
    timers: BTreeMap<TimerId, (Instant, Duration, Ring<B::Message>)>,
    works: Vec<Work<B::Message>>,
    stopped: bool,
}

impl<B: Behaviour> Driver<B> {
    /// Starts the behaviour, at an arbitrary instant.
    #[must_use]
    pub fn new(behaviour: B) -> Self {
        let own = probe(usize::MAX);
        let now = tokio::time::Instant::now().into_std();
        let nursery = Nursery::Probes(Vec::new());
        let scope = Scope::new(now, own.mailbox().clone(), Arc::new(NoObserver), nursery);
        let mut driver = Self {
            behaviour,
            scope,
            own,
            timers: BTreeMap::new(),
            works: Vec::new(),
            stopped: false,
        };
        driver.behaviour.started(&mut driver.scope);
        driver.settle();
        driver
    }

    /// The instant that the behaviour sees.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.scope.now
    }

    /// The behaviour itself.
    pub fn behaviour(&self) -> &B {
        &self.behaviour
    }

    /// Whether it has ended its life.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Its mailbox: what arrives there is handled at the next [`Self::tell`], [`Self::advance`] or
    /// [`Self::settle`].
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox<B::Message> {
        self.own.mailbox()
    }

    /// Hands it a message, and all that follows from it without time passing.
    pub fn tell(&mut self, message: B::Message) {
        self.hand(message);
        self.settle();
    }

    /// Asks it to stop, as its parent would.
    pub fn ask_to_stop(&mut self) {
        if self.behaviour.stopping(&mut self.scope) == Goodbye::Now {
            self.stopped = true;
        }
        self.settle();
    }

    /// Lets time pass; timers ring in order.
    pub fn advance(&mut self, time: Duration) {
        let until = self.scope.now + time;
        while let Some((&id, due)) = self
            .timers
            .iter()
            .map(|(id, (due, ..))| (id, *due))
            .min_by_key(|&(id, due)| (due, *id))
            && due <= until
        {
            self.scope.now = due;
            match self.timers.remove(&id) {
                Some((_, _, Ring::Once(message))) => self.hand(message),
                Some((_, period, Ring::Every(mut make))) => {
                    let message = make();
                    self.timers
                        .insert(id, (due + period, period, Ring::Every(make)));
                    self.hand(message);
                }
                None => (),
            }
            self.settle();
        }
        self.scope.now = until;
        self.settle();
    }

    /// Polls running futures and handles what is in the box, until nothing moves.
    pub fn settle(&mut self) {
        loop {
            self.carry_out();
            let mut messages = self.own.take();
            let mut context = Context::from_waker(Waker::noop());
            self.works
                .retain_mut(|work| match work.as_mut().poll(&mut context) {
                    Poll::Ready(message) => {
                        messages.push(message);
                        false
                    }
                    Poll::Pending => true,
                });
            if messages.is_empty() {
                return;
            }
            for message in messages {
                self.hand(message);
            }
        }
    }

    /// Takes the probe of the oldest child that was spawned under this name and not yet taken.
    pub fn child<M: Send + 'static>(&mut self, name: &str) -> Option<Probe<M>> {
        let Nursery::Probes(probes) = &mut self.scope.nursery else {
            return None;
        };
        let place = probes.iter().position(|(own, _)| *own == name)?;
        let probe: Box<dyn Any> = probes.remove(place).1;
        probe.downcast().ok().map(|probe| *probe)
    }

    fn hand(&mut self, message: B::Message) {
        if !self.stopped {
            self.behaviour.handle(message, &mut self.scope);
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        for effect in std::mem::take(&mut self.scope.effects) {
            match effect {
                Effect::Stop => self.stopped = true,
                Effect::Timer(id, delay, ring) => {
                    let due = self.scope.now + delay;
                    self.timers.insert(id, (due, delay, ring));
                }
                Effect::Cancel(id) => {
                    self.timers.remove(&id);
                }
                Effect::Run(work) => self.works.push(work),
            }
        }
    }
}

#[cfg(test)]
mod tests;
