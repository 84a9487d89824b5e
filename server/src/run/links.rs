//! Links to other workers, where the settings want them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_rt::Arbiter;
use actors::{ClusterLink, NoCluster, System};
use media_core::RelayMessage;
use tokio::sync::watch;

use super::foundation::Foundation;
use super::media::Media;
use super::{RunError, opening};
use crate::cluster::{self, ClusterIdentity, ClusterSocket, Hears, Post, Roster};
use crate::config::Config;
use crate::net::interfaces;
use crate::shard::far::FarEnds;

/// The port of the relay, bound, and what goes by it.
pub(super) struct Links {
    socket: ClusterSocket,
    identity: ClusterIdentity,
    ends: FarEnds<RelayMessage>,
    post: Post,
}

/// What others need of the port: where it is found, and the box for letters.
pub(super) struct Bound {
    pub(super) advertised: Vec<String>,
    pub(super) letters: Arc<dyn ClusterLink>,
}

impl Default for Bound {
    fn default() -> Self {
        Self {
            advertised: Vec::new(),
            letters: Arc::new(NoCluster),
        }
    }
}

impl Links {
    /// Binds the port, and tells where other workers find it; nothing where the settings want none.
    pub(super) fn bind(
        config: &Config,
        media: &mut Media,
    ) -> Result<(Option<Self>, Bound), RunError> {
        let Some(address) = config.cluster.listen else {
            return Ok((None, Bound::default()));
        };
        let identity = ClusterIdentity::from_config(&config.cluster.tls)?;
        let unavailable = || opening("the port of the relay between workers");
        let socket = ClusterSocket::bind(address).map_err(unavailable())?;
        let bound = socket.address().map_err(unavailable())?;
        let (letters, post) = cluster::open_post();
        let links = Self {
            socket,
            identity,
            ends: media.open_far(),
            post,
        };
        let advertised = advertised(&config.cluster.advertise, bound, &interfaces());
        let bound = Bound {
            advertised,
            letters: Arc::new(letters),
        };
        Ok((Some(links), bound))
    }

    /// Starts the thread of the links and follows the list of workers.
    fn start(self, foundation: &Foundation, system: &System, arbiter: &Arbiter) -> io::Result<()> {
        let roster = watch::Sender::new(Roster::new());
        let clock = Arc::clone(&foundation.clock);
        let told = roster.subscribe();
        let post = (self.post, Box::new(system.clone()) as Box<dyn Hears>);
        self.socket
            .start(foundation.id, self.identity, clock, self.ends, told, post)?;
        arbiter.spawn(cluster::follow(Arc::clone(&foundation.store), roster));
        Ok(())
    }
}

/// Starts them, where the settings want any.
pub(super) fn start(
    links: Option<Links>,
    foundation: &Foundation,
    system: &System,
    arbiter: &Arbiter,
) -> Result<(), RunError> {
    let started = links.map_or(Ok(()), |links| links.start(foundation, system, arbiter));
    started.map_err(opening("the thread of links to other workers"))
}

/// What the settings say, or every address that the port is bound to; that of the machine itself
/// only where there is no other.
fn advertised(settings: &[String], bound: SocketAddr, interfaces: &[IpAddr]) -> Vec<String> {
    if !settings.is_empty() {
        return settings.to_vec();
    }
    if !bound.ip().is_unspecified() {
        return vec![bound.to_string()];
    }
    let of = |ip: &IpAddr| SocketAddr::new(*ip, bound.port()).to_string();
    let family = |ip: &&IpAddr| bound.is_ipv6() || ip.is_ipv4();
    let (own, others): (Vec<_>, Vec<_>) = interfaces
        .iter()
        .filter(family)
        .partition(|ip| ip.is_loopback());
    let list = if others.is_empty() { own } else { others };
    list.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_is_advertised_unless_the_settings_say_otherwise() {
        let interfaces = ["127.0.0.1", "10.0.0.7", "::1", "fd00::7"].map(|ip| ip.parse().unwrap());
        let any: SocketAddr = "0.0.0.0:7946".parse().unwrap();
        assert_eq!(advertised(&[], any, &interfaces), ["10.0.0.7:7946"]);
        assert_eq!(advertised(&[], any, &interfaces[..1]), ["127.0.0.1:7946"]);
        let both: SocketAddr = "[::]:7946".parse().unwrap();
        let expected = ["10.0.0.7:7946", "[fd00::7]:7946"];
        assert_eq!(advertised(&[], both, &interfaces), expected);
        let one: SocketAddr = "10.0.0.7:99".parse().unwrap();
        assert_eq!(advertised(&[], one, &interfaces), ["10.0.0.7:99"]);
        let nat = ["relay.example:7946".to_owned()];
        assert_eq!(advertised(&nat, any, &interfaces), nat);
    }
}
