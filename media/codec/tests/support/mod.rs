//! A codec process as the server has it, and sources as RTMP brings them.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "each test binary uses a part; a real process has a real clock"
)]

pub(crate) mod flv;
pub(crate) mod sound;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use media_transcode::wire::{Cause, Framer, FromCodec, ToCodec};
use media_transcode::{Job, MediaFrame};

/// Longer than any answer takes, even beside other tests on a small machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Address space that every job here fits into.
pub(crate) const MEMORY_BYTES: u64 = 1_536 * 1_024 * 1_024;

/// A process, and what it has said.
pub(crate) struct Codec {
    pub(crate) child: Child,
    socket: UnixStream,
    said: Receiver<(Instant, Option<FromCodec>)>,
}

impl Codec {
    /// Starts a process that has heard nothing yet.
    pub(crate) fn spawn(memory_bytes: u64) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let child = Command::new(env!("CARGO_BIN_EXE_troupe-codec"))
            .args(["--memory-bytes", &memory_bytes.to_string(), "--nice", "1"])
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("troupe-codec starts");
        let mut reader = ours.try_clone().expect("a second handle");
        let (tell, said) = channel();
        thread::spawn(move || {
            let mut framer = Framer::default();
            let mut piece = vec![0; 65_536];
            loop {
                let read = reader.read(&mut piece).unwrap_or(0);
                framer.feed(&piece[..read]);
                while let Some(body) = framer.next().expect("whole messages") {
                    let message = FromCodec::parse(body).expect("a message");
                    if tell.send((Instant::now(), Some(message))).is_err() {
                        return;
                    }
                }
                if read == 0 {
                    let _ = tell.send((Instant::now(), None));
                    return;
                }
            }
        });
        Self {
            child,
            socket: ours,
            said,
        }
    }

    /// Starts a process and has it begin a job.
    pub(crate) fn start(job: Job) -> Self {
        Self::start_from(job, Duration::ZERO)
    }

    /// The same, from a later moment of the source on.
    pub(crate) fn start_from(job: Job, begin: Duration) -> Self {
        let mut codec = Self::spawn(MEMORY_BYTES);
        codec.say(&ToCodec::hello());
        codec.say(&ToCodec::Start { job, begin });
        assert!(matches!(
            codec.hear(),
            Some(FromCodec::Hello { version: 1, .. })
        ));
        codec
    }

    /// Says a message; a process that is gone hears nothing, which is no failure here.
    pub(crate) fn say(&mut self, message: &ToCodec) {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        self.say_bytes(&bytes);
    }

    /// Says anything.
    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Has nothing more to say, and will hear nothing.
    pub(crate) fn hang_up(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("it is open");
    }

    /// The next message; `None` once it has hung up.
    pub(crate) fn hear(&mut self) -> Option<FromCodec> {
        let (_, message) = self.said.recv_timeout(PATIENCE).expect("it answers");
        message
    }

    /// The next message, if it comes by then.
    pub(crate) fn hear_by(&mut self, deadline: Instant) -> Option<(Instant, Option<FromCodec>)> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.said.recv_timeout(left) {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("it has hung up"),
        }
    }

    /// All frames that come until everything inside has come out.
    pub(crate) fn flush(&mut self) -> Vec<MediaFrame> {
        self.say(&ToCodec::Flush);
        let mut frames = Vec::new();
        loop {
            match self.hear().expect("it goes on") {
                FromCodec::Frame(frame) => frames.push(frame),
                FromCodec::Flushed => return frames,
                FromCodec::Failed { cause, text } => panic!("{cause:?}: {text}"),
                FromCodec::Hello { .. } | FromCodec::Format(_) | FromCodec::Health(_) => {}
            }
        }
    }

    /// Pushes frames as fast as they are taken and gives what comes of them.
    pub(crate) fn transcode(&mut self, frames: &[MediaFrame]) -> Vec<MediaFrame> {
        let mut socket = self.socket.try_clone().expect("a third handle");
        let frames = frames.to_vec();
        let pusher = thread::spawn(move || {
            for frame in frames {
                let mut bytes = Vec::new();
                ToCodec::Frame(frame).write(&mut bytes);
                socket.write_all(&bytes).expect("it is read");
            }
        });
        // Reading goes on beside it: neither side may wait for the other.
        let mut made = Vec::new();
        while !pusher.is_finished() {
            let soon = Instant::now() + Duration::from_millis(5);
            if let Some((_, Some(FromCodec::Frame(frame)))) = self.hear_by(soon) {
                made.push(frame);
            }
        }
        pusher.join().expect("everything is pushed");
        made.extend(self.flush());
        made
    }

    /// Pushes frames when they would come from a live source, and gives each with its moment; and
    /// the moment at which each frame was pushed.
    pub(crate) fn transcode_live(&mut self, frames: &[MediaFrame]) -> Live {
        let start = Instant::now();
        let first = frames.first().expect("a frame").decoded;
        let mut live = Live::default();
        for frame in frames {
            let due = start + (frame.decoded - first);
            self.listen_until(due, &mut live);
            live.pushed.push(Instant::now());
            self.say(&ToCodec::Frame(frame.clone()));
        }
        self.listen_until(Instant::now() + Duration::from_millis(500), &mut live);
        live
    }

    fn listen_until(&mut self, due: Instant, live: &mut Live) {
        while let Some((at, message)) = self.hear_by(due) {
            if let FromCodec::Frame(frame) = message.expect("it goes on") {
                live.made.push((at, frame));
            }
        }
    }

    /// How it ends by itself, and its exit status.
    pub(crate) fn end(&mut self) -> (Option<Cause>, Option<i32>) {
        let mut cause = None;
        while let Some(message) = self.hear() {
            if let FromCodec::Failed { cause: why, .. } = message {
                cause = Some(why);
            }
        }
        let status = self.child.wait().expect("it ends");
        (cause, status.code())
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of a live source.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) pushed: Vec<Instant>,
    pub(crate) made: Vec<(Instant, MediaFrame)>,
}

/// The value below which this share of the values lie.
pub(crate) fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

/// Runs ffmpeg and gives what it writes to its standard output.
pub(crate) fn ffmpeg(arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed");
    let mut stdin = child.stdin.take().expect("it has an input");
    let input = input.to_vec();
    let feeder = thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let mut output = Vec::new();
    let mut stdout = child.stdout.take().expect("it has an output");
    stdout.read_to_end(&mut output).expect("it writes");
    feeder.join().expect("it is fed");
    assert!(
        child.wait().expect("it ends").success(),
        "ffmpeg {arguments}"
    );
    output
}
