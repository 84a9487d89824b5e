//! What the worker tells about itself: log lines and figures.

mod logs;
mod metrics;
mod process;
pub mod traces;

pub use logs::start_logs;
pub(crate) use logs::{check_log_filter, set_log_filter};
pub(crate) use metrics::{
    AUDIT_BROKEN, AUDIT_ENTRIES, AUDIT_LOST, BREAKER_OPEN, BREAKER_OPENED, CONFIG_REFUSED,
    Direction, EVENTS, EVENTS_UNSAVED, HTTP_CONNECTIONS, Limit, RATELIMIT_REJECTED,
    RATELIMIT_SHARE, TLS_RELOADS, WEBHOOK_DELIVERIES, WEBHOOK_LAG, WEBHOOK_LOST, WEBHOOK_WAITS,
    http_request, limited, signaling,
};
pub use metrics::{Metrics, start_metrics};
