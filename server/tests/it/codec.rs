//! The codec process as seen from outside the server: an encoder with B-frames by RTMP, a browser's
//! protocol at the other end, and the real processes between them.

mod delay;
mod requests;
mod source;
mod viewer;

use std::time::Duration;

/// Waits that are never reached where all is well.
const LONG: Duration = Duration::from_secs(30);
/// What is aimed at fails at five times as much: other tests run beside this one.
const SLACK: u32 = 5;
