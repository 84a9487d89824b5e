//! H.264 with B-frames to H.264 without, in real processes; ffmpeg makes the pictures and judges.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "an integration test has no readers of its documentation, and a real clock"
)]

mod support;

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use media_transcode::wire::{FromCodec, Health, ToCodec};
use media_transcode::{Job, MediaFrame, Size};
use media_types::Bitrate;
use support::flv::made_by;
use support::{Codec, percentile};

const COPY: Job = Job::H264 {
    bitrate: None,
    size: None,
};
/// How many pictures the encoder of [`pictures`] holds back for those that refer to them: two, as
/// x264 has it with pyramids.
const REORDERED: usize = 2;

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// A moving picture with three B-frames in a row and a keyframe every two seconds.
fn pictures(size: &str, seconds: u32, kbps: u32) -> Vec<MediaFrame> {
    made_by(&format!(
        "-f lavfi -i testsrc2=s={size}:r=30:d={seconds} -c:v libx264 -preset veryfast -bf 3 -g 60 \
         -sc_threshold 0 -b:v {kbps}k -maxrate {kbps}k -bufsize {kbps}k -pix_fmt yuv420p"
    ))
    .video
}

fn annex_b(frames: &[MediaFrame]) -> Vec<u8> {
    let mut stream = Vec::new();
    for frame in frames {
        let mut rest = &frame.data[..];
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
            stream.extend([0, 0, 0, 1]);
            stream.extend_from_slice(&tail[..length]);
            rest = &tail[length..];
        }
    }
    stream
}

/// What ffprobe says of a stream: its entries in the order of its own choice.
fn probed(frames: &[MediaFrame], entries: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&annex_b(frames)).expect("it is written");
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-f",
            "h264",
            "-count_frames",
            "-of",
            "csv=p=0",
        ])
        .args(["-show_entries", &format!("stream={entries}")])
        .arg(file.path())
        .output()
        .expect("ffprobe is installed");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn keyframes(frames: &[MediaFrame]) -> Vec<usize> {
    let indices = frames.iter().enumerate();
    indices
        .filter(|(_, frame)| frame.keyframe)
        .map(|(index, _)| index)
        .collect()
}

fn unit_types(frame: &MediaFrame) -> Vec<u8> {
    let stream = annex_b(std::slice::from_ref(frame));
    let starts = stream
        .windows(5)
        .filter(|window| window[..4] == [0, 0, 0, 1]);
    starts.map(|window| window[4] & 0x1f).collect()
}

#[test]
fn reordered_pictures_come_out_in_order() {
    let source = pictures("640x360", 4, 1_000);
    let reordered = source
        .iter()
        .filter(|frame| frame.presented != frame.decoded)
        .count();
    assert!(reordered > 60, "the source has B-frames: {reordered}");
    let made = Codec::start(COPY).transcode(&source);
    assert_eq!(made.len(), source.len());
    let mut presented: Vec<Duration> = source.iter().map(|frame| frame.presented).collect();
    presented.sort_unstable();
    assert_eq!(
        made.iter().map(|frame| frame.presented).collect::<Vec<_>>(),
        presented
    );
    assert!(made.iter().all(|frame| frame.presented == frame.decoded));
    let entries = probed(&made, "profile,width,height,has_b_frames,nb_read_frames");
    assert_eq!(entries, "Constrained Baseline,640,360,0,120");
    // The source's keyframes stay where they were, each with its parameter sets.
    assert_eq!(keyframes(&made), [0, 60]);
    assert_eq!(unit_types(&made[60])[..2], [7, 8]);
    assert!(unit_types(&made[60]).contains(&5));
}

#[test]
fn the_picture_stays_the_same() {
    let source = pictures("640x360", 3, 2_000);
    let made = Codec::start(COPY).transcode(&source);
    let raw = |frames: &[MediaFrame]| {
        support::ffmpeg(
            "-f h264 -i - -f rawvideo -pix_fmt gray -fps_mode passthrough -",
            &annex_b(frames),
        )
    };
    let (before, after) = (raw(&source), raw(&made));
    assert_eq!(before.len(), after.len());
    let squares: u64 = before
        .iter()
        .zip(&after)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    #[allow(clippy::cast_precision_loss, reason = "an average")]
    let error = squares as f64 / before.len() as f64;
    let psnr = 10.0 * (255.0 * 255.0 / error).log10();
    println!("luma PSNR to the source: {psnr:.1} dB");
    assert!(psnr > 30.0, "{psnr}");
}

#[test]
fn a_keyframe_comes_when_it_is_asked_for() {
    let source = pictures("640x360", 3, 1_000);
    let mut codec = Codec::start(COPY);
    let start = Instant::now();
    let mut waits = Vec::new();
    let mut asked = None;
    for (index, frame) in source.iter().enumerate() {
        let due = start + frame.decoded - source[0].decoded;
        while let Some((at, message)) = codec.hear_by(due) {
            let Some(FromCodec::Frame(frame)) = message else {
                continue;
            };
            if let (true, Some(since)) = (frame.keyframe, asked.take_if(|_| frame.keyframe)) {
                waits.push(at - since);
            }
        }
        // Between the source's own keyframes.
        if [20, 35, 50, 75].contains(&index) {
            codec.say(&ToCodec::Keyframe);
            asked = Some(Instant::now());
        }
        codec.say(&ToCodec::Frame(frame.clone()));
    }
    println!("keyframes after {waits:?}");
    assert_eq!(waits.len(), 4);
    // The aim is 100 ms.
    assert!(waits.iter().all(|wait| *wait <= ms(500)), "{waits:?}");
}

#[test]
fn a_live_source_is_seen_at_once() {
    for (size, kbps) in [("640x360", 1_000), ("1280x720", 2_500)] {
        let source = pictures(size, 4, kbps);
        let live = Codec::start(COPY).transcode_live(&source);
        // A picture is known once those that are presented after it, but decoded before, are in.
        let mut added: Vec<Duration> = Vec::new();
        for (index, (at, _)) in live.made.iter().enumerate() {
            let last = (index + REORDERED).min(live.pushed.len() - 1);
            added.push(at.saturating_duration_since(live.pushed[last]));
        }
        assert!(added.len() + REORDERED >= source.len(), "{}", added.len());
        let (half, most) = (percentile(&mut added, 50), percentile(&mut added, 95));
        println!("H.264 {size}, added beyond reordering: p50 {half:?}, p95 {most:?}");
        // The aim is 60 ms; other work on the machine may not make it fail.
        assert!(most <= ms(300), "{most:?}");
    }
}

fn kbps(frames: &[MediaFrame]) -> usize {
    let bytes: usize = frames.iter().map(|frame| frame.data.len()).sum();
    bytes * 8 * 30 / frames.len() / 1_000
}

#[test]
fn bitrates_change_while_running() {
    let source = pictures("640x360", 12, 2_000);
    let mut codec = Codec::start(Job::H264 {
        bitrate: Some(Bitrate::from_kbps(1_200)),
        size: None,
    });
    let before = codec.transcode(&source[..180]);
    codec.say(&ToCodec::Bitrate(Bitrate::from_kbps(300)));
    let after = codec.transcode(&source[180..]);
    println!("{} kb/s, then {} kb/s", kbps(&before), kbps(&after[60..]));
    assert!((800..1_500).contains(&kbps(&before)), "{}", kbps(&before));
    assert!(
        (200..400).contains(&kbps(&after[60..])),
        "{}",
        kbps(&after[60..])
    );
    codec.say(&ToCodec::Ping { nonce: 7 });
    let Some(FromCodec::Health(Health {
        nonce,
        taken,
        refused,
        bitrate,
        ..
    })) = codec.hear()
    else {
        panic!("it answers");
    };
    assert_eq!((nonce, taken, refused), (7, 360, 0));
    assert_eq!(bitrate, Bitrate::from_kbps(300));
}

#[test]
fn the_copy_follows_its_source() {
    let mut codec = Codec::start(COPY);
    let mut found = Vec::new();
    let mut offset = Duration::ZERO;
    for rate in [1_500, 400] {
        let mut source = pictures("640x360", 6, rate);
        for frame in &mut source {
            frame.presented += offset;
            frame.decoded += offset;
        }
        offset += Duration::from_secs(6);
        let made = codec.transcode(&source);
        found.push((kbps(&source[120..]), kbps(&made[120..])));
    }
    println!("source and copy in kb/s: {found:?}");
    for (source, copy) in found {
        assert!(
            copy * 10 > source * 7 && copy * 10 < source * 16,
            "{source}: {copy}"
        );
    }
}

#[test]
fn another_size_in_the_middle_is_another_size_from_there() {
    let mut source = pictures("640x360", 2, 800);
    let second = pictures("320x240", 2, 400).into_iter().map(|mut frame| {
        frame.presented += Duration::from_secs(2);
        frame.decoded += Duration::from_secs(2);
        frame
    });
    source.extend(second);
    let made = Codec::start(COPY).transcode(&source);
    assert_eq!(made.len(), source.len());
    assert_eq!(keyframes(&made), [0, 60]);
    assert_eq!(
        probed(&made[..60], "width,height,nb_read_frames"),
        "640,360,60"
    );
    assert_eq!(
        probed(&made[60..], "width,height,nb_read_frames"),
        "320,240,60"
    );
}

#[test]
fn a_rendition_is_smaller() {
    let source = pictures("640x360", 2, 1_000);
    let mut codec = Codec::start(Job::H264 {
        bitrate: Some(Bitrate::from_kbps(300)),
        size: Size::new(320, 180),
    });
    let made = codec.transcode(&source);
    assert_eq!(probed(&made, "width,height,nb_read_frames"), "320,180,60");
}

#[test]
fn ten_bit_pictures_become_what_browsers_play() {
    let source = made_by(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=1 -c:v libx264 -preset veryfast -pix_fmt yuv422p10",
    );
    let made = Codec::start(COPY).transcode(&source.video);
    assert_eq!(
        probed(&made, "profile,pix_fmt,nb_read_frames"),
        "Constrained Baseline,yuv420p,30"
    );
}

#[test]
fn what_a_former_process_did_is_not_done_again() {
    let source = pictures("320x240", 2, 400);
    let begin = source[0].presented + ms(500);
    let made = Codec::start_from(COPY, begin).transcode(&source);
    assert!(made[0].keyframe && made[0].presented >= begin);
    assert_eq!(
        made.len(),
        source
            .iter()
            .filter(|frame| frame.presented >= begin)
            .count()
    );
    assert_eq!(
        probed(&made, "has_b_frames,nb_read_frames"),
        format!("0,{}", made.len())
    );
}
