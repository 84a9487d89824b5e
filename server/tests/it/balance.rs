//! Rooms that move by themselves: real workers on a real etcd, under a load that clients make.

mod arrival;
mod news;
mod overload;
mod path;

use std::time::Duration;

/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(30);
