//! Names that users choose: rooms and identities, `[A-Za-z0-9_.-]{1,64}`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name of a room or identity, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty, or longer than 64 bytes.
    #[error("a name has 1 to 64 characters")]
    Length,
    /// A character outside `[A-Za-z0-9_.-]`.
    #[error("a name holds only letters, digits, '_', '.' and '-'")]
    Character,
}

fn check(text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(NameError::Length);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if text.bytes().all(legal) {
        Ok(text.into())
    } else {
        Err(NameError::Character)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
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

name!(
    /// The name of a room: what users type and what the cluster places.
    RoomName
);
name!(
    /// Who a peer says it is, from its token's `sub`; `peerId` on the wire.
    Identity
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!("a.B-c_9".parse::<RoomName>().is_ok());
        assert_eq!("".parse::<RoomName>(), Err(NameError::Length));
        assert_eq!("x".repeat(65).parse::<Identity>(), Err(NameError::Length));
        assert_eq!("a/b".parse::<Identity>(), Err(NameError::Character));
    }
}
