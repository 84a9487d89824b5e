//! What a packet costs on the wire side: parsing, opening, writing, sealing, feedback.
//!
//! `seal variants` compares the library's ways to seal a short prefix and a long payload that lie
//! in different buffers; `srtp/gcm.rs` scatters, which wins with and without a prefix.
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use criterion::{BatchSize, Bencher, Criterion, criterion_group, criterion_main};
use media_rtp::extension::{ExtensionKind, ExtensionMap, Extensions};
use media_rtp::header::{Element, HeaderFields, RtpHeader, write_header};
use media_rtp::rtcp::twcc::TwccRecorder;
use media_rtp::rtcp::{RtcpPacket, packets};
use media_rtp::srtp::{MasterKey, SrtpProfile, SrtpReceiver, SrtpSender};

const PAYLOAD_BYTES: usize = 1_100;
const SSRC: u32 = 0xcafe_babe;
/// As long as a VP8 descriptor, and no multiple of the cipher's block.
const PREFIX_BYTES: usize = 6;
const FEEDBACK_PACKETS: u16 = 100;

const PROFILES: [(&str, SrtpProfile); 3] = [
    ("gcm-128", SrtpProfile::AeadAes128Gcm),
    ("gcm-256", SrtpProfile::AeadAes256Gcm),
    ("cm-sha1-80", SrtpProfile::AesCm128HmacSha1_80),
];

const ELEMENTS: [Element<'static>; 3] = [
    Element { id: 1, data: b"0" },
    Element {
        id: 2,
        data: &[1, 2, 3],
    },
    Element {
        id: 3,
        data: &[4, 5],
    },
];

fn fields(index: u64) -> HeaderFields {
    HeaderFields {
        payload_type: 96,
        sequence: u16::try_from(index & 0xffff).unwrap_or(0),
        ssrc: SSRC,
        ..HeaderFields::default()
    }
}

fn master(profile: SrtpProfile) -> MasterKey {
    let key = vec![1; profile.key_length()];
    MasterKey::new(profile, &key, &vec![2; profile.salt_length()]).expect("lengths fit")
}

fn header(c: &mut Criterion) {
    let mut map = ExtensionMap::new();
    for (id, kind) in [
        (1, ExtensionKind::Mid),
        (2, ExtensionKind::AbsSendTime),
        (3, ExtensionKind::TransportSequence),
    ] {
        map.insert(kind, id).expect("id is free");
    }
    let mut packet = [0; 1_200];
    write_header(&mut packet, &fields(1), &ELEMENTS).expect("room enough");
    c.bench_function("header/parse", |b| {
        b.iter(|| RtpHeader::parse(black_box(&packet)));
    });
    c.bench_function("header/parse and read extensions", |b| {
        b.iter(|| {
            let header = RtpHeader::parse(black_box(&packet)).expect("well formed");
            Extensions::read(&header, &packet, &map).transport_sequence
        });
    });
    c.bench_function("header/write", |b| {
        b.iter(|| write_header(black_box(&mut packet), &fields(1), black_box(&ELEMENTS)));
    });
}

fn seal(c: &mut Criterion) {
    let payload = [7; PAYLOAD_BYTES];
    for (name, profile) in PROFILES {
        for (what, prefix) in [("", 0), (" with prefix", PREFIX_BYTES)] {
            let mut sender = SrtpSender::new(profile, &master(profile)).expect("keys fit");
            let mut out = [0; 1_300];
            let mut index = 0;
            c.bench_function(&format!("seal{what}/{name}"), |b| {
                b.iter(|| {
                    index += 1;
                    let header = write_header(&mut out, &fields(index), &ELEMENTS).unwrap_or(0);
                    let body = black_box(&payload[prefix..]);
                    sender.seal_rtp(&mut out, header, SSRC, index, prefix, body)
                });
            });
        }
    }
}

/// Seals a window's worth of packets ahead and opens them one by one.
fn open_one(b: &mut Bencher<'_>, profile: SrtpProfile) {
    let mut sender = SrtpSender::new(profile, &master(profile)).expect("keys fit");
    let sealed: Vec<_> = (0..1_000)
        .map(|index| {
            let mut out = [0; 1_300];
            let header = write_header(&mut out, &fields(index), &ELEMENTS).expect("room enough");
            let sealed = sender.seal_rtp(&mut out, header, SSRC, index, 0, &[7; PAYLOAD_BYTES]);
            out[..sealed.expect("room enough")].to_vec()
        })
        .collect();
    let mut out = [0; 1_300];
    b.iter_batched_ref(
        || SrtpReceiver::new(profile, &master(profile)).expect("keys fit"),
        |receiver| {
            for packet in &sealed {
                let header = RtpHeader::parse(packet).expect("well formed");
                let opened = receiver.open_rtp(&header, black_box(packet), &mut out);
                assert!(opened.is_ok());
            }
        },
        BatchSize::LargeInput,
    );
}

fn open(c: &mut Criterion) {
    for (name, profile) in PROFILES {
        c.bench_function(&format!("open 1,000/{name}"), |b| open_one(b, profile));
    }
}

fn seal_variants(c: &mut Criterion) {
    let key = UnboundKey::new(&AES_128_GCM, &[1; 16]).expect("length fits");
    let key = LessSafeKey::new(key);
    let payload = [7; PAYLOAD_BYTES];
    let header = [0x80; 24];
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let mut out = [0; 1_300];
    for prefix in [0, PREFIX_BYTES, 16] {
        let length = prefix + PAYLOAD_BYTES;
        c.bench_function(&format!("seal variants/copy, in place/{prefix}"), |b| {
            b.iter(|| {
                out[prefix..length].copy_from_slice(black_box(&payload));
                let body = &mut out[..length];
                let tag = key.seal_in_place_separate_tag(nonce(), Aad::from(header), body);
                out[length..length + 16].copy_from_slice(tag.expect("seals").as_ref());
            });
        });
        c.bench_function(
            &format!("seal variants/prefix, then scatter/{prefix}"),
            |b| {
                b.iter(|| {
                    let (head, rest) = out[..length + 16].split_at_mut(prefix);
                    key.seal_in_place_scatter(
                        nonce(),
                        Aad::from(header),
                        head,
                        black_box(&payload),
                        rest,
                    )
                });
            },
        );
    }
    c.bench_function("seal variants/out of place/0", |b| {
        b.iter(|| {
            let (body, tag) = out[..PAYLOAD_BYTES + 16].split_at_mut(PAYLOAD_BYTES);
            let aad = Aad::from(header);
            key.seal_out_of_place_scatter(nonce(), aad, black_box(&payload), body, &[], tag)
        });
    });
}

#[allow(clippy::disallowed_methods, reason = "a base to add to")]
fn feedback(c: &mut Criterion) {
    let start = Instant::now();
    let mut recorder = TwccRecorder::new();
    let mut out = Vec::new();
    let mut sequence = 0_u16;
    let mut now = start;
    c.bench_function("twcc/record and write 100", |b| {
        b.iter(|| {
            for _ in 0..FEEDBACK_PACKETS {
                now += Duration::from_micros(500);
                // One in sixteen is lost.
                sequence = sequence.wrapping_add(if sequence % 16 == 3 { 2 } else { 1 });
                recorder.record(now, sequence);
            }
            out.clear();
            recorder.write_feedback(&mut out, 1, 2)
        });
    });
    c.bench_function("twcc/parse 100", |b| {
        b.iter(|| {
            let Some(Ok(RtcpPacket::TransportFeedback(feedback))) = packets(&out).next() else {
                return 0;
            };
            feedback.arrivals().filter_map(|(_, at)| at).sum()
        });
    });
}

/// A whole `make bench` is to be a matter of minutes.
fn brief() -> Criterion {
    let brief = Criterion::default().warm_up_time(Duration::from_millis(500));
    brief.measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = wire;
    config = brief();
    targets = header, seal, open, seal_variants, feedback
}
criterion_main!(wire);
