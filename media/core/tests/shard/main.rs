//! Whole shards with stock str0m clients, in virtual time.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "tests pick what they look for"
)]

mod allocation;
mod audio;
mod commands;
mod connecting;
mod data;
mod dynacast;
mod forwarding;
mod live;
mod relay;
mod repair;
mod simulcast;
mod slots;
mod speakers;
mod succession;
#[path = "../support/mod.rs"]
mod support;
mod svc;
mod taps;
mod workers;
