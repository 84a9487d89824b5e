//! The shell of an egress.
//!
//! What it holds lies in its seed, where its readers follow it; so a later life goes on with the
//! same taps, and nobody who reads them notices.

use std::sync::Arc;

use media_contract::Action;
use media_types::{ShardId, TapId};
use supervision::{Behaviour, Goodbye, Mailbox, Scope};

use super::state::{close, follow, open};
use super::{EgressMessage, EgressSeed, EgressSource, EgressView};
use crate::context::Commander;
use crate::limits::EGRESS_RECONCILE;
use crate::room::RoomMessage;

pub(crate) struct Egress {
    seed: Arc<EgressSeed>,
    room: Mailbox<RoomMessage>,
    commander: Commander,
}

impl Egress {
    pub(crate) fn new(seed: Arc<EgressSeed>, room: Mailbox<RoomMessage>) -> Self {
        Self {
            commander: Commander::new(seed.room.id, seed.room.epoch.clone(), None),
            seed,
            room,
        }
    }

    fn follow(&self, sources: &[EgressSource]) {
        let request = &self.seed.request;
        let ids = &self.seed.room.context.ids;
        let before = self.seed.view.borrow().clone();
        let stream = request.stream.as_ref();
        let (after, steps) = follow(&before, sources, stream, request.wish, || ids.tap());
        for (shard, action) in steps {
            self.command(shard, action);
        }
        if after != before {
            self.seed.view.send_replace(after);
        }
    }

    /// A command that a full queue refuses is given again at the next reconciling.
    fn command(&self, shard: ShardId, action: Action) {
        let context = &self.seed.room.context;
        let id = self.commander.next(&context.ids);
        if self.commander.send(context, shard, id, action).is_err() {
            tracing::debug!("a shard takes no command for a tap now");
        }
    }

    fn reconcile(&self, scope: &mut Scope<Self>) {
        if self.seed.view.is_closed() {
            self.end(scope);
            return;
        }
        let view = self.seed.view.borrow().clone();
        for tap in view.taps.iter().filter(|tap| !tap.released) {
            let (shard, action) = open(tap, self.seed.request.wish);
            self.command(shard, action);
        }
    }

    fn release(&self, id: TapId) {
        let view = self.seed.view.borrow().clone();
        if let Some(tap) = view.taps.iter().find(|tap| tap.tap == id) {
            let (shard, action) = close(tap);
            self.command(shard, action);
        }
        self.seed.view.send_if_modified(|view| {
            let tap = view.taps.iter_mut().find(|tap| tap.tap == id);
            tap.is_some_and(|tap| !std::mem::replace(&mut tap.released, true))
        });
    }

    /// Closes all taps and tells those who still read.
    fn end(&self, scope: &mut Scope<Self>) {
        self.close_taps();
        scope.stop();
    }

    fn close_taps(&self) {
        let view = self.seed.view.send_replace(EgressView {
            taps: Vec::new(),
            ended: true,
        });
        for tap in &view.taps {
            let (shard, action) = close(tap);
            self.command(shard, action);
        }
    }

    #[allow(
        clippy::panic,
        reason = "an injected fault, where the configuration allows them"
    )]
    fn panic_if_allowed(&self) {
        if self.seed.room.context.config.debug_faults {
            panic!("injected fault");
        }
    }
}

impl Behaviour for Egress {
    type Message = EgressMessage;

    fn started(&mut self, scope: &mut Scope<Self>) {
        let load = RoomMessage::EgressLoad(self.seed.id);
        if self.room.tell(load).is_err() {
            tracing::debug!("the room tells its tracks at their next change");
        }
        scope.every(EGRESS_RECONCILE, || EgressMessage::Reconcile);
    }

    fn handle(&mut self, message: EgressMessage, scope: &mut Scope<Self>) {
        match message {
            EgressMessage::Sources(sources) => self.follow(&sources),
            EgressMessage::Release(tap) => self.release(tap),
            EgressMessage::Close => self.end(scope),
            EgressMessage::Reconcile => self.reconcile(scope),
            EgressMessage::Panic => self.panic_if_allowed(),
        }
    }

    fn stopping(&mut self, _: &mut Scope<Self>) -> Goodbye {
        self.close_taps();
        Goodbye::Now
    }
}
