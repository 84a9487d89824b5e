//! Commands: a name, a number to answer to, an object and arguments (RTMP 1.0, section 7.1.1).

use super::amf::{self, Value};
use super::chunk::{Message, MessageType};
use crate::error::IngestError;

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// What to do.
    pub name: String,
    /// What the answer names; 0 wants none.
    pub transaction: f64,
    /// The command object; mostly null.
    pub object: Value,
    /// What follows.
    pub arguments: Vec<Value>,
}

impl Command {
    /// A command without arguments.
    #[must_use]
    pub fn new(name: &str, transaction: f64, object: Value) -> Self {
        Self {
            name: name.to_owned(),
            transaction,
            object,
            arguments: Vec::new(),
        }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn with(mut self, argument: impl Into<Value>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Reads a command of either version of AMF.
    ///
    /// # Errors
    /// AMF that is none, or does not begin with a name.
    pub fn read(message: &Message) -> Result<Self, IngestError> {
        let mut values = values(message, MessageType::COMMAND_AMF3)?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(IngestError::Amf);
        };
        let transaction = values.next().and_then(|value| value.as_number());
        Ok(Self {
            name,
            transaction: transaction.unwrap_or_default(),
            object: values.next().unwrap_or(Value::Null),
            arguments: values.collect(),
        })
    }

    /// The bytes in AMF 0.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        amf::write(&mut out, &self.name.as_str().into());
        amf::write(&mut out, &self.transaction.into());
        amf::write(&mut out, &self.object);
        for argument in &self.arguments {
            amf::write(&mut out, argument);
        }
        out
    }

    /// The text at that place among the arguments.
    #[must_use]
    pub fn text(&self, at: usize) -> Option<&str> {
        self.arguments.get(at).and_then(Value::as_str)
    }
}

/// The values of a message that is in version 0, or, where its type is `amf3`, in version 0 behind
/// one byte: what version 3 is used for stands behind a marker of its own.
pub(super) fn values(message: &Message, amf3: MessageType) -> Result<Vec<Value>, IngestError> {
    let bytes = &message.payload[..];
    let bytes = match bytes.split_first() {
        Some((0, rest)) if message.kind == amf3 => rest,
        _ => bytes,
    };
    amf::read(bytes)
}
