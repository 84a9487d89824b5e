//! What a handler may do.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::testing::{Probe, probe};
use crate::{Behaviour, Child, Host, Mailbox, Notice, Observer, RestartPolicy, Spec, Stopper};

/// Names one timer of one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub(crate) u64);

/// How often a timer fires.
pub(crate) enum Ring<M> {
    Once(M),
    Every(Box<dyn FnMut() -> M>),
}

/// Asynchronous work on its way to becoming a message.
pub(crate) type Work<M> = Pin<Box<dyn Future<Output = M>>>;

/// What a handler asked for; carried out after it has returned, and only if it did.
pub(crate) enum Effect<M> {
    Stop,
    Timer(TimerId, Duration, Ring<M>),
    Cancel(TimerId),
    Run(Work<M>),
}

/// Where children go.
pub(crate) enum Nursery {
    /// The arbiter of the parent.
    Live,
    /// A test's hands: probes by name.
    Probes(Vec<(&'static str, Box<dyn Any>)>),
}

/// A handler's view of its host.
pub struct Scope<B: Behaviour> {
    pub(crate) now: Instant,
    pub(crate) effects: Vec<Effect<B::Message>>,
    pub(crate) nursery: Nursery,
    mailbox: Mailbox<B::Message>,
    observer: std::sync::Arc<dyn Observer>,
    stoppers: Vec<Stopper>,
    next_timer: u64,
}

impl<B: Behaviour> Scope<B> {
    pub(crate) fn new(
        now: Instant,
        mailbox: Mailbox<B::Message>,
        observer: std::sync::Arc<dyn Observer>,
        nursery: Nursery,
    ) -> Self {
        Self {
            now,
            effects: Vec::new(),
            nursery,
            mailbox,
            observer,
            stoppers: Vec::new(),
            next_timer: 0,
        }
    }

    /// When the message at hand was taken, by tokio's clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The actor's own mailbox, for others to answer to.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox<B::Message> {
        &self.mailbox
    }

    /// Ends this life after the handler. A permanent actor that nobody asked to stop begins anew.
    pub fn stop(&mut self) {
        self.effects.push(Effect::Stop);
    }

    /// Brings `message` after `delay`. Timers take no place in the box and end with the life.
    pub fn after(&mut self, delay: Duration, message: B::Message) -> TimerId {
        self.timer(delay, Ring::Once(message))
    }

    /// Brings a message every `period`.
    pub fn every(
        &mut self,
        period: Duration,
        make: impl FnMut() -> B::Message + 'static,
    ) -> TimerId {
        self.timer(period, Ring::Every(Box::new(make)))
    }

    /// Cancels a timer; one that has fired already does not mind.
    pub fn cancel(&mut self, timer: TimerId) {
        self.effects.push(Effect::Cancel(timer));
    }

    /// Runs a future beside the actor; its output comes back as a message. The messages of others
    /// are handled meanwhile. It ends with the life; a panic inside counts as the actor's.
    pub fn run<T: 'static>(
        &mut self,
        work: impl Future<Output = T> + 'static,
        to_message: impl FnOnce(T) -> B::Message + 'static,
    ) {
        let work = async move { to_message(work.await) };
        self.effects.push(Effect::Run(Box::pin(work)));
    }

    /// Starts a child on this arbiter. Its notices come as messages; it is stopped when this actor
    /// exits, and outlives its restarts.
    pub fn spawn_child<C: Behaviour>(
        &mut self,
        name: &'static str,
        policy: RestartPolicy,
        capacity: usize,
        factory: impl FnMut() -> C + 'static,
        to_message: impl FnMut(Notice) -> B::Message + Send + 'static,
    ) -> Child<C::Message> {
        let child = match &mut self.nursery {
            Nursery::Live => {
                let mut spec = Spec::new(name)
                    .policy(policy)
                    .capacity(capacity)
                    .notices(self.mailbox.notices(to_message));
                spec.observer = std::sync::Arc::clone(&self.observer);
                Host::spawn(factory, spec)
            }
            Nursery::Probes(probes) => {
                let probe: Probe<C::Message> = probe(capacity);
                let child = probe.child();
                probes.push((name, Box::new(probe)));
                child
            }
        };
        self.stoppers.retain(|stopper| !stopper.is_gone());
        self.stoppers.push(child.stopper.clone());
        child
    }

    /// Asks every living child to stop: the end of an actor is the end of its children.
    pub(crate) fn orphan_nobody(&mut self) {
        for stopper in self.stoppers.drain(..).rev() {
            stopper.stop();
        }
    }

    fn timer(&mut self, delay: Duration, ring: Ring<B::Message>) -> TimerId {
        let id = TimerId(self.next_timer);
        self.next_timer = self.next_timer.wrapping_add(1);
        self.effects.push(Effect::Timer(id, delay, ring));
        id
    }
}
