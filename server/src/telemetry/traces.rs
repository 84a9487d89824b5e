//! Traces: spans of what clients and operators wait for, sent to an OpenTelemetry collector.
//!
//! Off unless `[traces]` names a collector; then a span is made of each join, each request of the
//! admin API, WHIP and WHEP, each call to the store that one of those causes, each step of a move
//! and each posted event. Nothing of it is on the way of a packet. Contexts travel as W3C Trace
//! Context (`traceparent`) on HTTP, in `join` and to webhooks.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use media_types::{Clock, RoomName};
use metrics::counter;
use serde_json::{Value, json};
use tokio::sync::mpsc;

mod context;
mod export;
mod http;
mod store;

pub use context::Context;
pub(crate) use export::{Exporter, describe};
pub(crate) use http::of_request;
pub(crate) use store::traced;

use super::metrics::TRACES_SPANS;

/// Spans that may wait for the collector; past it they are dropped and counted.
const WAITING_MAX: usize = 4_096;

tokio::task_local! {
    /// What a request is part of.
    static CURRENT: Context;
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

struct Tracer {
    clock: std::sync::Arc<dyn Clock>,
    queue: mpsc::Sender<Value>,
    percent: u8,
    /// What goes on in a room now, so that calls of actors to the store find their cause.
    rooms: Mutex<HashMap<RoomName, Context>>,
}

/// Begins to make spans; what sends them is to be run. A second call changes nothing.
#[must_use]
pub(crate) fn start(
    clock: &std::sync::Arc<dyn Clock>,
    percent: u8,
) -> Option<mpsc::Receiver<Value>> {
    let (queue, spans) = mpsc::channel(WAITING_MAX);
    let tracer = Tracer {
        clock: std::sync::Arc::clone(clock),
        queue,
        percent,
        rooms: Mutex::default(),
    };
    TRACER.set(tracer).is_ok().then_some(spans)
}

/// What the work that runs is part of.
pub(crate) fn current() -> Option<Context> {
    CURRENT.try_with(|context| *context).ok()
}

/// What goes on in a room.
fn of_room(room: &RoomName) -> Option<Context> {
    let rooms = TRACER.get()?.rooms.lock();
    rooms
        .unwrap_or_else(PoisonError::into_inner)
        .get(room)
        .copied()
}

/// What a span is, as OpenTelemetry counts kinds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// Some work, from when this is made until it is dropped. Nothing where nobody wants traces.
pub(crate) struct Span(Option<Box<Open>>);

struct Open {
    context: Context,
    parent: Option<[u8; 8]>,
    name: String,
    kind: Kind,
    begun: Duration,
    attributes: Vec<Value>,
    links: Vec<Value>,
    failure: Option<String>,
    /// Named in [`Tracer::rooms`].
    room: Option<RoomName>,
}

impl Span {
    /// Begins; a root where there is no parent.
    pub(crate) fn begin(name: impl Into<String>, kind: Kind, parent: Option<Context>) -> Self {
        let Some(tracer) = TRACER.get() else {
            return Self(None);
        };
        let context = match parent {
            Some(parent) => parent.child(),
            None => Context::root(tracer.percent),
        };
        if !context.sampled {
            return Self(None);
        }
        Self(Some(Box::new(Open {
            context,
            parent: parent.map(|parent| parent.span),
            name: name.into(),
            kind,
            begun: tracer.clock.unix(),
            attributes: Vec::new(),
            links: Vec::new(),
            failure: None,
            room: None,
        })))
    }

    /// With this identity, which others can compute too, and since then.
    fn known(mut self, context: Context, parent: Option<[u8; 8]>, begun: Duration) -> Self {
        if let Some(open) = &mut self.0 {
            (open.context, open.parent, open.begun) = (context, parent, begun);
        }
        self
    }

    /// Says more. No names of people, no secrets.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.set(key, value);
        self
    }

    pub(crate) fn set(&mut self, key: &str, value: impl ToString) {
        if let Some(open) = &mut self.0 {
            open.attributes.push(attribute(key, &value.to_string()));
        }
    }

    /// Belongs to something else too.
    fn link(&mut self, to: Context) {
        if let Some(open) = &mut self.0 {
            open.links.push(to.as_json());
        }
    }

    /// Until it ends, calls to the store about this room are part of it.
    #[must_use]
    pub(crate) fn about(mut self, room: &RoomName) -> Self {
        if let (Some(open), Some(tracer)) = (&mut self.0, TRACER.get()) {
            let rooms = tracer.rooms.lock();
            let mut rooms = rooms.unwrap_or_else(PoisonError::into_inner);
            rooms.insert(room.clone(), open.context);
            open.room = Some(room.clone());
        }
        self.with("troupe.room", room)
    }

    /// Went wrong.
    pub(crate) fn fail(&mut self, why: impl ToString) {
        if let Some(open) = &mut self.0 {
            open.failure = Some(why.to_string());
        }
    }

    /// What its children name as their parent.
    pub(crate) fn context(&self) -> Option<Context> {
        self.0.as_ref().map(|open| open.context)
    }

    /// Runs some work as part of it; it goes on.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        match self.context() {
            Some(context) => CURRENT.scope(context, work).await,
            None => work.await,
        }
    }

    /// Runs some work as the whole of it, and notes its error.
    pub(crate) async fn judge<T, E: std::fmt::Display>(
        mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let result = self.within(work).await;
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let (Some(open), Some(tracer)) = (self.0.take(), TRACER.get()) else {
            return;
        };
        if let Some(room) = &open.room {
            let mut rooms = tracer.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            if rooms.get(room) == Some(&open.context) {
                rooms.remove(room);
            }
        }
        if tracer
            .queue
            .try_send(open.as_json(tracer.clock.unix()))
            .is_err()
        {
            counter!(TRACES_SPANS, "outcome" => "dropped").increment(1);
        }
    }
}

impl Open {
    /// As OTLP writes it (opentelemetry-proto, `trace.proto`, JSON mapping).
    fn as_json(&self, ended: Duration) -> Value {
        let mut span = json!({
            "traceId": context::hex(&self.context.trace),
            "spanId": context::hex(&self.context.span),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": self.begun.as_nanos().to_string(),
            "endTimeUnixNano": ended.max(self.begun).as_nanos().to_string(),
            "attributes": self.attributes,
            "links": self.links,
        });
        if let Some(parent) = &self.parent {
            span["parentSpanId"] = context::hex(parent).into();
        }
        if let Some(failure) = &self.failure {
            span["status"] = json!({ "code": 2, "message": failure });
        }
        span
    }
}

/// A key with a text.
fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}
