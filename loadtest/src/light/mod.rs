//! Light WebRTC clients: thousands in a process, each with ICE, DTLS and SRTP of its own.
//!
//! A client of stock str0m costs half a megabyte and parses all that comes. A light one keeps a
//! check, a handshake and its keys; it counts every packet by its header, which SRTP leaves in
//! clear, and opens a sample: frame starts, repairs, control packets, and one of so many others. It
//! answers as a browser does: transport-wide feedback, receiver reports, NACK, PLI.
//!
//! An [`Engine`] runs them on a few threads, a UDP port for each, because that is what a server
//! tells clients apart by.

mod answer;
mod client;
mod engine;
mod figures;
mod handshake;
mod offer;
mod publish;
mod reply;
mod stream;
mod stun;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use media_types::Codec;

use crate::pattern::Pattern;

pub use engine::{ClientId, Engine};
pub use figures::{Figures, Record, StreamFigures};

/// What one client sends and receives.
#[derive(Debug, Clone, Default)]
pub struct ClientPlan {
    /// Sound that it publishes.
    pub audio: Option<Arc<Pattern>>,
    /// Pictures that it publishes: one, or the layers of a simulcast, lowest first.
    pub video: Vec<Arc<Pattern>>,
    /// Sounds that it can play at one time.
    pub audio_slots: usize,
    /// Pictures that it can show at one time.
    pub video_slots: usize,
    /// Codecs of pictures that it can show.
    pub codecs: Vec<Codec>,
}

/// How all clients of an engine behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Between two feedbacks about what came. Browsers take 50 ms at such rates.
    pub feedback: Duration,
    /// Between two receiver reports.
    pub report: Duration,
    /// Whether lost pictures' packets are asked for again.
    pub nack: bool,
    /// Of the packets that begin no frame, one of so many is decrypted; 1: all.
    pub open_every: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            feedback: Duration::from_millis(50),
            report: Duration::from_secs(1),
            nack: true,
            open_every: 50,
        }
    }
}
