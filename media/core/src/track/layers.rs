//! Which layers of a track flow, how large they are and what they cost.

use std::time::{Duration, Instant};

use media_rtp::descriptor::Resolution;
use media_types::{Bitrate, DataSize, Layer, LayerSet};

use crate::allocate::Step;
use crate::limits::{LAYER_SILENT_AFTER, RATE_WINDOW};

const SPATIALS: usize = Layer::SPATIAL_MAX as usize;
const TEMPORALS: usize = Layer::TEMPORAL_MAX as usize;

/// How spatial layers relate to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Each is a stream of its own and needs no other.
    #[default]
    Simulcast,
    /// Higher ones need the lower ones, within one stream.
    Svc,
}

/// One layer by itself, without those that it needs.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    last: Option<Instant>,
    /// In the current window.
    bytes: u64,
    frames: u32,
    /// Smoothed, of past windows.
    rate: Bitrate,
    fps: f32,
}

/// What is known of a track's layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    scheme: Scheme,
    cells: [[Cell; TEMPORALS]; SPATIALS],
    sizes: [Option<Resolution>; SPATIALS],
    window: Option<Instant>,
    last: Option<Instant>,
    active: LayerSet,
}

impl Layers {
    /// Says how spatial layers relate.
    pub(crate) fn set_scheme(&mut self, scheme: Scheme) {
        self.scheme = scheme;
    }

    /// How spatial layers relate.
    pub(crate) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Takes note of a packet; whether its layer was not active before.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        layer: Layer,
        bytes: usize,
        starts_frame: bool,
    ) -> bool {
        self.window.get_or_insert(now);
        self.last = Some(now);
        let Some(cell) = self.cell_mut(layer) else {
            return false;
        };
        cell.last = Some(now);
        cell.bytes += u64::try_from(bytes).unwrap_or(0);
        cell.frames += u32::from(starts_frame);
        let appeared = !self.active.contains(layer);
        self.active.insert(layer);
        appeared
    }

    /// Takes note of a picture's size. With SVC a descriptor tells the topmost.
    pub(crate) fn on_size(&mut self, spatial: u8, size: Resolution) {
        if let Some(slot) = self.sizes.get_mut(usize::from(spatial)) {
            *slot = Some(size);
        }
    }

    /// Closes the window if it is over; whether layers fell silent. Silence is judged against the
    /// newest packet of the track: when nothing comes at all, nothing is known to have changed.
    pub(crate) fn roll(&mut self, now: Instant) -> bool {
        let Some((start, last)) = self.window.zip(self.last) else {
            return false;
        };
        let length = now.saturating_duration_since(start);
        if length < RATE_WINDOW {
            return false;
        }
        self.window = Some(now);
        let before = self.active;
        let mut active = LayerSet::EMPTY;
        for layer in before.iter() {
            let Some(cell) = self.cell_mut(layer) else {
                continue;
            };
            cell.close(length);
            let seen = cell.last.unwrap_or(start);
            if last.saturating_duration_since(seen) < LAYER_SILENT_AFTER {
                active.insert(layer);
            } else {
                *cell = Cell::default();
            }
        }
        self.active = active;
        active != before
    }

    /// The layers that flow.
    pub(crate) const fn active(&self) -> LayerSet {
        self.active
    }

    /// Forgets all: another source comes.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            scheme: self.scheme,
            ..Self::default()
        };
    }

    /// The rate of all layers together.
    pub(crate) fn rate(&self) -> Bitrate {
        self.active
            .iter()
            .filter_map(|layer| self.cell(layer))
            .map(|cell| cell.rate)
            .sum()
    }

    /// The layers that flow as steps, each with all that it needs.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.active.iter().map(|layer| {
            let needed = |other: &Layer| {
                let spatial = match self.scheme {
                    Scheme::Simulcast => other.spatial == layer.spatial,
                    Scheme::Svc => other.spatial <= layer.spatial,
                };
                spatial && other.temporal <= layer.temporal
            };
            let cells = || {
                let layers = self.active.iter().filter(needed);
                layers.filter_map(|other| Some((other, self.cell(other)?)))
            };
            let fps: f32 = cells()
                .filter(|(other, _)| other.spatial == layer.spatial)
                .map(|(_, cell)| cell.fps)
                .sum();
            Step {
                layer,
                rate: cells().map(|(_, cell)| cell.rate).sum(),
                size: self.size(layer.spatial),
                fps: (fps >= 1.0).then_some(to_u8(fps)),
            }
        })
    }

    fn size(&self, spatial: u8) -> Option<(u16, u16)> {
        let size = self.sizes.get(usize::from(spatial)).copied().flatten()?;
        Some((size.width, size.height))
    }

    fn cell(&self, layer: Layer) -> Option<&Cell> {
        let row = self.cells.get(usize::from(layer.spatial))?;
        row.get(usize::from(layer.temporal))
    }

    fn cell_mut(&mut self, layer: Layer) -> Option<&mut Cell> {
        let row = self.cells.get_mut(usize::from(layer.spatial))?;
        row.get_mut(usize::from(layer.temporal))
    }
}

impl Cell {
    fn close(&mut self, length: Duration) {
        let rate = Bitrate::of(DataSize::from_bytes(self.bytes), length);
        #[allow(clippy::cast_precision_loss, reason = "a few frames")]
        let fps = self.frames as f32 / length.as_secs_f32();
        if self.rate == Bitrate::ZERO {
            (self.rate, self.fps) = (rate, fps);
        } else {
            self.rate = self.rate.saturating_add(rate).percent(50);
            self.fps = f32::midpoint(self.fps, fps);
        }
        (self.bytes, self.frames) = (0, 0);
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range"
)]
fn to_u8(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests;
