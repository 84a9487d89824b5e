//! The real binary, which cargo has built beside this test.
#![allow(unreachable_pub, reason = "what is public is for the test file")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often a starting server is asked, and for how long.
const TRIES: u32 = 400;
const TRY: Duration = Duration::from_millis(50);

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    http: u16,
    admin: u16,
    media: u16,
    _data: tempfile::TempDir,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The first of two neighbouring UDP ports that are free.
fn free_media_port() -> u16 {
    loop {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let next = port
            .checked_add(1)
            .map(|next| UdpSocket::bind(("127.0.0.1", next)));
        if next.is_some_and(|next| next.is_ok()) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join("troupe");
    let shown = binary.display();
    assert!(binary.exists(), "{shown} is missing: cargo build -p troupe");
    binary
}

impl Server {
    /// Starts `troupe serve --dev` on ports of its own and waits until it is ready.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let (http, admin, media) = (free_port(), free_port(), free_media_port());
        let data = tempfile::tempdir().unwrap();
        let child = Command::new(binary())
            .args(["serve", "--dev"])
            .current_dir(data.path())
            .env("TROUPE_HTTP__LISTEN", format!("127.0.0.1:{http}"))
            .env("TROUPE_ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .env("TROUPE_WEBRTC__PORT", media.to_string())
            .env("TROUPE_WEBRTC__TCP_PORT", media.to_string())
            .env("TROUPE_WEBRTC__SHARDS", "2")
            .env("TROUPE_LOG__FILTER", "warn")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            http,
            admin,
            media,
            _data: data,
        };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&mut self) {
        // A connection is waited for, and an answer too: nothing sleeps here but the kernel.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(TRY)).unwrap();
        for _ in 0..TRIES {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended at its start: {ended:?}");
            if self.is_ready().unwrap_or(false) {
                return;
            }
            let _ = socket.recv(&mut [0]);
        }
        panic!("the server is not ready");
    }

    fn is_ready(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.contains(" 200 "))
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    pub fn metrics(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.admin)
    }

    pub fn media(&self) -> u16 {
        self.media
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
