//! What is known of a track's layers when another source goes on with it.

use super::{Cell, Layers};

impl Layers {
    /// How many encodings the publisher offers, if its shard told.
    pub(crate) fn offered(&self) -> Option<usize> {
        self.told.then_some(self.published.max(1))
    }

    /// Goes on from another source of the same track: until its layers have been measured here,
    /// each costs what it did. A guess could make somebody fall to less for a moment.
    pub(crate) fn inherit(&mut self, before: &Self) {
        if self.told || self.scheme != before.scheme {
            return;
        }
        for layer in self.known().iter() {
            let known = before.cell(layer).filter(|cell| cell.windows > 0);
            let known = known.map(|cell| (cell.rate, cell.fps));
            let cell = self.cell_mut(layer).filter(|cell| cell.windows == 0);
            if let (Some(cell), Some((rate, fps))) = (cell, known) {
                *cell = Cell {
                    rate,
                    fps,
                    windows: 1,
                    ..*cell
                };
            }
        }
    }
}
