//! How well a peer's media arrives, and what `stats` says of it.

use std::time::Duration;

use media_contract::{LayerFigures, SlotFigures, TransportFigures};
use media_types::{Bitrate, Rid, TrackId};
use signaling::server_message::StatsResult;
use signaling::view::{LayerStats, PublishedStats, QualityReason, SlotPhase, SubscribedStats};

use super::state::{Effect, PeerState};
use crate::room::quality::{Report, Score};

/// One part in five lost makes a call unusable.
const LOSS_UNUSABLE: f64 = 0.2;
/// A round trip that nobody notices (ITU-T G.114 has 150 ms one way as its limit).
const RTT_GOOD: Duration = Duration::from_millis(150);
/// A round trip at which people talk over each other all the time.
const RTT_BAD: Duration = Duration::from_millis(1_000);
/// What a long way costs at most.
const RTT_COST: f64 = 0.5;
/// What a slot that the path cannot fill costs.
const STARVED_COST: f64 = 0.3;
/// What a slot that shows less than is wished for costs.
const LIMITED_COST: f64 = 0.15;
/// Costs below this are not worth a reason.
const WORTH_NAMING: f64 = 0.05;

/// How well media arrives both ways, by figures and by whether a slot gets nothing at all.
pub(crate) fn score(figures: &TransportFigures, starved: bool) -> Score {
    let lost = f64::from(figures.loss_in.max(figures.loss_out));
    let loss = (lost / LOSS_UNUSABLE).clamp(0.0, 1.0);
    let rtt = figures.rtt.unwrap_or_default().saturating_sub(RTT_GOOD);
    let span = RTT_BAD.saturating_sub(RTT_GOOD).as_secs_f64();
    let latency = (rtt.as_secs_f64() / span).clamp(0.0, 1.0) * RTT_COST;
    let bandwidth = if starved {
        STARVED_COST
    } else if figures.slots.iter().any(|slot| slot.limited) {
        LIMITED_COST
    } else {
        0.0
    };
    let costs = [
        (loss, QualityReason::Loss),
        (latency, QualityReason::Latency),
        (bandwidth, QualityReason::Bandwidth),
    ];
    let total: f64 = costs.iter().map(|(cost, _)| cost).sum();
    let worst = costs.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b));
    let reason = match worst {
        Some((cost, reason)) if cost >= WORTH_NAMING => reason,
        _ => QualityReason::None,
    };
    Score {
        value: (1.0 - total).max(0.0),
        reason,
    }
}

impl PeerState {
    /// The shard's figures of the last second.
    pub(super) fn take_figures(&mut self, figures: TransportFigures) {
        let score = score(&figures, self.is_starved());
        let silent = self.silent_layers(&figures);
        self.figures = Some(figures);
        let report = Report { score, silent };
        self.effects.push(Effect::Quality(report));
    }

    /// Layers that have flowed and do not now, while others of their track do: an encoder that has
    /// too little bandwidth gives up the largest first.
    fn silent_layers(&mut self, figures: &TransportFigures) -> Vec<(TrackId, Rid)> {
        let mut silent = Vec::new();
        for track in &figures.tracks {
            let flows = track.rate > Bitrate::ZERO;
            for layer in &track.layers {
                let Some(rid) = layer.rid else { continue };
                let key = (track.track, rid);
                if layer.rate > Bitrate::ZERO {
                    self.flowed.insert(key);
                } else if flows && self.flowed.contains(&key) {
                    silent.push(key);
                }
            }
        }
        let published = |track: &TrackId| figures.tracks.iter().any(|t| t.track == *track);
        self.flowed.retain(|(track, _)| published(track));
        silent
    }

    fn is_starved(&self) -> bool {
        let mut shown = self.shown.values();
        shown.any(|slot| slot.state == SlotPhase::Paused && slot.reason.is_some())
    }

    /// Every slot, whatever it shows; a client that comes back learns from it what that is.
    fn slots_stats(&self, figures: &TransportFigures) -> Vec<SubscribedStats> {
        let slots = self.slots.iter().map(|(mid, _, track_id)| {
            let same = |slot: &&SlotFigures| slot.mid == mid && Some(slot.track) == track_id;
            let found = figures.slots.iter().find(same);
            let layer = found.and_then(|slot| slot.layer);
            SubscribedStats {
                mid,
                track_id,
                spatial: layer.map(|layer| layer.spatial),
                temporal: layer.map(|layer| layer.temporal),
                bps: found.map_or(0, |slot| slot.rate.bps()),
            }
        });
        slots.collect()
    }

    /// What the server sees of this peer.
    pub(super) fn stats(&self) -> StatsResult {
        let none = TransportFigures::default();
        let figures = self.figures.as_ref().unwrap_or(&none);
        let published = figures.tracks.iter().map(|track| PublishedStats {
            track_id: track.track,
            layers: layers_stats(&track.layers),
            loss: f64::from(figures.loss_in),
        });
        StatsResult {
            estimate_bps: figures.estimate.bps(),
            sent_bps: figures.rate_out.bps(),
            received_bps: figures.rate_in.bps(),
            rtt_ms: figures.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
            loss: f64::from(figures.loss_out),
            quality: score(figures, self.is_starved()).value,
            published: published.collect(),
            slots: self.slots_stats(figures),
        }
    }
}

fn layers_stats(layers: &[LayerFigures]) -> Vec<LayerStats> {
    let numbered = (0..=u8::MAX).zip(layers);
    let stats = numbered.map(|(spatial, layer)| LayerStats {
        rid: layer.rid.map(|rid| rid.to_string()),
        spatial,
        active: layer.rate.bps() > 0,
        bps: layer.rate.bps(),
    });
    stats.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(loss: f32, rtt_ms: u64) -> TransportFigures {
        TransportFigures {
            loss_out: loss,
            rtt: Some(Duration::from_millis(rtt_ms)),
            ..TransportFigures::default()
        }
    }

    fn parts(score: Score) -> (f64, QualityReason) {
        (score.value, score.reason)
    }

    #[test]
    fn the_score_falls_with_loss_and_delay_and_names_the_worst() {
        let score = |figures: &TransportFigures, starved| parts(score(figures, starved));
        assert_eq!(score(&figures(0.0, 40), false), (1.0, QualityReason::None));
        let (lossy, reason) = score(&figures(0.1, 40), false);
        assert!((lossy - 0.5).abs() < 1e-6);
        assert_eq!(reason, QualityReason::Loss);
        assert_eq!(score(&figures(0.5, 40), false).0, 0.0);
        let (far, reason) = score(&figures(0.0, 5_000), false);
        assert!((far - 0.5).abs() < 1e-6);
        assert_eq!(reason, QualityReason::Latency);
        assert_eq!(score(&figures(0.01, 40), true).1, QualityReason::Bandwidth);
    }

    #[test]
    fn loss_counts_whichever_way_it_is_and_so_does_a_smaller_picture() {
        let mut uplink = figures(0.0, 40);
        uplink.loss_in = 0.1;
        let (value, reason) = parts(score(&uplink, false));
        assert!((value - 0.5).abs() < 1e-6);
        assert_eq!(reason, QualityReason::Loss);
        let mut narrow = figures(0.0, 40);
        narrow.slots = vec![SlotFigures {
            mid: "0".parse().unwrap(),
            track: TrackId::new(1),
            layer: None,
            rate: Bitrate::ZERO,
            limited: true,
        }];
        let limited = score(&narrow, false);
        assert_eq!(limited.reason, QualityReason::Bandwidth);
        assert!(score(&narrow, true).value < limited.value);
    }
}
