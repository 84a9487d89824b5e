//! Somebody to post webhooks to.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

/// What a receiver prints.
pub(crate) struct Lines(BufReader<ChildStdout>);

impl Lines {
    /// The next attempt.
    pub(crate) fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// A receiver of webhooks in Python, which checks signatures by itself; killed when dropped.
pub(crate) struct Receiver {
    process: Child,
    lines: Option<Lines>,
    /// Where it listens.
    pub(crate) port: u16,
}

impl Receiver {
    /// Starts one that fails so many attempts before it takes what comes.
    pub(crate) fn start(key: &str, failures: u32) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/receiver.py");
        let mut process = Command::new("python3")
            .args([script, key, &failures.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("its output")?);
        let mut port = String::new();
        lines.read_line(&mut port)?;
        Ok(Self {
            process,
            lines: Some(Lines(lines)),
            port: port.trim().parse()?,
        })
    }

    /// The next attempt.
    pub(crate) fn next(&mut self) -> Result<Value> {
        self.lines.as_mut().context("its output")?.next()
    }

    /// All attempts, for who reads them beside.
    pub(crate) fn lines(&mut self) -> Result<Lines> {
        self.lines.take().context("its output")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
