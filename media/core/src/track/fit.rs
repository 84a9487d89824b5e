//! Fitting a publisher's encodings to an audience that cannot take them whole.
//!
//! Layers come in steps, an encoder makes any rate. Where nobody who would show an encoding can
//! take all of it, its publisher is bound to what the best of those viewers can take. Whoever can
//! take less is served by lower layers as ever; whoever can take all of it lifts the bound.

use std::time::{Duration, Instant};

use media_types::{Bitrate, Layer};

use super::layers::Layers;
use super::wanted::Streams;
use crate::limits::{
    FIT_AGAIN, FIT_CLIMB_PERCENT, FIT_DEFIED_PERCENT, FIT_FALL_PERCENT, FIT_FALL_PERIOD,
    FIT_FREE_PERCENT, FIT_HELD_PERCENT, FIT_LEAST_PERCENT, FIT_LOST_PERCENT, FIT_PROOF,
    FIT_RAISE_FAILED_WITHIN, FIT_RAISE_PERCENT, FIT_RAISE_PERIOD, FIT_RAISE_PERIOD_MAX,
    FIT_RISE_PERCENT, FIT_WIDE_PERCENT,
};

const STREAMS: usize = Layer::SPATIAL_MAX as usize;

/// One who shows the track, as the last allocation left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// The highest encoding that it has a use for.
    pub(crate) reach: u8,
    /// The encoding that it is to be shown; `None` for nothing.
    pub(crate) shows: Option<u8>,
    /// It is shown all of that encoding's pictures.
    pub(crate) smooth: bool,
    /// What its path leaves to this track; `None`: no bound is known.
    pub(crate) left: Option<Bitrate>,
}

/// What an encoding is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    rate: Bitrate,
    /// What it costs without a bound.
    whole: Bitrate,
    /// Somebody can take that much.
    fits: bool,
    /// When the rate was set.
    at: Instant,
    /// That was a rise.
    rose: bool,
    /// How long before the next rise.
    rest: Duration,
    /// Since when the encoding has been flowing under this rate.
    flows_since: Option<Instant>,
}

/// The bounds of one track's encodings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fit {
    bounds: [Option<Bound>; STREAMS],
    /// The publisher did not keep to a bound: none before this.
    not_before: Option<Instant>,
}

impl Fit {
    /// What an encoding is bound to.
    pub(crate) fn bound(&self, stream: u8) -> Option<Bitrate> {
        Some(self.get(stream)?.rate)
    }

    /// What a bound encoding costs without its bound.
    pub(crate) fn whole(&self, stream: u8) -> Option<Bitrate> {
        Some(self.get(stream)?.whole)
    }

    fn get(&self, stream: u8) -> Option<&Bound> {
        self.bounds.get(usize::from(stream))?.as_ref()
    }

    /// Follows the audience; whether a bound changed. The layers then expect what they will cost.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        published: usize,
        viewers: impl Iterator<Item = Viewer> + Clone,
        layers: &mut Layers,
    ) -> bool {
        let barred = self.not_before.is_some_and(|at| now < at);
        let mut changed = false;
        for stream in Streams::lowest(published).iter() {
            let Some(bound) = self.bounds.get_mut(usize::from(stream)) else {
                continue;
            };
            if is_defied(now, stream, bound, layers) {
                self.not_before = Some(now + FIT_AGAIN);
                *bound = None;
                changed = true;
                continue;
            }
            let whole = match bound {
                Some(bound) => Some(bound.whole),
                None => layers.whole_rate(stream),
            };
            let Some(whole) = whole else { continue };
            let least = whole.percent(FIT_LEAST_PERCENT);
            let asked = demand_of(stream, least, viewers.clone());
            let demand = match asked {
                Demand::Nobody => continue,
                Demand::Bounded(_) if barred => Demand::Unbounded,
                Demand::Bounded(_) | Demand::Unbounded => asked,
            };
            let Some(next) = follow(now, *bound, demand, whole) else {
                continue;
            };
            *bound = next;
            let fits = next.filter(|next| next.fits);
            layers.expect(now, stream, fits.map_or(whole, |next| next.rate));
            changed = true;
        }
        changed
    }
}

/// A share of `part` that is as large as the rate is of `whole`.
pub(crate) fn in_proportion(rate: Bitrate, part: Bitrate, whole: Bitrate) -> Bitrate {
    let product = u128::from(rate.bps()) * u128::from(part.bps());
    let share = product / u128::from(whole.bps().max(1));
    Bitrate::from_bps(u64::try_from(share).unwrap_or(u64::MAX))
}

/// What the audience of one encoding can take of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Demand {
    /// There is none.
    Nobody,
    /// The best of them can take this much.
    Bounded(Bitrate),
    /// No bound is known of one of them.
    Unbounded,
}

/// What those can take of an encoding who have a use for it and are not shown a higher one.
fn demand_of(stream: u8, least: Bitrate, viewers: impl Iterator<Item = Viewer>) -> Demand {
    let mut best = None;
    for viewer in viewers {
        let Some(shows) = viewer.shows.filter(|&shows| shows <= stream) else {
            continue;
        };
        if viewer.reach < stream {
            continue;
        }
        let Some(left) = viewer.left else {
            return Demand::Unbounded;
        };
        let takes = if shows < stream {
            // It begins with a keyframe, so that it begins small.
            let most = left.percent(FIT_RISE_PERCENT);
            left.percent(FIT_CLIMB_PERCENT).max(least.min(most))
        } else if viewer.smooth {
            left.percent(FIT_HELD_PERCENT)
        } else {
            left.percent(FIT_RISE_PERCENT)
        };
        best = best.max(Some(takes));
    }
    best.map_or(Demand::Nobody, Demand::Bounded)
}

/// What to change a bound to, if to anything.
#[allow(clippy::option_option, reason = "a change to no bound at all")]
fn follow(
    now: Instant,
    bound: Option<Bound>,
    demand: Demand,
    whole: Bitrate,
) -> Option<Option<Bound>> {
    let least = whole.percent(FIT_LEAST_PERCENT);
    let fitted = bound.is_some_and(|bound| bound.fits);
    let bar = if fitted {
        least.percent(FIT_LOST_PERCENT)
    } else {
        least
    };
    // What is bound already was measured a while ago.
    let free = match bound {
        Some(_) => whole.percent(FIT_FREE_PERCENT),
        None => whole,
    };
    let next = match demand {
        Demand::Bounded(best) if best < free => Some(Bound {
            rate: best.max(least),
            whole,
            fits: best >= bar,
            at: now,
            rose: false,
            rest: FIT_RAISE_PERIOD,
            flows_since: None,
        }),
        Demand::Nobody | Demand::Bounded(_) | Demand::Unbounded => None,
    };
    let Some(held) = bound else {
        return next.is_some().then_some(next);
    };
    let passed = |time: Duration| now.saturating_duration_since(held.at) >= time;
    let Some(mut next) = next else {
        let free = demand == Demand::Unbounded || passed(FIT_RAISE_PERIOD);
        return free.then_some(None);
    };
    let falls = next.rate < held.rate;
    let lost = held.fits && !next.fits;
    // A rise is taken back at once.
    let may_fall = held.rose || passed(FIT_FALL_PERIOD);
    let changes = if next.fits != held.fits {
        if lost { may_fall } else { passed(held.rest) }
    } else if falls {
        next.rate < held.rate.percent(FIT_FALL_PERCENT) && may_fall
    } else {
        // Where there is much more, the path is another one than that which was too narrow.
        let wide = next.rate > held.rate.percent(FIT_WIDE_PERCENT);
        let rest = if wide { FIT_RAISE_PERIOD } else { held.rest };
        next.rate > held.rate.percent(FIT_RAISE_PERCENT) && passed(rest)
    };
    let failed = lost || falls && held.rose && !passed(FIT_RAISE_FAILED_WITHIN);
    next.rose = !falls && !lost;
    next.rest = match failed {
        true => held.rest.saturating_mul(2).min(FIT_RAISE_PERIOD_MAX),
        false => held.rest,
    };
    changes.then_some(Some(next))
}

/// Whether an encoding has long enough been flowing far above its bound: its publisher does not
/// know of bounds, or cannot keep them.
fn is_defied(now: Instant, stream: u8, bound: &mut Option<Bound>, layers: &Layers) -> bool {
    // What is expected of one that does not fit is not what it was told.
    let Some(bound) = bound.as_mut().filter(|bound| bound.fits) else {
        return false;
    };
    if !layers.flows(stream) {
        bound.flows_since = None;
        return false;
    }
    let since = *bound.flows_since.get_or_insert(now);
    let proven = now.saturating_duration_since(since) >= FIT_PROOF;
    let rate = layers.whole_rate(stream).unwrap_or_default();
    proven && rate > bound.rate.percent(FIT_DEFIED_PERCENT)
}

#[cfg(test)]
mod tests;
