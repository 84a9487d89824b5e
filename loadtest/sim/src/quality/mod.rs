//! The promises about bad networks, measured: what docs/quality.md shows.
//!
//! A [`Scenario`] runs a call from a seed and gives an [`Outcome`]: figures, each with its bound,
//! and a [`Timeline`] to plot. [`measure`] over several seeds gives a [`Row`] with the medians.

mod compare;
mod crowd;
mod figures;
mod page;
mod pair;
mod plot;
mod rows;
mod stock;
mod timeline;

pub use compare::{Comparison, Side, compare, section};
pub use figures::{Bound, Figure, Outcome, Row, freezes, jain, measure, median};
pub use page::page;
pub use plot::svg;
pub use rows::{SCENARIOS, Scenario};
pub use timeline::Timeline;

/// The seeds whose median is reported.
pub const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
