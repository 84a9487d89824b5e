//! Send-side bandwidth: what was sent when, what the path can carry, and when to send.
//!
//! [`GccEstimator`] turns transport-wide feedback, receiver reports and REMB into one [`Bitrate`];
//! [`SentHistory`] remembers what feedback will speak about; [`Pacer`] lets packets out at a rate
//! and in order of urgency. All three are driven by their owner's clock and do no I/O. They know
//! nothing of RTP: packets are sizes and numbers here.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use media_bwe::{Pacer, Priority};
//! use media_types::{Bitrate, DataSize};
//!
//! # #[allow(clippy::disallowed_methods, reason = "an example has no other clock")]
//! let now = Instant::now();
//! let mut pacer = Pacer::new(now, Bitrate::from_kbps(1_000), 64);
//! pacer.push(now, Priority::Video, DataSize::from_bytes(1_200), "picture");
//! pacer.push(now, Priority::Audio, DataSize::from_bytes(100), "voice");
//! assert_eq!(pacer.pop(now), Some("voice"));
//! assert_eq!(pacer.pop(now), Some("picture"));
//! ```
//!
//! [`Bitrate`]: media_types::Bitrate
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

mod acked;
mod aimd;
mod arrival_group;
mod capacity;
mod delay;
mod estimator;
mod feedback;
mod figures;
mod history;
mod idle;
mod limits;
mod loss;
mod number;
mod overuse;
mod pacer;
mod probe;
mod receive;
mod trendline;

pub use aimd::RateState;
pub use estimator::{EstimatorConfig, GccEstimator};
pub use feedback::{PacketReport, PacketResult};
pub use figures::{EstimatorFigures, ProbeFigures};
pub use history::SentHistory;
pub use overuse::Usage;
pub use pacer::{Departure, PACING_TICK, Pacer, Priority};
pub use probe::{ProbeCluster, ProbeId};
pub use receive::{ReceiveEstimator, SendTime};

/// The former name of [`GccEstimator`].
pub type Estimator = GccEstimator;
