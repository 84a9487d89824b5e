//! Starting and ending codec processes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio::net::UnixStream;
use tokio::runtime::Handle;

use super::TranscodeError;
use crate::config::TranscodeConfig;

/// The program's name, beside the server's.
const PROGRAM: &str = "troupe-codec";

/// Starts the thread that all jobs' tasks share. It starts the processes too, and it must live as
/// long as they do: a process ends with the *thread* that started it.
pub(super) fn start_thread() -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("transcode".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

/// The program, and what a process of it may have.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    memory_bytes: u64,
    niceness: u8,
}

impl Program {
    pub(super) fn new(config: &TranscodeConfig) -> Self {
        let beside = || {
            let own = std::env::current_exe().unwrap_or_default();
            own.with_file_name(PROGRAM)
        };
        Self {
            path: config.program.clone().unwrap_or_else(beside),
            memory_bytes: u64::from(config.memory_mib) * 1_024 * 1_024,
            niceness: config.niceness,
        }
    }

    /// Whether there is such a file.
    pub(super) fn check(&self) -> Result<(), TranscodeError> {
        let path = self.path.clone();
        if path.is_file() {
            Ok(())
        } else {
            Err(TranscodeError::NoProgram { path })
        }
    }

    /// Starts a process; to be called on the thread of [`start_thread`].
    pub(super) fn spawn(&self) -> io::Result<Process> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(&self.path)
            .args(["--memory-bytes", &self.memory_bytes.to_string()])
            .args(["--nice", &self.niceness.to_string()])
            // It needs no word of ours; each of its threads would reserve memory of its own.
            .env_clear()
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Process {
            child,
            socket: UnixStream::from_std(ours)?,
        })
    }
}

/// A running process. It ends when this is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) socket: UnixStream,
}

impl Process {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed processes end at once, so that waiting for it waits for nobody.
        let _ = self.child.kill();
        if let Ok(status) = self.child.wait() {
            tracing::debug!(pid = self.child.id(), %status, "a codec process has ended");
        }
    }
}
