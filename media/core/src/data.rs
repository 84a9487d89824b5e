//! The envelope of data messages: `u8 version = 1`, `u16` header length (big endian), a JSON header
//! `{to, topic, from?, seq}`, and the payload.
//!
//! The server reads `to` and `topic` and writes `from`; whatever else the header holds passes.

use media_contract::DataTarget;
use media_types::Identity;
use serde_json::{Map, Value};

use crate::limits::{DATA_HEADER_BYTES_MAX, LOSSY_BYTES_MAX, RELIABLE_BYTES_MAX, TOPIC_BYTES_MAX};

const VERSION: u8 = 1;
/// Version and header length.
const PREFIX_BYTES: usize = 3;

/// A data message as a client sent it: `u8 version = 1`, `u16` header length (big endian), a JSON
/// header `{to, topic, ..}` of at most 1,024 bytes, and the payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<'a> {
    /// For whom.
    pub to: DataTarget,
    /// Its topic, at most 64 bytes.
    pub topic: String,
    /// Its bytes.
    pub payload: &'a [u8],
    header: Map<String, Value>,
}

impl<'a> Envelope<'a> {
    /// Reads a message; `None` if it is too large for its channel or not an envelope.
    #[must_use]
    pub fn read(message: &'a [u8], reliable: bool) -> Option<Self> {
        let bytes_max = if reliable {
            RELIABLE_BYTES_MAX
        } else {
            LOSSY_BYTES_MAX
        };
        let [version, high, low, rest @ ..] = message else {
            return None;
        };
        let header_length = usize::from(u16::from_be_bytes([*high, *low]));
        let legal = *version == VERSION
            && header_length <= DATA_HEADER_BYTES_MAX
            && message.len() <= bytes_max;
        if !legal {
            return None;
        }
        let (header, payload) = rest.split_at_checked(header_length)?;
        let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
        let topic = header.get("topic")?.as_str()?;
        if topic.len() > TOPIC_BYTES_MAX {
            return None;
        }
        Some(Self {
            to: target(header.get("to")?.as_str()?)?,
            topic: topic.to_owned(),
            payload,
            header,
        })
    }

    /// The message as its receivers get it: signed with who sent it.
    #[must_use]
    pub fn write_from(mut self, from: &Identity) -> Vec<u8> {
        let from = Value::String(from.as_str().to_owned());
        self.header.insert("from".to_owned(), from);
        let header = serde_json::to_vec(&self.header).unwrap_or_default();
        let length = u16::try_from(header.len()).unwrap_or(0);
        let mut message = Vec::with_capacity(PREFIX_BYTES + header.len() + self.payload.len());
        message.push(VERSION);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&header);
        message.extend_from_slice(self.payload);
        message
    }
}

fn target(to: &str) -> Option<DataTarget> {
    match to.split_once(':') {
        None if to == "room" => Some(DataTarget::Room),
        Some(("peer", identity)) => identity.parse().ok().map(DataTarget::Peer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(header: &str, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap();
        let mut message = vec![VERSION];
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(header.as_bytes());
        message.extend_from_slice(payload);
        message
    }

    #[test]
    fn the_server_signs_and_keeps_the_rest() {
        let sent = message(
            r#"{"to":"peer:bob","topic":"t","from":"eve","seq":7,"part":[1,2]}"#,
            b"\x00\xff",
        );
        let envelope = Envelope::read(&sent, false).unwrap();
        assert_eq!(envelope.to, DataTarget::Peer("bob".parse().unwrap()));
        assert_eq!(
            (envelope.topic.as_str(), envelope.payload),
            ("t", &[0, 255][..])
        );
        let got = envelope.write_from(&"alice".parse().unwrap());
        let expected = message(
            r#"{"from":"alice","part":[1,2],"seq":7,"to":"peer:bob","topic":"t"}"#,
            b"\x00\xff",
        );
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let good = r#"{"to":"room","topic":"t"}"#;
        assert!(Envelope::read(&message(good, b""), true).is_some());
        for bad in [
            r#"{"to":"everyone","topic":"t"}"#,
            r#"{"to":"peer:","topic":"t"}"#,
            r#"{"to":"room"}"#,
            r#"{"to":"room","topic":7}"#,
            "[]",
            "",
        ] {
            assert_eq!(Envelope::read(&message(bad, b""), true), None, "{bad}");
        }
        let long_topic = format!(r#"{{"to":"room","topic":"{}"}}"#, "t".repeat(65));
        assert_eq!(Envelope::read(&message(&long_topic, b""), true), None);
        let long_header = format!(r#"{{"to":"room","topic":"t","x":"{}"}}"#, "x".repeat(1_024));
        assert_eq!(Envelope::read(&message(&long_header, b""), true), None);
        let large = message(good, &vec![0; LOSSY_BYTES_MAX]);
        assert_eq!(Envelope::read(&large, false), None);
        assert!(Envelope::read(&large, true).is_some());
        let mut version = message(good, b"");
        version[0] = 2;
        assert_eq!(Envelope::read(&version, true), None);
        assert_eq!(Envelope::read(&message(good, b"")[..10], true), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::read(&bytes, true);
        }

        #[test]
        fn what_is_written_is_read(
            payload in prop::collection::vec(any::<u8>(), 0..100), seq in any::<u64>(),
        ) {
            let sent = message(&format!(r#"{{"to":"room","topic":"é","seq":{seq}}}"#), &payload);
            let signed = Envelope::read(&sent, true).unwrap().write_from(&"a".parse().unwrap());
            let again = Envelope::read(&signed, true).unwrap();
            prop_assert_eq!(again.payload, payload.as_slice());
            prop_assert_eq!(again.header.get("seq").and_then(Value::as_u64), Some(seq));
        }
    }
}
