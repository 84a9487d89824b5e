//! What loss is taken for the path's own, and what for ours.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

use super::*;

const KBPS: fn(u64) -> Bitrate = Bitrate::from_kbps;

/// A path on which a share of packets is lost by a rule, sent at what the controller allows.
struct Path {
    base: Instant,
    at: Duration,
    sent: u64,
    owed: f64,
}

impl Path {
    fn new() -> Self {
        Self {
            base: Instant::now(),
            at: Duration::ZERO,
            sent: 0,
            owed: 0.0,
        }
    }

    /// Sends for `seconds` at the limit or `most`; `lost` gives the share lost at a rate.
    fn run(
        &mut self,
        control: &mut LossController,
        most: Bitrate,
        seconds: u64,
        lost: impl Fn(Bitrate) -> f64,
    ) -> Bitrate {
        let size = DataSize::from_bytes(1_200);
        let end = self.at + Duration::from_secs(seconds);
        while self.at < end {
            let allowed = control.limit().unwrap_or(most).min(most);
            let share = lost(allowed);
            self.owed += share;
            let missing = self.owed >= 1.0;
            if missing {
                self.owed -= 1.0;
            }
            control.on_result(&PacketResult {
                sequence: self.sent,
                sent: self.base + self.at,
                arrived: (!missing).then_some(self.at),
                size,
                probe: None,
                was_missing: false,
            });
            self.sent += 1;
            self.at += allowed.time_for(size);
            control.update(&LossInput {
                by_delay: most,
                acked: Some(rate(bps(allowed) * (1.0 - share))),
                least: KBPS(150),
            });
        }
        control.limit().unwrap_or(most).min(most)
    }
}

#[test]
fn random_loss_is_the_paths_own() {
    for share in [0.0, 0.02, 0.05, 0.08] {
        let mut control = LossController::default();
        let rate = Path::new().run(&mut control, KBPS(3_000), 20, |_| share);
        assert_eq!((rate, control.limit()), (KBPS(3_000), None), "{share}");
        assert!(
            (control.inherent() - share).abs() < 0.01,
            "{}",
            control.inherent()
        );
    }
}

#[test]
fn a_policer_is_found_and_left_when_it_goes() {
    let mut control = LossController::default();
    let mut path = Path::new();
    let policed = |rate: Bitrate| congestion(bps(rate), 1_000_000.0);
    let found = path.run(&mut control, KBPS(3_000), 2, policed);
    assert!((850..1_150).contains(&(found.bps() / 1_000)), "{found}");
    let later = path.run(&mut control, KBPS(3_000), 20, policed);
    assert!((850..1_200).contains(&(later.bps() / 1_000)), "{later}");
    let free = path.run(&mut control, KBPS(3_000), 8, |_| 0.0);
    assert_eq!(free, KBPS(3_000));
}

#[test]
fn heavy_loss_lowers_the_rate_but_not_to_the_floor() {
    let mut control = LossController::default();
    let mut path = Path::new();
    let rate = path.run(&mut control, KBPS(3_000), 10, |_| 0.2);
    assert!((1_000..3_000).contains(&(rate.bps() / 1_000)), "{rate}");
    assert!((50..=53).contains(&control.last()));
    let rate = path.run(&mut control, KBPS(3_000), 5, |_| 0.0);
    assert_eq!(rate, KBPS(3_000));
}

#[test]
fn an_outage_is_not_loss() {
    let mut control = LossController::default();
    let mut path = Path::new();
    path.run(&mut control, KBPS(3_000), 5, |_| 0.0);
    path.run(&mut control, KBPS(3_000), 2, |_| 1.0);
    let rate = path.run(&mut control, KBPS(3_000), 2, |_| 0.0);
    assert_eq!((rate, control.limit()), (KBPS(3_000), None));
}

#[test]
fn reports_alone_lower_and_raise() {
    let base = Instant::now();
    let mut control = ReportLoss::new(KBPS(2_500));
    control.on_report(base, 128, true, KBPS(9_000));
    assert_eq!((control.target(), control.last()), (KBPS(1_875), 128));
    let at = |ms| base + Duration::from_millis(ms);
    control.on_report(at(400), 128, true, KBPS(9_000));
    assert_eq!(control.target(), KBPS(1_875));
    control.on_report(at(1_400), 13, true, KBPS(9_000));
    control.on_report(at(2_400), 0, false, KBPS(9_000));
    assert_eq!(control.target(), KBPS(1_875));
    control.on_report(at(3_400), 0, true, KBPS(9_000));
    assert_eq!(control.target(), KBPS(2_025));
}
