//! Every bound of this crate.

use std::time::Duration;

/// How long an operation may take before the store counts as away. Claims have 5 s in all, so
/// one that is lost in a fail-over of etcd (about 1 s by its defaults) can be made again in time.
pub(crate) const OPERATION_DEADLINE: Duration = Duration::from_secs(2);
/// How long a connection may take.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How often a silent connection is tried, and how long it may stay silent then: a watch on a
/// path that was cut ends after both together.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(3);
/// See [`KEEP_ALIVE_INTERVAL`].
pub(crate) const KEEP_ALIVE_DEADLINE: Duration = Duration::from_secs(2);
