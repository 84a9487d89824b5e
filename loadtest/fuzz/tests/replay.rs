//! Replays every corpus, and seeded mutations of every input in it.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::{Mutator, TARGETS};

/// Variants of each input; with the corpora as they are, a run takes seconds.
const VARIANTS: u64 = 20_000;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name)
}

fn replay(name: &str) {
    let target = fuzz::find(name).expect("the target exists");
    let mut inputs = 0;
    for entry in fs::read_dir(corpus(name)).expect("the target has a corpus") {
        let path = entry.expect("a readable entry").path();
        let input = fs::read(&path).expect("a readable input");
        eprintln!("{}", path.display());
        (target.run)(&input);
        let mut mutator = Mutator::new(inputs);
        for _ in 0..VARIANTS {
            (target.run)(&mutator.mutate(&input));
        }
        inputs += 1;
    }
    assert!(inputs > 0, "{name} has an empty corpus");
}

macro_rules! replays {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, replayed);
        }
    };
}

replays!(
    codec_wire,
    core_datagram,
    core_envelope,
    core_offer,
    core_relay,
    egress_depacketize,
    egress_record,
    ingest_amf,
    ingest_container,
    ingest_flv,
    ingest_handshake,
    ingest_moq,
    ingest_quic,
    ingest_rtmp,
    rtcp_compound,
    rtcp_extended_report,
    rtcp_transport_feedback,
    rtp_dependency_descriptor,
    rtp_header,
    rtp_payload_descriptor,
    rtp_receive,
    rtp_srtp,
    signaling_data,
    signaling_message,
    signaling_sdpfrag,
);
