//! QUIC with real sockets: RTMP and MoQ, clients that move, come back, or crowd.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

mod client;
mod feedback;
mod moq;
mod rtmp;
#[path = "../support/mod.rs"]
mod support;
