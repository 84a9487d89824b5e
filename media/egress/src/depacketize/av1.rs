//! AV1 (RTP payload specification 1.0): OBUs put together and given their sizes back.

use bytes::Bytes;

use super::Assembled;
use crate::TrackConfig;
use crate::bits::{leb128, write_leb128};
use crate::params::av1::Sequence;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;
const HAS_SIZE: u8 = 0x02;
const HAS_EXTENSION: u8 = 0x04;

/// The temporal unit of these packets.
#[must_use]
pub fn assemble(payloads: &[&[u8]]) -> Option<Assembled> {
    let elements = elements(payloads)?;
    let mut data = Vec::with_capacity(elements.iter().map(|obu| obu.len() + 4).sum());
    let mut sequence = None;
    for obu in &elements {
        let header = *obu.first()?;
        let kind = (header >> 3) & 0x0f;
        if matches!(kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
            continue;
        }
        let start = 1 + usize::from(header & HAS_EXTENSION != 0);
        let mut body = obu.get(start..)?;
        if header & HAS_SIZE != 0 {
            let (length, took) = leb128(body)?;
            body = body.get(took..took.checked_add(length)?)?;
        }
        let at = data.len();
        data.push(header | HAS_SIZE);
        data.extend_from_slice(obu.get(1..start)?);
        write_leb128(&mut data, body.len());
        data.extend_from_slice(body);
        if kind == SEQUENCE_HEADER {
            sequence = Some((Sequence::read(body)?, at..data.len()));
        }
    }
    if data.is_empty() {
        return None;
    }
    let config = match sequence {
        Some((sequence, at)) => TrackConfig::from_av1c(sequence.record(data.get(at)?)).ok(),
        None => None,
    };
    Some(Assembled {
        // Encoders for RTP put a sequence header before each keyframe, and before nothing else.
        keyframe: config.is_some(),
        data: Bytes::from(data),
        config,
    })
}

/// The OBUs of these packets (section 4.4), fragments joined.
fn elements(payloads: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut goes_on = false;
    for payload in payloads {
        let (&aggregation, mut rest) = payload.split_first()?;
        let continues = aggregation & 0x80 != 0;
        if continues != goes_on {
            return None;
        }
        let count = usize::from((aggregation >> 4) & 0x03);
        let mut index = 0;
        while !rest.is_empty() {
            index += 1;
            let element;
            if count != 0 && index >= count {
                (element, rest) = (rest, &[][..]);
            } else {
                let (length, took) = leb128(rest)?;
                let end = took.checked_add(length)?;
                element = rest.get(took..end)?;
                rest = rest.get(end..)?;
            }
            if index == 1 && continues {
                all.last_mut()?.extend_from_slice(element);
            } else {
                all.push(element.to_vec());
            }
        }
        goes_on = aggregation & 0x40 != 0;
    }
    all.retain(|obu| !obu.is_empty());
    (!goes_on && !all.is_empty()).then_some(all)
}
