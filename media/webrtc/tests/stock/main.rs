//! A [`media_webrtc::Transport`] against stock str0m clients, in virtual time.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "tests look for one event among many"
)]

mod codecs;
mod connect;
mod media;
mod probing;
mod publish;
mod repair;
mod sound;
mod subscribe;
mod support;
