use super::*;
use crate::light::{Figures, Record};
use crate::run::{MemberRecord, Phase, Role, ServerFigures};
use crate::verdict::judge;

fn member(began: u64, first_packet: Option<u64>) -> MemberRecord {
    MemberRecord {
        role: Role::Subscriber,
        room: 0,
        began,
        joined: Some(began + 1_000),
        answered: Some(began + 2_000),
        media: Some(Record {
            first_audio: first_packet.map(|at| at + 5_000),
            first_video: first_packet,
            first_keyframe: first_packet,
            ..Record::default()
        }),
        watches_video: true,
        error: None,
    }
}

fn sample(at_s: f64, phase: Phase, cpu_s: f64, packets_out: f64, resident: u64) -> Sample {
    Sample {
        at_s,
        phase,
        began: 2,
        joined: 2,
        failed: 0,
        connected: 2,
        received: StreamFigures::default(),
        sent: 0,
        messages: 0,
        latency_us: Some((200, 900)),
        server: Some(ServerFigures {
            cpu_s: Some(cpu_s),
            resident_bytes: Some(resident),
            packets_out: Some(packets_out),
            ..ServerFigures::default()
        }),
    }
}

fn outcome(expect: &str) -> Outcome {
    let text = format!(
        "name = \"x\"\nabout = \"a < b\"\n[publishers]\ncount = 1\n[subscribers]\ncount = 1\n\
         [expect]\n{expect}"
    );
    let received = StreamFigures {
        packets: 990,
        lost: 10,
        ..StreamFigures::default()
    };
    let mut figures = Figures {
        received,
        ..Figures::default()
    };
    figures.latency.note_micros(1_500);
    let mut outcome = Outcome {
        scenario: Scenario::parse("x.toml", &text).unwrap(),
        seconds: 7.0,
        members: vec![member(0, Some(40_000)), member(10_000, Some(150_000))],
        counts: Counts {
            began: 2,
            joined: 2,
            ..Counts::default()
        },
        figures,
        samples: vec![
            sample(0.0, Phase::Joining, 1.0, 0.0, 10_000_000),
            sample(2.0, Phase::Holding, 2.0, 1_000.0, 10_060_000),
            sample(6.0, Phase::Holding, 4.0, 9_000.0, 10_100_000),
            sample(7.0, Phase::Leaving, 4.0, 9_000.0, 10_050_000),
        ],
        faults: Vec::new(),
    };
    outcome.faults = judge(&outcome);
    outcome
}

#[test]
fn a_report_says_what_was_measured() {
    let report = Report::of(outcome(
        "lost_max = 10\nfirst_media_p99_ms = 141\nkeyframes = true",
    ));
    assert!(report.passed, "{:?}", report.faults);
    assert!((report.loss - 0.01).abs() < 1e-9);
    assert_eq!((report.first_media.count, report.join.count), (2, 2));
    assert!((report.first_media.max_ms - 140.0).abs() < 1e-9);
    let server = report.server.unwrap();
    assert_eq!(
        (server.cores, server.packets_out_per_s),
        (Some(0.5), Some(2_000.0))
    );
    assert_eq!(server.packets_out_per_core_s, Some(4_000.0));
    assert_eq!(server.bytes_each, Some(50_000.0));
    let markdown = report.to_markdown();
    assert!(markdown.contains("| first packet | 2 |") && markdown.contains("10 (1.0000 %)"));
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["received"]["lost"], 10);
    assert_eq!(json["samples"].as_array().unwrap().len(), 4);
    let html = report.to_html();
    assert!(html.contains("a &lt; b") && html.matches("<svg").count() >= 5);
    assert!(
        !html.contains("http"),
        "the page needs nothing from elsewhere"
    );
}

#[test]
fn what_does_not_hold_is_named() {
    let found = |expect: &str| {
        let faults = outcome(expect).faults;
        faults
            .into_iter()
            .map(|fault| (fault.key, fault.found))
            .collect::<Vec<_>>()
    };
    let said = |key: &'static str, found: &str| vec![(key, found.to_owned())];
    assert_eq!(found("lost_max = 9"), said("lost_max", "10"));
    assert_eq!(found("loss_max = 0.009"), said("loss_max", "1.000 %"));
    assert_eq!(
        found("first_media_p99_ms = 100"),
        said("first_media_p99_ms", "140.0")
    );
    assert_eq!(
        found("server_cores_max = 0.4"),
        said("server_cores_max", "0.500")
    );
    assert_eq!(
        found("server_kb_each_max = 49"),
        said("server_kb_each_max", "50.000")
    );
    assert_eq!(found("server_kb_each_max = 51"), vec![]);
    let mut blind = outcome("keyframes = true");
    assert_eq!(blind.faults, []);
    blind.members.push(member(0, None));
    assert_eq!(judge(&blind)[0].key, "keyframes");
    blind.counts.failed = 1;
    blind.scenario.expect.failed_max = Some(0);
    assert_eq!(judge(&blind)[0].key, "failed_max");
}
