//! Whether a lone encoding was cut down by its publisher's path.
//!
//! A simulcast gives up its largest layer, which shows. A single encoding only gets smaller, as it
//! does of a scene where nothing moves; so it counts only where the path was strained just before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media_contract::TransportFigures;
use media_types::TrackId;

/// Loss at which congestion control gives way (RFC 8698 and GCC alike begin at 2 %).
const LOSS_STRAINED: f32 = 0.02;
/// A queue on the way: so much more than the shortest round trip.
const QUEUE_STRAINED: Duration = Duration::from_millis(100);
/// An encoder follows its path within so long.
const STRAIN_HOLDS: Duration = Duration::from_secs(5);
/// What was usual is forgotten by half in 30 reports, one a second.
const USUAL_KEPT: f64 = 0.977;
/// Less than this share of what was usual is a collapse; more than twice that share is none.
const COLLAPSED_SHARE: f64 = 0.25;
/// Below this even a small picture has nothing to lose.
const USUAL_MIN_BPS: f64 = 150_000.0;

/// What is remembered of one encoding.
#[derive(Debug, Default)]
struct Encoding {
    usual: f64,
    collapsed: bool,
}

/// What is remembered of a publisher's path.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    encodings: BTreeMap<TrackId, Encoding>,
    rtt_least: Option<Duration>,
    strained: Option<Instant>,
}

impl Uplink {
    /// Takes a second's figures; the tracks that were cut down, of those that `counts`.
    pub(super) fn take(
        &mut self,
        now: Instant,
        figures: &TransportFigures,
        counts: impl Fn(TrackId) -> bool,
    ) -> Vec<TrackId> {
        self.note_strain(now, figures);
        let strained = self
            .strained
            .is_some_and(|at| now.duration_since(at) <= STRAIN_HOLDS);
        let present = |track: &TrackId| figures.tracks.iter().any(|t| t.track == *track);
        self.encodings.retain(|track, _| present(track));
        let mut collapsed = Vec::new();
        for track in &figures.tracks {
            if track.layers.len() > 1 || !counts(track.track) {
                self.encodings.remove(&track.track);
                continue;
            }
            let encoding = self.encodings.entry(track.track).or_default();
            if encoding.take(track.rate.bps(), strained) {
                collapsed.push(track.track);
            }
        }
        collapsed
    }

    fn note_strain(&mut self, now: Instant, figures: &TransportFigures) {
        let least = match (self.rtt_least, figures.rtt) {
            (Some(least), Some(rtt)) => Some(least.min(rtt)),
            (least, rtt) => least.or(rtt),
        };
        self.rtt_least = least;
        let queue = figures.rtt.zip(least).map(|(rtt, least)| rtt - least);
        let queued = queue.is_some_and(|queue| queue >= QUEUE_STRAINED);
        if figures.loss_in >= LOSS_STRAINED || queued {
            self.strained = Some(now);
        }
    }
}

impl Encoding {
    /// Whether it is cut down at this rate.
    fn take(&mut self, bps: u64, strained: bool) -> bool {
        // Rates are far below 2^53.
        #[allow(clippy::cast_precision_loss, reason = "a rate in bits a second")]
        let rate = bps as f64;
        self.usual = rate.max(self.usual * USUAL_KEPT);
        let limit = self.usual * COLLAPSED_SHARE;
        if rate >= 2.0 * limit || self.usual < USUAL_MIN_BPS {
            self.collapsed = false;
        } else if bps > 0 && rate < limit && strained {
            self.collapsed = true;
        }
        self.collapsed && bps > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fall_under_strain_is_a_collapse() {
        let mut quiet = Encoding::default();
        assert!((0..10).all(|_| !quiet.take(1_500_000, false)));
        // Nothing moves any more.
        assert!((0..10).all(|_| !quiet.take(150_000, false)));
        let mut cut = Encoding::default();
        assert!((0..10).all(|_| !cut.take(1_500_000, true)));
        assert!(cut.take(200_000, true));
        // The queue has gone since, and the picture is still small.
        assert!(cut.take(250_000, false));
        assert!(!cut.take(900_000, false));
        assert!(!cut.take(0, true));
    }

    #[test]
    fn what_was_usual_is_forgotten() {
        let mut cut = Encoding::default();
        cut.take(1_500_000, true);
        assert!(cut.take(300_000, true));
        let seconds = (0..120).take_while(|_| cut.take(300_000, false)).count();
        assert!((30..50).contains(&seconds), "{seconds}");
    }
}
