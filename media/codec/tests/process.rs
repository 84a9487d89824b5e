//! The process as such: what it gives up, what it refuses, and how it ends.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    reason = "an integration test has no readers of its documentation, and a real clock"
)]

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use media_transcode::wire::{Cause, FromCodec, ToCodec};
use media_transcode::{Job, MediaFrame};
use media_types::Bitrate;
use support::flv::made_by;
use support::{Codec, MEMORY_BYTES};

const COPY: Job = Job::H264 {
    bitrate: None,
    size: None,
};

fn sound() -> (Job, Vec<MediaFrame>) {
    let source = made_by("-f lavfi -i sine=f=1000:r=48000:d=2 -ac 2 -c:a aac");
    let job = Job::AacToOpus {
        config: source.audio_config,
        bitrate: Bitrate::from_kbps(64),
    };
    (job, source.audio)
}

#[test]
fn another_version_is_refused() {
    let mut codec = Codec::spawn(MEMORY_BYTES);
    codec.say(&ToCodec::Hello { version: 2 });
    assert_eq!(codec.end(), (Some(Cause::Version), Some(70)));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let said: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0, 0, 0, 7, 1, b'R', b'T', b'S', b'P', 0, 1],
        &[0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff],
        // A frame before the job.
        &[
            0, 0, 0, 20, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9,
        ],
    ];
    for bytes in said {
        let mut codec = Codec::spawn(MEMORY_BYTES);
        codec.say_bytes(bytes);
        assert_eq!(codec.end(), (Some(Cause::Wire), Some(70)), "{bytes:?}");
    }
}

#[test]
fn it_ends_when_the_server_does() {
    let mut codec = Codec::start(COPY);
    codec.hang_up();
    assert_eq!(codec.end(), (None, Some(0)));
}

#[test]
fn it_has_given_up_what_it_does_not_need() {
    let (job, frames) = sound();
    let mut codec = Codec::start(job);
    assert!(!codec.transcode(&frames).is_empty());
    let pid = codec.child.id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        let left = u64::from_str_radix(&field(set), 16).expect("a set");
        // Only one who may empty the bounding set has to.
        assert!(left == 0 || set == "CapBnd:", "{set} {left:x}");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        (words[0].to_owned(), words[1].to_owned())
    };
    let both = |value: u64| (value.to_string(), value.to_string());
    assert_eq!(limit("Max address space"), both(MEMORY_BYTES));
    assert_eq!(limit("Max open files"), both(1));
    assert_eq!(limit("Max core file size"), both(0));
    assert_eq!(limit("Max file size"), both(0));
    assert_ne!(limit("Max cpu time").0, "unlimited");
}

#[test]
fn too_little_memory_ends_the_job_and_nothing_else() {
    let source =
        made_by("-f lavfi -i testsrc2=s=3840x2160:r=30:d=0.3 -c:v libx264 -preset ultrafast");
    let (job, frames) = sound();
    let mut other = Codec::start(job);
    let half = frames.len() / 2;
    assert!(!other.transcode(&frames[..half]).is_empty());
    let mut codec = Codec::spawn(230 * 1_024 * 1_024);
    codec.say(&ToCodec::hello());
    let begin = Duration::ZERO;
    codec.say(&ToCodec::Start { job: COPY, begin });
    for frame in source.video {
        codec.say(&ToCodec::Frame(frame));
    }
    let (cause, status) = codec.end();
    println!("out of memory: {cause:?}, status {status:?}");
    assert_ne!(status, Some(0));
    assert!(!other.transcode(&frames[half..]).is_empty());
}

#[test]
fn hostile_frames_end_nothing_but_themselves() {
    let pictures = made_by(
        "-f lavfi -i testsrc2=s=320x240:r=30:d=3 -c:v libx264 -preset veryfast -bf 3 -g 15",
    );
    let (job, sound) = sound();
    for (job, frames) in [(COPY, pictures.video), (job, sound)] {
        let mut random = Random(1);
        let mut codec = Codec::start(job);
        let spoilt: Vec<MediaFrame> = frames.iter().map(|frame| random.spoil(frame)).collect();
        let made = codec.transcode(&spoilt);
        println!("{} of {} spoilt frames", made.len(), spoilt.len());
        // The same process goes on with a source that is well.
        let later = frames.iter().map(|frame| MediaFrame {
            presented: frame.presented + Duration::from_secs(60),
            decoded: frame.decoded + Duration::from_secs(60),
            ..frame.clone()
        });
        let made = codec.transcode(&later.collect::<Vec<_>>());
        assert!(
            made.len() * 10 >= frames.len() * 9,
            "{} of {}",
            made.len(),
            frames.len()
        );
    }
}

#[test]
fn a_source_that_is_never_decoded_ends_the_job() {
    let mut codec = Codec::start(COPY);
    for index in 0..400 {
        let at = Duration::from_millis(index * 33);
        codec.say(&ToCodec::Frame(MediaFrame::audio(
            at,
            vec![0xff; 40].into(),
        )));
    }
    assert_eq!(codec.end(), (Some(Cause::Input), Some(70)));
}

#[test]
fn a_job_that_nobody_can_do_is_refused() {
    let mut codec = Codec::spawn(MEMORY_BYTES);
    codec.say(&ToCodec::hello());
    let job = Job::AacToOpus {
        // USAC, which libav of this age does not decode.
        config: vec![0xf9, 0x40, 0x43, 0x80].into(),
        bitrate: Bitrate::from_kbps(64),
    };
    let begin = Duration::ZERO;
    codec.say(&ToCodec::Start { job, begin });
    assert_eq!(codec.end(), (Some(Cause::Unsupported), Some(70)));
}

#[test]
fn by_hand_it_says_what_it_is() {
    let run = |argument: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_troupe-codec"));
        command
            .args(argument)
            .stdin(Stdio::null())
            .output()
            .expect("it starts")
    };
    let version = run(Some("--version"));
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(text.contains("wire 1, libavcodec "), "{text}");
    assert_eq!(run(None).status.code(), Some(64));
    assert_eq!(run(Some("--play")).status.code(), Some(64));
}

#[test]
fn nothing_is_heard_twice() {
    let (job, frames) = sound();
    let mut codec = Codec::start(job);
    assert!(!codec.transcode(&frames).is_empty());
    codec.say(&ToCodec::Ping { nonce: 1 });
    assert!(matches!(codec.hear(), Some(FromCodec::Health(_))));
}

/// A small generator of noise, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below).unwrap()).unwrap()
    }

    /// Changes some bytes, or cuts the end off.
    fn spoil(&mut self, frame: &MediaFrame) -> MediaFrame {
        let mut data = frame.data.to_vec();
        for _ in 0..self.next(4) {
            let at = self.next(data.len());
            data[at] ^= u8::try_from(self.next(256)).unwrap();
        }
        if self.next(4) == 0 {
            data.truncate(1 + self.next(data.len()));
        }
        MediaFrame {
            data: data.into(),
            ..frame.clone()
        }
    }
}
