//! RTCP: compound packets and transport-wide feedback.

use media_rtp::rtcp::xr::write_delays;
use media_rtp::rtcp::{RtcpPacket, packets};

/// Compound packets: iteration ends, and never yields more packets than there are words.
pub(crate) fn compound(input: &[u8]) {
    let count = packets(input)
        .take(input.len() + 1)
        .map(|packet| packet.map_or((), |packet| visit(&packet)))
        .count();
    assert!(count <= input.len() / 4 + 1);
}

fn visit(packet: &RtcpPacket<'_>) {
    match packet {
        RtcpPacket::SenderReport(report) => assert!(report.blocks().count() <= 31),
        RtcpPacket::ReceiverReport(report) => assert!(report.blocks().count() <= 31),
        RtcpPacket::Nack(nack) => assert!(nack.sequences().count() <= 17 * 16_384),
        RtcpPacket::Fir(fir) => assert!(fir.entries().count() <= 8_192),
        RtcpPacket::Remb(remb) => assert!(remb.ssrcs().count() <= 255),
        RtcpPacket::TransportFeedback(feedback) => {
            assert!(feedback.arrivals().count() <= 65_536);
        }
        RtcpPacket::Sdes(sdes) => assert!(sdes.cnames().count() <= 31),
        RtcpPacket::Bye(bye) => assert!(bye.ssrcs().count() <= 31),
        RtcpPacket::ExtendedReport(report) => {
            let _ = report.reference_time();
            // A packet has at most 65,535 words, a delay three.
            assert!(report.delays().count() <= 21_845);
        }
        RtcpPacket::Pli(_) | RtcpPacket::Unknown { .. } => {}
    }
}

/// Feedback alone: the input is what follows the RTCP header.
pub(crate) fn transport_feedback(input: &[u8]) {
    compound(&framed(0x8f, 205, input));
}

/// An extended report alone: the input is what follows the RTCP header. Delays that were read come
/// back when they are written.
pub(crate) fn extended_report(input: &[u8]) {
    let packet = framed(0x80, 207, input);
    let Some(Ok(RtcpPacket::ExtendedReport(report))) = packets(&packet).next() else {
        assert!(input.is_empty(), "a reporter is all it takes");
        return;
    };
    visit(&RtcpPacket::ExtendedReport(report));
    let delays: Vec<_> = report.delays().take(32).collect();
    let mut written = Vec::new();
    write_delays(&mut written, report.ssrc, &delays);
    let Some(Ok(RtcpPacket::ExtendedReport(again))) = packets(&written).next() else {
        panic!("what was written is not read");
    };
    assert_eq!(again.ssrc, report.ssrc);
    assert_eq!(again.delays().collect::<Vec<_>>(), delays);
}

/// A packet of this type with the input as its body, filled up with zeros.
fn framed(first: u8, packet_type: u8, input: &[u8]) -> Vec<u8> {
    let words = input.len().div_ceil(4).min(0xffff);
    let mut packet = vec![first, packet_type];
    packet.extend(u16::try_from(words).unwrap_or(0).to_be_bytes());
    packet.extend(input);
    packet.resize(4 + words * 4, 0);
    packet
}
