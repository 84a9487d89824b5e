//! Every fuzz target as a plain function over bytes, named `crate_subject`.
//!
//! Stable tests replay the committed corpora through them, with seeded mutations of each input; a
//! nightly toolchain grows the corpora with libFuzzer (`make fuzz T=rtp_header`). A target asserts
//! what must hold of any input, beyond not panicking.
#![forbid(unsafe_code)]

mod codec;
mod core;
mod egress;
mod ingest;
mod moq;
mod mutate;
mod quic;
mod relay;
mod rtcp;
mod rtp;
mod signalling;

pub use mutate::Mutator;

/// One target.
pub struct Target {
    /// Its name, and that of its folder below `corpus/`.
    pub name: &'static str,
    /// Runs it over one input; panics are findings.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    target("codec_wire", codec::wire),
    target("core_datagram", core::datagram),
    target("core_envelope", core::envelope),
    target("core_offer", core::offer),
    target("core_relay", relay::relay),
    target("egress_depacketize", egress::depacketize),
    target("egress_record", egress::record),
    target("ingest_amf", ingest::amf),
    target("ingest_container", quic::container),
    target("ingest_flv", ingest::flv),
    target("ingest_handshake", ingest::handshake),
    target("ingest_moq", moq::moq),
    target("ingest_quic", quic::pieces),
    target("ingest_rtmp", ingest::rtmp),
    target("rtcp_compound", rtcp::compound),
    target("rtcp_extended_report", rtcp::extended_report),
    target("rtcp_transport_feedback", rtcp::transport_feedback),
    target("rtp_dependency_descriptor", rtp::dependency_descriptor),
    target("rtp_header", rtp::header),
    target("rtp_payload_descriptor", rtp::payload_descriptor),
    target("rtp_receive", rtp::receive),
    target("rtp_srtp", rtp::srtp),
    target("signaling_data", signalling::data),
    target("signaling_message", signalling::message),
    target("signaling_sdpfrag", signalling::sdpfrag),
];

/// The target of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
