use std::sync::Arc;

use media_egress::{TrackConfig, flv};
use media_ingest::rtmp::chunk::{ChunkReader, MessageType};

use super::*;

const BOTH: Kinds = Kinds {
    video: true,
    audio: true,
};

fn configs() -> (Arc<TrackConfig>, Arc<TrackConfig>) {
    let keyframe = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
    let video = TrackConfig::of_keyframe(media_egress::Format::Vp9, &keyframe).unwrap();
    let audio = TrackConfig::from_asc(Bytes::from_static(&[0x11, 0x90])).unwrap();
    (Arc::new(video), Arc::new(audio))
}

fn frame(config: &Arc<TrackConfig>, ms: u64, keyframe: bool) -> Frame {
    Frame {
        dts: ms * u64::from(config.timescale) / 1_000,
        composition: 0,
        keyframe,
        config: Arc::clone(config),
        data: Bytes::from(vec![7; 9_000]),
    }
}

/// Two groups of pictures of 10 at 25 a second, and sound every 20 ms.
fn play(fanout: &mut Fanout) {
    let (video, audio) = configs();
    for index in 0..20 {
        let at = 1_000 + index * 40;
        for (config, at, key) in [
            (&audio, at, true),
            (&video, at + 5, index % 10 == 0),
            (&audio, at + 20, true),
        ] {
            assert!(fanout.push(&frame(config, at, key)).unwrap());
        }
    }
}

fn received(fanout: &mut Fanout) -> (Joined, Vec<Chunk>) {
    let (video, _) = configs();
    let (reply, mut joined) = oneshot::channel();
    fanout.push(&frame(&video, 0, true)).unwrap();
    fanout.join(reply);
    let mut joined = joined.try_recv().unwrap();
    play(fanout);
    let chunks = std::iter::from_fn(|| joined.chunks.try_recv().ok()).collect();
    (joined, chunks)
}

#[test]
fn a_picture_takes_the_sound_before_it_along() {
    let mut fanout = Fanout::new(Container::Flv, BOTH);
    let (_, chunks) = received(&mut fanout);
    let times = |chunk: &Chunk| -> Vec<(u8, u32)> {
        let tags = flv::tags(&chunk.bytes);
        tags.map(|(kind, at, _)| (kind, at)).collect()
    };
    // Configurations are told with the first frame that needs them.
    assert_eq!(times(&chunks[0]), [(8, 1_000), (8, 1_000)]);
    assert_eq!(times(&chunks[1]), [(9, 1_005)], "a keyframe comes first");
    assert_eq!(times(&chunks[2]), [(8, 1_020), (8, 1_040), (9, 1_045)]);
    let starts: Vec<_> = chunks.iter().filter(|chunk| chunk.start).collect();
    assert_eq!(starts.len(), 2);
    // One write a picture, one more where a keyframe comes; the last sound still waits.
    assert_eq!(chunks.len(), 22);
}

#[test]
fn who_joins_begins_with_the_group_that_goes_on() {
    let mut fanout = Fanout::new(Container::Flv, BOTH);
    play(&mut fanout);
    let (reply, mut joined) = oneshot::channel();
    fanout.join(reply);
    let joined = joined.try_recv().unwrap();
    let head = &joined.prelude[0];
    assert_eq!(head[..13], *b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
    let told: Vec<_> = flv::tags(&head[13..])
        .map(|(kind, at, _)| (kind, at))
        .collect();
    assert_eq!(told, [(18, 0), (9, 1_405), (8, 1_405)]);
    let group = joined.prelude[1..].iter();
    let pictures = group.flat_map(|bytes| flv::tags(bytes).filter(|(kind, ..)| *kind == 9));
    assert_eq!(pictures.count(), 10);
}

#[test]
fn rtmp_carries_the_same_tags() {
    let mut flv = Fanout::new(Container::Flv, BOTH);
    let mut rtmp = Fanout::new(Container::Rtmp, BOTH);
    let (of_flv, of_rtmp) = (received(&mut flv), received(&mut rtmp));
    let bytes = |(joined, chunks): &(Joined, Vec<Chunk>)| -> Vec<u8> {
        let chunks = chunks.iter().map(|chunk| &chunk.bytes);
        joined
            .prelude
            .iter()
            .chain(chunks)
            .flatten()
            .copied()
            .collect()
    };
    let file = bytes(&of_flv);
    let expected: Vec<_> = flv::tags(&file[13..])
        .map(|(kind, at, body)| (kind, at, body.to_vec()))
        .collect();
    let mut reader = ChunkReader::new(1 << 20);
    reader
        .set_chunk_size(media_ingest::limits::CHUNK_SIZE_OURS)
        .unwrap();
    let wire = bytes(&of_rtmp);
    let (mut rest, mut found) = (&wire[..], Vec::new());
    while !rest.is_empty() {
        let (used, message) = reader.read(rest).unwrap();
        rest = &rest[used..];
        if let Some(message) = message {
            assert_eq!(message.stream, tags::STREAM);
            let kind = match message.kind {
                MessageType::AUDIO => 8,
                MessageType::VIDEO => 9,
                _ => 18,
            };
            found.push((kind, message.timestamp, message.payload.to_vec()));
        }
    }
    assert_eq!(found, expected);
}
