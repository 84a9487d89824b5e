//! The addresses between which a transport's datagrams travel.

use std::net::SocketAddr;

/// What carries the datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP with the framing of RFC 4571, the server being the passive side (RFC 6544).
    Tcp,
}

/// One way between us and a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Our address, as the datagram was sent to.
    pub local: SocketAddr,
    /// The client's address, as seen from here.
    pub remote: SocketAddr,
    /// What carries it.
    pub protocol: Protocol,
}

/// An address at which we can be reached: a host candidate (RFC 8445, section 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CandidateAddr {
    /// The address.
    pub addr: SocketAddr,
    /// What it takes.
    pub protocol: Protocol,
}

impl From<Protocol> for str0m::net::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Udp => Self::Udp,
            Protocol::Tcp => Self::Tcp,
        }
    }
}

impl From<str0m::net::Protocol> for Protocol {
    fn from(protocol: str0m::net::Protocol) -> Self {
        match protocol {
            str0m::net::Protocol::Udp => Self::Udp,
            str0m::net::Protocol::Tcp
            | str0m::net::Protocol::SslTcp
            | str0m::net::Protocol::Tls => Self::Tcp,
        }
    }
}
