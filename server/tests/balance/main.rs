//! Rooms that move by themselves: real workers on a real etcd, under a load that clients make.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

mod arrival;
#[path = "../support/etcd.rs"]
mod etcd;
#[path = "../support/follower.rs"]
mod follower;
#[path = "../support/member.rs"]
mod member;
mod news;
mod overload;
mod path;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(30);
