//! The only actix actor in the code base.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use actix::dev::channel::{AddressReceiver, channel};
use actix::fut::wrap_future;
use actix::prelude::SendError;
use actix::{Actor, ActorContext, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context};
use actix::{Handler, SpawnHandle};

use crate::fence::fenced;
use crate::mailbox::{Letter, Post, Shared};
use crate::notice::Obituary;
use crate::scope::{Effect, Nursery, Ring, Work};
use crate::{Behaviour, Exit, Goodbye, Mailbox, Notice, NoticeHook, RestartPolicy, Restarts};
use crate::{Scope, Stopper, TimerId};

/// Letters that a box holds unless its spec says otherwise.
const CAPACITY_DEFAULT: usize = 128;

/// Hears what is worth a metric. Called on the actor's thread: be quick.
pub trait Observer: Send + Sync {
    /// A behaviour failed and was replaced.
    fn restarted(&self, actor: &'static str) {
        let _ = actor;
    }

    /// An actor exited for good.
    fn exited(&self, actor: &'static str, exit: &Exit) {
        let _ = (actor, exit);
    }

    /// A letter was taken that found this many in the box, itself included.
    fn depth(&self, actor: &'static str, letters: usize) {
        let _ = (actor, letters);
    }
}

struct Nobody;
impl Observer for Nobody {}

/// How one actor is run.
pub struct Spec {
    pub(crate) name: &'static str,
    pub(crate) policy: RestartPolicy,
    pub(crate) capacity: usize,
    pub(crate) notices: NoticeHook,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Spec {
    /// A transient actor with a box of 128 and nobody to tell.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            policy: RestartPolicy::transient(),
            capacity: CAPACITY_DEFAULT,
            notices: Box::new(|_| ()),
            observer: Arc::new(Nobody),
        }
    }

    /// Sets the restart policy.
    #[must_use]
    pub fn policy(mut self, policy: RestartPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the bound of the box, in letters.
    #[must_use]
    pub fn capacity(mut self, letters: usize) -> Self {
        self.capacity = letters;
        self
    }

    /// Sets where notices go; see [`Mailbox::notices`].
    #[must_use]
    pub fn notices(mut self, hook: NoticeHook) -> Self {
        self.notices = hook;
        self
    }

    /// Sets who observes this actor and all its children.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }
}

/// A running actor, as its parent holds it.
#[derive(Debug)]
pub struct Child<M> {
    /// For telling it things.
    pub mailbox: Mailbox<M>,
    /// For stopping it.
    pub stopper: Stopper,
}

impl<M: Send + 'static> actix::Message for Letter<M> {
    type Result = ();
}

/// The address of a host, as a mailbox sees it.
struct Address<B: Behaviour>(Addr<Host<B>>);

impl<B: Behaviour> Post<B::Message> for Address<B> {
    fn post(&self, letter: Letter<B::Message>) -> Result<(), Letter<B::Message>> {
        self.0.try_send(letter).map_err(SendError::into_inner)
    }
}

/// Everything of a host that may cross to its thread.
struct Seed<M> {
    name: &'static str,
    policy: RestartPolicy,
    observer: Arc<dyn Observer>,
    obituary: Obituary,
    shared: Arc<Shared>,
    mailbox: Mailbox<M>,
}

/// Carries one behaviour: bounds its box, fences its panics, restarts it in place.
pub struct Host<B: Behaviour> {
    name: &'static str,
    factory: Box<dyn FnMut() -> B>,
    behaviour: Option<B>,
    scope: Scope<B>,
    restarts: Restarts,
    restart_count: u32,
    shared: Arc<Shared>,
    obituary: Obituary,
    observer: Arc<dyn Observer>,
    stop_heard: bool,
    /// Timers and running futures of this life.
    timers: BTreeMap<TimerId, SpawnHandle>,
    works: BTreeMap<u64, SpawnHandle>,
    next_work: u64,
}

/// Nothing in it is ever pinned.
impl<B: Behaviour> Unpin for Host<B> {}

impl<B: Behaviour> Host<B> {
    /// Starts an actor on the current thread's arbiter (or tokio `LocalSet`).
    ///
    /// `factory` builds the behaviour of each life, inside the fence.
    pub fn spawn(factory: impl FnMut() -> B + 'static, spec: Spec) -> Child<B::Message> {
        let (receiver, seed, child) = Self::conceive(spec);
        Context::with_receiver(receiver).run(Self::grow(Box::new(factory), seed));
        child
    }

    /// Starts an actor on another thread. If that thread is gone the mailbox is closed and the
    /// parent hears [`Exit::Aborted`].
    pub fn spawn_on(
        arbiter: &ArbiterHandle,
        factory: impl FnMut() -> B + Send + 'static,
        spec: Spec,
    ) -> Child<B::Message> {
        let (receiver, seed, child) = Self::conceive(spec);
        arbiter.spawn_fn(move || {
            Context::with_receiver(receiver).run(Self::grow(Box::new(factory), seed));
        });
        child
    }

    fn conceive(spec: Spec) -> (AddressReceiver<Self>, Seed<B::Message>, Child<B::Message>) {
        // Zero makes actix never park a sender: the bound is ours, see `Mailbox::tell`.
        let (sender, receiver) = channel(0);
        let shared = Shared::new(spec.capacity);
        let post = Arc::new(Address(Addr::new(sender)));
        let mailbox = Mailbox::new(post, Arc::clone(&shared));
        let child = Child {
            mailbox: mailbox.clone(),
            stopper: mailbox.stopper(),
        };
        let seed = Seed {
            name: spec.name,
            policy: spec.policy,
            observer: spec.observer,
            obituary: Obituary::new(spec.notices, Arc::clone(&shared)),
            shared,
            mailbox,
        };
        (receiver, seed, child)
    }

    fn grow(factory: Box<dyn FnMut() -> B>, seed: Seed<B::Message>) -> Self {
        let observer = Arc::clone(&seed.observer);
        Self {
            name: seed.name,
            factory,
            behaviour: None,
            scope: Scope::new(now(), seed.mailbox, seed.observer, Nursery::Live),
            restarts: Restarts::new(seed.policy),
            restart_count: 0,
            shared: seed.shared,
            obituary: seed.obituary,
            observer,
            stop_heard: false,
            timers: BTreeMap::new(),
            works: BTreeMap::new(),
            next_work: 0,
        }
    }

    /// Begins a life: build, start, tell the parent.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if self.shared.stop_asked() && self.restart_count > 0 {
            return self.exit(Exit::Normal, ctx);
        }
        // Built and started in two fences: a behaviour is never dropped while unwinding.
        match fenced(&mut self.factory) {
            Ok(behaviour) => self.behaviour = Some(behaviour),
            Err(reason) => return self.failed(reason, ctx),
        }
        match self.call(|behaviour, scope| behaviour.started(scope)) {
            Err(reason) => return self.failed(reason, ctx),
            Ok(_) if self.restart_count == 0 => self.obituary.tell(Notice::Started),
            Ok(_) => self.obituary.tell(Notice::Restarted(self.restart_count)),
        }
        self.carry_out(ctx);
    }

    fn deliver(&mut self, message: B::Message, ctx: &mut Context<Self>) {
        match self.call(|behaviour, scope| behaviour.handle(message, scope)) {
            Ok(_) => self.carry_out(ctx),
            Err(reason) => self.failed(reason, ctx),
        }
    }

    fn stop_asked(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.stop_heard, true) {
            return;
        }
        match self.call(Behaviour::stopping) {
            Ok(Some(Goodbye::Later)) => self.carry_out(ctx),
            Ok(Some(Goodbye::Now) | None) => self.exit(Exit::Normal, ctx),
            Err(reason) => self.failed(reason, ctx),
        }
    }

    /// Runs the behaviour inside the fence; `None` if there is none.
    fn call<T>(
        &mut self,
        work: impl FnOnce(&mut B, &mut Scope<B>) -> T,
    ) -> Result<Option<T>, String> {
        self.scope.now = now();
        let Some(behaviour) = &mut self.behaviour else {
            return Ok(None);
        };
        let scope = &mut self.scope;
        fenced(|| work(behaviour, scope)).map(Some)
    }

    /// Does what the last handler asked for.
    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        for effect in std::mem::take(&mut self.scope.effects) {
            match effect {
                Effect::Stop => return self.ended(ctx),
                Effect::Timer(id, delay, ring) => self.set_timer(id, delay, ring, ctx),
                Effect::Cancel(id) => {
                    if let Some(handle) = self.timers.remove(&id) {
                        ctx.cancel_future(handle);
                    }
                }
                Effect::Run(work) => self.run(work, ctx),
            }
        }
    }

    fn set_timer(
        &mut self,
        id: TimerId,
        delay: Duration,
        ring: Ring<B::Message>,
        ctx: &mut Context<Self>,
    ) {
        let handle = ctx.run_later(delay, move |host, ctx| {
            // A timer cancelled in the turn in which it expired is still polled once.
            if host.timers.remove(&id).is_some() {
                host.ring(id, delay, ring, ctx);
            }
        });
        self.timers.insert(id, handle);
    }

    fn ring(
        &mut self,
        id: TimerId,
        period: Duration,
        ring: Ring<B::Message>,
        ctx: &mut Context<Self>,
    ) {
        match ring {
            Ring::Once(message) => self.deliver(message, ctx),
            Ring::Every(mut make) => match fenced(&mut make) {
                Ok(message) => {
                    self.set_timer(id, period, Ring::Every(make), ctx);
                    self.deliver(message, ctx);
                }
                Err(reason) => self.failed(reason, ctx),
            },
        }
    }

    fn run(&mut self, mut work: Work<B::Message>, ctx: &mut Context<Self>) {
        let id = self.next_work;
        self.next_work = self.next_work.wrapping_add(1);
        let fenced_work = poll_fn(move |cx| match fenced(|| work.as_mut().poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(reason) => Poll::Ready(Err(reason)),
        });
        let done = wrap_future::<_, Self>(fenced_work).map(move |output, host, ctx| {
            if host.works.remove(&id).is_none() {
                return;
            }
            match output {
                Ok(message) => host.deliver(message, ctx),
                Err(reason) => host.failed(reason, ctx),
            }
        });
        self.works.insert(id, ctx.spawn(done));
    }

    /// The behaviour ended its life.
    fn ended(&mut self, ctx: &mut Context<Self>) {
        if self.shared.stop_asked() {
            return self.exit(Exit::Normal, ctx);
        }
        match self.restarts.next(self.scope.now, false) {
            Some(pause) => self.restart(pause, ctx),
            None if self.restarts.wants(false) => {
                let reason = "ended again and again".to_owned();
                self.give_up(reason, ctx);
            }
            None => self.exit(Exit::Normal, ctx),
        }
    }

    fn failed(&mut self, reason: String, ctx: &mut Context<Self>) {
        tracing::error!(actor = self.name, reason, "an actor failed");
        if self.shared.stop_asked() {
            return self.give_up(reason, ctx);
        }
        match self.restarts.next(now(), true) {
            Some(pause) => self.restart(pause, ctx),
            None => self.give_up(reason, ctx),
        }
    }

    fn restart(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.bury(ctx);
        self.restart_count = self.restart_count.saturating_add(1);
        self.observer.restarted(self.name);
        // While the context waits, letters stay in the box.
        let pause = wrap_future::<_, Self>(tokio::time::sleep(pause));
        ctx.wait(pause.map(|(), host, ctx| host.begin(ctx)));
    }

    fn give_up(&mut self, reason: String, ctx: &mut Context<Self>) {
        let restarts = self.restarts.granted();
        self.exit(Exit::Failed { reason, restarts }, ctx);
    }

    fn exit(&mut self, exit: Exit, ctx: &mut Context<Self>) {
        self.bury(ctx);
        self.scope.orphan_nobody();
        self.observer.exited(self.name, &exit);
        self.obituary.tell(Notice::Exited(exit));
        ctx.stop();
    }

    /// Drops what belongs to this life.
    fn bury(&mut self, ctx: &mut Context<Self>) {
        for handle in std::mem::take(&mut self.timers).into_values() {
            ctx.cancel_future(handle);
        }
        for handle in std::mem::take(&mut self.works).into_values() {
            ctx.cancel_future(handle);
        }
        let effects = std::mem::take(&mut self.scope.effects);
        let behaviour = self.behaviour.take();
        for outcome in [fenced(|| drop(effects)), fenced(|| drop(behaviour))] {
            if let Err(reason) = outcome {
                tracing::error!(
                    actor = self.name,
                    reason,
                    "a failed actor failed in its drop"
                );
            }
        }
    }
}

impl<B: Behaviour> Actor for Host<B> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }

    /// Also runs when the arbiter goes away with the actor on it.
    fn stopped(&mut self, ctx: &mut Self::Context) {
        self.bury(ctx);
        self.scope.orphan_nobody();
    }
}

impl<B: Behaviour> Handler<Letter<B::Message>> for Host<B> {
    type Result = ();

    fn handle(&mut self, letter: Letter<B::Message>, ctx: &mut Self::Context) {
        match letter {
            Letter::Message(message, permit) => {
                self.observer.depth(self.name, self.shared.waiting());
                drop(permit);
                self.deliver(message, ctx);
            }
            Letter::Notice(message) => self.deliver(message, ctx),
            Letter::Stop => self.stop_asked(ctx),
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
