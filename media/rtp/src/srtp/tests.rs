//! Sessions: vectors that other implementations publish, and what an attacker may try.

use proptest::prelude::*;

use super::*;
use crate::bytes::hex;
use crate::header::{HeaderFields, RtpHeader, write_header};

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AesCm128HmacSha1_80,
];
const SSRC: u32 = 0xcafe_babe;

fn master(profile: SrtpProfile, seed: u8) -> MasterKey {
    let key = vec![seed; profile.key_length()];
    MasterKey::new(profile, &key, &vec![seed ^ 0xff; profile.salt_length()]).unwrap()
}

struct Pair {
    sender: SrtpSender,
    receiver: SrtpReceiver,
}

impl Pair {
    fn new(profile: SrtpProfile) -> Self {
        let master = master(profile, 3);
        Self {
            sender: SrtpSender::new(profile, &master).unwrap(),
            receiver: SrtpReceiver::new(profile, &master).unwrap(),
        }
    }

    fn seal(&mut self, ssrc: u32, index: u64, payload: &[u8]) -> Vec<u8> {
        let fields = HeaderFields {
            sequence: (index & 0xffff) as u16,
            ssrc,
            ..HeaderFields::default()
        };
        let mut out = vec![0; 1_600];
        let header = write_header(&mut out, &fields, &[]).unwrap();
        let length = self
            .sender
            .seal_rtp(&mut out, header, ssrc, index, 0, payload)
            .unwrap();
        out.truncate(length);
        out
    }

    fn open(&mut self, packet: &[u8]) -> Result<(Vec<u8>, u64), SrtpError> {
        open(&mut self.receiver, packet)
    }
}

fn open(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<(Vec<u8>, u64), SrtpError> {
    let header = RtpHeader::parse(packet).unwrap();
    let mut out = vec![0; 1_600];
    let opened = receiver.open_rtp(&header, packet, &mut out)?;
    out.truncate(opened.length);
    Ok((out, opened.index))
}

/// Master keys and packets of libsrtp's `srtp_driver`, which anybody can run.
#[test]
fn packets_of_another_implementation_are_opened() {
    let key = hex("e1f97a0d 3e018be0 d64fa32c 06de4139");
    let cm = (
        SrtpProfile::AesCm128HmacSha1_80,
        key,
        hex("0ec675ad 498afeeb b6960b3a abe6"),
        "4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
        "7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
    );
    let gcm = (
        SrtpProfile::AeadAes128Gcm,
        (0..16).collect(),
        hex("a0a1a2a3 a4a5a6a7 a8a9aaab"),
        "c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201 df3131a1 27e8a392",
        "c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b a88ce61e 80000001",
    );
    for (profile, key, salt, rtp, rtcp) in [cm, gcm] {
        let master = MasterKey::new(profile, &key, &salt).unwrap();
        let mut receiver = SrtpReceiver::new(profile, &master).unwrap();
        let mut sender = SrtpSender::new(profile, &master).unwrap();
        let header = hex("800f1234 decafbad cafebabe");
        let sealed = [header.as_slice(), &hex(rtp)].concat();
        let opened = open(&mut receiver, &sealed);
        assert_eq!(opened, Ok((vec![0xab; 16], 0x1234)));
        let mut out = [header.as_slice(), &[0; 32]].concat();
        let length = sender.seal_rtp(&mut out, 12, SSRC, 0x1234, 0, &[0xab; 16]);
        assert_eq!(out[..length.unwrap()], sealed);

        let clear = hex("81c8000b cafebabe");
        let sealed = [clear.as_slice(), &hex(rtcp)].concat();
        let mut out = vec![9];
        receiver.open_rtcp(&sealed, &mut out).unwrap();
        let packet = [clear.as_slice(), &[0xab; 16]].concat();
        assert_eq!(out, packet);
        out.clear();
        // That implementation counts from one, we from nought.
        sender.seal_rtcp(&packet, &mut out).unwrap();
        out.clear();
        sender.seal_rtcp(&packet, &mut out).unwrap();
        assert_eq!(out, sealed);
    }
}

#[test]
fn a_changed_packet_is_refused() {
    for profile in PROFILES {
        let mut pair = Pair::new(profile);
        let packet = pair.seal(SSRC, 7, b"some payload");
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // A changed version, extension or source count may not even parse.
            let Ok(header) = RtpHeader::parse(&changed) else {
                continue;
            };
            let mut out = [0; 64];
            let opened = pair.receiver.open_rtp(&header, &changed, &mut out);
            assert!(opened.is_err(), "{profile:?} bit {bit}");
        }
        assert_eq!(pair.open(&packet), Ok((b"some payload".to_vec(), 7)));
    }
}

#[test]
fn another_key_does_not_open() {
    for profile in PROFILES {
        let mut pair = Pair::new(profile);
        let packet = pair.seal(SSRC, 7, b"x");
        let mut other = SrtpReceiver::new(profile, &master(profile, 4)).unwrap();
        assert_eq!(open(&mut other, &packet), Err(SrtpError::Authentication));
        let mut sealed = Vec::new();
        pair.sender.seal_rtcp(&[0x80; 8], &mut sealed).unwrap();
        let mut out = Vec::new();
        let opened = other.open_rtcp(&sealed, &mut out);
        assert_eq!((opened, out.len()), (Err(SrtpError::Authentication), 0));
    }
    let gcm = master(SrtpProfile::AeadAes128Gcm, 3);
    assert!(SrtpSender::new(SrtpProfile::AeadAes256Gcm, &gcm).is_err());
}

#[test]
fn a_replay_is_refused() {
    for profile in PROFILES {
        let mut pair = Pair::new(profile);
        let packets: Vec<_> = (0..2_000).map(|i| pair.seal(SSRC, i, b"x")).collect();
        for packet in &packets[900..] {
            pair.open(packet).unwrap();
        }
        let replay = |pair: &mut Pair, at: usize| pair.open(&packets[at]).unwrap_err();
        assert_eq!(replay(&mut pair, 1_999), SrtpError::Replayed(1_999));
        assert_eq!(replay(&mut pair, 990), SrtpError::Replayed(990));
        // Late, but not seen before; at the edge of the window.
        let mut pair = Pair::new(profile);
        pair.open(&packets[1_999]).unwrap();
        assert!(pair.open(&packets[976]).is_ok());
        assert_eq!(replay(&mut pair, 975), SrtpError::Replayed(975));
    }
}

#[test]
fn the_index_rolls_over_with_loss_and_reordering() {
    for profile in PROFILES {
        let mut pair = Pair::new(profile);
        let at = |pair: &mut Pair, index: u64| {
            let packet = pair.seal(SSRC, index, b"x");
            assert_eq!(pair.open(&packet), Ok((b"x".to_vec(), index)));
        };
        // Around each rollover: forward over a gap, back over it, forward again.
        for round in 1..4_u64 {
            let start = round << 16;
            for index in [start - 30_000, start - 3, start + 2, start - 2, start - 1] {
                at(&mut pair, index);
            }
            at(&mut pair, start);
            at(&mut pair, start + 1);
            at(&mut pair, start + 30_000);
        }
    }
}

#[test]
fn a_source_may_start_with_a_rollover_that_is_lost() {
    for profile in PROFILES {
        let mut pair = Pair::new(profile);
        for index in [0x1_0002, 0xfffe, 0x1_0001] {
            let packet = pair.seal(SSRC, index, b"x");
            assert_eq!(pair.open(&packet), Ok((b"x".to_vec(), index)));
        }
        // Once a source is known there is no second guess.
        let packet = pair.seal(SSRC, 0x2_0003, b"x");
        assert_eq!(pair.open(&packet), Err(SrtpError::Authentication));
    }
}

#[test]
fn forged_packets_leave_nothing_behind() {
    let mut pair = Pair::new(SrtpProfile::AeadAes128Gcm);
    let mut other = Pair::new(SrtpProfile::AeadAes128Gcm);
    let packet = pair.seal(SSRC, 10, b"x");
    pair.open(&packet).unwrap();
    for ssrc in 0..5_000 {
        let mut forged = other.seal(ssrc, 60_000, b"x");
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(pair.open(&forged), Err(SrtpError::Authentication));
    }
    // A forgery far ahead in the same source does not move its window either.
    let mut forged = other.seal(SSRC, 30_000, b"x");
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(pair.open(&forged), Err(SrtpError::Authentication));
    assert!(format!("{:?}", pair.receiver).contains("rtp_sources: 1"));
    let packet = pair.seal(SSRC, 9, b"x");
    assert_eq!(pair.open(&packet), Ok((b"x".to_vec(), 9)));
}

#[test]
fn sources_are_bounded() {
    let mut pair = Pair::new(SrtpProfile::AeadAes128Gcm);
    for ssrc in 0..u32::try_from(SOURCES_MAX).unwrap() {
        let packet = pair.seal(ssrc.reverse_bits(), 1, b"x");
        pair.open(&packet).unwrap();
    }
    let packet = pair.seal(SSRC, 1, b"x");
    assert_eq!(pair.open(&packet), Err(SrtpError::Sources));
    let packet = pair.seal(0, 2, b"x");
    assert!(pair.open(&packet).is_ok());
}

#[test]
fn rtcp_is_replay_checked_by_source() {
    for profile in PROFILES {
        let mut pair = Pair::new(profile);
        let mut sealed = Vec::new();
        let mut packets = Vec::new();
        for source in [1_u8, 1, 2] {
            sealed.clear();
            let packet = [0x80, 201, 0, 1, 0, 0, 0, source];
            pair.sender.seal_rtcp(&packet, &mut sealed).unwrap();
            assert_eq!(sealed.len(), 8 + profile.rtcp_overhead());
            packets.push((packet, sealed.clone()));
        }
        let mut out = Vec::new();
        for (packet, sealed) in packets.iter().rev() {
            pair.receiver.open_rtcp(sealed, &mut out).unwrap();
            assert_eq!(out, packet);
        }
        for (index, (_, sealed)) in (0..).zip(&packets) {
            let opened = pair.receiver.open_rtcp(sealed, &mut out);
            assert_eq!(opened, Err(SrtpError::Replayed(index)));
        }
    }
}

#[test]
fn unencrypted_and_short_rtcp_is_refused() {
    for profile in PROFILES {
        let mut pair = Pair::new(profile);
        let mut sealed = Vec::new();
        pair.sender.seal_rtcp(&[0x80; 12], &mut sealed).unwrap();
        let mut out = Vec::new();
        for length in 0..8 + profile.rtcp_overhead() {
            let opened = pair.receiver.open_rtcp(&sealed[..length], &mut out);
            assert!(matches!(opened, Err(SrtpError::Truncated { .. })));
        }
        let index_at = match profile {
            SrtpProfile::AesCm128HmacSha1_80 => 12,
            SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => 28,
        };
        sealed[index_at] &= 0x7f;
        let opened = pair.receiver.open_rtcp(&sealed, &mut out);
        assert_eq!(opened, Err(SrtpError::Unencrypted));
        let refused = pair.sender.seal_rtcp(&[0x80; 7], &mut sealed);
        assert!(matches!(refused, Err(SrtpError::Truncated { .. })));
    }
}

#[test]
fn what_cannot_be_sealed_is_refused() {
    let mut pair = Pair::new(SrtpProfile::AeadAes128Gcm);
    let mut out = [0; 64];
    let fields = HeaderFields {
        sequence: 5,
        ssrc: 1,
        ..HeaderFields::default()
    };
    write_header(&mut out, &fields, &[]).unwrap();
    let mut seal = |header, ssrc, index, prefix, payload: &[u8]| {
        pair.sender
            .seal_rtp(&mut out, header, ssrc, index, prefix, payload)
    };
    assert_eq!(seal(12, 1, 6, 0, b""), Err(SrtpError::Header));
    assert_eq!(seal(12, 2, 5, 0, b""), Err(SrtpError::Header));
    assert_eq!(seal(11, 1, 5, 0, b""), Err(SrtpError::Header));
    let past = (1 << 48) | 5;
    assert_eq!(seal(12, 1, past, 0, b""), Err(SrtpError::Index(past)));
    let (needed, length) = (65, 64);
    let full = Err(SrtpError::Buffer { needed, length });
    assert_eq!(seal(12, 1, 5, 30, &[0; 7]), full);
    assert!(seal(usize::MAX, 1, 5, usize::MAX, b"").is_err());
    assert_eq!(seal(12, 1, 5, 30, &[0; 6]), Ok(64));
}

#[test]
fn a_small_buffer_is_refused() {
    let mut pair = Pair::new(SrtpProfile::AeadAes256Gcm);
    let packet = pair.seal(SSRC, 1, b"12345");
    let header = RtpHeader::parse(&packet).unwrap();
    let opened = pair.receiver.open_rtp(&header, &packet, &mut [0; 4]);
    let (needed, length) = (5, 4);
    assert_eq!(opened, Err(SrtpError::Buffer { needed, length }));
    // A header that was parsed from a longer packet.
    let opened = pair.receiver.open_rtp(&header, &packet[..5], &mut [0; 4]);
    let (needed, length) = (28, 5);
    assert_eq!(opened, Err(SrtpError::Truncated { needed, length }));
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        profile in proptest::sample::select(&PROFILES),
        ssrc in any::<u32>(),
        first in 0_u64..0x8000,
        prefix in proptest::collection::vec(any::<u8>(), 0..20),
        payload in proptest::collection::vec(any::<u8>(), 0..1_200),
    ) {
        let mut pair = Pair::new(profile);
        let fields = HeaderFields {
            sequence: (first & 0xffff) as u16,
            ssrc,
            ..HeaderFields::default()
        };
        let mut out = [0; 1_500];
        let header = write_header(&mut out, &fields, &[]).unwrap();
        out[header..header + prefix.len()].copy_from_slice(&prefix);
        let length = pair
            .sender
            .seal_rtp(&mut out, header, ssrc, first, prefix.len(), &payload)
            .unwrap();
        let plain = [prefix, payload].concat();
        prop_assert_eq!(length, header + plain.len() + profile.rtp_overhead());
        prop_assert_eq!(pair.open(&out[..length]), Ok((plain, first)));
    }

    #[test]
    fn any_bytes_are_answered(
        profile in proptest::sample::select(&PROFILES),
        packet in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut pair = Pair::new(profile);
        let mut out = Vec::new();
        prop_assert!(pair.receiver.open_rtcp(&packet, &mut out).is_err());
        if let Ok(header) = RtpHeader::parse(&packet) {
            let mut out = [0; 120];
            prop_assert!(pair.receiver.open_rtp(&header, &packet, &mut out).is_err());
        }
    }
}
