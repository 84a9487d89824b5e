//! What foreign bytes can get wrong.

/// Why bytes were refused. After an error of the RTMP machine the connection is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The bytes end before what they announce.
    #[error("truncated")]
    Truncated,
    /// The handshake names a version that is not plain RTMP.
    #[error("version {0} of the handshake is not spoken")]
    Version(u8),
    /// A chunk continues a message of a chunk stream that never began one.
    #[error("chunk stream {0} has no message to continue")]
    NoMessage(u32),
    /// More chunk streams than a client may use.
    #[error("too many chunk streams")]
    ChunkStreams,
    /// A chunk size of zero, or beyond what a chunk can be.
    #[error("a chunk size of {0} bytes")]
    ChunkSize(u32),
    /// A message beyond the limit.
    #[error("a message of {0} bytes")]
    MessageLength(u32),
    /// AMF that is nested too deeply, holds too much, or is none.
    #[error("bad AMF")]
    Amf,
    /// A command that does not fit what came before it.
    #[error("a command out of place")]
    OutOfPlace,
    /// The client asks for more than it reads.
    #[error("too much waits to be sent")]
    OutputFull,
    /// The caller left events lying.
    #[error("too many events wait")]
    EventsFull,
    /// Nothing published or played in time, or a publisher fell silent.
    #[error("nothing came in time")]
    Timeout,
    /// A tag or a configuration that breaks its format.
    #[error("bad media: {0}")]
    Media(&'static str),
    /// A codec that is not taken.
    #[error("unsupported codec")]
    UnsupportedCodec,
}
