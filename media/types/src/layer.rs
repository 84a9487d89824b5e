//! Spatial and temporal layers of a track.

use std::fmt;

/// One step of a track's quality: the higher, the more pixels or pictures a second.
///
/// With simulcast `spatial` is the index of the encoding, lowest first (`q`, `h`, `f` → 0, 1, 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer {
    /// Spatial layer or simulcast encoding, `0..SPATIAL_MAX`.
    pub spatial: u8,
    /// Temporal layer, `0..TEMPORAL_MAX`.
    pub temporal: u8,
}

impl Layer {
    /// Simulcast and SVC as browsers make them have at most three spatial layers.
    pub const SPATIAL_MAX: u8 = 3;
    /// One more than browsers use.
    pub const TEMPORAL_MAX: u8 = 4;
    /// The base layer.
    pub const BASE: Self = Self {
        spatial: 0,
        temporal: 0,
    };
    /// Above every layer there is.
    pub const TOP: Self = Self {
        spatial: Self::SPATIAL_MAX - 1,
        temporal: Self::TEMPORAL_MAX - 1,
    };

    /// A layer, or `None` outside the ranges.
    #[must_use]
    pub const fn new(spatial: u8, temporal: u8) -> Option<Self> {
        if spatial < Self::SPATIAL_MAX && temporal < Self::TEMPORAL_MAX {
            Some(Self { spatial, temporal })
        } else {
            None
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}T{}", self.spatial, self.temporal)
    }
}

/// A set of layers, one bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerSet(u16);

impl LayerSet {
    /// No layer.
    pub const EMPTY: Self = Self(0);

    const fn bit(layer: Layer) -> u16 {
        1 << (layer.spatial * Layer::TEMPORAL_MAX + layer.temporal)
    }

    /// Adds a layer.
    pub const fn insert(&mut self, layer: Layer) {
        self.0 |= Self::bit(layer);
    }

    /// Takes a layer out.
    pub const fn remove(&mut self, layer: Layer) {
        self.0 &= !Self::bit(layer);
    }

    /// Whether the layer is in.
    #[must_use]
    pub const fn contains(self, layer: Layer) -> bool {
        self.0 & Self::bit(layer) != 0
    }

    /// Whether nothing is in.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The layers, lowest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Layer> {
        (0..Layer::SPATIAL_MAX)
            .flat_map(|spatial| {
                (0..Layer::TEMPORAL_MAX).map(move |temporal| Layer { spatial, temporal })
            })
            .filter(move |&layer| self.contains(layer))
    }
}

impl FromIterator<Layer> for LayerSet {
    fn from_iter<I: IntoIterator<Item = Layer>>(layers: I) -> Self {
        layers.into_iter().fold(Self::EMPTY, |mut set, layer| {
            set.insert(layer);
            set
        })
    }
}

impl fmt::Debug for LayerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|layer| layer.to_string()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_its_layers_lowest_first() {
        let top = Layer::new(2, 3).unwrap();
        let mut set: LayerSet = [top, Layer::BASE].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Layer::BASE, top]);
        set.remove(top);
        assert!(!set.contains(top) && set.contains(Layer::BASE));
        assert_eq!(Layer::new(3, 0), None);
    }
}
