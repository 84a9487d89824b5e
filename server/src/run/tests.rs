use super::media::shard_count;
use super::*;

#[test]
fn every_failure_has_its_code() {
    let failed = io::Error::from(io::ErrorKind::AddrInUse);
    assert_eq!(opening("a port")(failed).exit_code(), EXIT_UNAVAILABLE);
    assert_eq!(RunError::Failed.exit_code(), EXIT_FAILED);
    let key = ConfigError {
        origin: crate::config::Origin::Unset,
        key: "auth.keys".to_owned(),
        problem: "is missing".to_owned(),
    };
    assert_eq!(RunError::from(key).exit_code(), EXIT_SETTINGS);
}

#[test]
fn the_settings_number_of_shards_wins() {
    assert_eq!(shard_count(7), 7);
    assert!(shard_count(0) >= 1);
}

#[test]
fn signalling_is_found_at_the_public_url_or_the_first_address() {
    let interfaces = ["127.0.0.1", "10.0.0.5"].map(|ip| ip.parse().unwrap());
    let settings = ReachSettings::default();
    let reach = Reach::new([0, 0, 0, 0].into(), &interfaces, &settings);
    let mut config = Config::default();
    config.http.listen = "0.0.0.0:8080".parse().unwrap();
    let url = |config: &Config, tls| signalling_url(config, tls, &reach);
    assert_eq!(url(&config, false), "ws://10.0.0.5:8080/v1/signal");
    config.http.listen = "127.0.0.1:8443".parse().unwrap();
    assert_eq!(url(&config, true), "wss://127.0.0.1:8443/v1/signal");
    config.http.public_url = Some("https://http.example/".to_owned());
    assert_eq!(url(&config, false), "wss://http.example/v1/signal");
}
