//! AMF 0, by the specification of 2007.

use super::{Budget, Value, read3};
use crate::bytes::Reader;
use crate::error::IngestError;

const OBJECT_END: u8 = 9;

pub(super) fn value(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    depth: u8,
) -> Result<Value, IngestError> {
    budget.value(depth)?;
    let deeper = depth.saturating_add(1);
    let value = match reader.u8()? {
        0 => Value::Number(reader.f64()?),
        1 => Value::Boolean(reader.u8()? != 0),
        2 => Value::String(short_text(reader, budget)?),
        3 => Value::Object(pairs(reader, budget, deeper)?),
        5 => Value::Null,
        // Undefined and unsupported.
        6 | 13 => Value::Undefined,
        // A reference to an earlier object: nothing that is read here is shared.
        7 => {
            reader.u16()?;
            Value::Undefined
        }
        8 => {
            // The count is a hint that many writers get wrong; the end marker counts.
            reader.u32()?;
            Value::Map(pairs(reader, budget, deeper)?)
        }
        10 => Value::Array(array(reader, budget, deeper)?),
        11 => {
            let date = reader.f64()?;
            // A time zone that the specification says to ignore.
            reader.u16()?;
            Value::Date(date)
        }
        // Long text and XML.
        12 | 15 => {
            let length = usize::try_from(reader.u32()?).map_err(|_| IngestError::Amf)?;
            Value::String(budget.text(reader.take(length)?)?)
        }
        16 => {
            short_text(reader, budget)?;
            Value::Object(pairs(reader, budget, deeper)?)
        }
        17 => read3::value(reader, budget, depth)?,
        _ => return Err(IngestError::Amf),
    };
    Ok(value)
}

fn short_text(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<String, IngestError> {
    let length = usize::from(reader.u16()?);
    budget.text(reader.take(length)?)
}

fn pairs(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    depth: u8,
) -> Result<Vec<(String, Value)>, IngestError> {
    let mut pairs = Vec::new();
    loop {
        // Some encoders end the last map of a message without a marker.
        if reader.is_empty() {
            return Ok(pairs);
        }
        let key = short_text(reader, budget)?;
        if key.is_empty() && reader.rest().first() == Some(&OBJECT_END) {
            reader.u8()?;
            return Ok(pairs);
        }
        pairs.push((key, value(reader, budget, depth)?));
    }
}

fn array(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    depth: u8,
) -> Result<Vec<Value>, IngestError> {
    let count = reader.u32()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(value(reader, budget, depth)?);
    }
    Ok(values)
}
