//! What each forwarded packet costs in this crate's media half: looking into the payload, new
//! numbers, the history and an answer to a NACK.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros write undocumented functions; a bench may fail"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use media_rtp::descriptor::{self, FrameInfo, PictureIdRewriter, PictureIds, PicturePatch};
use media_rtp::history::{PassThrough, Resend, SentMap, SentPacket, StoredPacket, TrackHistory};
use media_rtp::receive::ReceiveStream;
use media_rtp::rewrite::Rewriter;
use media_types::{Codec, Payload};

/// A VP8 delta frame's first packet: 15-bit picture id, TL0PICIDX, TID and KEYIDX.
const VP8: [u8; 8] = [0x90, 0xf0, 0x92, 0x34, 7, 0x03, 0x11, 0x02];
/// An H.264 slice as the first fragment.
const H264: [u8; 4] = [0x7c, 0x81, 0x9a, 0x00];

#[allow(clippy::disallowed_methods, reason = "a bench needs one base instant")]
fn start() -> Instant {
    Instant::now()
}

fn inspect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inspect");
    for (codec, payload) in [(Codec::Vp8, VP8.as_slice()), (Codec::H264, &H264)] {
        group.bench_function(codec.name(), |bencher| {
            bencher.iter(|| descriptor::inspect(codec, black_box(payload), true, None));
        });
    }
    group.finish();
}

fn rewrite(criterion: &mut Criterion) {
    let now = start();
    let mut group = criterion.benchmark_group("rewrite");
    group.bench_function("numbers, every third dropped", |bencher| {
        let mut rewriter = Rewriter::new(90_000, 1, 1);
        rewriter.switch(0, 70_000, 0, now, None);
        let mut seq = 70_000;
        bencher.iter(|| {
            seq += 1;
            if seq % 3 == 0 {
                rewriter.drop(0, seq);
                return None;
            }
            rewriter.forward(0, black_box(seq), 3_000, now)
        });
    });
    group.bench_function("picture id and prefix", |bencher| {
        let mut rewriter = PictureIdRewriter::new(Codec::Vp8);
        let ids = descriptor::inspect(Codec::Vp8, &VP8, true, None)
            .unwrap()
            .picture;
        bencher.iter(|| {
            let patch = rewriter.forward(black_box(ids))?;
            Some(descriptor::prefix(Codec::Vp8, black_box(&VP8), patch))
        });
    });
    group.finish();
}

fn history(criterion: &mut Criterion) {
    let now = start();
    let payload = Payload::copy_of(&[7; 1_100]).unwrap();
    let mut history = TrackHistory::new(1_024, Duration::from_secs(1));
    let mut sent = SentMap::new(now);
    let mut sequence = 0;
    let mut group = criterion.benchmark_group("history");
    group.bench_function("keep and remember", |bencher| {
        bencher.iter(|| {
            sequence += 1;
            history.insert(StoredPacket {
                sequence,
                timestamp: 9,
                marker: false,
                payload: payload.clone(),
                frame: FrameInfo {
                    picture: PictureIds::NONE,
                    ..FrameInfo::WHOLE
                },
                arrived: now,
                extensions: PassThrough::default(),
            });
            let packet = SentPacket {
                in_seq: sequence,
                stream: 0,
                out_ts: 9,
                marker: false,
                patch: PicturePatch::default(),
            };
            sent.on_sent(sequence, packet, 1_100);
        });
    });
    group.bench_function("answer a nack", |bencher| {
        let wanted = u16::try_from(sequence & 0xffff).unwrap();
        let mut later = now;
        bencher.iter(|| {
            // A fresh entry each time: resends of one packet are few.
            sent.on_sent(
                sequence,
                SentPacket {
                    in_seq: sequence,
                    stream: 0,
                    out_ts: 9,
                    marker: false,
                    patch: PicturePatch::default(),
                },
                1_100,
            );
            later += Duration::from_millis(100);
            match sent.resend(later, black_box(wanted), Duration::from_millis(50)) {
                Resend::Packet(packet) => history.get(packet.in_seq).map(|it| it.payload.len()),
                Resend::TooSoon | Resend::Refused | Resend::Unknown => None,
            }
        });
    });
    group.finish();
}

fn receive(criterion: &mut Criterion) {
    let now = start();
    let mut stream = ReceiveStream::new(90_000, true);
    let mut seq = 0_u16;
    criterion.bench_function("receive/arrival", |bencher| {
        bencher.iter(|| {
            seq = seq.wrapping_add(1);
            stream.on_packet(now, black_box(seq), 3_000, 1_100)
        });
    });
}

/// A whole `make bench` is to be a matter of minutes.
fn brief() -> Criterion {
    let brief = Criterion::default().warm_up_time(Duration::from_millis(500));
    brief.measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = brief();
    targets = inspect, rewrite, history, receive
}
criterion_main!(benches);
