use super::*;
use crate::error::IngestError;
use proptest::prelude::*;

const VIDEO: (MessageType, u32, u32) = (MessageType::VIDEO, 1, 40);

fn read_all(reader: &mut ChunkReader, bytes: &[u8], step: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for part in bytes.chunks(step) {
        let mut rest = part;
        while !rest.is_empty() {
            let (used, message) = reader.read(rest).unwrap();
            messages.extend(message);
            rest = &rest[used..];
        }
    }
    messages
}

#[test]
fn a_message_is_cut_where_the_chunk_ends() {
    let mut out = Vec::new();
    write_message(&mut out, 4, 6, VIDEO, &[b"abc", b"defg"]);
    let head = [6, 0, 0, 40, 0, 0, 7, 9, 1, 0, 0, 0];
    assert_eq!(out, [&head[..], b"abcd", &[0xc6], b"efg"].concat());
}

#[test]
fn shortened_headers_take_the_fields_of_the_last() {
    let mut bytes = vec![4, 0, 0, 10, 0, 0, 2, 8, 1, 0, 0, 0, b'a', b'b'];
    // Another length and type, 5 ms later; then 3 ms later; then 3 ms later again.
    bytes.extend([0x44, 0, 0, 5, 0, 0, 1, 9, b'c']);
    bytes.extend([0x84, 0, 0, 3, b'd']);
    bytes.extend([0xc4, b'e']);
    let messages = read_all(&mut ChunkReader::new(1_000), &bytes, 1);
    let seen: Vec<(u8, u32, u32, &[u8])> = messages
        .iter()
        .map(|message| {
            let Message {
                kind,
                stream,
                timestamp,
                payload,
            } = message;
            (kind.0, *stream, *timestamp, &payload[..])
        })
        .collect();
    let expected: [(u8, u32, u32, &[u8]); 4] = [
        (8, 1, 10, b"ab"),
        (9, 1, 15, b"c"),
        (9, 1, 18, b"d"),
        (9, 1, 21, b"e"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn woven_messages_come_apart() {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    write_message(&mut a, 128, 6, VIDEO, &[&[1; 200]]);
    write_message(&mut b, 128, 4, (MessageType::AUDIO, 1, 41), &[&[2; 130]]);
    let bytes = [&a[..140], &b[..140], &a[140..], &b[140..]].concat();
    let messages = read_all(&mut ChunkReader::new(1_000), &bytes, 13);
    assert_eq!(messages.len(), 2);
    assert_eq!(&messages[0].payload[..], [1; 200]);
    assert_eq!(&messages[1].payload[..], [2; 130]);
}

#[test]
fn long_chunk_stream_ids_are_read() {
    for (basic, id) in [(vec![0, 5], 69), (vec![1, 5, 1], 325)] {
        let bytes = [&basic[..], &[0, 0, 9, 0, 0, 1, 9, 1, 0, 0, 0, 7]].concat();
        let mut reader = ChunkReader::new(1_000);
        assert_eq!(read_all(&mut reader, &bytes, 1).len(), 1);
        assert!(reader.read(&[0xc0 | basic[0]]).is_ok(), "{id} is known");
    }
}

/// 200 bytes with a timestamp that stands behind the header, and that header's length.
fn late_message() -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let payload: Vec<u8> = (0..200).collect();
    write_message(
        &mut out,
        128,
        6,
        (MessageType::VIDEO, 1, 0x0100_0001),
        &[&payload],
    );
    (out, 16)
}

#[test]
fn late_timestamps_stand_behind_each_header() {
    let (out, head) = late_message();
    assert_eq!(out[head + 128..head + 133], [0xc6, 1, 0, 0, 1]);
    let messages = read_all(&mut ChunkReader::new(1_000), &out, 3);
    assert_eq!(messages[0].timestamp, 0x0100_0001);
    assert_eq!(messages[0].payload[127..130], [127, 128, 129]);
}

#[test]
fn a_sender_that_leaves_the_late_timestamp_out_is_understood() {
    let (mut out, head) = late_message();
    out.drain(head + 129..head + 133);
    let messages = read_all(&mut ChunkReader::new(1_000), &out, 5);
    assert_eq!(messages[0].payload.len(), 200);
    assert_eq!(messages[0].payload[127..130], [127, 128, 129]);
}

#[test]
fn an_aborted_message_is_forgotten() {
    let mut out = Vec::new();
    write_message(&mut out, 128, 6, VIDEO, &[&[1; 200]]);
    let mut reader = ChunkReader::new(1_000);
    assert!(read_all(&mut reader, &out[..140], 140).is_empty());
    reader.abort(6);
    reader.abort(7);
    assert_eq!(reader.held, 0);
    let mut next = Vec::new();
    write_message(&mut next, 128, 6, VIDEO, &[b"x"]);
    assert_eq!(&read_all(&mut reader, &next, 2)[0].payload[..], b"x");
}

#[test]
fn limits_hold() {
    let mut reader = ChunkReader::new(1_000);
    assert_eq!(reader.set_chunk_size(0), Err(IngestError::ChunkSize(0)));
    assert!(reader.set_chunk_size(1 << 31).is_err());
    assert_eq!(reader.read(&[0xc5]).unwrap_err(), IngestError::NoMessage(5));
    let long = [6, 0, 0, 0, 0, 4, 0, 9, 1, 0, 0, 0];
    let refused = ChunkReader::new(1_000).read(&long).unwrap_err();
    assert_eq!(refused, IngestError::MessageLength(1_024));
    // A command as long as a keyframe.
    let command = [3, 0, 0, 0, 0x10, 0, 0, 20, 0, 0, 0, 0];
    assert!(ChunkReader::new(1 << 23).read(&command).is_err());
    let mut many = ChunkReader::new(1_000);
    for id in 2..34 {
        assert!(many.read(&[id, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0]).is_ok());
    }
    let refused = many.read(&[50, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0]);
    assert_eq!(refused.unwrap_err(), IngestError::ChunkStreams);
}

#[test]
fn an_empty_message_is_a_message() {
    let mut out = Vec::new();
    write_message(&mut out, 128, 6, VIDEO, &[]);
    let messages = read_all(&mut ChunkReader::new(1_000), &out, 1);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].payload.is_empty());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec(
            (4_u8..8, prop::sample::select(vec![8_u8, 9, 18]), any::<u32>(),
             prop::collection::vec(any::<u8>(), 0..900)),
            1..8,
        ),
        chunk_size in 1_u32..1_000,
        step in 1_usize..700,
    ) {
        let mut out = Vec::new();
        for (id, kind, timestamp, payload) in &messages {
            let head = (MessageType(*kind), 1, *timestamp);
            write_message(&mut out, chunk_size, *id, head, &[payload]);
        }
        let mut reader = ChunkReader::new(1_000);
        reader.set_chunk_size(chunk_size).unwrap();
        let read = read_all(&mut reader, &out, step);
        prop_assert_eq!(read.len(), messages.len());
        for (read, (_, kind, timestamp, payload)) in read.iter().zip(&messages) {
            prop_assert_eq!(read.kind.0, *kind);
            prop_assert_eq!(read.timestamp, *timestamp);
            prop_assert_eq!(&read.payload[..], &payload[..]);
        }
        prop_assert_eq!(reader.held, 0);
    }

    #[test]
    fn any_bytes_cost_no_more_than_they_are(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let mut reader = ChunkReader::new(10_000);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let Ok((used, _)) = reader.read(rest) else { break };
            rest = &rest[used..];
            prop_assert!(reader.held <= bytes.len());
        }
    }
}
