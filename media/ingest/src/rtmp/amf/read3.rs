//! AMF 3, by the specification of 2013, without vectors and dictionaries, which no encoder sends.

use super::{Budget, Value};
use crate::bytes::Reader;
use crate::error::IngestError;

/// What later values may refer to. It lives as long as one value of version 0, as specified.
#[derive(Default)]
struct Tables {
    texts: Vec<String>,
    traits: Vec<Traits>,
}

#[derive(Clone)]
struct Traits {
    names: Vec<String>,
    dynamic: bool,
}

pub(super) fn value(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    depth: u8,
) -> Result<Value, IngestError> {
    nested(reader, budget, &mut Tables::default(), depth)
}

fn nested(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    tables: &mut Tables,
    depth: u8,
) -> Result<Value, IngestError> {
    budget.value(depth)?;
    let deeper = depth.saturating_add(1);
    let value = match reader.u8()? {
        0 => Value::Undefined,
        1 => Value::Null,
        2 => Value::Boolean(false),
        3 => Value::Boolean(true),
        4 => Value::Number(f64::from(signed(number(reader)?))),
        5 => Value::Number(reader.f64()?),
        6 => Value::String(text(reader, budget, tables)?),
        // XML of two kinds, and bytes.
        7 | 11 => match inline(reader)? {
            Some(length) => Value::String(budget.text(reader.take(length)?)?),
            None => Value::Undefined,
        },
        12 => match inline(reader)? {
            Some(length) => {
                reader.take(length)?;
                Value::Undefined
            }
            None => Value::Undefined,
        },
        8 => match inline(reader)? {
            Some(_) => Value::Date(reader.f64()?),
            None => Value::Undefined,
        },
        9 => match inline(reader)? {
            Some(count) => array(reader, budget, tables, deeper, count)?,
            None => Value::Undefined,
        },
        10 => object(reader, budget, tables, deeper)?,
        _ => return Err(IngestError::Amf),
    };
    Ok(value)
}

/// A number of up to 29 bits in one to four bytes.
fn number(reader: &mut Reader<'_>) -> Result<u32, IngestError> {
    let mut number = 0_u32;
    for _ in 0..3 {
        let byte = reader.u8()?;
        number = (number << 7) | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Ok((number << 8) | u32::from(reader.u8()?))
}

const fn signed(number: u32) -> i32 {
    (number << 3).cast_signed() >> 3
}

/// A length or count, unless it is a reference to something earlier: nothing is shared here, so
/// that what a message can expand to stays bounded.
fn inline(reader: &mut Reader<'_>) -> Result<Option<usize>, IngestError> {
    let head = number(reader)?;
    let length = usize::try_from(head >> 1).map_err(|_| IngestError::Amf)?;
    Ok((head & 1 == 1).then_some(length))
}

fn text(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    tables: &mut Tables,
) -> Result<String, IngestError> {
    let head = number(reader)?;
    let at = usize::try_from(head >> 1).map_err(|_| IngestError::Amf)?;
    if head & 1 == 0 {
        let known = tables.texts.get(at).ok_or(IngestError::Amf)?;
        return budget.text(known.as_bytes());
    }
    let text = budget.text(reader.take(at)?)?;
    if !text.is_empty() {
        tables.texts.push(text.clone());
    }
    Ok(text)
}

fn array(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    tables: &mut Tables,
    depth: u8,
    count: usize,
) -> Result<Value, IngestError> {
    let named = dynamic_pairs(reader, budget, tables, depth)?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(nested(reader, budget, tables, depth)?);
    }
    if named.is_empty() {
        return Ok(Value::Array(values));
    }
    let numbered = values.into_iter().enumerate();
    let numbered = numbered.map(|(at, value)| (at.to_string(), value));
    Ok(Value::Map(named.into_iter().chain(numbered).collect()))
}

/// Names and values up to an empty name.
fn dynamic_pairs(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    tables: &mut Tables,
    depth: u8,
) -> Result<Vec<(String, Value)>, IngestError> {
    let mut pairs = Vec::new();
    loop {
        let key = text(reader, budget, tables)?;
        if key.is_empty() {
            return Ok(pairs);
        }
        pairs.push((key, nested(reader, budget, tables, depth)?));
    }
}

fn object(
    reader: &mut Reader<'_>,
    budget: &mut Budget,
    tables: &mut Tables,
    depth: u8,
) -> Result<Value, IngestError> {
    let head = number(reader)?;
    if head & 1 == 0 {
        return Ok(Value::Undefined);
    }
    let traits = if head & 2 == 0 {
        let at = usize::try_from(head >> 2).map_err(|_| IngestError::Amf)?;
        tables.traits.get(at).cloned().ok_or(IngestError::Amf)?
    } else {
        // Classes that serialise themselves cannot be read without knowing them.
        if head & 4 == 4 {
            return Err(IngestError::Amf);
        }
        text(reader, budget, tables)?;
        let mut names = Vec::new();
        for _ in 0..(head >> 4) {
            budget.value(depth)?;
            names.push(text(reader, budget, tables)?);
        }
        let dynamic = head & 8 == 8;
        let traits = Traits { names, dynamic };
        tables.traits.push(traits.clone());
        traits
    };
    let mut pairs = Vec::new();
    for name in traits.names {
        let name = budget.text(name.as_bytes())?;
        pairs.push((name, nested(reader, budget, tables, depth)?));
    }
    if traits.dynamic {
        pairs.extend(dynamic_pairs(reader, budget, tables, depth)?);
    }
    Ok(Value::Object(pairs))
}
