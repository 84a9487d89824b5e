//! Why settings are refused.

use std::fmt;
use std::path::PathBuf;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; absent where the whole file is meant.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag,
    /// Nowhere: it is missing, or what is set does not go together.
    Unset,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("command line"),
            Self::Unset => f.write_str("configuration"),
        }
    }
}

/// Why settings are refused: names where, the key, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {key}: {problem}")]
pub struct ConfigError {
    /// Where it came from.
    pub origin: Origin,
    /// The key, as in `auth.keys`; empty where the text is no TOML at all.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

impl ConfigError {
    pub(super) fn unset(key: &str, problem: impl Into<String>) -> Self {
        Self {
            origin: Origin::Unset,
            key: key.to_owned(),
            problem: problem.into(),
        }
    }
}
