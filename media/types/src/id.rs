//! Ids. Integers inside, a prefix and 13 characters of base 32 on the wire (`tr_…`).

use std::fmt;
use std::str::FromStr;

/// Crockford's alphabet: no `I`, `L`, `O`, `U`, so that ids survive being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 13 × 5 bits hold any `u64`.
const DIGITS: usize = 13;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text does not start with the prefix of this kind of id.
    #[error("wrong prefix, expected {0}_")]
    Prefix(&'static str),
    /// The part after the prefix is not 13 base-32 digits of a 64-bit number.
    #[error("not 13 base-32 digits")]
    Digits,
    /// A mid or rid that is empty, longer than 16 bytes or not a token.
    #[error("not a token of 1 to 16 characters")]
    Token,
}

fn write_digits(f: &mut fmt::Formatter<'_>, prefix: &str, mut value: u64) -> fmt::Result {
    let mut digits = [b'0'; DIGITS];
    for slot in digits.iter_mut().rev() {
        *slot = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    write!(
        f,
        "{prefix}_{}",
        std::str::from_utf8(&digits).unwrap_or_default()
    )
}

fn parse_digits(text: &str, prefix: &'static str) -> Result<u64, IdError> {
    let rest = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'));
    let rest = rest.ok_or(IdError::Prefix(prefix))?;
    if rest.len() != DIGITS {
        return Err(IdError::Digits);
    }
    rest.bytes().try_fold(0_u64, |value, byte| {
        let digit = ALPHABET
            .iter()
            .position(|&letter| letter == byte)
            .ok_or(IdError::Digits)?;
        let shifted = value.checked_mul(32).ok_or(IdError::Digits)?;
        Ok(shifted | digit as u64)
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id with this number.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number inside.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_digits(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_digits(text, $prefix).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One life of a room on a worker; users see the room's name ([`crate::RoomName`]).
    RoomId, "rm"
);
id!(
    /// One session of a peer. The peer's *identity* is what users see; see [`crate::Identity`].
    PeerId, "pe"
);
id!(
    /// One published track; random, so that it can keep its value on another worker.
    TrackId, "tr"
);
id!(
    /// One secured media path, unique within a worker.
    TransportId, "tp"
);
id!(
    /// One way out of a track: a packager's, a recorder's or a transcoder's.
    TapId, "tap"
);
id!(
    /// One running server process.
    WorkerId, "wk"
);

/// The index of a shard within its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A short token kept inline: at most 16 bytes, as WebRTC's header extensions carry it.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            bytes: [u8; 16],
            length: u8,
        }

        impl $name {
            /// The token as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
                std::str::from_utf8(bytes).unwrap_or_default()
            }

            /// From the bytes of a header extension.
            ///
            /// # Errors
            /// [`IdError::Token`] unless 1 to 16 printable ASCII characters without a space.
            pub fn from_bytes(token: &[u8]) -> Result<Self, IdError> {
                let legal = token.iter().all(u8::is_ascii_graphic);
                let mut bytes = [0; 16];
                let target = bytes.get_mut(..token.len()).ok_or(IdError::Token)?;
                if token.is_empty() || !legal {
                    return Err(IdError::Token);
                }
                target.copy_from_slice(token);
                let length = u8::try_from(token.len()).map_err(|_| IdError::Token)?;
                Ok(Self { bytes, length })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_bytes(text.as_bytes())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

token!(
    /// The media id of an m-line (RFC 5888, RFC 9143).
    Mid
);
token!(
    /// The restriction id of a simulcast layer (RFC 8851).
    Rid
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_wire() {
        for value in [0, 1, 31, 32, u64::MAX] {
            let id = TrackId::new(value);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(
            "rm_0000000000001".parse::<TrackId>(),
            Err(IdError::Prefix("tr"))
        );
        assert_eq!("tr_ZZZZZZZZZZZZZ".parse::<TrackId>(), Err(IdError::Digits));
        assert_eq!("tr_1".parse::<TrackId>(), Err(IdError::Digits));
    }

    #[test]
    fn tokens_are_bounded() {
        assert_eq!("h".parse::<Rid>().unwrap().as_str(), "h");
        assert_eq!("".parse::<Mid>(), Err(IdError::Token));
        assert_eq!("a b".parse::<Mid>(), Err(IdError::Token));
        assert_eq!("12345678901234567".parse::<Mid>(), Err(IdError::Token));
    }
}
