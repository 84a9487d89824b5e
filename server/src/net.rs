//! Which addresses we are reached at, and which of ours a datagram belongs to.

use std::net::{IpAddr, SocketAddr};

use media_webrtc::{CandidateAddr, Protocol};

use crate::limits::ADDRESSES_MAX;

/// Our addresses as one worker's sockets see them. Made once at start; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    bind: IpAddr,
    announced: Vec<IpAddr>,
    own: Vec<IpAddr>,
    only_this_machine: bool,
}

/// What decides about a [`Reach`].
#[derive(Debug, Clone, Default)]
pub struct ReachSettings {
    /// Addresses at which clients reach us; empty: those of the interfaces.
    pub public: Vec<IpAddr>,
    /// Whether the loopback address is announced too.
    pub loopback: bool,
    /// Whether clients of other machines are refused.
    pub only_this_machine: bool,
}

impl Reach {
    /// Decides which addresses are announced, given what the machine's interfaces have.
    #[must_use]
    pub fn new(bind: IpAddr, interfaces: &[IpAddr], settings: &ReachSettings) -> Self {
        let takes = |address: &IpAddr| bind.is_ipv6() || address.is_ipv4();
        let bound = |address: &IpAddr| bind.is_unspecified() || bind == *address;
        let usable = |address: &&IpAddr| takes(address) && bound(address) && is_global(address);
        let mut announced: Vec<IpAddr> = if settings.public.is_empty() {
            interfaces.iter().filter(usable).copied().collect()
        } else {
            settings.public.iter().copied().filter(takes).collect()
        };
        let loopbacks = interfaces.iter().filter(|a| a.is_loopback());
        if settings.loopback || announced.is_empty() {
            announced.extend(loopbacks.filter(|a| takes(a) && bound(a)));
        }
        announced.truncate(ADDRESSES_MAX);
        Self {
            bind,
            announced,
            own: interfaces.to_vec(),
            only_this_machine: settings.only_this_machine,
        }
    }

    /// The addresses that clients are told.
    #[must_use]
    pub fn announced(&self) -> &[IpAddr] {
        &self.announced
    }

    /// The host candidates of a shard: UDP at its own port and, if there is one, the TCP port.
    #[must_use]
    pub fn candidates(&self, udp_port: u16, tcp_port: Option<u16>) -> Vec<CandidateAddr> {
        let at = |port: u16, protocol: Protocol| {
            self.announced.iter().map(move |&ip| CandidateAddr {
                addr: SocketAddr::new(ip, port),
                protocol,
            })
        };
        let tcp = tcp_port.into_iter().flat_map(|p| at(p, Protocol::Tcp));
        at(udp_port, Protocol::Udp).chain(tcp).collect()
    }

    /// Our candidate that a datagram for `destination` came to. Behind a one-to-one translation the
    /// destination is private and the candidate is the public address of the same family.
    #[must_use]
    pub fn local(&self, destination: Option<IpAddr>) -> IpAddr {
        let destination = destination.map_or(self.bind, |ip| ip.to_canonical());
        if self.announced.contains(&destination) {
            return destination;
        }
        let family = |ip: &&IpAddr| ip.is_ipv4() == destination.is_ipv4();
        let candidate = self.announced.iter().find(family);
        candidate.copied().unwrap_or(destination)
    }

    /// The source address to give the kernel for a datagram that leaves from `local`: none where
    /// the socket has one address anyway, or where `local` is translated on its way.
    #[must_use]
    pub fn source(&self, local: IpAddr) -> Option<IpAddr> {
        (self.bind.is_unspecified() && self.own.contains(&local)).then_some(local)
    }

    /// Whether a client may talk to us at all.
    #[must_use]
    pub fn admits(&self, remote: IpAddr, destination: Option<IpAddr>) -> bool {
        if !self.only_this_machine {
            return true;
        }
        let remote = remote.to_canonical();
        // An address that appeared after the start talks to itself.
        let itself = destination.is_some_and(|ip| ip.to_canonical() == remote);
        remote.is_loopback() || itself || self.own.contains(&remote)
    }
}

/// Whether other machines can reach the address without a zone.
fn is_global(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !address.is_loopback() && !link_local
}

/// The addresses of this machine's interfaces, in the system's order.
#[must_use]
pub fn interfaces() -> Vec<IpAddr> {
    let listed = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = listed.iter().map(if_addrs::Interface::ip).collect();
    // A machine that cannot list them still has its loopback.
    if addresses.is_empty() {
        addresses.push(std::net::Ipv4Addr::LOCALHOST.into());
    }
    addresses
}

#[cfg(test)]
mod tests;
