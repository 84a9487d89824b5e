//! What can be wrong with bytes and with keys.

/// Why bytes are not the packet they should be, or why a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtpError {
    /// Fewer bytes than the fixed parts or the stated lengths need.
    #[error("{length} bytes where {needed} are needed")]
    Truncated {
        /// The length that the bytes themselves ask for.
        needed: usize,
        /// The length there is.
        length: usize,
    },
    /// More bytes than any datagram carries.
    #[error("{0} bytes are more than a datagram holds")]
    Oversize(usize),
    /// The version field is not 2.
    #[error("version {0}")]
    Version(u8),
    /// The padding count is zero or larger than what it is part of.
    #[error("padding of {0} bytes")]
    Padding(u8),
    /// An RTCP packet without the fields of its type.
    #[error("RTCP packet of type {packet_type} with a body of {length} bytes")]
    RtcpBody {
        /// The packet type field.
        packet_type: u8,
        /// Bytes after the common header.
        length: usize,
    },
    /// A header extension id that no header form can carry: 0, or 15 (RFC 8285, section 4.2).
    #[error("header extension id {0}")]
    ExtensionId(u8),
    /// A header extension longer than 255 bytes.
    #[error("header extension {id} of {length} bytes")]
    ExtensionLength {
        /// The extension's id.
        id: u8,
        /// The length of its data in bytes.
        length: usize,
    },
    /// The caller's buffer is too small.
    #[error("buffer of {length} bytes where {needed} are needed")]
    Buffer {
        /// The length that the packet needs.
        needed: usize,
        /// The length of the buffer.
        length: usize,
    },
    /// More entries than one packet of this kind can carry.
    #[error("{0} entries do not fit one packet")]
    Entries(usize),
}

/// Why a packet was not opened or sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SrtpError {
    /// Keying material of the wrong length for its profile.
    #[error("{length} bytes of keying material where {needed} are needed")]
    KeyLength {
        /// Bytes that the profile needs.
        needed: usize,
        /// Bytes given.
        length: usize,
    },
    /// The cryptographic library refused a key; does not happen with keys of the right length.
    #[error("key refused")]
    Key,
    /// Too short to hold a header and an authentication tag.
    #[error("{length} bytes where {needed} are needed")]
    Truncated {
        /// The shortest possible packet.
        needed: usize,
        /// The length there is.
        length: usize,
    },
    /// The tag does not fit: tampered with, another key, or a wrong guess of the rollover counter.
    #[error("authentication failed")]
    Authentication,
    /// Seen before, or too old to tell (RFC 3711, section 3.3.2).
    #[error("packet index {0} was seen before or is too old")]
    Replayed(u64),
    /// An SRTCP packet whose body is not encrypted; no DTLS-SRTP profile allows that here.
    #[error("unencrypted SRTCP")]
    Unencrypted,
    /// A new source while the table of sources is full.
    #[error("more sources than one session may have")]
    Sources,
    /// The index lies outside what one key may seal: 2^48 RTP or 2^31 RTCP packets.
    #[error("packet index {0} out of range")]
    Index(u64),
    /// The header in the buffer names another source or sequence number than the call.
    #[error("header does not belong to the given source and index")]
    Header,
    /// The caller's buffer is too small.
    #[error("buffer of {length} bytes where {needed} are needed")]
    Buffer {
        /// The length that the packet needs.
        needed: usize,
        /// The length of the buffer.
        length: usize,
    },
}
