//! H.265 (RFC 7798): as H.264, with headers of two bytes and a third kind of parameter set.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Assembled;
use crate::TrackConfig;
use crate::bits::{Bits, without_emulation};
use crate::limits::{PARAMETER_SET_BYTES_MAX, PARAMETER_SETS_MAX};
use crate::params::h265::Sps;

/// Pictures at which a decoder can start (H.265, table 7-1).
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=21;
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const FILLER: u8 = 38;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

/// The parameter sets of one stream.
#[derive(Debug, Default)]
pub struct Assembler {
    vps: Option<Bytes>,
    sps: Option<Bytes>,
    pictures: BTreeMap<u32, Bytes>,
    changed: bool,
}

const fn kind_of(first: u8) -> u8 {
    (first >> 1) & 0x3f
}

impl Assembler {
    /// The access unit of these packets.
    pub fn assemble(&mut self, payloads: &[&[u8]]) -> Option<Assembled> {
        let mut data = Vec::new();
        let mut fragment: Option<Vec<u8>> = None;
        let mut keyframe = false;
        for payload in payloads {
            let [first, second, rest @ ..] = *payload else {
                return None;
            };
            let kind = kind_of(*first);
            if fragment.is_some() && kind != FRAGMENTATION {
                return None;
            }
            match kind {
                AGGREGATION => {
                    let mut rest = rest;
                    while !rest.is_empty() {
                        let length = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
                        let end = usize::from(length) + 2;
                        self.unit(&mut data, &mut keyframe, rest.get(2..end)?)?;
                        rest = rest.get(end..)?;
                    }
                }
                FRAGMENTATION => {
                    let (&header, body) = rest.split_first()?;
                    if (header & 0x80 != 0) == fragment.is_some() {
                        return None;
                    }
                    let unit = fragment.get_or_insert_with(|| {
                        vec![(first & 0x81) | ((header & 0x3f) << 1), *second]
                    });
                    unit.extend_from_slice(body);
                    if header & 0x40 != 0 {
                        let unit = fragment.take()?;
                        self.unit(&mut data, &mut keyframe, &unit)?;
                    }
                }
                0..AGGREGATION => self.unit(&mut data, &mut keyframe, payload)?,
                _ => return None,
            }
        }
        if fragment.is_some() || data.is_empty() {
            return None;
        }
        let config = if keyframe { self.config() } else { None };
        Some(Assembled {
            data: data.into(),
            keyframe: keyframe && self.sps.is_some(),
            config,
        })
    }

    fn unit(&mut self, data: &mut Vec<u8>, keyframe: &mut bool, unit: &[u8]) -> Option<()> {
        let kind = kind_of(*unit.first()?);
        if matches!(kind, VPS | SPS | PPS) {
            return self.parameters(kind, unit);
        }
        if matches!(kind, DELIMITER | FILLER) {
            return Some(());
        }
        *keyframe |= RANDOM_ACCESS.contains(&kind);
        data.extend(u32::try_from(unit.len()).ok()?.to_be_bytes());
        data.extend_from_slice(unit);
        Some(())
    }

    fn parameters(&mut self, kind: u8, unit: &[u8]) -> Option<()> {
        if unit.len() > PARAMETER_SET_BYTES_MAX {
            return None;
        }
        let fresh = Bytes::copy_from_slice(unit);
        let before = match kind {
            VPS => self.vps.replace(fresh),
            SPS => self.sps.replace(fresh),
            _ => {
                let id = Bits::new(&without_emulation(unit.get(2..)?)).golomb()?;
                if self.pictures.len() >= PARAMETER_SETS_MAX && !self.pictures.contains_key(&id) {
                    return None;
                }
                self.pictures.insert(id, fresh)
            }
        };
        self.changed |= before.as_deref() != Some(unit);
        Some(())
    }

    fn config(&mut self) -> Option<TrackConfig> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let sps = self.sps.as_ref()?;
        let pictures: Vec<Bytes> = self.pictures.values().cloned().collect();
        let record = Sps::read(sps)?.record(self.vps.as_ref()?, sps, &pictures)?;
        TrackConfig::from_hvcc(record).ok()
    }
}
