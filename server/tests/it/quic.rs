//! QUIC with real sockets: RTMP and MoQ, clients that move, come back, or crowd.

mod client;
mod feedback;
mod moq;
mod rtmp;
