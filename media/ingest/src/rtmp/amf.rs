//! AMF, the values of commands and metadata: version 0 read and written, version 3 read.

mod read0;
mod read3;
mod write;

pub use write::write;

use crate::bytes::Reader;
use crate::error::IngestError;
use crate::limits::{AMF_DEPTH_MAX, AMF_TEXT_BYTES_MAX, AMF_VALUES_MAX};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Every number is a double; integers of version 3 become one.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A text; what is not UTF-8 is replaced.
    String(String),
    /// Names and values, in their order.
    Object(Vec<(String, Value)>),
    /// The same, written with a count; metadata is.
    Map(Vec<(String, Value)>),
    /// Values without names.
    Array(Vec<Value>),
    /// Milliseconds since 1970.
    Date(f64),
    /// Nothing.
    Null,
    /// Not even that; also what a reader has no use for, such as references.
    Undefined,
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The value of that name, in an object or a map.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let (Self::Object(pairs) | Self::Map(pairs)) = self else {
            return None;
        };
        pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// An object of these.
    pub fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let pairs = pairs.into_iter();
        Self::Object(pairs.map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// What one message may still cost.
struct Budget {
    values: usize,
    text: usize,
}

impl Budget {
    const fn new() -> Self {
        Self {
            values: AMF_VALUES_MAX,
            text: AMF_TEXT_BYTES_MAX,
        }
    }

    fn value(&mut self, depth: u8) -> Result<(), IngestError> {
        if depth > AMF_DEPTH_MAX {
            return Err(IngestError::Amf);
        }
        self.values = self.values.checked_sub(1).ok_or(IngestError::Amf)?;
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<String, IngestError> {
        // A byte that is no UTF-8 becomes three.
        let cost = bytes.len().saturating_add(8);
        self.text = self.text.checked_sub(cost).ok_or(IngestError::Amf)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// All values of a message in version 0, within which version 3 may begin.
///
/// # Errors
/// Bytes that are no AMF, or beyond the limits.
pub fn read(bytes: &[u8]) -> Result<Vec<Value>, IngestError> {
    let mut reader = Reader::new(bytes);
    let mut budget = Budget::new();
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(read0::value(&mut reader, &mut budget, 0)?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
