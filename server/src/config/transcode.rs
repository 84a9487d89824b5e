//! `[transcode]`: codec processes.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Codec processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TranscodeConfig {
    /// The program `troupe-codec`; absent: the one beside the server's own.
    pub program: Option<PathBuf>,
    /// Jobs at one time, each a process.
    pub jobs_max: usize,
    /// Address space of one process, in MiB.
    pub memory_mib: u32,
    /// How much lower than the server's their priority is, 0 to 19.
    pub niceness: u8,
}

impl Default for TranscodeConfig {
    fn default() -> Self {
        Self {
            program: None,
            jobs_max: 64,
            memory_mib: 1_536,
            niceness: 5,
        }
    }
}
