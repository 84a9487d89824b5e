//! RTCP: compound packets and transport-wide feedback.

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
    let words = input.len().div_ceil(4).min(0xffff);
    let mut packet = vec![0x8f, 205];
    packet.extend(u16::try_from(words).unwrap_or(0).to_be_bytes());
    packet.extend(input);
    packet.resize(4 + words * 4, 0);
    compound(&packet);
}
