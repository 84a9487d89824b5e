use media_types::{Bitrate, NtpTime};
use proptest::prelude::*;

use super::feedback::{FirEntry, write_fir, write_nack, write_pli, write_remb};
use super::report::{ReportBlock, SenderFigures, write_receiver_report, write_sender_report};
use super::source::{write_bye, write_cname};
use super::*;
use crate::receive::ReceptionFigures;

fn one(compound: &[u8]) -> RtcpPacket<'_> {
    let mut all = packets(compound);
    let first = all.next().unwrap().unwrap();
    assert_eq!(all.next(), None);
    first
}

fn block(ssrc: u32, cumulative_lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc,
        figures: ReceptionFigures {
            fraction_lost: 25,
            cumulative_lost,
            extended_highest: 0x0001_ffff,
            jitter: 90,
            last_sender_report: 0x0102_0304,
            delay_since_last: 0x0001_0000,
        },
    }
}

#[test]
fn a_sender_report_has_the_bytes_of_the_rfc() {
    let figures = SenderFigures {
        ntp: NtpTime(0x0102_0304_0506_0708),
        rtp_timestamp: 90_000,
        packets: 5,
        octets: 6_000,
    };
    let mut out = Vec::new();
    write_sender_report(&mut out, 0xcafe_babe, &figures, &[block(7, -1)]);
    let expected = [
        0x81, 200, 0, 12, 0xca, 0xfe, 0xba, 0xbe, 1, 2, 3, 4, 5, 6, 7, 8, // header, clock
        0x00, 0x01, 0x5f, 0x90, 0, 0, 0, 5, 0, 0, 0x17, 0x70, // timestamp and counts
        0, 0, 0, 7, 25, 0xff, 0xff, 0xff, 0, 1, 0xff, 0xff, // block
        0, 0, 0, 90, 1, 2, 3, 4, 0, 1, 0, 0,
    ];
    assert_eq!(out, expected);
    let RtcpPacket::SenderReport(report) = one(&out) else {
        panic!("no sender report");
    };
    assert_eq!((report.ssrc, report.figures), (0xcafe_babe, figures));
    assert_eq!(report.blocks().collect::<Vec<_>>(), [block(7, -1)]);
}

#[test]
fn many_blocks_take_several_reports() {
    let blocks: Vec<_> = (0..70).map(|ssrc| block(ssrc, 5)).collect();
    let mut out = Vec::new();
    write_sender_report(&mut out, 1, &SenderFigures::default(), &blocks);
    let mut read = Vec::new();
    for packet in packets(&out).map(Result::unwrap) {
        if let RtcpPacket::SenderReport(report) = packet {
            read.extend(report.blocks());
        } else if let RtcpPacket::ReceiverReport(report) = packet {
            read.extend(report.blocks());
        }
    }
    assert_eq!(read, blocks);
    assert_eq!(packets(&out).count(), 3);
}

#[test]
fn loss_is_clamped_to_its_24_bits() {
    let mut out = Vec::new();
    let blocks = [block(1, i32::MAX), block(2, i32::MIN)];
    write_receiver_report(&mut out, 9, &blocks);
    let RtcpPacket::ReceiverReport(report) = one(&out) else {
        panic!("no receiver report");
    };
    let lost = report.blocks().map(|block| block.figures.cumulative_lost);
    assert_eq!(lost.collect::<Vec<_>>(), [0x7f_ffff, -0x80_0000]);
}

#[test]
fn names_are_written_and_read() {
    let mut out = Vec::new();
    write_cname(&mut out, 3, "abcdef");
    let expected = [
        0x81, 202, 0, 4, 0, 0, 0, 3, 1, 6, b'a', b'b', b'c', b'd', b'e', b'f',
    ];
    assert_eq!(out[..16], expected);
    assert_eq!(out[16..], [0; 4]);
    let RtcpPacket::Sdes(sdes) = one(&out) else {
        panic!("no names");
    };
    assert_eq!(
        sdes.cnames().collect::<Vec<_>>(),
        [(3, b"abcdef".as_slice())]
    );
}

#[test]
fn names_stop_where_they_stop_making_sense() {
    // A source without items, one with a tool before its name, one whose name is cut short.
    let compound = [
        0x83, 202, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, // no items
        0, 0, 0, 2, 6, 1, b't', 1, 2, b'a', b'b', 0, // tool, name
        0, 0, 0, 3, 1, 9, b'x', 0, 0, 0, 0, 0,
    ];
    let RtcpPacket::Sdes(sdes) = one(&compound) else {
        panic!("no names");
    };
    assert_eq!(sdes.cnames().collect::<Vec<_>>(), [(2, b"ab".as_slice())]);
}

#[test]
fn goodbyes_are_written_and_read() {
    let ssrcs: Vec<u32> = (0..40).collect();
    let mut out = Vec::new();
    write_bye(&mut out, &ssrcs);
    let mut read = Vec::new();
    for packet in packets(&out) {
        let Ok(RtcpPacket::Bye(bye)) = packet else {
            panic!("no goodbye");
        };
        read.extend(bye.ssrcs());
    }
    assert_eq!(read, ssrcs);
    // With a reason after it.
    let bye = [0x81, 203, 0, 2, 0, 0, 0, 9, 3, b'b', b'y', b'e'];
    let RtcpPacket::Bye(bye) = one(&bye) else {
        panic!("no goodbye");
    };
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [9]);
}

#[test]
fn a_nack_packs_seventeen_into_a_pair() {
    let mut out = Vec::new();
    write_nack(&mut out, 1, 2, &[0xfffe, 0xffff, 14, 15, 15]);
    let expected = [
        0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0x80, 0x01, 0, 15, 0, 0,
    ];
    assert_eq!(out, expected);
    let RtcpPacket::Nack(nack) = one(&out) else {
        panic!("no nack");
    };
    assert_eq!((nack.sender, nack.media), (1, 2));
    let sequences: Vec<_> = nack.sequences().collect();
    assert_eq!(sequences, [0xfffe, 0xffff, 14, 15]);
    out.clear();
    write_nack(&mut out, 1, 2, &[]);
    assert!(out.is_empty());
}

#[test]
fn keyframe_requests_are_written_and_read() {
    let mut out = Vec::new();
    write_pli(&mut out, 1, 2);
    assert_eq!(out, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    let (sender, media) = (1, 2);
    assert_eq!(one(&out), RtcpPacket::Pli(Pli { sender, media }));
    out.clear();
    let entries: Vec<_> = (0..200)
        .map(|ssrc| FirEntry { ssrc, sequence: 7 })
        .collect();
    write_fir(&mut out, 1, &entries);
    assert_eq!(out[..4], [0x84, 206, 0, 242]);
    assert_eq!(out[12..20], [0, 0, 0, 0, 7, 0, 0, 0]);
    let mut read = Vec::new();
    for packet in packets(&out) {
        let Ok(RtcpPacket::Fir(fir)) = packet else {
            panic!("no request");
        };
        assert_eq!(fir.sender, 1);
        read.extend(fir.entries());
    }
    assert_eq!(read, entries);
}

#[test]
fn an_estimate_is_rounded_down() {
    let read = |bps| {
        let mut out = Vec::new();
        write_remb(&mut out, 1, Bitrate::from_bps(bps), &[5, 6]);
        let RtcpPacket::Remb(remb) = one(&out) else {
            panic!("no estimate");
        };
        assert_eq!(remb.ssrcs().collect::<Vec<_>>(), [5, 6]);
        remb.bitrate.bps()
    };
    assert_eq!(read(0), 0);
    assert_eq!(read(0x3_ffff), 0x3_ffff);
    assert_eq!(read(0x4_0001), 0x4_0000);
    assert_eq!(read(2_500_000), 2_500_000);
    assert_eq!(read(u64::MAX), 0xffff_c000_0000_0000);
    // The bytes of the draft: 0x3ffff << 2.
    let mut out = Vec::new();
    write_remb(&mut out, 1, Bitrate::from_bps(0xf_fffc), &[5]);
    assert_eq!(
        out[12..24],
        [b'R', b'E', b'M', b'B', 1, 0x0b, 0xff, 0xff, 0, 0, 0, 5]
    );
    // An exponent that no rate has.
    out[17..20].fill(0xff);
    let RtcpPacket::Remb(remb) = one(&out) else {
        panic!("no estimate");
    };
    assert_eq!(remb.bitrate, Bitrate::MAX);
}

#[test]
fn a_bad_body_does_not_hide_what_follows() {
    let mut compound = vec![0x81, 201, 0, 1, 0, 0, 0, 1]; // announces a block that is not there
    compound.extend([0x80, 204, 0, 1, 1, 2, 3, 4]); // application defined
    compound.extend([0xa0, 203, 0, 1, 0, 0, 0, 9]); // more padding than there is
    write_pli(&mut compound, 1, 2);
    compound.extend([0x80, 200, 0, 9]);
    let (packet_type, length) = (201, 4);
    let (sender, media) = (1, 2);
    let expected = [
        Err(RtpError::RtcpBody {
            packet_type,
            length,
        }),
        Ok(RtcpPacket::Unknown {
            packet_type: 204,
            format: 0,
        }),
        Err(RtpError::Padding(9)),
        Ok(RtcpPacket::Pli(Pli { sender, media })),
        Err(RtpError::Truncated {
            needed: 40,
            length: 4,
        }),
    ];
    assert_eq!(packets(&compound).collect::<Vec<_>>(), expected);
    fn framing(bytes: &[u8]) -> Vec<Result<RtcpPacket<'_>, RtpError>> {
        packets(bytes).collect()
    }
    let cut = RtpError::Truncated {
        needed: 4,
        length: 3,
    };
    assert_eq!(framing(&[0x80, 200, 0]), [Err(cut)]);
    assert_eq!(framing(&[0x40, 200, 0, 0]), [Err(RtpError::Version(1))]);
    assert_eq!(framing(&[]), []);
}

#[test]
fn feedback_of_another_application_is_unknown() {
    let compound = [
        0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, b'X', b'E', b'M', b'B',
    ];
    let (packet_type, format) = (206, 15);
    assert_eq!(
        one(&compound),
        RtcpPacket::Unknown {
            packet_type,
            format
        }
    );
}

proptest! {
    #[test]
    fn a_nack_gives_back_its_list(
        first in any::<u16>(),
        steps in proptest::collection::vec(prop_oneof![1_u16..4, 1_u16..60], 0..700),
    ) {
        let mut sequence = first;
        let mut list = vec![first];
        // Less than half the range, so that the order over the wrap is plain.
        for step in steps.into_iter().take(500) {
            sequence = sequence.wrapping_add(step);
            list.push(sequence);
        }
        let mut out = Vec::new();
        write_nack(&mut out, 1, 2, &list);
        let mut read = Vec::new();
        for packet in packets(&out) {
            let Ok(RtcpPacket::Nack(nack)) = packet else {
                panic!("no nack");
            };
            read.extend(nack.sequences());
        }
        prop_assert_eq!(read, list);
    }

    #[test]
    fn any_bytes_are_answered(
        mut compound in proptest::collection::vec(any::<u8>(), 0..200),
        packet_type in 199_u8..208,
    ) {
        if compound.len() > 4 {
            compound[0] = 0x80 | compound[0] & 0x1f;
            compound[1] = packet_type;
            compound[2] = 0;
            compound[3] %= 50;
        }
        for packet in packets(&compound) {
            match packet {
                Ok(RtcpPacket::SenderReport(report)) => { report.blocks().count(); }
                Ok(RtcpPacket::ReceiverReport(report)) => { report.blocks().count(); }
                Ok(RtcpPacket::Sdes(sdes)) => prop_assert!(sdes.cnames().count() < 32),
                Ok(RtcpPacket::Bye(bye)) => prop_assert!(bye.ssrcs().count() < 32),
                Ok(RtcpPacket::Nack(nack)) => { nack.sequences().count(); }
                Ok(RtcpPacket::Fir(fir)) => { fir.entries().count(); }
                Ok(RtcpPacket::Remb(remb)) => { remb.ssrcs().count(); }
                Ok(RtcpPacket::TransportFeedback(feedback)) => {
                    prop_assert_eq!(feedback.arrivals().count(), usize::from(feedback.count));
                }
                Ok(RtcpPacket::ExtendedReport(report)) => {
                    let _ = report.reference_time();
                    prop_assert!(report.delays().count() <= compound.len() / 12);
                }
                Ok(RtcpPacket::Pli(_) | RtcpPacket::Unknown { .. }) | Err(_) => {}
            }
        }
    }
}
