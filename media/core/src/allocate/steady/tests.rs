use media_contract::Wish;
use media_types::Layer;
use proptest::prelude::*;

use super::*;
use crate::allocate::{Class, Ladder, Rank, Step, ladder};

#[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

/// Three encodings with two temporal layers each, at these rates in kb/s.
fn claim(class: Class, rates: [u64; 6]) -> Claim {
    let steps = (0_u8..).zip(rates).map(|(place, kbps)| Step {
        layer: Layer::new(place / 2, place % 2).unwrap(),
        rate: Bitrate::from_kbps(kbps),
        size: None,
        fps: None,
    });
    let (ladder, reach) = ladder::build(steps, &Wish::default(), ladder::Style::Motion);
    let priority = 10;
    Claim {
        rank: Rank { class, priority },
        ladder,
        reach,
    }
}

const CAMERA: [u64; 6] = [90, 150, 300, 500, 900, 1_500];

/// One subscriber, looked at every 100 ms.
struct Subscriber {
    steady: Steady,
    claims: Vec<Claim>,
    flows: Vec<Grant>,
    now: Instant,
    fell_at: Option<Instant>,
    novelty: Novelty,
    switches: usize,
}

impl Subscriber {
    fn new(claims: Vec<Claim>) -> Self {
        Self {
            steady: Steady::default(),
            flows: vec![0; claims.len()],
            claims,
            now: base(),
            fell_at: None,
            novelty: Novelty::Empty,
            switches: 0,
        }
    }

    fn look(&mut self, kbps: u64) {
        let question = Question {
            now: self.now,
            budget: Bitrate::from_kbps(kbps),
            bases: Bases::Paid,
            claims: &self.claims,
            current: &self.flows,
            novelty: self.novelty,
            fell_at: self.fell_at,
        };
        if let Some(chosen) = self.steady.decide(&question) {
            let changed = chosen.iter().zip(&self.flows).filter(|(a, b)| a != b);
            self.switches += changed.count();
            self.flows = chosen.to_vec();
        }
        self.novelty = Novelty::Settled;
        self.now += Duration::from_millis(100);
    }

    fn run(&mut self, looks: usize, kbps: u64) {
        (0..looks).for_each(|_| self.look(kbps));
    }
}

#[test]
fn it_rises_when_more_has_fit_for_a_second_and_falls_at_once() {
    let mut one = Subscriber::new(vec![claim(Class::Other, CAMERA)]);
    one.look(150);
    assert_eq!(one.flows, [2], "the first may use all");
    one.run(30, 340);
    assert_eq!(one.flows, [2], "300 of 340 is too close");
    one.run(10, 360);
    assert_eq!(one.flows, [2]);
    one.run(1, 360);
    assert_eq!(one.flows, [3]);
    one.run(1, 250);
    assert_eq!(one.flows, [2]);
    one.run(11, 5_000);
    assert_eq!(one.flows, [6], "as far as it fits");
}

#[test]
fn a_small_shortage_is_borne_for_a_moment() {
    let mut one = Subscriber::new(vec![claim(Class::Other, CAMERA)]);
    one.look(600);
    assert_eq!(one.flows, [4]);
    one.run(5, 480);
    assert_eq!(one.flows, [4]);
    one.look(520);
    one.run(5, 480);
    assert_eq!(one.flows, [4], "it fits in between");
    one.look(480);
    assert_eq!(one.flows, [3]);
}

#[test]
fn a_rise_that_failed_is_tried_ever_less_often() {
    let mut one = Subscriber::new(vec![claim(Class::Other, CAMERA)]);
    one.look(400);
    assert_eq!(one.flows, [3]);
    let mut rises = Vec::new();
    // The path carries 450, which shows only when more is sent.
    for _ in 0..6_000 {
        let before = one.flows[0];
        if before > 3 {
            one.fell_at = Some(one.now);
            one.look(400);
        } else {
            one.look(700);
        }
        if one.flows[0] > before {
            rises.push(one.now);
        }
    }
    let waits: Vec<_> = rises
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_secs())
        .collect();
    // Each wait is twice the one before, and up to half of it more.
    let least = [15, 30, 60, 120, 240];
    let in_range = |(wait, least): (&u64, u64)| (least..=least + least / 2 + 1).contains(wait);
    assert_eq!(waits.len(), least.len(), "{waits:?}");
    assert!(waits.iter().zip(least).all(in_range), "{waits:?}");
}

#[test]
fn another_speaker_gets_what_the_last_one_had() {
    let mut call = Subscriber::new(vec![
        claim(Class::Speaker, CAMERA),
        claim(Class::Other, CAMERA),
    ]);
    call.look(700);
    call.run(30, 700);
    assert_eq!(call.flows, [4, 2]);
    call.claims.swap(0, 1);
    call.run(11, 700);
    assert_eq!(call.flows, [1, 4]);
}

#[test]
fn nine_tiles_on_one_megabit_show_the_speaker() {
    let mut claims = vec![claim(Class::Other, CAMERA.map(|kbps| kbps * 2)); 9];
    claims[7].rank.class = Class::Speaker;
    let mut call = Subscriber::new(claims);
    call.run(100, 900);
    assert!(call.flows[7] > 0);
    assert_eq!(call.flows.iter().filter(|&&grant| grant > 0).count(), 5);
    assert_eq!(call.switches, 5);
}

#[test]
fn a_dip_takes_what_is_above_the_lowest_steps_and_not_a_whole_picture() {
    let mut call = Subscriber::new(vec![claim(Class::Other, CAMERA); 3]);
    call.look(500);
    assert_eq!(call.flows, [2, 2, 2]);
    call.look(200);
    assert_eq!(call.flows, [1, 1, 1]);
    call.run(15, 200);
    assert_eq!(call.flows, [1, 1, 1]);
    call.run(10, 300);
    call.run(30, 200);
    assert_eq!(call.flows, [1, 1, 1], "the wait begins anew");
    call.run(2, 200);
    assert_eq!(call.flows, [1, 1, 0]);
}

#[test]
fn far_too_much_is_not_borne() {
    let mut call = Subscriber::new(vec![claim(Class::Other, CAMERA); 3]);
    call.look(300);
    assert_eq!(call.flows, [1, 1, 1]);
    call.look(100);
    assert_eq!(call.flows, [1, 0, 0]);
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let class = prop_oneof![
        Just(Class::Other),
        Just(Class::Speaker),
        Just(Class::Pinned)
    ];
    let claim = (class, prop::array::uniform6(20_u64..2_500)).prop_map(|(class, mut rates)| {
        rates.sort_unstable();
        claim(class, rates)
    });
    prop::collection::vec(claim, 1..10)
}

proptest! {
    /// Ten minutes on a constant link whose estimate wavers by 5 % both ways: after the start,
    /// nothing switches.
    #[test]
    fn a_constant_link_makes_no_layers_swing(
        claims in claims(), kbps in 100_u64..8_000,
        noise in prop::collection::vec(950_u64..1_050, 97),
    ) {
        let mut call = Subscriber::new(claims);
        let mut noise = noise.into_iter().cycle();
        let mut estimate = || kbps * noise.next().unwrap() / 1_000;
        (0..300).for_each(|_| call.look(estimate()));
        call.switches = 0;
        (0..6_000).for_each(|_| call.look(estimate()));
        prop_assert!(call.switches <= 10 * call.claims.len(), "{} switches", call.switches);
        let flows = call.flows.clone();
        (0..600).for_each(|_| call.look(estimate()));
        prop_assert_eq!(&call.flows, &flows);
    }

    /// What flows fits, whatever the budget does, but for a moment and the lowest step of one.
    #[test]
    fn what_flows_fits(claims in claims(), budgets in prop::collection::vec(50_u64..8_000, 1..60)) {
        let mut call = Subscriber::new(claims);
        let least = call.claims.iter().filter_map(|claim| first(&claim.ladder)).max();
        for kbps in budgets {
            call.look(kbps);
            let budget = Bitrate::from_kbps(kbps).max(least.unwrap_or(Bitrate::ZERO));
            let need = total(&call.claims, &call.flows);
            let lowest = call.claims.iter().filter_map(|claim| first(&claim.ladder)).sum();
            prop_assert!(need <= budget.percent(SHORTAGE_PERCENT).max(lowest));
            call.run(45, kbps);
            prop_assert!(total(&call.claims, &call.flows) <= budget);
        }
    }
}

fn first(ladder: &Ladder) -> Option<Bitrate> {
    Some(ladder.first()?.rate)
}
