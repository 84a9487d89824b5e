//! The machines against Debian's ffmpeg, which publishes to them and plays from them.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "an integration test has a real clock, no readers of its documentation, and looks at \
              what it is about"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use media_ingest::flv::{FILE_HEADER, Tag, config_tag, file_tag, frame_tag, metadata_tag};
use media_ingest::rtmp::{Refusal, Session, SessionConfig, SessionEvent, write_tag};
use media_ingest::source::{Source, SourceEvent};
use media_types::{FrameFormat, MediaKind};

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("troupe-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn ffmpeg(arguments: &[&str]) -> Child {
    Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed")
}

fn output(arguments: &[&str]) -> String {
    let output = ffmpeg(arguments).wait_with_output().unwrap();
    assert!(output.status.success(), "ffmpeg {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A second of H.264 and AAC in a file.
fn clip(folder: &Folder, b_frames: &str) -> PathBuf {
    let path = folder.0.join("clip.flv");
    let sources = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"];
    let sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"];
    let codecs = ["-t", "1", "-c:v", "libx264", "-bf", b_frames, "-g", "25"];
    let rest = ["-pix_fmt", "yuv420p", "-c:a", "aac", path.to_str().unwrap()];
    output(&[&sources[..], &sound, &codecs, &rest].concat());
    path
}

/// One frame as ffmpeg reads it: its stream, its time in milliseconds, its size and its hash.
type Frame = (String, i64, String, String);

fn frames(input: &str) -> Vec<Frame> {
    let text = output(&["-i", input, "-c", "copy", "-f", "framehash", "-"]);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let frame = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let (size, hash) = (fields[4].to_owned(), fields[5].to_owned());
        (fields[0].to_owned(), fields[2].parse().unwrap(), size, hash)
    };
    lines.map(frame).collect()
}

#[track_caller]
fn assert_same(got: &[Frame], expected: &[Frame]) {
    for stream in ["0", "1"] {
        let of = |all: &[Frame]| -> Vec<Frame> {
            all.iter()
                .filter(|frame| frame.0 == stream)
                .cloned()
                .collect()
        };
        let (got, expected) = (of(got), of(expected));
        assert_eq!(got.len(), expected.len(), "frames of stream {stream}");
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!((&got.2, &got.3), (&expected.2, &expected.3));
            assert!((got.1 - expected.1).abs() <= 1, "{got:?} for {expected:?}");
        }
    }
}

/// What a publisher brought.
#[derive(Default)]
struct Brought {
    formats: Vec<FrameFormat>,
    tags: Vec<Tag>,
    reordered: bool,
    key: String,
}

fn read(stream: &mut TcpStream, session: &mut Session) -> bool {
    let mut buffer = [0; 16_384];
    let count = stream.read(&mut buffer).unwrap_or(0);
    session
        .handle_bytes(Instant::now(), &buffer[..count])
        .unwrap();
    count > 0
}

fn write(stream: &mut TcpStream, session: &mut Session) {
    if let Some(bytes) = session.poll_transmit() {
        stream.write_all(&bytes).unwrap();
    }
}

fn accept(listener: &TcpListener) -> (TcpStream, Session) {
    let (stream, _) = listener.accept().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    (
        stream,
        Session::new(Instant::now(), SessionConfig::default()),
    )
}

fn take_publisher(listener: &TcpListener) -> Brought {
    let (mut stream, mut session) = accept(listener);
    let mut source = Source::default();
    let mut brought = Brought::default();
    let mut open = true;
    while open && read(&mut stream, &mut session) {
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Publish { stream, key } => {
                    brought.key = key;
                    session.accept(Instant::now(), stream).unwrap();
                }
                SessionEvent::Media { tag, .. } => {
                    let unix = Duration::from_secs(1_700_000_000);
                    source.handle_tag(Instant::now(), unix, &tag).unwrap();
                }
                SessionEvent::Ended { .. } => open = false,
                _ => {}
            }
        }
        while let Some(event) = source.poll_event() {
            match event {
                SourceEvent::Format { format, .. } => {
                    brought.tags.extend(config_tag(0, &format, 0));
                    brought.formats.push(format);
                }
                SourceEvent::Frame { frame, .. } => brought.tags.push(frame_tag(0, &frame)),
                SourceEvent::Reordered { .. } => brought.reordered = true,
                _ => {}
            }
        }
        write(&mut stream, &mut session);
    }
    brought
}

fn publish(clip: &Path) -> Brought {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("rtmp://127.0.0.1:{port}/studio/ann?token=secret");
    let clip = clip.to_str().unwrap();
    let mut pushes = ffmpeg(&["-i", clip, "-c", "copy", "-f", "flv", &url]);
    let brought = take_publisher(&listener);
    assert!(pushes.wait().unwrap().success());
    assert_eq!(brought.key, "ann?token=secret");
    brought
}

fn all_tags(brought: &Brought) -> impl Iterator<Item = Tag> {
    std::iter::once(metadata_tag(&brought.formats)).chain(brought.tags.clone())
}

#[test]
fn what_ffmpeg_publishes_is_what_comes_out() {
    let folder = Folder::new("publish");
    let clip = clip(&folder, "0");
    let brought = publish(&clip);
    assert!(!brought.reordered);
    let sizes: Vec<_> = brought
        .formats
        .iter()
        .map(|format| (format.width, format.height))
        .collect();
    assert_eq!(sizes, [(320, 180), (0, 0)]);
    assert_eq!(brought.formats[1].sample_rate, 44_100);
    assert_eq!(brought.formats[1].codec.kind(), MediaKind::Audio);
    let copy = folder.0.join("copy.flv");
    let mut file = FILE_HEADER.to_vec();
    all_tags(&brought).for_each(|tag| file.extend_from_slice(&file_tag(&tag)));
    std::fs::write(&copy, file).unwrap();
    assert_same(
        &frames(copy.to_str().unwrap()),
        &frames(clip.to_str().unwrap()),
    );
}

#[test]
fn b_frames_are_told_and_kept() {
    let folder = Folder::new("reorder");
    let clip = clip(&folder, "2");
    let brought = publish(&clip);
    assert!(brought.reordered);
    let copy = folder.0.join("copy.flv");
    let mut file = FILE_HEADER.to_vec();
    all_tags(&brought).for_each(|tag| file.extend_from_slice(&file_tag(&tag)));
    std::fs::write(&copy, file).unwrap();
    assert_same(
        &frames(copy.to_str().unwrap()),
        &frames(clip.to_str().unwrap()),
    );
}

#[test]
fn what_ffmpeg_plays_is_what_was_published() {
    let folder = Folder::new("play");
    let clip = clip(&folder, "0");
    let brought = publish(&clip);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let player = std::thread::spawn(move || {
        frames(&format!("rtmp://127.0.0.1:{port}/studio/ann?token=secret"))
    });
    let (mut stream, mut session) = accept(&listener);
    let mut playing = None;
    while playing.is_none() && read(&mut stream, &mut session) {
        while let Some(event) = session.poll_event() {
            if let SessionEvent::Play { stream, key } = event {
                assert_eq!(key, "ann?token=secret");
                session.accept(Instant::now(), stream).unwrap();
                playing = Some(stream);
            }
        }
        write(&mut stream, &mut session);
    }
    let playing = playing.expect("ffmpeg asks to play");
    let mut bytes = Vec::new();
    all_tags(&brought).for_each(|tag| write_tag(&mut bytes, &tag, playing));
    stream.write_all(&bytes).unwrap();
    session.end_play(playing);
    write(&mut stream, &mut session);
    let played = player.join().unwrap();
    assert_same(&played, &frames(clip.to_str().unwrap()));
}

#[test]
fn a_refused_publisher_ends_with_an_error() {
    let folder = Folder::new("refuse");
    let clip = clip(&folder, "0");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("rtmp://127.0.0.1:{port}/studio/ann");
    let clip = clip.to_str().unwrap();
    let mut pushes = ffmpeg(&["-i", clip, "-c", "copy", "-f", "flv", &url]);
    let (mut stream, mut session) = accept(&listener);
    let mut refused = false;
    while !refused && read(&mut stream, &mut session) {
        while let Some(event) = session.poll_event() {
            if let SessionEvent::Publish { stream, .. } = event {
                session.reject(stream, Refusal::Unauthorized);
                refused = true;
            }
        }
        write(&mut stream, &mut session);
    }
    drop(stream);
    assert!(refused && !pushes.wait().unwrap().success());
}
