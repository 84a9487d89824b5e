//! Writing AMF 0.

use super::Value;
use crate::bytes::length32;

/// Appends one value.
pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => {
            out.push(0);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Boolean(truth) => out.extend_from_slice(&[1, u8::from(*truth)]),
        Value::String(text) => write_text(out, text),
        Value::Object(pairs) => {
            out.push(3);
            write_pairs(out, pairs);
        }
        Value::Map(pairs) => {
            out.push(8);
            out.extend_from_slice(&length32(pairs.len()).to_be_bytes());
            write_pairs(out, pairs);
        }
        Value::Array(values) => {
            out.push(10);
            out.extend_from_slice(&length32(values.len()).to_be_bytes());
            for value in values {
                write(out, value);
            }
        }
        Value::Date(date) => {
            out.push(11);
            out.extend_from_slice(&date.to_be_bytes());
            out.extend_from_slice(&[0, 0]);
        }
        Value::Null => out.push(5),
        Value::Undefined => out.push(6),
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    match u16::try_from(text.len()) {
        Ok(length) => {
            out.push(2);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(12);
            out.extend_from_slice(&length32(text.len()).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

fn write_pairs(out: &mut Vec<u8>, pairs: &[(String, Value)]) {
    for (key, value) in pairs {
        // A name that no length can hold is left out.
        let Ok(length) = u16::try_from(key.len()) else {
            continue;
        };
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(key.as_bytes());
        write(out, value);
    }
    out.extend_from_slice(&[0, 0, 9]);
}
