//! How well a peer's media arrives, and what `stats` says of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media_contract::{LayerFigures, SlotFigures, TransportFigures};
use media_types::{Bitrate, Identity, PeerId, Rid, TrackId, TrackSource};
use signaling::server_message::StatsResult;
use signaling::view::{LayerStats, PublishedStats, QualityReason, SlotPhase, SubscribedStats};

use super::state::{Effect, PeerState, Phase};
use crate::limits::QUALITY_EVERYBODY;
use crate::room::TrackRecord;
use crate::room::quality::{Board, Report, Score};
use crate::session::SessionKind;

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
    let bandwidth = if starved {
        STARVED_COST
    } else if figures.slots.iter().any(|slot| slot.limited) {
        LIMITED_COST
    } else {
        0.0
    };
    score_of(figures, figures.loss_in.max(figures.loss_out), bandwidth)
}

/// How well what a peer sends arrives: that it receives badly is nobody else's trouble.
pub(crate) fn uplink_score(figures: &TransportFigures) -> Score {
    score_of(figures, figures.loss_in, 0.0)
}

fn score_of(figures: &TransportFigures, lost: f32, bandwidth: f64) -> Score {
    let loss = (f64::from(lost) / LOSS_UNUSABLE).clamp(0.0, 1.0);
    let rtt = figures.rtt.unwrap_or_default().saturating_sub(RTT_GOOD);
    let span = RTT_BAD.saturating_sub(RTT_GOOD).as_secs_f64();
    let latency = (rtt.as_secs_f64() / span).clamp(0.0, 1.0) * RTT_COST;
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
    pub(super) fn take_figures(&mut self, now: Instant, figures: TransportFigures) {
        let score = score(&figures, self.is_starved());
        let uplink = uplink_score(&figures);
        let silent = self.silent_layers(&figures);
        let tracks = &self.record.tracks;
        let rtt = figures.rtt;
        let narrowed = self.uplink.take(now, &figures, |track| {
            let is_shown = |own: &TrackRecord| own.source == TrackSource::Camera && !own.muted;
            tracks.iter().any(|own| own.track == track && is_shown(own))
        });
        self.figures = Some(figures);
        let report = Report {
            score,
            rtt,
            uplink,
            silent,
            narrowed,
        };
        self.effects.push(Effect::Quality(report));
    }

    /// The room says how well its publishers' media arrives.
    pub(super) fn set_qualities(&mut self, board: Arc<Board>) {
        self.board_told.retain(|peer, _| board.contains_key(peer));
        self.board = board;
        self.tell_qualities();
    }

    /// Tells the client what it does not know yet of those whom it sees and hears; in a room with
    /// few publishers, of all.
    pub(super) fn tell_qualities(&mut self) {
        let active = matches!(self.phase, Phase::Active { .. });
        if self.board.is_empty() || !active || self.record.kind != SessionKind::WebSocket {
            return;
        }
        let entries = self.view.tracks.iter();
        let publishers: BTreeSet<PeerId> = entries.map(|entry| entry.owner).collect();
        let shown = (publishers.len() > QUALITY_EVERYBODY).then(|| self.shown_publishers());
        let board = Arc::clone(&self.board);
        for (peer, told) in board.iter() {
            let concerns = shown.as_ref().is_none_or(|shown| shown.contains(peer));
            let own = *peer == self.record.identity;
            if !concerns || own || self.board_told.get(peer) == Some(&told.score) {
                continue;
            }
            self.board_told.insert(peer.clone(), told.score);
            self.effects.push(Effect::SendQuality(Arc::clone(told)));
        }
    }

    fn shown_publishers(&self) -> BTreeSet<Identity> {
        let shown: BTreeSet<TrackId> = self.slots.iter().filter_map(|(_, _, t)| t).collect();
        let entries = self.view.tracks.iter().map(|entry| &entry.view);
        let entries = entries.filter(|view| shown.contains(&view.track_id));
        entries.map(|view| view.peer_id.clone()).collect()
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
