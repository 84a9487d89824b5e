//! A [`media_webrtc::Transport`] against stock str0m clients, in virtual time.

mod connect;
mod media;
mod publish;
mod subscribe;
mod support;
