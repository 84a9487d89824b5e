//! Which layers of a track flow, how large they are and what they cost.

mod heritage;
mod wire;

use std::time::{Duration, Instant};

use media_rtp::descriptor::Resolution;
use media_types::{Bitrate, DataSize, Layer, LayerSet};

use super::fit::in_proportion;
use super::wanted::Streams;
use crate::allocate::Step;
use crate::limits::{LAYER_SILENT_AFTER, RATE_WINDOW, RATE_WINDOWS_MAX, RESUME_GRACE};

const SPATIALS: usize = Layer::SPATIAL_MAX as usize;
const TEMPORALS: usize = Layer::TEMPORAL_MAX as usize;
/// An encoding of which nothing ever came is taken to cost this many times the next lower one, at
/// twice its width and height. Encoders spend less on a pixel of a larger picture.
const GUESSED_STEP: u64 = 3;
/// What a camera's picture usually costs, that is so wide at 16:9. Smaller ones cost in proportion,
/// larger ones less than that.
const USUAL_RATE: Bitrate = Bitrate::from_kbps(1_700);
const USUAL_SIDE: u64 = 1_280;
/// An encoder follows what it was told within this: signalling, and a window of measuring.
const SETTLE: Duration = Duration::from_millis(1_200);
/// A held encoding that shows less than this share of its known rate, in percent, is on its way to
/// silence; that is no measure of what it costs.
const HELD_PERCENT: u64 = 75;

/// How spatial layers relate to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Each is a stream of its own and needs no other.
    #[default]
    Simulcast,
    /// Higher ones need the lower ones, within one stream.
    Svc,
}

/// What the silence of an encoding says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Consent {
    /// Its publisher does not send it.
    #[default]
    Sent,
    /// Nothing: its publisher was told that nobody watches it.
    Held,
    /// Nothing yet: its publisher was told to send it again only at that time.
    Resumed(Instant),
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
    /// Windows that the rate is made of, up to a bound; none: nothing was measured yet.
    windows: u32,
    /// When the layer came, if that was within the window.
    since: Option<Instant>,
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
    /// Layers that paused because nobody watched them; they are as they were.
    kept: LayerSet,
    consents: [Consent; SPATIALS],
    /// What encodings are to cost that have not been measured.
    expected: [Option<Bitrate>; SPATIALS],
    /// Since when.
    expected_at: [Option<Instant>; SPATIALS],
    /// How many encodings the publisher offers.
    published: usize,
    /// Told by the publisher's shard, which sees all of them, and not measured here.
    told: bool,
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

    /// Takes note of how many encodings the publisher offers.
    pub(crate) fn set_published(&mut self, count: usize) {
        self.published = count;
        self.consents = [Consent::Sent; SPATIALS];
    }

    /// The publisher was told that nobody watches an encoding.
    pub(crate) fn hold(&mut self, stream: u8) {
        self.set_consent(stream, Consent::Held);
    }

    /// The publisher was told to send an encoding again.
    pub(crate) fn resume(&mut self, now: Instant, stream: u8) {
        self.set_consent(stream, Consent::Resumed(now));
    }

    fn set_consent(&mut self, stream: u8, consent: Consent) {
        if let Some(known) = self.consents.get_mut(usize::from(stream)) {
            *known = consent;
        }
    }

    fn consent(&self, spatial: u8) -> Consent {
        let consent = self.consents.get(usize::from(spatial));
        // Within one stream nothing can be held.
        let simulcast = self.scheme == Scheme::Simulcast;
        consent.copied().filter(|_| simulcast).unwrap_or_default()
    }

    /// Follows what the publisher's shard knows of the layers.
    pub(crate) fn follow(&mut self, layers: &Self) -> bool {
        let changed = (self.active, self.kept) != (layers.active, layers.kept);
        *self = Self {
            told: true,
            ..layers.clone()
        };
        changed
    }

    /// Takes note of a packet; whether its layer was not active before, or comes again.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        layer: Layer,
        bytes: usize,
        starts_frame: bool,
    ) -> bool {
        let appeared = !self.active.contains(layer);
        self.active.insert(layer);
        self.kept.remove(layer);
        if self.told {
            return appeared;
        }
        self.window.get_or_insert(now);
        self.last = Some(now);
        let resumed = matches!(self.consent(layer.spatial), Consent::Resumed(_));
        if resumed {
            self.set_consent(layer.spatial, Consent::Sent);
        }
        let Some(cell) = self.cell_mut(layer) else {
            return false;
        };
        if appeared || resumed {
            cell.since = Some(now);
            (cell.bytes, cell.frames) = (0, 0);
        }
        cell.last = Some(now);
        cell.bytes += u64::try_from(bytes).unwrap_or(0);
        cell.frames += u32::from(starts_frame);
        appeared || resumed
    }

    /// Takes note of a picture's size. With SVC a descriptor tells the topmost.
    pub(crate) fn on_size(&mut self, spatial: u8, size: Resolution) {
        if let Some(slot) = self.sizes.get_mut(usize::from(spatial)) {
            *slot = Some(size);
        }
    }

    /// Closes the window if it is over; whether layers fell silent. Silence is judged against the
    /// newest packet of the track: when nothing comes at all, nothing is known to have changed,
    /// unless other encodings are held that could come in the place of one that fails. What fell
    /// silent because nobody watches it is kept as it was.
    pub(crate) fn roll(&mut self, now: Instant) -> bool {
        let Some((start, last)) = self.window.zip(self.last).filter(|_| !self.told) else {
            return false;
        };
        let length = now.saturating_duration_since(start);
        if length < RATE_WINDOW {
            return false;
        }
        self.window = Some(now);
        for consent in &mut self.consents {
            let over = |at| now.saturating_duration_since(at) >= RESUME_GRACE;
            if matches!(consent, Consent::Resumed(at) if over(*at)) {
                *consent = Consent::Sent;
            }
        }
        let mut offered = self.consents.iter().take(self.published);
        let spared = now.checked_sub(LAYER_SILENT_AFTER);
        let spared = spared.filter(|_| offered.any(|&consent| consent != Consent::Sent));
        let last = spared.map_or(last, |at| at.max(last));
        let before = (self.active, self.kept);
        for layer in before.0.iter() {
            let excused = self.consent(layer.spatial) != Consent::Sent;
            let newest = if excused { now } else { last };
            let settles = self.settles(now, layer.spatial);
            let Some(cell) = self.cell_mut(layer) else {
                continue;
            };
            cell.close(now, length, excused, settles);
            let seen = cell.last.unwrap_or(start);
            if newest.saturating_duration_since(seen) >= LAYER_SILENT_AFTER {
                self.active.remove(layer);
                self.kept.insert(layer);
            }
        }
        for layer in self.kept.iter() {
            if self.consent(layer.spatial) == Consent::Sent {
                self.kept.remove(layer);
                if let Some(cell) = self.cell_mut(layer) {
                    *cell = Cell::default();
                }
            }
        }
        (self.active, self.kept) != before
    }

    /// Silence until now is explained: the track is or was muted.
    pub(crate) fn excuse(&mut self, now: Instant) {
        self.window = self.window.map(|_| now);
        self.last = self.last.map(|_| now);
        for layer in self.active.iter() {
            if let Some(cell) = self.cell_mut(layer) {
                cell.last = Some(now);
                cell.since = Some(now);
                (cell.bytes, cell.frames) = (0, 0);
            }
        }
    }

    /// Whether an encoding flows.
    pub(crate) fn flows(&self, spatial: u8) -> bool {
        self.active.iter().any(|layer| layer.spatial == spatial)
    }

    /// The encodings that are offered and not sent, and not because of us.
    pub(crate) fn missing(&self) -> Streams {
        let known = self.known();
        let silent = Streams::lowest(self.published).iter().filter(|&stream| {
            self.consent(stream) == Consent::Sent
                && known.iter().all(|layer| layer.spatial != stream)
        });
        silent.collect()
    }

    /// The layers that flow, and those that would if anybody watched them.
    pub(crate) fn known(&self) -> LayerSet {
        self.active.iter().chain(self.kept.iter()).collect()
    }

    /// Forgets all: another source comes.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            scheme: self.scheme,
            consents: self.consents,
            published: self.published,
            ..Self::default()
        };
    }

    /// What an encoding costs with all its temporal layers, as far as is known.
    pub(crate) fn whole_rate(&self, stream: u8) -> Option<Bitrate> {
        let measured: Bitrate = self.cells_of(stream).map(|cell| cell.rate).sum();
        if measured > Bitrate::ZERO {
            return Some(measured);
        }
        self.guess(stream).map(|guess| guess.rate)
    }

    /// An encoding is to cost something else from now on: that holds until it is measured.
    pub(crate) fn expect(&mut self, now: Instant, stream: u8, rate: Bitrate) {
        let measured: Bitrate = self.cells_of(stream).map(|cell| cell.rate).sum();
        if let Some(expected) = self.expected.get_mut(usize::from(stream)) {
            *expected = Some(rate);
        }
        if let Some(at) = self.expected_at.get_mut(usize::from(stream)) {
            *at = Some(now);
        }
        let Some(row) = self.cells.get_mut(usize::from(stream)) else {
            return;
        };
        for cell in row.iter_mut().filter(|_| measured > Bitrate::ZERO) {
            cell.rate = in_proportion(cell.rate, rate, measured);
            cell.windows = cell.windows.min(1);
        }
    }

    /// Whether an encoder was told so lately what to cost that it may not have followed yet.
    fn settles(&self, now: Instant, stream: u8) -> bool {
        let at = self.expected_at.get(usize::from(stream)).copied().flatten();
        at.is_some_and(|at| now.saturating_duration_since(at) < SETTLE)
    }

    fn cells_of(&self, stream: u8) -> impl Iterator<Item = &Cell> {
        self.cells.get(usize::from(stream)).into_iter().flatten()
    }

    /// The rate of all layers together.
    pub(crate) fn rate(&self) -> Bitrate {
        self.active
            .iter()
            .filter_map(|layer| self.cell(layer))
            .map(|cell| cell.rate)
            .sum()
    }

    /// The layers that can be had as steps, each with all that it needs. Of an encoding that has
    /// not been measured yet, because it has just begun or because nobody ever watched it, the cost
    /// is guessed.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        let known = self.known().iter().filter_map(|layer| {
            let guess = self.guess(layer.spatial);
            match guess {
                Some(guess) => (layer.temporal == 0).then_some(guess),
                None => self.step(layer),
            }
        });
        let unseen = Streams::lowest(self.published).iter();
        let unseen = unseen.filter(|&stream| {
            let held = self.consent(stream) != Consent::Sent;
            held && self.known().iter().all(|layer| layer.spatial != stream)
        });
        known.chain(unseen.filter_map(|stream| self.guess(stream)))
    }

    fn step(&self, layer: Layer) -> Option<Step> {
        let needed = |other: &Layer| {
            let spatial = match self.scheme {
                Scheme::Simulcast => other.spatial == layer.spatial,
                Scheme::Svc => other.spatial <= layer.spatial,
            };
            spatial && other.temporal <= layer.temporal
        };
        let known = self.known();
        let cells = || {
            let layers = known.iter().filter(needed);
            layers.filter_map(|other| Some((other, self.cell(other)?)))
        };
        let fps: f32 = cells()
            .filter(|(other, _)| other.spatial == layer.spatial)
            .map(|(_, cell)| cell.fps)
            .sum();
        Some(Step {
            layer,
            rate: cells().map(|(_, cell)| cell.rate).sum(),
            size: self.size(layer.spatial),
            fps: (fps >= 1.0).then_some(to_u8(fps)),
        })
    }

    /// What an encoding that was not measured would be, by the nearest one that was.
    fn guess(&self, stream: u8) -> Option<Step> {
        if self.scheme == Scheme::Svc {
            return None;
        }
        let known = self.known();
        let of = |spatial: u8| {
            let mut measured = known.iter().rev();
            measured.find(|&layer| {
                let cell = self.cell(layer);
                layer.spatial == spatial && cell.is_some_and(|cell| cell.windows > 0)
            })
        };
        if of(stream).is_some() {
            return None;
        }
        let below = (0..stream).rev().find_map(of);
        let nearest = below.or_else(|| (stream..Layer::SPATIAL_MAX).find_map(of));
        let Some(nearest) = nearest else {
            return self.usual(stream);
        };
        let mut step = self.step(nearest)?;
        for _ in nearest.spatial..stream {
            step.rate = step.rate.percent(100 * GUESSED_STEP);
            step.size = step
                .size
                .map(|(width, height)| (width.saturating_mul(2), height.saturating_mul(2)));
        }
        for _ in stream..nearest.spatial {
            step.rate = step.rate.percent(100 / GUESSED_STEP);
            step.size = step.size.map(|(width, height)| (width / 2, height / 2));
        }
        let expected = self.expected.get(usize::from(stream)).copied().flatten();
        step.rate = expected.map_or(step.rate, |expected| expected.min(step.rate));
        step.size = self.size(stream).or(step.size);
        step.layer.spatial = stream;
        Some(step)
    }

    /// What an encoding of that size usually costs, as long as none was measured: pictures that
    /// were free would all be tried at once on a narrow path.
    fn usual(&self, stream: u8) -> Option<Step> {
        let (width, height) = self.size(stream)?;
        let known = self.known();
        let layer = known.iter().rev().find(|layer| layer.spatial == stream)?;
        let pixels = u64::from(width) * u64::from(height);
        let spared = u64::from(width.max(height)).max(USUAL_SIDE);
        let rate = USUAL_RATE.bps().saturating_mul(pixels) / (USUAL_SIDE * spared * 9 / 16).max(1);
        Some(Step {
            layer,
            rate: Bitrate::from_bps(rate),
            size: Some((width, height)),
            fps: None,
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
    /// Ends a window. A layer that came within it is measured once there is a whole one of it.
    fn close(&mut self, now: Instant, length: Duration, excused: bool, settles: bool) {
        let since = self.since.map(|at| now.saturating_duration_since(at));
        // The first frame of a layer that was there from the start may come a little later.
        let part = since.filter(|&since| since < length * 7 / 8);
        let length = part.unwrap_or(length);
        if length < RATE_WINDOW {
            return;
        }
        self.since = None;
        let rate = Bitrate::of(DataSize::from_bytes(self.bytes), length);
        #[allow(clippy::cast_precision_loss, reason = "a few frames")]
        let fps = self.frames as f32 / length.as_secs_f32();
        (self.bytes, self.frames) = (0, 0);
        if excused && rate < self.rate.percent(HELD_PERCENT) {
            return;
        }
        if settles && rate > self.rate {
            return;
        }
        self.windows = (self.windows + 1).min(RATE_WINDOWS_MAX);
        let share = u64::from(self.windows);
        let others = Bitrate::from_bps(self.rate.bps().saturating_mul(share - 1));
        self.rate = Bitrate::from_bps(others.saturating_add(rate).bps() / share);
        #[allow(clippy::cast_precision_loss, reason = "a few windows")]
        let share = self.windows as f32;
        self.fps += (fps - self.fps) / share;
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
