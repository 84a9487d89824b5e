//! What a developer reads at start: the links to open.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::config::{DEV_KEY, DEV_SECRET};
use crate::net::Reach;

/// What the lines are made from.
#[derive(Debug)]
pub struct Banner<'a> {
    /// Where clients reach HTTP.
    pub clients: SocketAddr,
    /// Where operators reach HTTP.
    pub operators: SocketAddr,
    /// Whether clients speak HTTPS.
    pub tls: bool,
    /// Whether operators do.
    pub admin_tls: bool,
    /// Our addresses.
    pub reach: &'a Reach,
    /// The shards' UDP ports.
    pub udp: &'a [u16],
    /// The port of ICE over TCP.
    pub tcp: Option<u16>,
}

impl Banner<'_> {
    /// The text, ending in a line break.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "\n  Troupe {}, for development\n\n",
            env!("CARGO_PKG_VERSION")
        );
        for (index, url) in self.links().iter().enumerate() {
            let label = if index == 0 { "Open" } else { "" };
            line(&mut text, label, url);
        }
        let scheme = scheme(self.admin_tls);
        line(
            &mut text,
            "Operate",
            &format!("{scheme}://{}/", self.operators),
        );
        line(&mut text, "Media", &self.media());
        line(&mut text, "Keys", &format!("{DEV_KEY} / {DEV_SECRET}"));
        if self.tls {
            let hint = "the certificate is made at start: browsers warn once, and go on";
            line(&mut text, "", hint);
        }
        text.push_str("\n  Ctrl-C ends it.\n\n");
        text
    }

    /// The pages to open, the one for this machine first.
    fn links(&self) -> Vec<String> {
        let scheme = scheme(self.tls);
        let port = self.clients.port();
        let link = |host: &str| format!("{scheme}://{host}:{port}/");
        if !self.clients.ip().is_unspecified() {
            return vec![link(&host(self.clients.ip()))];
        }
        let others = self.reach.announced().iter().filter(|ip| !ip.is_loopback());
        let others = others.map(|&ip| link(&host(ip)));
        std::iter::once(link("localhost")).chain(others).collect()
    }

    fn media(&self) -> String {
        let mut text = match self.udp {
            [] => String::from("none"),
            [port] => format!("udp {port}"),
            [first, .., last] => format!("udp {first} to {last}"),
        };
        if let Some(port) = self.tcp {
            push(&mut text, format_args!(", tcp {port}"));
        }
        let addresses: Vec<String> = self.reach.announced().iter().copied().map(host).collect();
        push(&mut text, format_args!(" at {}", addresses.join(", ")));
        text
    }
}

const fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn line(text: &mut String, label: &str, value: &str) {
    push(text, format_args!("  {label:<9}{value}\n"));
}

fn push(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _written = text.write_fmt(words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ReachSettings;

    fn reach(bind: &str) -> Reach {
        let interfaces = ["127.0.0.1", "10.0.0.5"].map(|ip| ip.parse().unwrap());
        let settings = ReachSettings {
            loopback: true,
            ..ReachSettings::default()
        };
        Reach::new(bind.parse().unwrap(), &interfaces, &settings)
    }

    #[test]
    fn the_link_of_this_machine_comes_first() {
        let reach = reach("0.0.0.0");
        let mut banner = Banner {
            clients: "127.0.0.1:8080".parse().unwrap(),
            operators: "127.0.0.1:9090".parse().unwrap(),
            tls: false,
            admin_tls: false,
            reach: &reach,
            udp: &[7_800, 7_801],
            tcp: Some(7_800),
        };
        let text = banner.text();
        assert!(
            text.contains("  Open     http://127.0.0.1:8080/\n"),
            "{text}"
        );
        assert!(
            text.contains("  Operate  http://127.0.0.1:9090/\n"),
            "{text}"
        );
        let media = "  Media    udp 7800 to 7801, tcp 7800 at 10.0.0.5, 127.0.0.1\n";
        assert!(text.contains(media), "{text}");
        banner.clients = "0.0.0.0:8443".parse().unwrap();
        (banner.tls, banner.admin_tls) = (true, true);
        let links = "  Open     https://localhost:8443/\n           https://10.0.0.5:8443/\n";
        assert!(banner.text().contains(links), "{}", banner.text());
        let operate = "  Operate  https://127.0.0.1:9090/\n";
        assert!(banner.text().contains(operate), "{}", banner.text());
    }
}
