//! Why something cannot be packaged.

use crate::config::Format;

/// Why something cannot be packaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// A decoder configuration that cannot be read.
    #[error("the configuration of {0:?} cannot be read")]
    Config(Format),
    /// The container has no place for this codec.
    #[error("{0:?} cannot be carried")]
    Unsupported(Format),
    /// A box that cannot be written.
    #[error("a box cannot be written: {0}")]
    Write(String),
}

impl From<mp4_atom::Error> for EgressError {
    fn from(error: mp4_atom::Error) -> Self {
        Self::Write(error.to_string())
    }
}
