//! A bad network, seeded: one model for the simulation's virtual time and for real sockets.
//!
//! [`Model`] is pure: it is told when a datagram of what size comes and says when it arrives, or
//! why it does not. [`Pipe`] keeps datagrams until then. [`Trace`] is what a direction does over
//! time; [`Script`] reads it from a file; [`Figures`] and [`Meter`] are what a report is made of.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use loadtest::network::{Chance, Link, Pipe};
//! use media_types::Bitrate;
//!
//! # #[allow(clippy::disallowed_methods, reason = "an example has no other clock")]
//! let start = Instant::now();
//! let link = Link { rate: Some(Bitrate::from_kbps(80)), ..Link::default() };
//! let mut pipe = Pipe::new(start, link, Chance::new(7, 0));
//! pipe.push(start, 100, "hello");
//! // 10 ms at 80 kb/s and 5 ms on the way.
//! assert_eq!(pipe.next(), Some(start + Duration::from_millis(15)));
//! ```

mod chance;
mod link;
mod meter;
mod model;
mod pipe;
mod script;

pub use chance::Chance;
pub use link::{Burst, Link, Queue, Trace};
pub use meter::{Meter, SERIES_STEP};
pub use model::{Cause, Fate, Model};
pub use pipe::{Figures, Pipe};
pub use script::{Script, ScriptError};
