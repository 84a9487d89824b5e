use media_contract::Wish;
use proptest::prelude::*;

use super::ladder::Style;
use super::*;

fn step(spatial: u8, temporal: u8, kbps: u64) -> Step {
    let width = 320_u16 << spatial;
    Step {
        layer: Layer::new(spatial, temporal).unwrap(),
        rate: Bitrate::from_kbps(kbps),
        size: Some((width, width / 16 * 9)),
        fps: Some(15 << temporal),
    }
}

/// Three encodings with two temporal layers each.
fn camera() -> [Step; 6] {
    [
        step(0, 0, 90),
        step(0, 1, 150),
        step(1, 0, 300),
        step(1, 1, 500),
        step(2, 0, 900),
        step(2, 1, 1_500),
    ]
}

fn claim(priority: u8, steps: &[Step]) -> Claim {
    let wish = Wish::default();
    let (ladder, reach) = ladder::build(steps.iter().copied(), &wish, Style::Motion);
    let class = Class::Other;
    Claim {
        rank: Rank { class, priority },
        ladder,
        reach,
    }
}

fn run(kbps: u64, bases: Bases, claims: &[Claim]) -> Vec<Grant> {
    let mut shares = Shares::default();
    shares.allocate(Bitrate::from_kbps(kbps), bases, claims);
    shares.grants
}

#[test]
fn everybody_first_then_the_important() {
    let claims = [
        claim(10, &camera()),
        claim(100, &camera()),
        claim(10, &camera()),
    ];
    assert_eq!(run(270, Bases::Paid, &claims), [1, 1, 1]);
    assert_eq!(run(330, Bases::Paid, &claims), [1, 2, 1]);
    assert_eq!(run(1_680, Bases::Paid, &claims), [1, 6, 1]);
    assert_eq!(run(1_800, Bases::Paid, &claims), [2, 6, 2]);
    assert_eq!(run(5_000, Bases::Paid, &claims), [6, 6, 6]);
}

#[test]
fn somebody_is_always_seen() {
    let claims = [claim(10, &camera()), claim(20, &camera())];
    assert_eq!(run(0, Bases::Paid, &claims), [0, 1]);
    assert_eq!(run(100, Bases::Paid, &claims), [0, 1]);
    assert_eq!(run(0, Bases::Free, &claims), [1, 1]);
    let wishless = [claim(90, &[]), claim(10, &camera())];
    assert_eq!(run(0, Bases::Paid, &wishless), [0, 1]);
}

#[test]
fn a_wish_cuts_the_ladder() {
    let wish = |width_max, fps_max| Wish {
        width_max,
        fps_max,
        ..Wish::default()
    };
    let top = |wish: &Wish| {
        let (ladder, _) = ladder::build(camera(), wish, Style::Motion);
        ladder.last().map(|step| step.layer)
    };
    assert_eq!(top(&wish(640, u8::MAX)), Layer::new(1, 1));
    assert_eq!(top(&wish(500, u8::MAX)), Layer::new(1, 1));
    assert_eq!(top(&wish(320, 15)), Layer::new(0, 0));
    assert_eq!(top(&wish(10, 1)), Layer::new(0, 0));
    assert_eq!(
        top(&Wish {
            paused: true,
            ..Wish::default()
        }),
        None
    );
}

#[test]
fn a_better_picture_for_less_hides_the_worse() {
    let steps = [step(0, 0, 200), step(1, 0, 180), step(2, 0, 700)];
    let (ladder, _) = ladder::build(steps, &Wish::default(), Style::Motion);
    let layers: Vec<_> = ladder.iter().map(|step| step.layer.spatial).collect();
    assert_eq!(layers, [1, 2]);
}

#[test]
fn a_camera_does_not_grow_where_it_would_stutter() {
    // Three temporal layers of 7, 15 and 30 pictures a second in two encodings.
    let fps = [7, 15, 30];
    let steps = (0..6_u8).map(|n| {
        let (spatial, temporal) = (n / 3, n % 3);
        Step {
            fps: Some(fps[usize::from(temporal)]),
            ..step(spatial, temporal, 100 + 100 * u64::from(n))
        }
    });
    let layers = |style| {
        let (ladder, _) = ladder::build(steps.clone(), &Wish::default(), style);
        let layers = ladder.iter().map(|step| step.layer);
        layers
            .map(|layer| (layer.spatial, layer.temporal))
            .collect::<Vec<_>>()
    };
    let motion = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2)];
    assert_eq!(layers(Style::Motion), motion);
    let detail = [(0, 0), (1, 0), (1, 1), (1, 2)];
    assert_eq!(layers(Style::Detail), detail);
}

#[test]
fn a_screen_grows_before_it_moves() {
    let wish = Wish::default();
    let (ladder, _) = ladder::build(camera(), &wish, Style::Detail);
    let layers: Vec<_> = ladder
        .iter()
        .map(|step| (step.layer.spatial, step.layer.temporal))
        .collect();
    assert_eq!(layers, [(0, 0), (1, 0), (2, 0), (2, 1)]);
}

#[test]
fn classes_go_before_numbers() {
    let of = |class, priority| Claim {
        rank: Rank { class, priority },
        ..claim(0, &camera())
    };
    let claims = [
        of(Class::Other, 99),
        of(Class::Speaker, 10),
        of(Class::Screen, 10),
        of(Class::Pinned, 0),
    ];
    assert_eq!(run(100, Bases::Paid, &claims), [0, 0, 0, 1]);
    assert_eq!(run(190, Bases::Paid, &claims), [0, 0, 1, 1]);
    assert_eq!(run(360 + 60, Bases::Paid, &claims), [1, 1, 1, 2]);
    assert_eq!(run(270 + 1_500, Bases::Paid, &claims), [1, 1, 1, 6]);
    assert_eq!(run(270 + 1_560, Bases::Paid, &claims), [1, 1, 2, 6]);
}

#[test]
fn what_costs_nothing_does_not_take_the_first_place() {
    let free = Step {
        rate: Bitrate::ZERO,
        ..step(0, 0, 0)
    };
    let claims = [claim(50, &[free]), claim(10, &camera())];
    assert_eq!(run(0, Bases::Paid, &claims), [1, 1]);
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let step = (0_u8..3, 0_u8..4, 1_u64..3_000).prop_map(|(s, t, kbps)| step(s, t, kbps));
    let claim = (0_u8..4, prop::collection::vec(step, 0..8))
        .prop_map(|(priority, steps)| claim(priority, &steps));
    prop::collection::vec(claim, 0..8)
}

/// The lowest step of the first in order, who is served whatever the budget.
fn minimum(claims: &[Claim]) -> Bitrate {
    let asking = claims.iter().filter(|claim| !claim.ladder.is_empty());
    let first = asking.rev().max_by_key(|claim| claim.rank);
    first.map_or(Bitrate::ZERO, |claim| claim.ladder[0].rate)
}

proptest! {
    #[test]
    fn never_over_budget_but_for_the_minimum(claims in claims(), kbps in 0_u64..9_000) {
        let grants = run(kbps, Bases::Paid, &claims);
        let limit = Bitrate::from_kbps(kbps).max(minimum(&claims));
        prop_assert!(total(&claims, &grants) <= limit);
    }

    #[test]
    fn more_budget_never_serves_the_order_worse(
        claims in claims(), kbps in 0_u64..9_000, more in 0_u64..3_000,
    ) {
        // Bases in order, then steps in order: with more budget, the first difference is a gain.
        let less = run(kbps, Bases::Paid, &claims);
        let more = run(kbps + more, Bases::Paid, &claims);
        let mut order = Vec::new();
        priority::sort(&claims, &mut order);
        prop_assert!(!is_better(&claims, &order, &less, &more));
        prop_assert!(more == less || is_better(&claims, &order, &more, &less));
        let served = |grants: &[Grant]| -> Vec<bool> {
            order.iter().map(|&index| grants[index] > 0).collect()
        };
        prop_assert!(served(&more) >= served(&less));
        if served(&more) == served(&less) && !order.is_empty() {
            prop_assert!(more[order[0]] >= less[order[0]]
                || claims.iter().filter(|c| c.rank == claims[order[0]].rank).count() > 1);
        }
    }

    #[test]
    fn alone_more_budget_is_never_less(
        claims in claims(), kbps in 0_u64..9_000, more in 0_u64..3_000,
    ) {
        for claim in &claims {
            let alone = std::slice::from_ref(claim);
            let less = run(kbps, Bases::Paid, alone);
            prop_assert!(run(kbps + more, Bases::Paid, alone) >= less);
        }
    }

    #[test]
    fn enough_budget_gives_all(claims in claims()) {
        let grants = run(1_000_000, Bases::Paid, &claims);
        for (claim, grant) in claims.iter().zip(grants) {
            prop_assert_eq!(grant, claim.ladder.len());
        }
    }

    #[test]
    fn ladders_rise(steps in prop::collection::vec((0_u8..3, 0_u8..4, 1_u64..3_000), 0..12)) {
        let steps = steps.into_iter().map(|(s, t, kbps)| step(s, t, kbps));
        let (ladder, _) = ladder::build(steps, &Wish::default(), Style::Motion);
        prop_assert!(ladder.windows(2).all(|pair| pair[0].rate < pair[1].rate));
    }
}
