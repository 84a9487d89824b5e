use media_rtp::descriptor::inspect;

use super::*;

const CAMERA: Shape = Shape {
    codec: Codec::Vp8,
    width: 1_280,
    height: 720,
    fps: 30,
    kbps: 1_500,
};

/// Kilobits a second of payloads over the whole pattern.
fn rate(pattern: &Pattern) -> usize {
    let bytes: usize = pattern.payloads.iter().map(Vec::len).sum();
    bytes * 8 * usize::from(pattern.shape.fps) / pattern.len() / 1_000
}

#[test]
fn built_in_patterns_have_their_rate_and_begin_with_a_keyframe() {
    for codec in [Codec::Vp8, Codec::H264, Codec::Av1] {
        for kbps in [150, 1_500] {
            let pattern = Pattern::built_in(Shape {
                codec,
                kbps,
                ..CAMERA
            });
            assert_eq!(pattern.len(), 300);
            let rate = rate(&pattern);
            let wanted = usize::try_from(kbps).unwrap();
            assert!(
                rate.abs_diff(wanted) * 8 < wanted,
                "{codec:?}: {rate} of {wanted}"
            );
            let (keyframe, payloads) = pattern.frame(0);
            let first = pattern.payload(payloads.start);
            assert!(keyframe && inspect(codec, first, false, None).unwrap().keyframe);
            for place in 1..300 {
                let (keyframe, payloads) = pattern.frame(place);
                assert!(!keyframe);
                for at in payloads {
                    let info = inspect(codec, pattern.payload(at), false, None).unwrap();
                    assert!(!info.keyframe);
                }
            }
            assert_eq!(pattern.keyframe_from(17), 0);
        }
    }
}

#[test]
fn sound_is_one_packet_a_frame() {
    let shape = Shape {
        codec: Codec::Opus,
        width: 0,
        height: 0,
        fps: 50,
        kbps: 32,
    };
    let pattern = Pattern::built_in(shape);
    assert_eq!((pattern.len(), pattern.payload(0).len()), (1, 80));
    assert_eq!(shape.ticks(), 960);
}

#[test]
fn a_written_payload_tells_its_picture_and_its_time() {
    let pattern = Pattern::built_in(CAMERA);
    let mut out = Vec::new();
    pattern.write(0, 0x1234, NtpTime(77), &mut out);
    assert_eq!(out.len(), pattern.payload(0).len());
    let number = inspect(Codec::Vp8, &out, false, None).unwrap().picture.id;
    assert_eq!(number.unwrap().value, 0x1234);
    assert_eq!(stamp_of(&out), Some(NtpTime(77)));
    assert_eq!(stamp_of(&out[..out.len() - 1]), None);
}

#[test]
fn a_file_is_read_as_it_was_written_and_damage_is_told() {
    let frame = |keyframe, length| Frame {
        keyframe,
        bytes: vec![0x10; length],
    };
    let frames = vec![frame(true, 3_000), frame(false, 0), frame(false, 20)];
    let bytes = file::write(CAMERA, &frames).unwrap();
    assert_eq!(file::read(&bytes).unwrap(), (CAMERA, frames));
    assert!(file::read(&bytes[..bytes.len() - 1]).is_err());
    assert!(file::read(b"something else").is_err());
}

#[test]
fn keyframes_are_found_from_anywhere() {
    let frame = |keyframe| Frame {
        keyframe,
        bytes: vec![0x10; 10],
    };
    let frames = [true, false, false, true, false].map(frame);
    let pattern = Pattern::cut(CAMERA, &frames);
    assert_eq!(
        [0, 1, 3, 4].map(|place| pattern.keyframe_from(place)),
        [0, 3, 3, 0]
    );
}

#[test]
fn containers_are_taken_apart() {
    let mut ivf = b"DKIF".to_vec();
    ivf.resize(32, 0);
    for frame in [[0x10, 1], [0x11, 2]] {
        ivf.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        ivf.extend(frame);
    }
    let frames = container::ivf(&ivf, Codec::Vp8).unwrap();
    let seen: Vec<_> = frames
        .iter()
        .map(|f| (f.keyframe, f.bytes.clone()))
        .collect();
    assert_eq!(seen, [(true, vec![0x10, 1]), (false, vec![0x11, 2])]);
    assert!(container::ivf(&ivf[..ivf.len() - 1], Codec::Vp8).is_err());

    let stream = [
        0, 0, 0, 1, 9, 16, 0, 0, 1, 0x67, 7, 0, 0, 1, 0x65, 1, 0, 0, 0, 1, 9, 16,
    ];
    let frames = container::annex_b(&stream);
    assert_eq!(frames[0].bytes, [0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x65, 1]);
    assert_eq!(
        (frames.len(), frames[0].keyframe, frames[1].keyframe),
        (2, true, false)
    );

    // Head, tags, a packet over two lacing values, and one of three bytes.
    let mut ogg = b"OggS".to_vec();
    ogg.resize(26, 0);
    ogg.extend([5, 1, 1, 255, 4, 3]);
    ogg.extend([0; 2]);
    ogg.extend([7; 259]);
    ogg.extend([8; 3]);
    let frames = container::ogg_opus(&ogg).unwrap();
    assert_eq!(
        frames.iter().map(|f| f.bytes.len()).collect::<Vec<_>>(),
        [259, 3]
    );
}

#[test]
fn spatial_layers_go_together_and_say_what_they_are() {
    use media_rtp::descriptor::vp9::Vp9Descriptor;
    let shape = |width, height, kbps| Shape {
        codec: Codec::Vp9,
        width,
        height,
        fps: 30,
        kbps,
    };
    let shapes = [shape(320, 180, 150), shape(640, 360, 500)];
    let pattern = Pattern::scalable(&shapes).unwrap();
    assert_eq!((pattern.shape.width, pattern.shape.kbps), (640, 650));
    let read = |place: usize| {
        let (_, payloads) = pattern.frame(place);
        let mut out = Vec::new();
        payloads
            .map(|at| {
                pattern.write(at, 0x1234, NtpTime(7), &mut out);
                Vp9Descriptor::parse(&out).unwrap()
            })
            .collect::<Vec<_>>()
    };
    let key = read(0);
    let first = &key[0];
    assert_eq!(
        (first.spatial, first.inter_picture, first.start_of_frame),
        (0, false, true)
    );
    assert_eq!(first.resolutions.len(), 2);
    assert_eq!(first.picture.id.map(|id| id.value), Some(0x1234));
    let last = key.last().unwrap();
    assert_eq!(
        (last.spatial, last.inter_layer, last.end_of_frame),
        (1, true, true)
    );
    assert!(last.not_for_upper && !first.not_for_upper);
    let next = read(1);
    assert!(
        next.iter()
            .all(|packet| packet.inter_picture && packet.resolutions.is_empty())
    );
    let starts = next.iter().filter(|packet| packet.start_of_frame).count();
    assert_eq!(starts, 2);
}
