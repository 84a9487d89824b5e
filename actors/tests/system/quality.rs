//! How well media arrives, as everybody hears of it.

use std::time::Duration;

use media_contract::{Fact, LayerFigures, TrackFigures, TransportFigures};
use media_types::{Bitrate, Codec, LayerSet, TrackId};
use serde_json::{Value, json};

use crate::slots::{publishers, track};
use crate::world::{Client, World, config, run};

/// A second of a camera with two layers.
fn second(camera: TrackId, low_kbps: u64, high_kbps: u64) -> TransportFigures {
    let layer = |rid: &str, kbps| LayerFigures {
        rid: Some(rid.parse().unwrap()),
        rate: Bitrate::from_kbps(kbps),
    };
    TransportFigures {
        rtt: Some(Duration::from_millis(40)),
        tracks: vec![TrackFigures {
            track: camera,
            codec: Some(Codec::Vp8),
            rate: Bitrate::from_kbps(low_kbps + high_kbps),
            lost: 0,
            layers: vec![layer("q", low_kbps), layer("h", high_kbps)],
        }],
        ..TransportFigures::default()
    }
}

/// Seconds pass, each with these figures of the first.
async fn pass(world: &World, all: &[Client], seconds: u32, figures: &TransportFigures) {
    for _ in 0..seconds {
        let figures = Fact::Figures(figures.clone());
        world.plane.happen(&all[0].identity, figures);
        world.pass(Duration::from_secs(1)).await;
        for client in all {
            client.tell(1, "ping", json!({}));
        }
    }
}

fn told(client: &Client) -> Vec<(String, String, f64)> {
    let of = |params: Value| {
        let text = |key: &str| params[key].as_str().unwrap().to_owned();
        let score = params["score"].as_f64().unwrap();
        (
            text("peerId"),
            text("reason"),
            (score * 10.0).round() / 10.0,
        )
    };
    let all = client.inbox.take_only(&["quality"]);
    all.into_iter().map(|(_, params)| of(params)).collect()
}

fn notice(reason: &str, score: f64) -> (String, String, f64) {
    ("p1".into(), reason.into(), score)
}

#[test]
fn a_publisher_whose_track_stalls_is_told_of_to_all() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 2).await;
        let (ana, bob) = (&all[0], &all[1]);
        let camera = track(&world, ana, "video").await;
        let good = second(camera, 100, 400);
        pass(&world, &all, 4, &good).await;
        assert_eq!(told(bob), [notice("none", 1.0)]);
        let stalled = Fact::TrackStalled;
        world.plane.happen_to(&ana.identity, camera, stalled);
        pass(&world, &all, 4, &second(camera, 0, 0)).await;
        // One of two tracks: its sound goes on.
        assert_eq!(told(bob), [notice("no_media", 0.3)]);
        assert_eq!(told(ana).last(), Some(&notice("no_media", 0.3)));
        let started = Fact::TrackStarted {
            codec: Codec::Vp8,
            layers: LayerSet::EMPTY,
        };
        world.plane.happen_to(&ana.identity, camera, started);
        pass(&world, &all, 5, &good).await;
        assert_eq!(told(bob), [notice("none", 1.0)]);
    });
}

#[test]
fn a_layer_that_is_watched_and_does_not_come_is_a_narrow_path() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 2).await;
        let (ana, bob) = (&all[0], &all[1]);
        let camera = track(&world, ana, "video").await;
        let wanted = |rids: &[&str]| Fact::LayersWanted {
            active: rids.iter().map(|rid| rid.parse().unwrap()).collect(),
            bounds: Vec::new(),
        };
        world.plane.happen_to(&ana.identity, camera, wanted(&["q"]));
        pass(&world, &all, 2, &second(camera, 100, 400)).await;
        // Nobody watches it: its silence is as it should be.
        pass(&world, &all, 8, &second(camera, 100, 0)).await;
        assert_eq!(told(bob), [notice("none", 1.0)]);
        world
            .plane
            .happen_to(&ana.identity, camera, wanted(&["q", "h"]));
        pass(&world, &all, 4, &second(camera, 100, 0)).await;
        assert_eq!(told(bob), []);
        pass(&world, &all, 4, &second(camera, 100, 0)).await;
        assert_eq!(told(bob), [notice("bandwidth", 0.7)]);
        pass(&world, &all, 4, &second(camera, 100, 400)).await;
        assert_eq!(told(bob), [notice("none", 1.0)]);
    });
}

/// A second of a camera with one encoding, with so much lost on its way here.
fn single(camera: TrackId, kbps: u64, loss: f32) -> TransportFigures {
    let mut figures = second(camera, 0, 0);
    figures.loss_in = loss;
    for track in &mut figures.tracks {
        track.rate = Bitrate::from_kbps(kbps);
        track.layers = vec![LayerFigures {
            rid: None,
            rate: track.rate,
        }];
    }
    figures
}

#[test]
fn a_lone_encoding_that_its_path_cuts_down_is_a_narrow_path() {
    run(async {
        let world = World::new(1, config());
        let all = publishers(&world, 2).await;
        let (ana, bob) = (&all[0], &all[1]);
        let camera = track(&world, ana, "video").await;
        pass(&world, &all, 6, &single(camera, 1_500, 0.0)).await;
        assert_eq!(told(bob), [notice("none", 1.0)]);
        // Nothing moves: less is sent, and nothing is wrong.
        pass(&world, &all, 10, &single(camera, 200, 0.0)).await;
        assert_eq!(told(bob), []);
        pass(&world, &all, 2, &single(camera, 1_500, 0.0)).await;
        // The path narrows: some is lost, then the encoder has followed.
        pass(&world, &all, 1, &single(camera, 900, 0.03)).await;
        pass(&world, &all, 9, &single(camera, 200, 0.0)).await;
        let heard = told(bob);
        assert_eq!(heard.last(), Some(&notice("bandwidth", 0.7)), "{heard:?}");
        pass(&world, &all, 6, &single(camera, 1_400, 0.0)).await;
        assert_eq!(told(bob).last(), Some(&notice("none", 1.0)));
    });
}
