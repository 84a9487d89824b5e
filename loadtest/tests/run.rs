//! Whole runs against the real binary.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

mod support;

use std::path::Path;

use loadtest::network::Script;
use loadtest::report::Report;
use loadtest::run::{Options, Outcome, Role, Target, Tokens, run};
use loadtest::scenario::Scenario;
use loadtest::websocket::Trust;
use loadtest::{Shaper, ShaperConfig};
use support::Server;

fn scenario(name: &str) -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    Scenario::load(&folder.join(name)).unwrap()
}

fn target(server: &Server) -> Target {
    Target {
        url: server.url(),
        whip: None,
        whep: None,
        janus: None,
        trust: Trust::System,
        tokens: Tokens::Key {
            name: "devkey".to_owned(),
            secret: "devsecret".to_owned(),
        },
        metrics: Some(server.metrics()),
        pid: Some(server.pid()),
    }
}

fn do_run(scenario: Scenario, server: &Server) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let options = Options::default();
    let outcome = runtime.block_on(run(scenario, target(server), &options, |_| {}));
    outcome.unwrap()
}

#[test]
fn the_smoke_scenario_counts_exactly() {
    let server = Server::start(&[]);
    let outcome = do_run(scenario("smoke.toml"), &server);
    assert_eq!(outcome.faults, [], "{:?}", outcome.counts);
    let counts = &outcome.counts;
    assert_eq!((counts.began, counts.joined, counts.failed), (6, 6, 0));
    // Four seconds of one message a second of each of six; chat reaches all three of a room.
    assert!(
        (18..=30).contains(&counts.chats_sent),
        "{}",
        counts.chats_sent
    );
    assert_eq!(counts.chats_received, 3 * counts.chats_sent);
    assert_eq!(counts.data_received, 2 * counts.data_sent);
    let received = outcome.figures.received;
    assert_eq!(
        (received.lost, received.repaired, received.duplicates),
        (0, 0, 0)
    );
    assert_eq!(outcome.figures.refused, 0, "everything could be read");
    assert_eq!(outcome.members.len(), 6);
    for member in &outcome.members {
        let media = member.media.unwrap();
        assert!(media.connected.is_some() && !media.ended);
        if member.role == Role::Subscriber {
            assert_eq!(media.streams, 2, "a sound and a picture");
            assert!(media.first_keyframe.is_some() && media.first_audio.is_some());
            // 50 sounds and 30 pictures a second for the four seconds that all are there.
            assert!(media.received.packets > 4 * 60, "{media:?}");
        } else {
            assert!(
                media.sent > 4 * 80 && media.keyframes_asked > 0,
                "{media:?}"
            );
        }
    }
    let latency = &outcome.figures.latency;
    assert!(
        latency.count() > received.packets / 2,
        "stamps come through"
    );
    // What the server counted itself.
    let last = outcome
        .samples
        .iter()
        .rev()
        .find_map(|sample| sample.server);
    let forwarded = last.unwrap().packets_out.unwrap();
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let came = received.packets as f64;
    assert!(
        forwarded <= came && forwarded > came * 0.7,
        "{forwarded} of {came}"
    );
    let report = Report::of(outcome);
    assert!(report.passed && report.to_html().contains("Passed"));
}

/// The loss that the tool finds is the loss that a shaper made: each is counted on its own.
#[test]
fn losses_are_those_of_the_network() {
    let server = Server::start(&[
        ("TROUPE_WEBRTC__ADDRESS", "127.0.0.1"),
        ("TROUPE_WEBRTC__PUBLIC_ADDRESSES", "127.0.0.3"),
        ("TROUPE_WEBRTC__SHARDS", "1"),
        ("TROUPE_WEBRTC__TCP", "false"),
    ]);
    let shaper = Shaper::start(ShaperConfig {
        listen: format!("127.0.0.3:{}", server.media()).parse().unwrap(),
        upstream: format!("127.0.0.1:{}", server.media()).parse().unwrap(),

        // From the third second on, so that joining is not what is measured.
        script: Script::parse("seed = 3\n[down]\n[[down.steps]]\nat_s = 3\nloss = 0.05").unwrap(),
    })
    .unwrap();
    let mut scenario = scenario("smoke.toml");
    scenario.rooms = 1;
    scenario.chat = None;
    scenario.data = None;
    scenario.receive.nack = false;
    scenario.duration_s = 8.0;
    let outcome = do_run(scenario, &server);
    shaper.stopper()();
    let report = shaper.join().unwrap();
    assert_eq!(outcome.counts.failed, 0, "{:?}", outcome.counts.errors);
    let down = report.flows.iter().filter_map(|flow| flow.down.as_ref());
    let (lost, delivered) = down.fold((0, 0), |sum, down| {
        (sum.0 + down.figures.lost, sum.1 + down.figures.delivered)
    });
    // Every datagram that the shaper delivered was seen, but for those after the goodbye.
    let seen = outcome.figures.datagrams;
    assert!(
        seen <= delivered && seen + 40 >= delivered,
        "{seen} of {delivered}"
    );
    // Lost control packets leave no gap, and neither does the last packet of a stream.
    let found = outcome.figures.received.lost;
    assert!(found <= lost && found * 10 >= lost * 8, "{found} of {lost}");
    assert!(lost > 40, "{lost}: the network did lose some");
    assert_eq!(outcome.figures.received.repaired, 0);
}

#[test]
fn whip_and_whep_carry_the_same_clients() {
    let server = Server::start(&[]);
    let mut scenario = scenario("whip.toml");
    scenario.duration_s = 3.0;
    let outcome = do_run(scenario, &server);
    assert_eq!(outcome.faults, [], "{:?}", outcome.counts.errors);
    assert_eq!(outcome.counts.joined, 4);
    assert_eq!(outcome.figures.received.lost, 0);
    let watchers = outcome.members.iter().filter(|one| one.watches_video);
    let packets = watchers.map(|one| one.media.unwrap().received.packets);
    assert!(packets.clone().count() == 3 && packets.min().unwrap() > 3 * 60);
}

#[test]
fn churn_leaves_nothing_behind() {
    let server = Server::start(&[]);
    let text = "name = \"churn\"\nrooms = 2\njoin_rate = 40\nsettle_s = 0.5\nduration_s = 5\n\
                [publishers]\ncount = 1\nlayers = [{ width = 320, height = 180, kbps = 100 }]\n\
                [subscribers]\ncount = 3\n[churn]\nstay_s = [0.5, 1.0]\nrest_s = 0.1\n";
    let outcome = do_run(Scenario::parse("churn", text).unwrap(), &server);
    assert_eq!(outcome.counts.failed, 0, "{:?}", outcome.counts.errors);
    let members = outcome.members.len();
    assert!(members > 2 + 6 * 4, "{members} in all");
    assert_eq!(outcome.counts.joined, u64::try_from(members).unwrap());
    assert_eq!((outcome.figures.open, outcome.figures.connected), (0, 0));
    assert_eq!(outcome.figures.received.lost, 0);
}
