//! Jobs with real codec processes, fed with sound that ffmpeg makes.
#![allow(
    clippy::disallowed_methods,
    reason = "real processes are measured by a real clock"
)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use actix_rt::{Arbiter, System};
use actors::{CodecProcess, Transcoder};
use bytes::Bytes;
use media_transcode::Job;
use media_types::{Bitrate, EncodedFrame, FrameCodec, MediaTime, NtpTime, RoomName};
use supervision::{Host, Notice, Spec, Stopper};

use super::{
    Adopted, Nursery, TranscodeError, TranscodeHandle, TranscodeOutput, TranscoderStatus,
    Transcoding,
};
use crate::config::TranscodeConfig;

/// Longer than anything here takes, beside other tests on a small machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of a frame of AAC.
const SAMPLES: u64 = 1_024;
const RATE: u32 = 48_000;

/// Where cargo puts the program: beside what it builds for the server.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a place");
    let built = own
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/debug");
    let program = built.join("troupe-codec");
    assert!(program.is_file(), "cargo build -p media-codec comes first");
    program
}

/// A room's supervisor as far as jobs are concerned.
#[derive(Default)]
struct Room {
    arbiter: OnceLock<Arbiter>,
    children: Mutex<Vec<Stopper>>,
}

impl Nursery for Room {
    fn adopt(&self, _: &RoomName, process: Arc<dyn CodecProcess>) -> Adopted {
        let last = Arc::clone(&process);
        let spec = Spec::new("transcoder")
            .policy(Transcoder::policy())
            .notices(Box::new(move |notice| {
                if let Notice::Exited(exit) = notice {
                    Transcoder::bury(&*last, &exit);
                }
            }));
        let arbiter = self.arbiter.get_or_init(Arbiter::new).handle();
        let make = move || Transcoder::new(Arc::clone(&process));
        let child = Host::spawn_on(&arbiter, make, spec);
        let mut children = self.children.lock().expect("nobody panicked");
        children.push(child.stopper.clone());
        Box::pin(async { Ok(child) })
    }
}

impl Room {
    fn close(&self) {
        for child in self.children.lock().expect("nobody panicked").iter() {
            child.stop();
        }
    }
}

fn transcoding(jobs_max: usize) -> Transcoding {
    transcoding_in(Arc::default(), jobs_max)
}

fn transcoding_in(room: Arc<Room>, jobs_max: usize) -> Transcoding {
    let config = TranscodeConfig {
        program: Some(program()),
        jobs_max,
        ..TranscodeConfig::default()
    };
    Transcoding::start(&config, room).expect("a thread")
}

/// AAC-LC, 48 kHz, stereo, and the bytes of each frame without their ADTS headers.
fn tone(seconds: u32) -> Vec<Bytes> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("sine=f=1000:r=48000:d={seconds}"))
        .args(["-ac", "2", "-c:a", "aac", "-f", "adts", "-"])
        .output()
        .expect("ffmpeg is installed");
    let (mut rest, mut frames) = (&output.stdout[..], Vec::new());
    while rest.len() > 7 {
        let length = u32::from_be_bytes([0, rest[3] & 3, rest[4], rest[5]]) >> 5;
        let length = usize::try_from(length).expect("13 bits");
        frames.push(Bytes::copy_from_slice(&rest[7..length]));
        rest = &rest[length..];
    }
    frames
}

fn to_opus() -> Job {
    Job::AacToOpus {
        config: Bytes::from_static(&[0x11, 0x90]),
        bitrate: Bitrate::from_kbps(64),
    }
}

fn frame(index: u64, data: &Bytes) -> EncodedFrame {
    let at = MediaTime {
        ticks: index * SAMPLES,
        rate: RATE,
    };
    EncodedFrame {
        codec: FrameCodec::Aac,
        presented: at,
        decoded: at,
        keyframe: true,
        captured: Some(NtpTime::from_unix(
            Duration::from_secs(1_000) + at.as_duration(),
        )),
        data: data.clone(),
    }
}

fn open(transcoding: &Transcoding) -> (TranscodeHandle, TranscodeOutput) {
    let room = "lobby".parse().expect("a name");
    transcoding.open(&room, "ana", to_opus()).expect("a job")
}

/// Pushes frames at the pace of a live source, from now on.
fn play(handle: TranscodeHandle, frames: Vec<Bytes>) {
    actix_rt::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_nanos(21_333_333));
        for (index, data) in (0..).zip(&frames) {
            pace.tick().await;
            assert!(handle.push(frame(index, data)), "there is always room");
        }
    });
}

async fn next(output: &mut TranscodeOutput) -> Option<EncodedFrame> {
    let next = tokio::time::timeout(PATIENCE, output.recv());
    next.await.expect("it does not take that long")
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.expect("kill is there").success());
}

#[test]
fn what_cannot_be_begun_says_why() {
    System::new().block_on(async {
        let nowhere = PathBuf::from("/nowhere/troupe-codec");
        let config = TranscodeConfig {
            program: Some(nowhere.clone()),
            ..TranscodeConfig::default()
        };
        let none = Transcoding::start(&config, Arc::<Room>::default()).expect("a thread");
        let room = "lobby".parse().expect("a name");
        let Err(TranscodeError::NoProgram { path }) = none.open(&room, "ana", to_opus()) else {
            panic!("there is no program");
        };
        assert_eq!(path, nowhere);

        let one = transcoding(1);
        let (_handle, _output) = open(&one);
        let second = one.open(&room, "bob", to_opus()).err();
        assert!(matches!(
            second,
            Some(TranscodeError::TooManyJobs { max: 1 })
        ));
        let silly = Job::OpusToAac {
            bitrate: Bitrate::from_bps(1),
        };
        let invalid = one.open(&room, "bob", silly).err();
        assert!(matches!(invalid, Some(TranscodeError::Invalid)));
    });
}

#[test]
fn a_source_is_transcoded_and_its_job_ends_with_it() {
    System::new().block_on(async {
        let transcoding = transcoding(4);
        let (handle, mut output) = open(&transcoding);
        let frames = tone(1);
        for (index, data) in (0..).zip(&frames) {
            assert!(handle.push(frame(index, data)));
        }
        let mut last = None;
        for _ in 0..46 {
            let packet = next(&mut output).await.expect("a packet");
            assert_eq!(packet.codec, media_types::Codec::Opus.into());
            let at = packet.presented;
            assert!(last.is_none_or(|last| at.ticks == last + 960), "{at:?}");
            let wall = Duration::from_secs(1_000) + at.as_duration();
            let captured = packet.captured.expect("the source tells").0;
            assert!(captured.abs_diff(NtpTime::from_unix(wall).0) < 1 << 12);
            last = Some(at.ticks);
        }
        let status = transcoding.list().remove(0);
        assert_eq!((status.job, status.state), ("aac-opus", "running"));
        assert!(status.pid.is_some() && status.taken >= 46 && status.failures == 0);
        drop(handle);
        // What was on its way still comes, and then nothing does.
        let mut late = 0;
        while next(&mut output).await.is_some() {
            late += 1;
        }
        assert!(late < frames.len(), "{late}");
    });
}

#[test]
fn a_room_that_closes_ends_its_jobs() {
    System::new().block_on(async {
        let room = Arc::new(Room::default());
        let transcoding = transcoding_in(Arc::clone(&room), 4);
        let (handle, mut output) = open(&transcoding);
        play(handle, tone(4));
        next(&mut output).await.expect("a packet");
        assert!(transcoding.list()[0].pid.is_some());
        room.close();
        // The source has not ended: it is the room that has.
        while next(&mut output).await.is_some() {}
        let running = |job: &TranscoderStatus| job.pid.is_some() || job.state == "given_up";
        assert!(!transcoding.list().iter().any(running));
    });
}

/// What a viewer hears of it: a pause of less than half a second, and no hole in the timestamps.
#[test]
fn a_killed_process_is_replaced() {
    System::new().block_on(async {
        let transcoding = transcoding(4);
        let frames = tone(4);
        let (handle, mut output) = open(&transcoding);
        let (other, mut beside) = open(&transcoding);
        play(handle, frames.clone());
        play(other, frames);
        let (mut pauses, mut last, mut at) = (Vec::new(), None, Instant::now());
        for index in 0..150 {
            let packet = next(&mut output).await.expect("a packet");
            if index > 0 {
                pauses.push(at.elapsed());
            }
            at = Instant::now();
            let ticks = packet.presented.ticks;
            assert!(
                last.is_none_or(|last| ticks == last + 960),
                "{ticks} after {last:?}"
            );
            last = Some(ticks);
            if index == 50 || index == 100 {
                kill(transcoding.list()[0].pid.expect("it runs"));
            }
        }
        pauses.sort_unstable();
        println!("pauses after kill -9: {:?}", &pauses[pauses.len() - 2..]);
        // Five times what is promised: other tests run beside this one.
        let longest = pauses[pauses.len() - 1];
        assert!(longest < 5 * Duration::from_millis(500), "{pauses:?}");
        let list = transcoding.list();
        assert_eq!((list[0].failures, list[1].failures), (2, 0));
        for _ in 0..150 {
            next(&mut beside)
                .await
                .expect("the other job heard nothing of it");
        }
    });
}

#[test]
fn a_job_that_fails_again_and_again_is_given_up() {
    System::new().block_on(async {
        let transcoding = transcoding(4);
        let (handle, mut output) = open(&transcoding);
        let (other, mut beside) = open(&transcoding);
        play(handle, tone(4));
        play(other, tone(4));
        let mut crashes = 0;
        let mut killed = 0;
        // As soon as one works it is killed, ten times if there were as many.
        while next(&mut output).await.is_some() {
            let status = transcoding.list().remove(0);
            if let Some(pid) = status.pid.filter(|pid| *pid != killed && crashes < 10) {
                kill(pid);
                (killed, crashes) = (pid, crashes + 1);
            }
        }
        let status = transcoding.list().remove(0);
        assert_eq!((crashes, status.failures, status.state), (4, 4, "given_up"));
        assert_eq!(
            (status.pid, status.failure.as_deref()),
            (None, Some("it has ended"))
        );
        next(&mut beside).await.expect("the other job goes on");
        assert_eq!(transcoding.list()[1].failures, 0);
    });
}
