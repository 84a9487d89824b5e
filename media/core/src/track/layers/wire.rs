//! What is known of a track's layers, as another worker is told it. Times stay here: who is told
//! does not measure.

use std::time::Instant;

use media_rtp::descriptor::Resolution;
use media_types::{Bitrate, Layer, LayerSet};

use super::{Cell, Consent, Layers, SPATIALS, Scheme};
use crate::limits::RATE_WINDOWS_MAX;
use crate::relay::wire::{Reader, WireError, Writer};

const SVC: u8 = 1;
const CONSENT_HELD: u8 = 1;
const CONSENT_RESUMED: u8 = 2;
/// Rates of pictures cross in hundredths of a Hz.
const HUNDREDTHS: f32 = 100.0;

impl Layers {
    /// Appends what is known.
    pub(crate) fn write(&self, to: &mut Writer<'_>) {
        to.byte(match self.scheme {
            Scheme::Simulcast => 0,
            Scheme::Svc => SVC,
        });
        to.number(u64::try_from(self.published).unwrap_or(u64::MAX));
        to.short(bits_of(self.active));
        to.short(bits_of(self.kept));
        for layer in self.known().iter() {
            let cell = self.cell(layer).copied().unwrap_or_default();
            to.number(cell.rate.bps());
            to.short(hundredths(cell.fps));
            to.number(cell.windows.into());
        }
        for spatial in 0..SPATIALS {
            let size = self.sizes.get(spatial).copied().flatten();
            let (width, height) = size.map_or((0, 0), |size| (size.width, size.height));
            to.short(width);
            to.short(height);
            to.byte(match self.consents.get(spatial) {
                None | Some(Consent::Sent) => 0,
                Some(Consent::Held) => CONSENT_HELD,
                Some(Consent::Resumed(_)) => CONSENT_RESUMED,
            });
            let expected = self.expected.get(spatial).copied().flatten();
            to.number(expected.map_or(0, Bitrate::bps));
        }
    }

    /// Reads what another worker knows.
    pub(crate) fn read(now: Instant, from: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut layers = Self {
            scheme: match from.byte()? {
                0 => Scheme::Simulcast,
                SVC => Scheme::Svc,
                _ => return Err(WireError::Bad("scheme")),
            },
            ..Self::default()
        };
        layers.published = usize::try_from(from.number()?).unwrap_or(usize::MAX);
        if layers.published > SPATIALS {
            return Err(WireError::Bad("encodings"));
        }
        layers.active = set_of(from.short()?)?;
        layers.kept = set_of(from.short()?)?;
        for layer in layers.known().iter() {
            let cell = Cell {
                rate: Bitrate::from_bps(from.number()?),
                fps: f32::from(from.short()?) / HUNDREDTHS,
                windows: u32::try_from(from.number()?).unwrap_or(u32::MAX),
                ..Cell::default()
            };
            if cell.windows > RATE_WINDOWS_MAX {
                return Err(WireError::Bad("windows"));
            }
            if let Some(place) = layers.cell_mut(layer) {
                *place = cell;
            }
        }
        let Self {
            sizes,
            consents,
            expected,
            ..
        } = &mut layers;
        for ((size, consent), expected) in sizes.iter_mut().zip(consents).zip(expected) {
            let (width, height) = (from.short()?, from.short()?);
            *size = (width > 0 && height > 0).then_some(Resolution { width, height });
            *consent = match from.byte()? {
                0 => Consent::Sent,
                CONSENT_HELD => Consent::Held,
                CONSENT_RESUMED => Consent::Resumed(now),
                _ => return Err(WireError::Bad("consent")),
            };
            let rate = from.number()?;
            *expected = (rate > 0).then_some(Bitrate::from_bps(rate));
        }
        Ok(layers)
    }
}

/// All layers there can be, in the order of their bits.
fn all() -> impl Iterator<Item = Layer> {
    (0..Layer::SPATIAL_MAX).flat_map(|spatial| {
        (0..Layer::TEMPORAL_MAX).map(move |temporal| Layer { spatial, temporal })
    })
}

fn bits_of(set: LayerSet) -> u16 {
    let bit = |(place, layer)| u16::from(set.contains(layer)) << place;
    all().enumerate().map(bit).sum()
}

fn set_of(bits: u16) -> Result<LayerSet, WireError> {
    let set: LayerSet = all()
        .enumerate()
        .filter(|(place, _)| bits & (1 << place) != 0)
        .map(|(_, layer)| layer)
        .collect();
    match bits_of(set) == bits {
        true => Ok(set),
        false => Err(WireError::Bad("layers")),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range"
)]
fn hundredths(fps: f32) -> u16 {
    (fps * HUNDREDTHS).round().clamp(0.0, f32::from(u16::MAX)) as u16
}
