//! The server as others see it: real processes, real sockets, a real store. One program for all, so
//! that what they share is linked once.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

mod balance;
mod cluster;
mod codec;
mod connections;
mod drain;
mod exit;
mod ice_tcp;
mod leak;
mod operations;
mod parts;
mod quic;
mod recordings;
mod store;
mod storm;
mod support;
mod switches;
mod tls;
mod traces;
mod webhooks;
