//! What keeps a worker from starting is named, with a code of its own.

use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output};

pub(crate) fn troupe(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    // What a worker keeps is kept there, and two never share it.
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(arguments)
        .current_dir(folder.path())
        .env("TROUPE_HTTP__LISTEN", "127.0.0.1:0")
        .env("TROUPE_ADMIN__LISTEN", "127.0.0.1:0")
        .env("TROUPE_WEBRTC__PORT", "0")
        .env("TROUPE_WEBRTC__TCP_PORT", "0")
        .env("TROUPE_CLUSTER__STORE", "memory")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn failed(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.starts_with("troupe: "));
    (output.status.code(), line.unwrap_or_default().to_owned())
}

#[test]
fn without_a_key_it_says_which_setting_is_missing() {
    let (code, line) = failed(&troupe(&["serve"], &[]));
    assert_eq!(code, Some(78));
    assert!(line.contains("auth.keys"), "{line}");
}

#[test]
fn the_development_secret_is_refused_elsewhere() {
    let keys = (
        "TROUPE_AUTH__KEYS",
        r#"[{ name = "devkey", secret = "devsecret" }]"#,
    );
    let (code, line) = failed(&troupe(&["serve"], &[keys]));
    assert_eq!(code, Some(78));
    assert!(line.contains("auth.keys[0].secret"), "{line}");
}

#[test]
fn an_unknown_setting_is_named() {
    let (code, line) = failed(&troupe(&["serve", "--dev", "--set", "http.wrokers=2"], &[]));
    assert_eq!(code, Some(78));
    assert!(line.contains("http.wrokers"), "{line}");
}

#[test]
fn a_taken_port_is_named() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port().to_string();
    let media = [
        ("TROUPE_WEBRTC__PORT", port.as_str()),
        ("TROUPE_WEBRTC__SHARDS", "1"),
    ];
    let (code, line) = failed(&troupe(&["serve", "--dev"], &media));
    assert_eq!(code, Some(69));
    assert!(
        line.contains("media ports") && line.contains(&port),
        "{line}"
    );

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let http = [("TROUPE_HTTP__LISTEN", address.as_str())];
    let (code, line) = failed(&troupe(&["serve", "--dev"], &http));
    assert_eq!(code, Some(69));
    assert!(line.contains("HTTP listeners"), "{line}");
}

#[test]
fn a_token_is_printed_and_nothing_else() {
    let arguments = ["token", "--dev", "--room", "r", "--identity", "ana"];
    let output = troupe(&arguments, &[]);
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = text.trim_end().split('.').collect();
    assert_eq!((parts.len(), text.lines().count()), (3, 1), "{text}");
}

#[test]
fn the_default_settings_are_good() {
    let output = troupe(&["config", "default"], &[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), output.stdout).unwrap();
    let path = file.path().to_str().unwrap();
    assert!(troupe(&["config", "check", path], &[]).status.success());
    std::fs::write(file.path(), "[http]\nworkers = \"many\"\n").unwrap();
    let (code, line) = failed(&troupe(&["config", "check", path], &[]));
    assert_eq!(code, Some(78));
    assert!(line.contains(":2: http.workers"), "{line}");
    let schema = troupe(&["config", "schema"], &[]).stdout;
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    assert!(schema["properties"]["webrtc"].is_object());
}
