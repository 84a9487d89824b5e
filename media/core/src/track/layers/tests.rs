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
    assert_eq!(layers.active().iter().collect::<Vec<_>>(), [layer(0, 0)]);
    assert!(layers.on_packet(base + ms(6_100), layer(2, 0), 100, true));
    layers.clear();
    assert!(layers.active().is_empty());
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
