//! Deterministic simulation of whole rooms on one thread.
#![forbid(unsafe_code)]

pub mod call;
mod client;
mod director;
mod dtls;
mod frames;
mod hops;
pub mod quality;
mod seed;
mod tape;
mod world;

pub use client::{Client, Plan, Shown};
pub use dtls::{scripted_provider, seed_keys};
pub use frames::Content;
pub use loadtest::network::{Burst, Chance, Figures, Link, Pipe, Queue, Trace};
pub use tape::Tape;
pub use world::{Member, World};
