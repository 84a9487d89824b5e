use super::*;

#[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer::new(spatial, temporal).unwrap()
}

/// A second of 20 frames/s in which each frame has 1,000 bytes in each of these layers.
fn play(layers: &mut Layers, from: Instant, which: &[Layer]) {
    for frame in 0..20_u64 {
        let now = from + ms(50 * frame);
        for &layer in which {
            layers.on_packet(now, layer, 1_000, true);
        }
        layers.roll(now);
    }
}

#[test]
fn rates_of_simulcast_stand_alone_and_those_of_svc_add_up() {
    for (scheme, top_kbps) in [(Scheme::Simulcast, 150..180), (Scheme::Svc, 300..360)] {
        let mut layers = Layers::default();
        layers.set_scheme(scheme);
        play(&mut layers, base(), &[layer(0, 0), layer(1, 0)]);
        layers.roll(base() + ms(1_000));
        let steps: Vec<_> = layers.steps().collect();
        assert_eq!(steps[0].layer, layer(0, 0));
        assert!(
            (150..180).contains(&(steps[0].rate.bps() / 1_000)),
            "{}",
            steps[0].rate
        );
        assert!(
            top_kbps.contains(&(steps[1].rate.bps() / 1_000)),
            "{}",
            steps[1].rate
        );
        assert!(steps[1].fps.is_some_and(|fps| (19..=22).contains(&fps)));
    }
}

#[test]
fn temporal_layers_add_up_in_rate_and_pictures() {
    let mut layers = Layers::default();
    let base = base();
    for frame in 0..40_u64 {
        let temporal = u8::try_from(frame % 2).unwrap();
        let now = base + ms(25 * frame);
        layers.on_packet(now, layer(0, temporal), 500, true);
    }
    layers.roll(base + ms(1_000));
    let steps: Vec<_> = layers.steps().collect();
    assert_eq!((steps[0].fps, steps[1].fps), (Some(20), Some(40)));
    assert_eq!(steps[1].rate.bps(), 2 * steps[0].rate.bps());
}

#[test]
fn a_layer_comes_at_once_and_goes_when_others_flow_on() {
    let mut layers = Layers::default();
    let base = base();
    assert!(layers.on_packet(base, layer(0, 0), 100, true));
    assert!(layers.on_packet(base, layer(2, 0), 100, true));
    assert!(!layers.on_packet(base, layer(2, 0), 100, false));
    assert!(
        !layers.roll(base + ms(5_000)),
        "silence of all tells nothing"
    );
    layers.on_packet(base + ms(6_000), layer(0, 0), 100, true);
    assert!(layers.roll(base + ms(6_000)));
    assert_eq!(layers.known().iter().collect::<Vec<_>>(), [layer(0, 0)]);
    assert!(layers.on_packet(base + ms(6_100), layer(2, 0), 100, true));
    layers.clear();
    assert!(layers.known().is_empty());
}

#[test]
fn sizes_are_told() {
    let mut layers = Layers::default();
    layers.on_packet(base(), layer(1, 0), 100, true);
    let size = Resolution {
        width: 640,
        height: 360,
    };
    layers.on_size(1, size);
    assert_eq!(layers.steps().next().unwrap().size, Some((640, 360)));
}

fn three_encodings(base: Instant) -> Layers {
    let mut layers = Layers::default();
    layers.set_published(3);
    play(&mut layers, base, &[layer(0, 0), layer(1, 0), layer(2, 0)]);
    layers
}

fn rates(layers: &Layers) -> Vec<(u8, u64)> {
    let steps = layers.steps();
    steps
        .map(|step| (step.layer.spatial, step.rate.bps() / 1_000))
        .collect()
}

#[test]
fn an_encoding_that_pauses_for_us_is_kept_as_it_was() {
    let base = base();
    let mut layers = three_encodings(base);
    let before = rates(&layers);
    assert_eq!(before.len(), 3);
    layers.hold(2);
    for second in 1..6 {
        play(
            &mut layers,
            base + ms(1_000 * second),
            &[layer(0, 0), layer(1, 0)],
        );
    }
    assert!(!layers.flows(2));
    let kept = rates(&layers)[2];
    assert!(kept.1 * 4 >= before[2].1 * 3, "{kept:?} {before:?}");
    assert_eq!(layers.missing(), Streams::EMPTY);
    layers.resume(base + ms(6_000), 2);
    play(&mut layers, base + ms(6_000), &[layer(0, 0)]);
    assert_eq!(rates(&layers).len(), 3, "it has three seconds to come");
    assert!(layers.on_packet(base + ms(7_000), layer(2, 0), 1_000, true));
    assert!(layers.flows(2));
    layers.roll(base + ms(7_100));
    assert_eq!(
        rates(&layers)[2],
        kept,
        "a part of a window measures nothing"
    );
}

#[test]
fn an_encoding_that_does_not_come_when_wanted_is_missing() {
    let base = base();
    let mut layers = three_encodings(base);
    layers.hold(2);
    for second in 1..4 {
        play(
            &mut layers,
            base + ms(1_000 * second),
            &[layer(0, 0), layer(1, 0)],
        );
    }
    layers.resume(base + ms(4_000), 2);
    for second in 4..8 {
        play(
            &mut layers,
            base + ms(1_000 * second),
            &[layer(0, 0), layer(1, 0)],
        );
    }
    assert_eq!(rates(&layers).len(), 2);
    assert_eq!(layers.missing(), [2].into_iter().collect());
}

#[test]
fn what_never_came_because_of_us_is_guessed() {
    let base = base();
    let mut layers = Layers::default();
    layers.set_published(3);
    play(&mut layers, base, &[layer(1, 0)]);
    layers.on_size(
        1,
        Resolution {
            width: 640,
            height: 360,
        },
    );
    assert_eq!(layers.missing(), [0, 2].into_iter().collect());
    assert_eq!(layers.steps().count(), 1);
    layers.hold(0);
    layers.hold(2);
    assert_eq!(layers.missing(), Streams::EMPTY);
    let known = layers.steps().next().unwrap().rate;
    let mut guessed: Vec<_> = layers.steps().skip(1).collect();
    guessed.sort_by_key(|step| step.layer);
    assert_eq!(guessed[0].layer, layer(0, 0));
    assert_eq!(
        (guessed[0].rate, guessed[0].size),
        (known.percent(33), Some((320, 180)))
    );
    assert_eq!(
        (guessed[1].rate, guessed[1].size),
        (known.percent(300), Some((1_280, 720)))
    );
}

#[test]
fn another_shard_follows_what_it_is_told() {
    let base = base();
    let origin = three_encodings(base);
    let mut layers = Layers::default();
    assert!(layers.on_packet(base, layer(0, 0), 100, true));
    assert!(layers.follow(&origin) && !layers.follow(&origin));
    assert_eq!(rates(&layers), rates(&origin));
    assert!(!layers.on_packet(base, layer(0, 0), 100, true));
    assert!(!layers.roll(base + ms(9_000)), "it measures nothing itself");
}

#[test]
fn another_source_costs_what_the_one_before_did_until_it_is_measured() {
    let (mut before, mut next) = (Layers::default(), Layers::default());
    let base = base();
    play(&mut before, base, &[layer(0, 0), layer(1, 0)]);
    before.roll(base + ms(1_000));
    next.on_packet(base + ms(1_000), layer(1, 0), 100, true);
    let rate = |layers: &Layers| layers.steps().map(|step| step.rate).sum::<Bitrate>();
    let mut svc = next.clone();
    svc.set_scheme(Scheme::Svc);
    svc.inherit(&before);
    assert_eq!((rate(&next), rate(&svc)), (Bitrate::ZERO, Bitrate::ZERO));
    next.inherit(&before);
    let steps: Vec<_> = next.steps().collect();
    let known: Vec<_> = before.steps().skip(1).collect();
    assert_eq!(steps, known, "and what has not come is none");
    play(&mut next, base + ms(1_000), &[layer(1, 0); 3]);
    next.roll(base + ms(2_000));
    let measured = next.steps().next().map(|step| step.rate);
    assert!(
        measured > known.first().map(|step| step.rate.percent(150)),
        "{measured:?}"
    );
}
