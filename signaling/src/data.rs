//! One message on a data channel: `u8 version, u16 header length, JSON header, payload`.

use media_types::Identity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client_message::Address;
use crate::limits::{DATA_HEADER_BYTES_MAX, LOSSY_BYTES_MAX, RELIABLE_BYTES_MAX, TOPIC_BYTES_MAX};

/// The version in the first byte.
pub const DATA_VERSION: u8 = 1;
/// Bytes before the JSON header.
const FIXED: usize = 3;

/// What precedes the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataHeader {
    /// `peer:ID` or `room`.
    #[schemars(with = "String")]
    pub to: Address,
    /// What it is about.
    pub topic: String,
    /// Who sent it; written by the server, ignored from clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<Identity>,
    /// Counts the sender's messages of this topic.
    pub seq: u64,
}

/// The channel that a message came by or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataChannel {
    /// Ordered, retransmitted: the channel labelled `reliable`.
    Reliable,
    /// Unordered, sent once: the channel labelled `lossy`.
    Lossy,
}

impl DataChannel {
    /// The label under which the channel is opened.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reliable => "reliable",
            Self::Lossy => "lossy",
        }
    }

    /// The longest message, in bytes.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Reliable => RELIABLE_BYTES_MAX,
            Self::Lossy => LOSSY_BYTES_MAX,
        }
    }
}

/// Why bytes are not a data message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Longer than the channel allows.
    #[error("the message is too long")]
    TooLarge,
    /// Shorter than it says.
    #[error("the message is cut short")]
    Truncated,
    /// Of another version.
    #[error("unknown version {0}")]
    Version(u8),
    /// The header is too long, not JSON, or has the wrong fields.
    #[error("the header cannot be read")]
    Header,
}

/// Reads a message: its header and its payload.
///
/// # Errors
/// See [`DataError`].
pub fn parse(bytes: &[u8], channel: DataChannel) -> Result<(DataHeader, &[u8]), DataError> {
    if bytes.len() > channel.bytes_max() {
        return Err(DataError::TooLarge);
    }
    let (&[version, high, low], rest) = bytes
        .split_first_chunk::<FIXED>()
        .ok_or(DataError::Truncated)?;
    if version != DATA_VERSION {
        return Err(DataError::Version(version));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > DATA_HEADER_BYTES_MAX {
        return Err(DataError::Header);
    }
    let (header, payload) = rest.split_at_checked(length).ok_or(DataError::Truncated)?;
    let header: DataHeader = serde_json::from_slice(header).map_err(|_| DataError::Header)?;
    if header.topic.len() > TOPIC_BYTES_MAX {
        return Err(DataError::Header);
    }
    Ok((header, payload))
}

/// Writes a message.
///
/// # Errors
/// [`DataError::TooLarge`] past the channel's limit, [`DataError::Header`] past the header's.
pub fn write(
    header: &DataHeader,
    payload: &[u8],
    channel: DataChannel,
) -> Result<Vec<u8>, DataError> {
    let header = serde_json::to_vec(header).map_err(|_| DataError::Header)?;
    if header.len() > DATA_HEADER_BYTES_MAX {
        return Err(DataError::Header);
    }
    let length = u16::try_from(header.len()).map_err(|_| DataError::Header)?;
    let total = FIXED
        .saturating_add(header.len())
        .saturating_add(payload.len());
    if total > channel.bytes_max() {
        return Err(DataError::TooLarge);
    }
    let mut message = Vec::with_capacity(total);
    message.push(DATA_VERSION);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&header);
    message.extend_from_slice(payload);
    Ok(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> DataHeader {
        DataHeader {
            to: Address::Room,
            topic: "cursor".to_owned(),
            from: None,
            seq: 7,
        }
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let message = write(&header(), b"xy", DataChannel::Lossy).unwrap();
        let json = br#"{"to":"room","topic":"cursor","seq":7}"#;
        let mut expected = vec![1, 0, u8::try_from(json.len()).unwrap()];
        expected.extend_from_slice(json);
        expected.extend_from_slice(b"xy");
        assert_eq!(message, expected);
    }

    #[test]
    fn wrong_bytes_are_refused() {
        let message = write(&header(), b"", DataChannel::Reliable).unwrap();
        let lossy = DataChannel::Lossy;
        assert_eq!(parse(&[], lossy), Err(DataError::Truncated));
        assert_eq!(parse(&message[..9], lossy), Err(DataError::Truncated));
        assert_eq!(parse(&[2, 0, 0], lossy), Err(DataError::Version(2)));
        assert_eq!(parse(&[1, 0xff, 0xff], lossy), Err(DataError::Header));
        assert_eq!(parse(&[1, 0, 2, b'{', b'}'], lossy), Err(DataError::Header));
        let long = vec![0; LOSSY_BYTES_MAX + 1];
        assert_eq!(parse(&long, lossy), Err(DataError::TooLarge));
        assert_eq!(write(&header(), &long, lossy), Err(DataError::TooLarge));
    }

    proptest! {
        #[test]
        fn written_is_read(
            name in "[A-Za-z0-9_.-]{1,64}",
            topic in "\\PC{0,15}",
            seq: u64,
            payload in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let from: Identity = name.parse().unwrap();
            let to = Address::Peer(from.clone());
            let header = DataHeader { to, topic, from: Some(from), seq };
            let message = write(&header, &payload, DataChannel::Lossy).unwrap();
            let (read, rest) = parse(&message, DataChannel::Lossy).unwrap();
            prop_assert_eq!(read, header);
            prop_assert_eq!(rest, payload.as_slice());
        }

        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, DataChannel::Reliable);
        }
    }
}
