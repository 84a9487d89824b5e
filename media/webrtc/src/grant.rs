//! What a publisher may send, told by REMB (draft-alvestrand-rmcat-remb).
//!
//! A publisher without transport-wide feedback is told what its path was seen to carry. One with
//! it estimates by itself and is told only what its room caps it at.

use std::time::{Duration, Instant};

use media_bwe::{EstimatorConfig, ReceiveEstimator, SendTime};
use media_types::{Bitrate, DataSize, MediaKind};

use crate::limits::{GRANT_FALL_PERCENT, GRANT_INTERVAL};
use crate::packet::StreamIndex;

/// A packet as far as its way here is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) stream: StreamIndex,
    pub(crate) kind: MediaKind,
    /// It repeats another, whose timestamp it has.
    pub(crate) repair: bool,
    /// The absolute send time that it carries.
    pub(crate) send_time: Option<u32>,
    pub(crate) timestamp: u32,
    pub(crate) clock_rate: u32,
    pub(crate) size: usize,
}

/// Watches how a publisher's packets arrive.
#[derive(Debug)]
struct Watch {
    estimator: ReceiveEstimator,
    /// Some packet carried a send time: those that do not are of no use any more.
    timed: bool,
    /// Whose timestamps stand in for send times: pictures rather than sound.
    stand_in: Option<(StreamIndex, MediaKind)>,
}

impl Watch {
    fn on_packet(&mut self, now: Instant, packet: &Sighting) {
        let Some(sent) = self.send_time(packet) else {
            return;
        };
        let size = u64::try_from(packet.size).unwrap_or(u64::MAX);
        let size = DataSize::from_bytes(size);
        self.estimator.on_packet(now, sent, size);
    }

    fn send_time(&mut self, packet: &Sighting) -> Option<SendTime> {
        if let Some(absolute) = packet.send_time {
            self.timed = true;
            return Some(SendTime::Absolute(absolute));
        }
        if self.timed || packet.repair {
            return None;
        }
        let better = self
            .stand_in
            .is_none_or(|(_, kind)| kind == MediaKind::Audio && packet.kind == MediaKind::Video);
        if better {
            self.stand_in = Some((packet.stream, packet.kind));
        }
        let (stream, _) = self.stand_in?;
        (stream == packet.stream).then_some(SendTime::Rtp {
            timestamp: packet.timestamp,
            clock_rate: packet.clock_rate,
        })
    }
}

/// Says when a grant is due, and what it is.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    cap: Option<Bitrate>,
    /// A cap was told once, so that its end must be told too.
    capped: bool,
    told: Option<Bitrate>,
    next_at: Option<Instant>,
    /// Only of publishers that do not find out by themselves what their path carries.
    watch: Option<Box<Watch>>,
}

impl Grant {
    /// The most that may be sent, whatever the path carries.
    pub(crate) fn cap(&mut self, most: Option<Bitrate>) {
        if self.cap != most {
            self.cap = most;
            self.capped = true;
            self.next_at = None;
        }
    }

    /// Begins or ends to watch the publisher's path.
    pub(crate) fn watch(&mut self, wanted: bool, config: EstimatorConfig) {
        let new = || {
            let estimator = ReceiveEstimator::new(config);
            Box::new(Watch {
                estimator,
                timed: false,
                stand_in: None,
            })
        };
        self.watch = wanted.then(|| self.watch.take().unwrap_or_else(new));
    }

    /// Takes note of a packet, if the path is watched.
    pub(crate) fn on_packet(&mut self, now: Instant, packet: impl FnOnce() -> Option<Sighting>) {
        if let Some(watch) = &mut self.watch
            && let Some(packet) = packet()
        {
            watch.on_packet(now, &packet);
        }
    }

    /// Takes the share of packets lost since it was told last, in 256ths, and the round trip.
    pub(crate) fn on_report(&mut self, now: Instant, lost: u8, rtt: Option<Duration>) {
        if let Some(watch) = &mut self.watch {
            watch.estimator.on_loss(now, lost);
            if let Some(rtt) = rtt {
                watch.estimator.on_rtt(now, rtt);
            }
        }
    }

    /// The path is another one.
    pub(crate) fn on_path_change(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.estimator.on_path_change();
        }
    }

    /// What the path was seen to carry; `None` if it is not watched.
    pub(crate) fn seen(&self) -> Option<Bitrate> {
        self.watch.as_ref().map(|watch| watch.estimator.estimate())
    }

    /// When [`Grant::poll`] has something next; `None` before the first.
    pub(crate) const fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// There is nobody to tell for now.
    pub(crate) const fn rest(&mut self) {
        self.next_at = None;
    }

    /// The grant to send now, if it is time. `seen` is what the path was seen to carry, `None` if
    /// the publisher finds that out by itself.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        seen: Option<Bitrate>,
        most: Bitrate,
    ) -> Option<Bitrate> {
        if seen.is_none() && !self.capped {
            self.rest();
            return None;
        }
        let rate = seen.unwrap_or(most).min(self.cap.unwrap_or(most));
        let fallen = |told: Bitrate| rate < told.percent(GRANT_FALL_PERCENT);
        let waits = self.next_at.is_some_and(|at| now < at);
        if waits && !self.told.is_some_and(fallen) {
            return None;
        }
        self.next_at = Some(now + GRANT_INTERVAL);
        self.told = Some(rate);
        self.told
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]
mod tests {
    use super::*;

    const MOST: Bitrate = Bitrate::from_kbps(50_000);

    fn kbps(kbps: u64) -> Bitrate {
        Bitrate::from_kbps(kbps)
    }

    #[test]
    fn a_grant_is_told_each_second_and_a_fall_at_once() {
        let base = Instant::now();
        let at = |millis| base + Duration::from_millis(millis);
        let mut grant = Grant::default();
        assert_eq!(grant.poll(at(0), Some(kbps(900)), MOST), Some(kbps(900)));
        assert_eq!(grant.poll(at(500), Some(kbps(950)), MOST), None);
        assert_eq!(grant.poll(at(600), Some(kbps(700)), MOST), Some(kbps(700)));
        assert_eq!(grant.next_at(), Some(at(1_600)));
        assert_eq!(
            grant.poll(at(1_600), Some(kbps(710)), MOST),
            Some(kbps(710))
        );
    }

    fn sighting(index: u16, kind: MediaKind, timestamp: u32) -> Sighting {
        Sighting {
            stream: StreamIndex(index),
            kind,
            repair: false,
            send_time: None,
            timestamp,
            clock_rate: 90_000,
            size: 1_000,
        }
    }

    #[test]
    fn the_best_send_times_that_there_are_count() {
        let mut watch = Watch {
            estimator: ReceiveEstimator::new(EstimatorConfig::default()),
            timed: false,
            stand_in: None,
        };
        let rtp = |timestamp| SendTime::Rtp {
            timestamp,
            clock_rate: 90_000,
        };
        let [sound, picture] = [(0, MediaKind::Audio), (1, MediaKind::Video)];
        let packet = |(index, kind), timestamp| sighting(index, kind, timestamp);
        assert_eq!(watch.send_time(&packet(sound, 5)), Some(rtp(5)));
        assert_eq!(watch.send_time(&packet(picture, 6)), Some(rtp(6)));
        assert_eq!(watch.send_time(&packet(sound, 7)), None);
        let repair = Sighting {
            repair: true,
            ..packet(picture, 8)
        };
        assert_eq!(watch.send_time(&repair), None);
        let timed = Sighting {
            send_time: Some(77),
            ..repair
        };
        assert_eq!(watch.send_time(&timed), Some(SendTime::Absolute(77)));
        assert_eq!(watch.send_time(&packet(picture, 9)), None);
    }

    #[test]
    fn a_cap_binds_and_its_end_is_told() {
        let base = Instant::now();
        let at = |millis| base + Duration::from_millis(millis);
        let mut grant = Grant::default();
        // It estimates by itself, and nothing is capped.
        assert_eq!(grant.poll(at(0), None, MOST), None);
        assert_eq!(grant.poll(at(1), Some(kbps(800)), MOST), Some(kbps(800)));
        assert_eq!(grant.poll(at(2_000), None, MOST), None);
        assert_eq!(grant.next_at(), None);
        grant.cap(Some(kbps(500)));
        assert_eq!(grant.poll(at(10), None, MOST), Some(kbps(500)));
        grant.cap(Some(kbps(500)));
        assert_eq!(grant.poll(at(20), None, MOST), None);
        assert_eq!(grant.poll(at(1_010), None, MOST), Some(kbps(500)));
        grant.cap(None);
        assert_eq!(grant.poll(at(1_020), None, MOST), Some(MOST));
        let mut grant = Grant::default();
        grant.cap(Some(kbps(500)));
        assert_eq!(grant.poll(at(0), Some(kbps(900)), MOST), Some(kbps(500)));
        assert_eq!(grant.poll(at(1), Some(kbps(300)), MOST), Some(kbps(300)));
    }
}
