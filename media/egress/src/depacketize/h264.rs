//! H.264 (RFC 6184): NAL units joined and put behind their lengths; parameter sets kept aside.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Assembled;
use crate::TrackConfig;
use crate::limits::{PARAMETER_SET_BYTES_MAX, PARAMETER_SETS_MAX};
use crate::params::h264;

const SLICE_IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const START: u8 = 0x80;
const END: u8 = 0x40;

/// The parameter sets of one stream.
#[derive(Debug, Default)]
pub struct Assembler {
    sps: Option<Bytes>,
    pictures: BTreeMap<u32, Bytes>,
    changed: bool,
}

impl Assembler {
    /// The access unit of these packets.
    pub fn assemble(&mut self, payloads: &[&[u8]]) -> Option<Assembled> {
        let mut units = Units::default();
        let mut fragments = false;
        for payload in payloads {
            let (&header, rest) = payload.split_first()?;
            let kind = header & 0x1f;
            if fragments && kind != FU_A {
                return None;
            }
            match kind {
                1..=23 => self.unit(&mut units, payload)?,
                STAP_A => self.aggregate(&mut units, rest)?,
                FU_A => {
                    let (&fragment, body) = rest.split_first()?;
                    if (fragment & START != 0) == fragments {
                        return None;
                    }
                    if fragment & START != 0 {
                        units.open((header & 0xe0) | (fragment & 0x1f));
                    }
                    units.data.extend_from_slice(body);
                    fragments = fragment & END == 0;
                    if !fragments {
                        units.close()?;
                    }
                }
                _ => return None,
            }
        }
        if fragments || units.data.is_empty() {
            return None;
        }
        let config = if units.keyframe { self.config() } else { None };
        Some(Assembled {
            data: units.data.into(),
            keyframe: units.keyframe && self.sps.is_some(),
            config,
        })
    }

    fn aggregate(&mut self, units: &mut Units, mut rest: &[u8]) -> Option<()> {
        while !rest.is_empty() {
            let length = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
            let end = usize::from(length) + 2;
            self.unit(units, rest.get(2..end)?)?;
            rest = rest.get(end..)?;
        }
        Some(())
    }

    fn unit(&mut self, units: &mut Units, unit: &[u8]) -> Option<()> {
        let kind = *unit.first()? & 0x1f;
        match kind {
            SPS | PPS if unit.len() > PARAMETER_SET_BYTES_MAX => return None,
            SPS => {
                if self.sps.as_deref() != Some(unit) {
                    self.sps = Some(Bytes::copy_from_slice(unit));
                    self.changed = true;
                }
            }
            PPS => self.picture_set(unit)?,
            DELIMITER | FILLER => {}
            _ => {
                units.open(*unit.first()?);
                units.data.extend_from_slice(unit.get(1..)?);
                units.close()?;
            }
        }
        Some(())
    }

    fn picture_set(&mut self, unit: &[u8]) -> Option<()> {
        let id = h264::picture_set_id(unit)?;
        let known = self.pictures.get(&id).is_some_and(|set| set[..] == *unit);
        if !known && (self.pictures.contains_key(&id) || self.pictures.len() < PARAMETER_SETS_MAX) {
            self.pictures.insert(id, Bytes::copy_from_slice(unit));
            self.changed = true;
        }
        Some(())
    }

    fn config(&mut self) -> Option<TrackConfig> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let pictures: Vec<Bytes> = self.pictures.values().cloned().collect();
        let record = h264::record(self.sps.as_ref()?, &pictures)?;
        TrackConfig::from_avcc(record).ok()
    }
}

/// NAL units behind four bytes of length each.
#[derive(Default)]
struct Units {
    data: Vec<u8>,
    at: usize,
    keyframe: bool,
}

impl Units {
    fn open(&mut self, header: u8) {
        self.keyframe |= header & 0x1f == SLICE_IDR;
        self.at = self.data.len();
        self.data.extend([0; 4]);
        self.data.push(header);
    }

    fn close(&mut self) -> Option<()> {
        let length = self.data.len().checked_sub(self.at + 4)?;
        let length = u32::try_from(length).ok()?;
        let slot = self.data.get_mut(self.at..self.at + 4)?;
        slot.copy_from_slice(&length.to_be_bytes());
        Some(())
    }
}
