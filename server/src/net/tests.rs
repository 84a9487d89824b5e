use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn machine() -> Vec<IpAddr> {
    [
        "127.0.0.1",
        "::1",
        "10.0.0.5",
        "169.254.3.4",
        "fe80::1",
        "2001:db8::5",
    ]
    .map(ip)
    .to_vec()
}

#[test]
fn interfaces_are_announced_without_loopback_and_link_local() {
    let settings = ReachSettings::default();
    let reach = Reach::new(ip("0.0.0.0"), &machine(), &settings);
    assert_eq!(reach.announced(), [ip("10.0.0.5")]);
    let both = Reach::new(ip("::"), &machine(), &settings);
    assert_eq!(both.announced(), [ip("10.0.0.5"), ip("2001:db8::5")]);
    let candidates = reach.candidates(7_801, Some(7_800));
    let expected = [
        (SocketAddr::new(ip("10.0.0.5"), 7_801), Protocol::Udp),
        (SocketAddr::new(ip("10.0.0.5"), 7_800), Protocol::Tcp),
    ];
    assert_eq!(candidates.len(), 2);
    for (candidate, (addr, protocol)) in candidates.iter().zip(expected) {
        assert_eq!((candidate.addr, candidate.protocol), (addr, protocol));
    }
}

#[test]
fn development_announces_the_loopback_too() {
    let settings = ReachSettings {
        loopback: true,
        only_this_machine: true,
        ..ReachSettings::default()
    };
    let reach = Reach::new(ip("0.0.0.0"), &machine(), &settings);
    assert_eq!(reach.announced(), [ip("10.0.0.5"), ip("127.0.0.1")]);
    assert!(reach.admits(ip("127.0.0.1"), None));
    assert!(reach.admits(ip("10.0.0.5"), Some(ip("10.0.0.5"))));
    assert!(reach.admits(ip("10.9.9.9"), Some(ip("10.9.9.9"))));
    assert!(!reach.admits(ip("10.0.0.6"), Some(ip("10.0.0.5"))));
}

#[test]
fn a_machine_with_nothing_but_loopback_announces_it() {
    let reach = Reach::new(ip("0.0.0.0"), &[ip("127.0.0.1")], &ReachSettings::default());
    assert_eq!(reach.announced(), [ip("127.0.0.1")]);
    assert_eq!(reach.source(ip("127.0.0.1")), Some(ip("127.0.0.1")));
}

#[test]
fn a_bound_address_is_the_only_one() {
    let reach = Reach::new(ip("10.0.0.5"), &machine(), &ReachSettings::default());
    assert_eq!(reach.announced(), [ip("10.0.0.5")]);
    assert_eq!(reach.local(None), ip("10.0.0.5"));
    assert_eq!(reach.source(ip("10.0.0.5")), None);
}

#[test]
fn translated_addresses_map_to_their_public_one() {
    let settings = ReachSettings {
        public: vec![ip("198.51.100.7"), ip("2001:db8::99")],
        ..ReachSettings::default()
    };
    let reach = Reach::new(ip("::"), &machine(), &settings);
    assert_eq!(reach.local(Some(ip("10.0.0.5"))), ip("198.51.100.7"));
    assert_eq!(reach.local(Some(ip("::ffff:10.0.0.5"))), ip("198.51.100.7"));
    assert_eq!(reach.local(Some(ip("2001:db8::5"))), ip("2001:db8::99"));
    assert_eq!(reach.source(ip("198.51.100.7")), None);
    let v4 = Reach::new(ip("0.0.0.0"), &machine(), &settings);
    assert_eq!(v4.announced(), [ip("198.51.100.7")]);
}

#[test]
fn this_machine_has_a_loopback() {
    assert!(interfaces().iter().any(IpAddr::is_loopback));
}
