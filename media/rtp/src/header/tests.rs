use proptest::prelude::*;

use super::*;

const FIELDS: HeaderFields = HeaderFields {
    padding: false,
    marker: true,
    payload_type: 111,
    sequence: 0x1234,
    timestamp: 0xdead_beef,
    ssrc: 0xcafe_babe,
};

/// RFC 3550, figure of section 5.1, filled by hand: two contributing sources, a one-byte header
/// extension of one word, a payload of three bytes.
const PACKET: [u8; 31] = [
    0x92, 0xef, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xba, 0xbe, // fixed
    0, 0, 0, 1, 0, 0, 0, 2, // contributing sources
    0xbe, 0xde, 0x00, 0x01, 0x10, 0x85, 0x00, 0x00, // extension 1 = [0x85]
    7, 8, 9,
];

#[test]
fn a_header_is_read() {
    let header = RtpHeader::parse(&PACKET).unwrap();
    assert_eq!(header.sequence, FIELDS.sequence);
    assert_eq!(header.timestamp, FIELDS.timestamp);
    assert_eq!(header.ssrc, FIELDS.ssrc);
    assert_eq!((header.payload_type, header.marker), (111, true));
    assert_eq!((header.csrc_count, header.padding), (2, false));
    assert_eq!(header.extension_profile, Some(PROFILE_ONE_BYTE));
    assert_eq!(header.extension_block(), 24..28);
    assert_eq!(header.header_length(), 28);
    assert_eq!(&PACKET[header.payload()], [7, 8, 9]);
    let elements: Vec<_> = header.elements(&PACKET).collect();
    let data = [0x85].as_slice();
    assert_eq!(elements, [Element { id: 1, data }]);
}

#[test]
fn a_cut_header_is_refused() {
    for length in 0..28 {
        let error = RtpHeader::parse(&PACKET[..length]).unwrap_err();
        assert!(matches!(error, RtpError::Truncated { length: l, .. } if l == length));
    }
    assert!(
        RtpHeader::parse(&PACKET[..28])
            .unwrap()
            .payload()
            .is_empty()
    );
}

#[test]
fn a_huge_extension_is_refused() {
    let mut packet = PACKET;
    packet[22..24].fill(0xff);
    let needed = 24 + 4 * 65_535;
    let length = 31;
    assert_eq!(
        RtpHeader::parse(&packet),
        Err(RtpError::Truncated { needed, length })
    );
}

#[test]
fn another_version_is_refused() {
    let mut packet = PACKET;
    packet[0] = 0x52;
    assert_eq!(RtpHeader::parse(&packet), Err(RtpError::Version(1)));
    let long = vec![0x80; 65_536];
    assert_eq!(RtpHeader::parse(&long), Err(RtpError::Oversize(65_536)));
}

#[test]
fn padding_is_taken_off() {
    let mut packet = PACKET;
    packet[0] |= 0x20;
    let header = RtpHeader::parse(&packet).unwrap();
    assert!(header.padding);
    assert_eq!(header.unpadded(&[1, 2, 2]), Ok([1].as_slice()));
    assert_eq!(header.unpadded(&[0, 0, 3]), Ok([].as_slice()));
    assert_eq!(header.unpadded(&[0, 0, 4]), Err(RtpError::Padding(4)));
    assert_eq!(header.unpadded(&[1, 0]), Err(RtpError::Padding(0)));
    assert_eq!(header.unpadded(&[]), Err(RtpError::Padding(0)));
    let plain = RtpHeader::parse(&PACKET).unwrap();
    assert_eq!(plain.unpadded(&[1, 9]), Ok([1, 9].as_slice()));
}

#[test]
fn datagrams_are_told_apart() {
    let kind = |bytes: &[u8]| PacketKind::of(bytes);
    assert_eq!(kind(&[0x00, 0x01]), PacketKind::Stun);
    assert_eq!(kind(&[22, 254]), PacketKind::Dtls);
    assert_eq!(kind(&[0x80, 96]), PacketKind::Rtp);
    assert_eq!(kind(&[0x80, 0x80 | 96]), PacketKind::Rtp);
    assert_eq!(kind(&[0x81, 200]), PacketKind::Rtcp);
    assert_eq!(kind(&[0xbf, 223]), PacketKind::Rtcp);
    assert_eq!(kind(&[0x80, 224]), PacketKind::Rtp);
    for first in [4, 19, 64, 127, 192, 255] {
        assert_eq!(kind(&[first, 200]), PacketKind::Unknown);
    }
    assert_eq!(kind(&[0x80]), PacketKind::Unknown);
    assert_eq!(kind(&[]), PacketKind::Unknown);
}

#[test]
fn the_one_byte_form_is_written() {
    let mut out = [0xaa; 40];
    let elements = [
        Element {
            id: 3,
            data: &[1, 2, 3],
        },
        Element {
            id: 14,
            data: &[9; 2],
        },
    ];
    let length = write_header(&mut out, &FIELDS, &elements).unwrap();
    assert_eq!(length, 24);
    assert_eq!(out[0], 0x90);
    assert_eq!(
        out[12..24],
        [0xbe, 0xde, 0, 2, 0x32, 1, 2, 3, 0xe1, 9, 9, 0]
    );
    assert_eq!(out[24], 0xaa);
}

#[test]
fn long_elements_are_written_in_the_two_byte_form() {
    let mut out = [0xaa; 64];
    let long = [5; 17];
    let elements = [
        Element { id: 1, data: &long },
        Element { id: 16, data: &[] },
    ];
    let length = write_header(&mut out, &FIELDS, &elements).unwrap();
    assert_eq!(length, 12 + 4 + 24);
    assert_eq!(out[12..18], [0x10, 0, 0, 6, 1, 17]);
    assert_eq!(out[35..40], [16, 0, 0, 0, 0]);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let write =
        |out: &mut [u8], id, data: &[u8]| write_header(out, &FIELDS, &[Element { id, data }]);
    let mut out = [0; 20];
    assert_eq!(write(&mut out, 0, &[1]), Err(RtpError::ExtensionId(0)));
    assert_eq!(write(&mut out, 15, &[1]), Err(RtpError::ExtensionId(15)));
    let (needed, length) = (24, 20);
    assert_eq!(
        write(&mut out, 1, &[0; 4]),
        Err(RtpError::Buffer { needed, length })
    );
    let (id, length) = (1, 256);
    assert_eq!(
        write(&mut out, 1, &[0; 256]),
        Err(RtpError::ExtensionLength { id, length })
    );
    assert_eq!(
        write_header(&mut [], &FIELDS, &[]),
        Err(RtpError::Buffer {
            needed: 12,
            length: 0
        })
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        numbers in any::<(bool, bool, u16, u32, u32)>(),
        payload_type in 0_u8..128,
        elements in proptest::collection::vec(
            ((1_u8..=255).prop_filter("reserved", |id| *id != 15),
             proptest::collection::vec(any::<u8>(), 0..40)),
            0..6,
        ),
    ) {
        let (padding, marker, sequence, timestamp, ssrc) = numbers;
        let fields = HeaderFields { padding, marker, payload_type, sequence, timestamp, ssrc };
        let elements: Vec<_> = elements
            .iter()
            .map(|(id, data)| Element { id: *id, data })
            .collect();
        let mut out = [0xff; 400];
        let length = write_header(&mut out, &fields, &elements).unwrap();
        let header = RtpHeader::parse(&out).unwrap();
        prop_assert_eq!(header.header_length(), length);
        let read = HeaderFields {
            padding: header.padding,
            marker: header.marker,
            payload_type: header.payload_type,
            sequence: header.sequence,
            timestamp: header.timestamp,
            ssrc: header.ssrc,
        };
        prop_assert_eq!(read, fields);
        let read: Vec<_> = header.elements(&out).collect();
        prop_assert_eq!(read, elements);
    }

    #[test]
    fn any_bytes_are_answered(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(header) = RtpHeader::parse(&packet) {
            prop_assert!(header.payload().end == packet.len());
            prop_assert!(header.elements(&packet).count() <= packet.len());
            let _ = header.unpadded(&packet[header.payload()]);
            prop_assert_eq!(header.elements(&[]).count(), 0);
        }
        let _ = PacketKind::of(&packet);
    }
}
