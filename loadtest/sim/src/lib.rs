//! Deterministic simulation of whole rooms on one thread.
#![forbid(unsafe_code)]

mod dtls;
mod network;
mod seed;

pub use dtls::{scripted_provider, seed_keys};
pub use network::{Burst, Link, Pipe, PipeFigures};
pub use seed::Chance;
