//! Light clients for tests and load: signalling over a real WebSocket, media over a real socket.
//!
//! A [`Bot`] joins a room, publishes synthetic Opus and VP8, shows what its slots get, and counts.
//! Its WebRTC is stock str0m, so that it shares no packet code with the server.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use loadtest::{Bot, Plan};
//! let mut bot = Bot::join("ws://127.0.0.1:8080/v1/signal", "TOKEN").await?;
//! bot.open_media(Plan { publish: true, slots: 1 }).await?;
//! bot.run_for(std::time::Duration::from_secs(5)).await?;
//! println!("{:?}", bot.received());
//! bot.leave().await
//! # }
//! ```
//!
//! [`network`] is a bad network: the simulation runs on it in virtual time, and [`Shaper`] puts it
//! between real clients and a server.
#![forbid(unsafe_code)]

mod bot;
pub mod clock;
mod histogram;
pub mod light;
mod media;
pub mod network;
pub mod pattern;
pub mod players;
pub mod report;
pub mod run;
pub mod scenario;
mod shaper;
mod signalling;
pub mod trend;
pub mod verdict;
pub mod websocket;

pub use bot::Bot;
pub use histogram::Histogram;
pub use media::{Media, Plan, Received};
pub use shaper::{DirectionReport, FlowReport, Shaper, ShaperConfig, ShaperReport};
pub use signalling::{RequestError, Signalling};
