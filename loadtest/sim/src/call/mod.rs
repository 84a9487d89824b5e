//! Calls whose quality is measured: light clients on shared bottlenecks.
//!
//! The stock clients of [`crate::World`] prove that others understand us. The light clients here
//! behave as a browser's receiver does, but repeat themselves from run to run, cost a tenth, and
//! tell everything that a viewer would see.

mod caller;
mod ear;
mod hall;
mod offer;
mod repair;
mod screen;
mod source;
mod wire;

use std::time::Duration;

use media_types::Bitrate;

pub use caller::Caller;
pub use hall::{Guest, Hall, PipeId, Placed};
pub use screen::Picture;

/// What a light client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPlan {
    /// Publishes a camera in three layers and a microphone with redundancy.
    pub publish: bool,
    /// The rates of the camera's layers, lowest first.
    pub rates: [Bitrate; 3],
    /// Audio slots that it offers.
    pub audio_slots: usize,
    /// Video slots that it offers.
    pub video_slots: usize,
    /// What it takes the round trip for when it asks for repairs.
    pub rtt: Duration,
}

impl CallPlan {
    /// 320 × 180 at 150 kb/s, 640 × 360 at 500 kb/s, 1280 × 720 at 1,500 kb/s.
    pub const RATES: [Bitrate; 3] = [
        Bitrate::from_kbps(150),
        Bitrate::from_kbps(500),
        Bitrate::from_kbps(1_500),
    ];

    /// Publishes and watches nobody.
    #[must_use]
    pub const fn publisher() -> Self {
        Self {
            publish: true,
            rates: Self::RATES,
            audio_slots: 0,
            video_slots: 0,
            rtt: Duration::from_millis(40),
        }
    }

    /// Watches so many.
    #[must_use]
    pub const fn viewer(slots: usize) -> Self {
        Self {
            publish: false,
            audio_slots: slots,
            video_slots: slots,
            ..Self::publisher()
        }
    }
}
