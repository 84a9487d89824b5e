//! What the worker tells about itself: log lines and figures.

mod logs;
mod metrics;

pub use logs::start_logs;
pub(crate) use metrics::{Direction, Limit, http_request, limited, signaling};
pub use metrics::{Metrics, start_metrics};
