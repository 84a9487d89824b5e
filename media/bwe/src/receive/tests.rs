//! A sender that heeds REMB, through a bottleneck.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

use super::*;

const SIZE: DataSize = DataSize::from_bytes(1_200);
const MS: fn(u64) -> Duration = Duration::from_millis;

struct Path {
    base: Instant,
    at: Duration,
    free: Duration,
    rate: Bitrate,
    remb: Bitrate,
    queue: Duration,
}

impl Path {
    fn new(kbps: u64) -> Self {
        Self {
            base: Instant::now(),
            at: Duration::ZERO,
            free: Duration::ZERO,
            rate: Bitrate::from_kbps(kbps),
            remb: Bitrate::from_kbps(2_500),
            queue: Duration::ZERO,
        }
    }

    /// Sends pictures at the REMB, up to `most`, through a queue of 300 ms.
    fn run(&mut self, estimator: &mut ReceiveEstimator, seconds: u64, most: u64, rtp: bool) {
        let end = self.at + Duration::from_secs(seconds);
        while self.at < end {
            let rate = self.remb.min(Bitrate::from_kbps(most));
            let packets = rate.bytes_in(MS(33)).div_ceil(SIZE.bytes());
            for packet in 0..packets {
                // A sender spreads a picture a little.
                let sent = self.at + MS(2) * u32::try_from(packet).unwrap();
                let start = self.free.max(sent);
                if start - sent > MS(300) {
                    continue;
                }
                self.free = start + self.rate.time_for(SIZE);
                self.queue = self.free - sent;
                let now = self.base + self.free + MS(20);
                estimator.on_packet(now, send_time(sent, self.at, rtp), SIZE);
                if let Some(remb) = estimator.poll_remb(now) {
                    self.remb = remb;
                }
            }
            self.at += MS(33);
        }
    }
}

fn send_time(sent: Duration, picture: Duration, rtp: bool) -> SendTime {
    if rtp {
        let ticks = picture.as_micros() * 90_000 / 1_000_000;
        return SendTime::Rtp {
            timestamp: u32::try_from(ticks & 0xFFFF_FFFF).unwrap(),
            clock_rate: 90_000,
        };
    }
    let bits = (sent.as_micros() << 18) / 1_000_000;
    SendTime::Absolute(u32::try_from(bits & 0x00FF_FFFF).unwrap())
}

#[test]
fn a_narrow_path_is_found_by_either_clock() {
    for rtp in [false, true] {
        let mut estimator = ReceiveEstimator::new(EstimatorConfig::default());
        let mut path = Path::new(1_000);
        path.run(&mut estimator, 3, 3_000, rtp);
        assert!(path.remb < Bitrate::from_kbps(1_100), "{}", path.remb);
        for _ in 0..10 {
            path.run(&mut estimator, 2, 3_000, rtp);
            let kbps = path.remb.bps() / 1_000;
            assert!((600..1_150).contains(&kbps), "{rtp}: {kbps}");
        }
    }
}

#[test]
fn a_wide_path_lets_the_sender_grow() {
    let mut estimator = ReceiveEstimator::new(EstimatorConfig::default());
    let mut path = Path::new(20_000);
    path.run(&mut estimator, 20, 5_000, false);
    assert!(path.remb > Bitrate::from_kbps(5_000), "{}", path.remb);
    assert!(path.queue < MS(40), "{:?}", path.queue);
}

#[test]
fn remb_comes_each_second_and_at_once_on_a_fall() {
    let base = Instant::now();
    let mut estimator = ReceiveEstimator::new(EstimatorConfig::default());
    assert_eq!(
        (estimator.poll_remb(base), estimator.poll_timeout()),
        (None, None)
    );
    estimator.on_packet(base, SendTime::Absolute(0), SIZE);
    let start = Bitrate::from_kbps(2_500);
    assert_eq!(estimator.poll_remb(base), Some(start));
    assert_eq!(estimator.poll_remb(base + MS(500)), None);
    assert_eq!(estimator.poll_timeout(), Some(base + MS(1_000)));
    assert_eq!(estimator.poll_remb(base + MS(1_000)), Some(start));
    estimator.on_loss(base + MS(1_100), 128);
    let fallen = Some(Bitrate::from_kbps(1_875));
    assert_eq!(estimator.poll_remb(base + MS(1_100)), fallen);
    // Nothing arrives any more: nothing is said.
    assert_eq!(estimator.poll_remb(base + MS(5_000)), None);
    estimator.on_path_change();
    assert_eq!(estimator.estimate(), start);
}
