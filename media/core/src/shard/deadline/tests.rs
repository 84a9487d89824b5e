use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn timers_fire_in_order_and_never_early() {
    let base = base();
    let mut wheel = Wheel::new(base);
    let [a, b, c] = ['a', 'b', 'c'].map(|key| wheel.register(key));
    wheel.set(a, base + ms(700));
    wheel.set(b, base + Duration::from_micros(1_500));
    wheel.set(c, base + Duration::from_secs(100));
    assert_eq!(wheel.poll_timeout(), Some(base + ms(2)));
    assert_eq!(wheel.pop_due(base + ms(1)), None);
    assert_eq!(wheel.pop_due(base + ms(2)), Some('b'));
    assert_eq!(wheel.pop_due(base + ms(699)), None);
    assert_eq!(wheel.poll_timeout(), Some(base + ms(700)));
    assert_eq!(wheel.pop_due(base + ms(700)), Some('a'));
    assert_eq!(wheel.pop_due(base + ms(99_999)), None);
    assert_eq!(wheel.pop_due(base + ms(100_000)), Some('c'));
    assert_eq!(wheel.poll_timeout(), None);
}

#[test]
fn a_timer_moves_and_goes() {
    let base = base();
    let mut wheel = Wheel::new(base);
    let [a, b] = [1, 2].map(|key| wheel.register(key));
    wheel.set(a, base + ms(10));
    wheel.set(b, base + ms(10));
    wheel.set(a, base + ms(400));
    wheel.set_by(a, base + ms(500));
    assert_eq!(wheel.pop_due(base + ms(20)), Some(2));
    wheel.set_by(a, base + ms(30));
    assert_eq!(wheel.poll_timeout(), Some(base + ms(30)));
    wheel.unregister(a);
    assert_eq!(wheel.poll_timeout(), None);
    let again = wheel.register(3);
    assert_eq!(again, a);
    wheel.set(again, base);
    assert_eq!(wheel.pop_due(base + ms(20)), Some(3));
}

proptest! {
    #[test]
    fn it_does_what_a_sorted_map_does(
        steps in prop::collection::vec((0_usize..12, 0_u64..200_000, 0_u64..3_000), 1..200),
    ) {
        let base = base();
        let mut wheel = Wheel::new(base);
        let timers: Vec<_> = (0..12).map(|key| wheel.register(key)).collect();
        let mut model = BTreeMap::new();
        let mut now = 0;
        for (key, ahead, step) in steps {
            wheel.set(timers[key], base + ms(now + ahead));
            model.insert(key, now + ahead);
            let next = model.values().min().copied().unwrap();
            let promised = wheel.poll_timeout().unwrap();
            prop_assert!(promised <= base + ms(next));
            now += step;
            let mut fired: Vec<_> = std::iter::from_fn(|| wheel.pop_due(base + ms(now))).collect();
            fired.sort_unstable();
            let due: Vec<_> = model.iter().filter(|&(_, &at)| at <= now).map(|(&k, _)| k).collect();
            model.retain(|_, at| *at > now);
            prop_assert_eq!(fired, due);
        }
    }
}
