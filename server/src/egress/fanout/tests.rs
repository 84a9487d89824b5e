use std::sync::Arc;

use media_egress::{TrackConfig, flv};
use media_ingest::rtmp::chunk::{ChunkReader, MessageType};

use super::*;

const BOTH: Kinds = Kinds {
    video: true,
    audio: true,
};

const GATHER: Duration = Duration::from_millis(70);

fn begin(container: Container) -> Fanout {
    Fanout::new(container, BOTH, GATHER)
}

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

const fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// A frame that comes when it is due.
fn push(fanout: &mut Fanout, config: &Arc<TrackConfig>, at: u64, keyframe: bool) {
    assert!(fanout.push(&frame(config, at, keyframe), ms(at)).unwrap());
}

fn joined_now(fanout: &mut Fanout) -> Joined {
    let (reply, mut joined) = oneshot::channel();
    fanout.join(Joining::Reader(reply));
    joined.try_recv().unwrap()
}

fn rest(joined: &mut Joined) -> Vec<Chunk> {
    std::iter::from_fn(|| joined.chunks.try_recv().ok()).collect()
}

fn times(bytes: &Bytes) -> Vec<(u8, u32)> {
    let tags = flv::tags(bytes);
    tags.map(|(kind, at, _)| (kind, at)).collect()
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
            push(fanout, config, at, key);
        }
    }
}

fn received(fanout: &mut Fanout) -> (Joined, Vec<Chunk>) {
    let (video, _) = configs();
    push(fanout, &video, 0, true);
    let mut joined = joined_now(fanout);
    play(fanout);
    // The last sound has waited long enough.
    fanout.handle_timeout(ms(5_000));
    let chunks = rest(&mut joined);
    (joined, chunks)
}

#[test]
fn what_follows_closely_goes_out_together() {
    let mut fanout = begin(Container::Flv);
    let (_, chunks) = received(&mut fanout);
    let times: Vec<_> = chunks.iter().map(|chunk| times(&chunk.bytes)).collect();
    // Configurations are told with the first frame that needs them.
    assert_eq!(times[0], [(8, 1_000), (8, 1_000)]);
    // Nobody knows yet how soon the next picture comes.
    assert_eq!(times[1], [(9, 1_005)], "a keyframe comes first");
    let two = [1_020, 1_040, 1_045, 1_060, 1_080, 1_085];
    assert!(times[2].iter().map(|(_, at)| *at).eq(two));
    let starts: Vec<_> = chunks.iter().filter(|chunk| chunk.start).collect();
    assert_eq!(starts.len(), 2);
    // One write for two pictures, one more before each keyframe, and the last sound.
    assert_eq!(chunks.len(), 13);
}

#[test]
fn the_last_picture_arrives_however_the_stream_ends() {
    let (video, _) = configs();
    let playing = || {
        let mut fanout = begin(Container::Flv);
        push(&mut fanout, &video, 0, true);
        let joined = joined_now(&mut fanout);
        push(&mut fanout, &video, 33, false);
        push(&mut fanout, &video, 66, false);
        (fanout, joined)
    };
    let all = |chunks: &[Chunk]| -> Vec<_> {
        let chunks = chunks.iter();
        chunks.flat_map(|chunk| times(&chunk.bytes)).collect()
    };
    // The publisher goes.
    let (fanout, mut joined) = playing();
    assert_eq!(all(&rest(&mut joined)), []);
    drop(fanout);
    assert_eq!(all(&rest(&mut joined)), [(9, 33), (9, 66)]);
    // It stops, and may come back.
    let (mut fanout, mut joined) = playing();
    let due = fanout.poll_timeout().unwrap();
    assert_eq!(due, ms(33) + GATHER);
    fanout.handle_timeout(due.saturating_sub(ms(1)));
    assert_eq!(all(&rest(&mut joined)), []);
    fanout.handle_timeout(due);
    assert_eq!(all(&rest(&mut joined)), [(9, 33), (9, 66)]);
    assert_eq!(fanout.poll_timeout(), None);
}

#[test]
fn who_waits_to_begin_is_served_at_once() {
    let (video, _) = configs();
    let mut fanout = begin(Container::Flv);
    let (reply, mut joined) = oneshot::channel();
    fanout.join(Joining::Reader(reply));
    assert!(joined.try_recv().is_err(), "there is no picture yet");
    push(&mut fanout, &video, 0, true);
    // The configuration, and the picture.
    let first = times(&joined.try_recv().unwrap().prelude[1]);
    assert_eq!(first, [(9, 0), (9, 0)]);
    // Who comes while pictures are gathered begins with those, too.
    push(&mut fanout, &video, 33, false);
    let joined = joined_now(&mut fanout);
    assert_eq!(times(&joined.prelude[2]), [(9, 33)]);
}

#[test]
fn nothing_waits_longer_than_stated_at_any_rate() {
    let (video, audio) = configs();
    for every in [8, 16, 33, 40, 66, 100, 300] {
        let mut fanout = begin(Container::Flv);
        push(&mut fanout, &video, 0, true);
        let mut joined = joined_now(&mut fanout);
        let (mut sent, mut came) = (0, 0);
        for now in 1..3_000 {
            fanout.handle_timeout(ms(now));
            if now % 21 == 0 {
                push(&mut fanout, &audio, now, true);
                sent += 1;
            }
            if now % every == 0 {
                push(&mut fanout, &video, now, now % (10 * every) == 0);
                sent += 1;
            }
            for chunk in rest(&mut joined) {
                for (_, at) in times(&chunk.bytes) {
                    let waited = ms(now).saturating_sub(ms(at.into()));
                    assert!(waited <= GATHER, "{waited:?} at a picture each {every} ms");
                    came += 1;
                }
            }
        }
        drop(fanout);
        let last = rest(&mut joined);
        came += last.iter().map(|it| times(&it.bytes).len()).sum::<usize>();
        // One more tells of the sound's configuration.
        assert_eq!(came, sent + 1, "at a picture each {every} ms");
    }
}

#[test]
fn who_joins_begins_with_the_group_that_goes_on() {
    let mut fanout = begin(Container::Flv);
    play(&mut fanout);
    let joined = joined_now(&mut fanout);
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
    let mut flv = begin(Container::Flv);
    let mut rtmp = begin(Container::Rtmp);
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
