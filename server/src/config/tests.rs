use std::path::Path;
use std::time::Duration;

use super::*;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = std::env::temp_dir().join(format!("troupe-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let thread = format!("{:?}", std::thread::current().id());
    let path = directory.join(thread.replace(['(', ')'], "_"));
    std::fs::write(&path, file).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let config = Config::load(&Sources {
        file: Some(path.clone()),
        environment: environment.iter().map(owned).collect(),
        ..Sources::default()
    });
    std::fs::remove_file(path).unwrap();
    config
}

const KEY: &str =
    "[auth]\nkeys = [{ name = \"a\", secret = \"0123456789abcdef0123456789abcdef\" }]\n";

#[test]
fn the_reference_file_states_the_defaults() {
    let reference: Config = toml::from_str(REFERENCE).unwrap();
    assert_eq!(reference, Config::default());
}

#[test]
fn the_reference_file_documents_every_key() {
    let defaults = serde_json::to_value(Config::default()).unwrap();
    for (section, keys) in defaults.as_object().unwrap() {
        let Some(keys) = keys.as_object() else {
            assert!(REFERENCE.contains(&format!("# [[{section}]]")), "{section}");
            continue;
        };
        let header = format!("[{section}]");
        let text = REFERENCE
            .split(&header)
            .nth(1)
            .expect("the section is there");
        let text = text.split("\n[").next().unwrap();
        for key in keys.keys() {
            let set = format!("\n{key} =");
            let absent = format!("\n# {key} =");
            // A table of its own below the section.
            let table = format!("[{section}.{key}]");
            assert!(
                text.contains(&set) || text.contains(&absent) || REFERENCE.contains(&table),
                "{section}.{key}"
            );
        }
    }
}

#[test]
fn dev_needs_nothing_and_lan_opens_it() {
    let dev = Sources {
        dev: true,
        ..Sources::default()
    };
    let config = Config::load(&dev).unwrap();
    assert!(config.dev && config.http.listen.ip().is_loopback());
    assert_eq!(config.auth.keys[0].name, DEV_KEY);
    let secret = config.auth.keys[0].secret.as_ref().unwrap();
    assert_eq!(secret.expose(), DEV_SECRET);
    let lan = Config::load(&Sources { lan: true, ..dev }).unwrap();
    assert!(lan.lan && lan.http.listen.ip().is_unspecified());
}

#[test]
fn without_dev_a_secret_is_needed() {
    let refused = |text: &str| load(text, &[]).unwrap_err().key;
    assert_eq!(refused(""), "auth.keys");
    let key = |secret: &str| format!("[auth]\nkeys = [{{ name = \"a\", secret = \"{secret}\" }}]");
    let error = load(&key(DEV_SECRET), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: auth.keys[0].secret: is the secret of --dev, which everybody knows"
    );
    assert_eq!(refused(&key("short")), "auth.keys[0].secret");
    let public = "[auth]\nkeys = [{ name = \"a\", algorithm = \"eddsa\", public_key = \"x\" }]";
    assert_eq!(refused(public), "auth.cluster_key");
    assert!(load(KEY, &[]).is_ok());
}

#[test]
fn an_error_names_file_line_and_key() {
    let check = |text: &str| {
        let error = Config::check_text(text, Path::new("t.toml")).unwrap_err();
        (error.origin.to_string(), error.key, error.problem)
    };
    let (origin, key, problem) = check("[http]\nworkers = 2\nlisten = \"nowhere\"\n");
    assert_eq!((origin.as_str(), key.as_str()), ("t.toml:3", "http.listen"));
    assert!(problem.contains("socket address"), "{problem}");
    let (origin, key, problem) = check("\n[session]\nresume_windov = \"1s\"\n");
    assert_eq!(
        (origin.as_str(), key.as_str()),
        ("t.toml:3", "session.resume_windov")
    );
    assert!(problem.contains("unknown field"), "{problem}");
    let (origin, key, _) = check("[session]\nresume_window = \"1 second\"\n");
    assert_eq!(
        (origin.as_str(), key.as_str()),
        ("t.toml:2", "session.resume_window")
    );
    let (origin, _, _) = check("[http\n");
    assert_eq!(origin, "t.toml:1");
    let (origin, key, _) = check("[nonsense]\na = 1\n");
    assert_eq!((origin.as_str(), key.as_str()), ("t.toml:1", "nonsense"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = format!("{KEY}[session]\nresume_window = \"3s\"\n");
    let environment = [
        ("TROUPE_SESSION__RESUME_WINDOW", "9s"),
        ("TROUPE_HTTP__LISTEN", "127.0.0.1:1234"),
        ("TROUPE_HTTP__REQUIRE_TLS", "true"),
        ("TROUPE_WEBRTC__PUBLIC_ADDRESSES", "192.0.2.1, 2001:db8::1"),
        ("TROUPE_WEBRTC__SHARDS", "3"),
        ("TROUPE_CLUSTER__REGION", "7"),
        ("TROUPE_LOG", "not ours"),
        ("PATH", "/bin"),
    ];
    let config = load(&file, &environment).unwrap();
    assert_eq!(config.session.resume_window, Duration::from_secs(9));
    assert_eq!(config.http.listen.port(), 1234);
    assert!(config.http.require_tls);
    assert_eq!(config.webrtc.public_addresses.len(), 2);
    assert_eq!(config.webrtc.shards, 3);
    assert_eq!(config.cluster.region, "7");
    let error = load(KEY, &[("TROUPE_WEBRTC__SHARDS", "many")]).unwrap_err();
    assert_eq!(error.key, "webrtc.shards");
    assert_eq!(
        error.origin,
        Origin::Environment("TROUPE_WEBRTC__SHARDS".to_owned())
    );
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |text: &str| load(&format!("{KEY}{text}"), &[]).unwrap_err().key;
    assert_eq!(
        refused("[http]\ntls_key = \"k.pem\""),
        "http.tls_certificate"
    );
    assert_eq!(
        refused("[admin]\ntls_certificate = \"c.pem\""),
        "admin.tls_key"
    );
    let both = "[admin]\ntls_certificate = \"c.pem\"\ntls_key = \"k.pem\"";
    let plain = format!("{both}\npublic_url = \"http://a.example\"");
    assert_eq!(refused(&plain), "admin.public_url");
    assert!(load(&format!("{KEY}{both}"), &[]).is_ok());
    assert_eq!(refused("[http]\nworkers = 0"), "http.workers");
    let hook = |url: &str, key: &str| format!("[[webhooks]]\nurl = \"{url}\"\nkey = \"{key}\"\n");
    let key = "0123456789abcdef";
    let [a, b] = ["https://a", "https://a/b"].map(|url| hook(url, key));
    assert!(load(&format!("{KEY}{a}{b}"), &[]).is_ok());
    let other_key = hook("https://a", "0123456789abcdefg");
    assert_eq!(refused(&format!("{a}{b}{other_key}")), "webhooks[2]");
    assert_eq!(refused(&hook("https://a", "short")), "webhooks[0]");
    assert_eq!(refused("[webrtc]\nport = 65535\nshards = 8"), "webrtc.port");
}

#[test]
fn the_schema_describes_every_section() {
    let schema = schema();
    for section in ["http", "auth", "webrtc", "room", "session", "log"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}

#[test]
fn the_admin_listener_is_found_by_its_scheme() {
    let mut admin = AdminConfig::default();
    let both = |admin: &AdminConfig| (admin.url(), admin.local_url());
    let of = |url: &str, local: &str| (url.to_owned(), local.to_owned());
    let plain = "http://127.0.0.1:9090";
    assert_eq!(both(&admin), of(plain, plain));
    assert!(!admin.is_open_and_plain());
    admin.listen = "0.0.0.0:9090".parse().unwrap();
    assert!(admin.is_open_and_plain());
    admin.tls_certificate = Some("c.pem".into());
    assert!(!admin.is_open_and_plain());
    assert_eq!(
        both(&admin),
        of("https://0.0.0.0:9090", "https://localhost:9090")
    );
    let public = "https://a.example:9090";
    admin.public_url = Some(public.to_owned());
    assert_eq!(both(&admin), of(public, public));
    admin.tls_certificate = None;
    assert_eq!(both(&admin), of(public, "http://0.0.0.0:9090"));
}
