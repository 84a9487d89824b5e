//! Figures of the gateway, and the Prometheus text of all of them.
//!
//! Names are constants; labels come from closed sets. Each crate describes its own.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// HTTP requests by route and class of status.
pub(crate) const HTTP_REQUESTS: &str = "troupe_http_requests_total";
/// Time from a request's head to its response's head, by route.
pub(crate) const HTTP_SECONDS: &str = "troupe_http_request_seconds";
/// Open connections of the listener for clients.
pub(crate) const HTTP_CONNECTIONS: &str = "troupe_http_connections";
/// Open WebSockets of signalling.
pub(crate) const SIGNALING_CONNECTIONS: &str = "troupe_signaling_connections";
/// Time from the open WebSocket to the answer to `join`.
pub(crate) const SIGNALING_HANDSHAKE: &str = "troupe_signaling_handshake_seconds";
/// Frames of signalling by direction.
pub(crate) const SIGNALING_MESSAGES: &str = "troupe_signaling_messages_total";
/// Requests of signalling by method.
pub(crate) const SIGNALING_REQUESTS: &str = "troupe_signaling_requests_total";
/// Failed joins by error type.
pub(crate) const SIGNALING_REFUSED: &str = "troupe_signaling_refused_joins_total";
/// Sockets of signalling that we closed, by reason.
pub(crate) const SIGNALING_CLOSED: &str = "troupe_signaling_closed_total";
/// What a limit turned away, by limit.
pub(crate) const RATELIMIT_REJECTED: &str = "troupe_ratelimit_rejected_total";

/// What is left of the rates at which clients may come in, 0 to 1.
pub(crate) const RATELIMIT_SHARE: &str = "troupe_ratelimit_share_ratio";
/// Certificates read again, by what came of it.
pub(crate) const TLS_RELOADS: &str = "troupe_http_certificate_reloads_total";
/// Circuit breakers that are open.
pub(crate) const BREAKER_OPEN: &str = "troupe_breaker_open";
/// How often circuit breakers opened.
pub(crate) const BREAKER_OPENED: &str = "troupe_breaker_opened_total";
/// Values in the store that are not in force.
pub(crate) const CONFIG_REFUSED: &str = "troupe_config_refused";
/// Events that happened.
pub(crate) const EVENTS: &str = "troupe_events_total";
/// Batches of events that could not be kept at the first attempt.
pub(crate) const EVENTS_UNSAVED: &str = "troupe_events_unsaved_total";
/// Attempts to post an event, by what came of them.
pub(crate) const WEBHOOK_DELIVERIES: &str = "troupe_webhook_deliveries_total";
/// How old the event was that was posted last.
pub(crate) const WEBHOOK_LAG: &str = "troupe_webhook_lag_seconds";
/// Times that a receiver was away for longer than events are kept.
pub(crate) const WEBHOOK_LOST: &str = "troupe_webhook_lost_total";
/// Rooms whose events waited for another worker's, by what came of it.
pub(crate) const WEBHOOK_WAITS: &str = "troupe_webhook_waits_total";
/// Entries of the audit log.
pub(crate) const AUDIT_ENTRIES: &str = "troupe_audit_entries_total";
/// Deeds of operators that could not be written down.
pub(crate) const AUDIT_LOST: &str = "troupe_audit_lost_total";
/// Whether the audit log was changed, found at start.
pub(crate) const AUDIT_BROKEN: &str = "troupe_audit_broken";

/// Processor time, user and system together. A gauge by type, since counters hold whole numbers.
pub(super) const PROCESS_CPU: &str = "troupe_process_cpu_seconds_total";
/// Memory that is in RAM.
pub(super) const PROCESS_RESIDENT: &str = "troupe_process_resident_bytes";
/// Spans, by what became of them.
pub(in crate::telemetry) const TRACES_SPANS: &str = "troupe_traces_spans_total";

/// Upper bounds of histograms, in seconds: from a local answer to a client that gave up.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The figures as Prometheus reads them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Folds what histograms were told into their buckets. To be called now and then: until then
    /// every single value is kept, whether anybody reads the figures or not.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        super::process::look();
        self.handle.render()
    }
}

/// Starts the process's one recorder, or finds it started.
#[must_use]
pub fn start_metrics() -> Metrics {
    static STARTED: OnceLock<Metrics> = OnceLock::new();
    STARTED
        .get_or_init(|| {
            let seconds = Matcher::Suffix("_seconds".to_owned());
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(seconds, &BUCKETS)
                .expect("the bounds are not empty");
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // The error says that another recorder is there; then ours stays empty.
            let _ = metrics::set_global_recorder(recorder);
            describe();
            Metrics { handle }
        })
        .clone()
}

fn describe() {
    describe_counter!(HTTP_REQUESTS, "HTTP requests by route and class of status");
    describe_histogram!(HTTP_SECONDS, Unit::Seconds, "Time to answer a request");
    describe_gauge!(HTTP_CONNECTIONS, "Open connections of clients");
    describe_gauge!(SIGNALING_CONNECTIONS, "Open WebSockets of signalling");
    describe_histogram!(
        SIGNALING_HANDSHAKE,
        Unit::Seconds,
        "Time from the open WebSocket to the answer to join"
    );
    describe_counter!(SIGNALING_MESSAGES, "Frames of signalling by direction");
    describe_counter!(SIGNALING_REQUESTS, "Requests of signalling by method");
    describe_counter!(SIGNALING_REFUSED, "Failed joins by error type");
    describe_counter!(SIGNALING_CLOSED, "Sockets that we closed by reason");
    describe_counter!(RATELIMIT_REJECTED, "What a limit turned away");
    describe_operations();
    super::process::describe();
    super::traces::describe();
}

fn describe_operations() {
    describe_gauge!(
        RATELIMIT_SHARE,
        "What is left of the rates of coming in, 0 to 1"
    );
    describe_counter!(
        TLS_RELOADS,
        "Certificates read again by listener and outcome"
    );
    describe_gauge!(BREAKER_OPEN, "Circuit breakers that are open");
    describe_counter!(BREAKER_OPENED, "Times that circuit breakers opened");
    describe_gauge!(CONFIG_REFUSED, "Values in the store that are not in force");
    describe_counter!(EVENTS, "Events that happened");
    describe_counter!(
        EVENTS_UNSAVED,
        "Batches of events that could not be kept at once"
    );
    describe_counter!(WEBHOOK_DELIVERIES, "Attempts to post an event by outcome");
    describe_gauge!(WEBHOOK_LAG, Unit::Seconds, "Age of the event posted last");
    describe_counter!(WEBHOOK_LOST, "Times that a receiver was away for too long");
    describe_counter!(
        WEBHOOK_WAITS,
        "Waits for events of the worker that had a room before by outcome"
    );
    describe_counter!(AUDIT_ENTRIES, "Entries of the audit log");
    describe_counter!(
        AUDIT_LOST,
        "Deeds of operators that could not be written down"
    );
    describe_gauge!(
        AUDIT_BROKEN,
        "Whether the audit log was changed, found at start"
    );
    metrics::gauge!(CONFIG_REFUSED).set(0.0);
}

/// Counts one HTTP request under its route's pattern.
pub(crate) fn http_request(route: &str, status: u16, took: Duration) {
    let class = match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    counter!(HTTP_REQUESTS, "route" => route.to_owned(), "class" => class).increment(1);
    histogram!(HTTP_SECONDS, "route" => route.to_owned()).record(took);
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    In,
    Out,
}

/// Which limit turned something away.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// `session.messages_per_second`.
    Messages,
    /// Malformed frames within a minute.
    Malformed,
    /// `session.out_messages_max` and `session.out_bytes_max`.
    SlowClient,
    /// `session.in_stall_max`.
    Stalled,
    /// `session.join_timeout`.
    JoinTimeout,
}

/// Counts what a limit turned away.
pub(crate) fn limited(limit: Limit) {
    let limit = match limit {
        Limit::Messages => "messages",
        Limit::Malformed => "malformed",
        Limit::SlowClient => "slow_client",
        Limit::Stalled => "stalled",
        Limit::JoinTimeout => "join_timeout",
    };
    counter!(RATELIMIT_REJECTED, "limit" => limit).increment(1);
}

/// Figures of signalling.
pub(crate) mod signaling {
    use metrics::Counter;

    use super::{
        Direction, Duration, SIGNALING_CLOSED, SIGNALING_CONNECTIONS, SIGNALING_HANDSHAKE,
        SIGNALING_MESSAGES, SIGNALING_REFUSED, SIGNALING_REQUESTS, counter, gauge, histogram,
    };

    /// One open WebSocket, as long as this lives, with the counters that each of its frames needs:
    /// to look them up by their labels would cost more than to count.
    pub(crate) struct Connection {
        taken: Counter,
        sent: Counter,
        pings: Counter,
    }

    impl Connection {
        pub(crate) fn open() -> Self {
            gauge!(SIGNALING_CONNECTIONS).increment(1.0);
            let frames = |direction| counter!(SIGNALING_MESSAGES, "direction" => direction);
            Self {
                taken: frames("in"),
                sent: frames("out"),
                pings: counter!(SIGNALING_REQUESTS, "method" => "ping"),
            }
        }

        pub(crate) fn frames(&self, direction: Direction, count: usize) {
            if count > 0 {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                match direction {
                    Direction::In => self.taken.increment(count),
                    Direction::Out => self.sent.increment(count),
                }
            }
        }

        pub(crate) fn pinged(&self) {
            self.pings.increment(1);
        }
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            gauge!(SIGNALING_CONNECTIONS).decrement(1.0);
        }
    }

    pub(crate) fn request(method: &'static str) {
        counter!(SIGNALING_REQUESTS, "method" => method).increment(1);
    }

    pub(crate) fn joined(took: Duration) {
        histogram!(SIGNALING_HANDSHAKE).record(took);
    }

    pub(crate) fn refused(error: ::signaling::ErrorType) {
        counter!(SIGNALING_REFUSED, "type" => error.word()).increment(1);
    }

    pub(crate) fn closed(reason: String) {
        counter!(SIGNALING_CLOSED, "reason" => reason).increment(1);
    }
}
