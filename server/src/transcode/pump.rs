//! One task a job: frames to the codec process, frames back, and the talk beside them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use actors::{CodecProcess, TranscoderMessage, TranscoderPhase};
use arc_swap::ArcSwap;
use media_transcode::wire::{Framer, FromCodec, ToCodec, VERSION, WireError};
use media_transcode::{Backlog, Job, MediaFrame};
use media_types::{Codec, EncodedFrame, FrameCodec, NtpTime, RoomName};
use supervision::Mailbox;
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::metrics::{self, DROPPED, FAILURES, FRAMES_IN, FRAMES_OUT, GIVEN_UP};
use super::process::{Process, Program};
use super::{Input, TranscoderStatus};
use crate::limits::{TRANSCODE_PING_PERIOD, TRANSCODE_UNSENT_MAX};

/// What the actor of a job wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Launch,
    Kill,
    GiveUp,
}

/// What the task of a job, its actor and the API share.
pub(super) struct Desk {
    room: RoomName,
    stream: String,
    job: Job,
    orders: mpsc::Sender<Order>,
    /// Weak: the job ends with the handles of its source.
    inputs: mpsc::WeakSender<Input>,
    report: ArcSwap<Report>,
    /// Zero: there is none.
    pid: AtomicU32,
    taken: AtomicU64,
    made: AtomicU64,
    dropped: AtomicU64,
}

struct Report {
    state: &'static str,
    failures: u32,
    failure: Option<String>,
}

impl Desk {
    pub(super) fn new(
        room: RoomName,
        stream: String,
        job: Job,
        orders: mpsc::Sender<Order>,
        inputs: mpsc::WeakSender<Input>,
    ) -> Self {
        let report = Report {
            state: "starting",
            failures: 0,
            failure: None,
        };
        Self {
            room,
            stream,
            job,
            orders,
            inputs,
            report: ArcSwap::from_pointee(report),
            pid: AtomicU32::new(0),
            taken: AtomicU64::new(0),
            made: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }

    /// Whether the encoder is told.
    pub(super) fn set_bitrate(&self, bitrate: media_types::Bitrate) -> bool {
        let inputs = self.inputs.upgrade().filter(|_| self.job.accepts(bitrate));
        inputs.is_some_and(|inputs| inputs.try_send(Input::Bitrate(bitrate)).is_ok())
    }

    pub(super) fn status(&self, id: u64) -> TranscoderStatus {
        let report = self.report.load();
        let pid = self.pid.load(Ordering::Relaxed);
        TranscoderStatus {
            id,
            room: self.room.to_string(),
            stream: self.stream.clone(),
            job: self.job.name(),
            state: report.state,
            pid: (pid != 0).then_some(pid),
            failures: report.failures,
            failure: report.failure.clone(),
            taken: self.taken.load(Ordering::Relaxed),
            made: self.made.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// An order that finds no place is given again: its effect is missed within seconds.
    fn order(&self, order: Order) {
        let _ = self.orders.try_send(order);
    }
}

impl CodecProcess for Desk {
    fn launch(&self) {
        self.order(Order::Launch);
    }

    fn kill(&self) {
        self.order(Order::Kill);
    }

    fn give_up(&self) {
        metrics::count(GIVEN_UP, &self.job, 1);
        let last = self.report.load();
        self.report.store(Arc::new(Report {
            state: "given_up",
            failures: last.failures,
            failure: last.failure.clone(),
        }));
        tracing::error!(room = %self.room, job = self.job.name(), "a transcoding job is given up");
        self.order(Order::GiveUp);
    }

    fn end(&self) {
        self.order(Order::GiveUp);
    }

    fn report(&self, phase: TranscoderPhase, failures: u32, failure: Option<&str>) {
        self.report.store(Arc::new(Report {
            state: phase.name(),
            failures,
            failure: failure.map(str::to_owned),
        }));
    }
}

/// Why a process is of no more use.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it cannot be started: {0}")]
    Start(io::Error),
    #[error("it has ended")]
    Ended,
    #[error("its socket fails: {0}")]
    Socket(io::Error),
    #[error("it makes no sense: {0}")]
    Wire(#[from] WireError),
    #[error("it speaks version {0} of the wire, and we {VERSION}")]
    Version(u16),
    #[error("{0}")]
    Said(String, bool),
    #[error("it does not answer")]
    Silent,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // It ended with something unread, or before it was told all.
        let gone = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        if gone.contains(&error.kind()) {
            Self::Ended
        } else {
            Self::Socket(error)
        }
    }
}

impl Failure {
    /// Whether another process would fare no better.
    fn is_last(&self) -> bool {
        match self {
            Self::Version(_) | Self::Said(_, true) => true,
            Self::Start(_)
            | Self::Ended
            | Self::Socket(_)
            | Self::Wire(_)
            | Self::Said(_, false)
            | Self::Silent => false,
        }
    }
}

/// The process at hand, and the conversation with it.
struct Talk {
    process: Process,
    framer: Framer,
    out: Vec<u8>,
    sent: usize,
}

/// The task of one job.
pub(super) struct Pump {
    job: Job,
    program: Program,
    desk: Arc<Desk>,
    backlog: Backlog,
    talk: Option<Talk>,
    /// Gone once the job is given up.
    made: Option<mpsc::Sender<EncodedFrame>>,
    actor: Mailbox<TranscoderMessage>,
    /// A moment of the source, on its own clock and on the wall's.
    captured: Option<(Duration, NtpTime)>,
    pings: u64,
}

impl Pump {
    pub(super) fn new(
        job: Job,
        program: Program,
        desk: Arc<Desk>,
        made: mpsc::Sender<EncodedFrame>,
        actor: Mailbox<TranscoderMessage>,
    ) -> Self {
        Self {
            backlog: Backlog::new(job.kind()),
            job,
            program,
            desk,
            talk: None,
            made: Some(made),
            actor,
            captured: None,
            pings: 0,
        }
    }

    /// Runs until the source is gone.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let mut ping = tokio::time::interval(TRANSCODE_PING_PERIOD);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => {
                        self.take(input);
                        Ok(())
                    }
                    None => return,
                },
                Some(order) = orders.recv() => self.obey(order),
                ready = ready(self.talk.as_ref()) => {
                    ready.map_err(Failure::from).and_then(|()| self.listen())
                }
                _ = ping.tick() => {
                    self.pings += 1;
                    let nonce = self.pings;
                    self.say(&ToCodec::Ping { nonce });
                    Ok(())
                }
            };
            if let Err(failure) = done.and_then(|()| self.speak()) {
                self.fail(&failure);
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Frame(frame) => {
                if let Some(captured) = frame.captured {
                    self.captured = Some((frame.presented.as_duration(), captured));
                }
                if self.made.is_some() {
                    self.backlog.push(MediaFrame::from(frame));
                    self.count_dropped();
                }
            }
            Input::Keyframe => self.say(&ToCodec::Keyframe),
            Input::Bitrate(bitrate) if self.job.accepts(bitrate) => {
                self.follow(bitrate);
                self.say(&ToCodec::Bitrate(bitrate));
            }
            Input::Bitrate(_) => {}
        }
    }

    /// A process that comes after this one begins with the bitrate of now.
    fn follow(&mut self, wanted: media_types::Bitrate) {
        match &mut self.job {
            Job::AacToOpus { bitrate, .. } | Job::OpusToAac { bitrate } => *bitrate = wanted,
            Job::H264 { bitrate, .. } => *bitrate = Some(wanted),
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Launch if self.talk.is_some() => {}
            Order::Launch => self.launch()?,
            Order::Kill if self.talk.is_some() => return Err(Failure::Silent),
            Order::Kill => {}
            Order::GiveUp => {
                // Whoever hears of the end finds no process.
                self.hang_up();
                self.made = None;
            }
        }
        Ok(())
    }

    fn launch(&mut self) -> Result<(), Failure> {
        let process = self.program.spawn().map_err(Failure::Start)?;
        self.desk.pid.store(process.id(), Ordering::Relaxed);
        self.talk = Some(Talk {
            process,
            framer: Framer::default(),
            out: Vec::new(),
            sent: 0,
        });
        self.say(&ToCodec::hello());
        self.say(&ToCodec::Start {
            job: self.job.clone(),
            begin: self.backlog.begin(),
        });
        Ok(())
    }

    /// Puts a message behind those that are not sent yet.
    fn say(&mut self, message: &ToCodec) {
        if let Some(talk) = &mut self.talk
            && talk.out.len() - talk.sent < TRANSCODE_UNSENT_MAX
        {
            message.write(&mut talk.out);
        }
    }

    /// Sends what the socket takes: first what was said, then frames as they come.
    fn speak(&mut self) -> Result<(), Failure> {
        loop {
            let Some(talk) = &mut self.talk else {
                return Ok(());
            };
            if talk.sent == talk.out.len() {
                talk.out.clear();
                talk.sent = 0;
                let Some(frame) = self.backlog.pop() else {
                    return Ok(());
                };
                ToCodec::Frame(frame).write(&mut talk.out);
                self.desk.taken.fetch_add(1, Ordering::Relaxed);
                metrics::count(FRAMES_IN, &self.job, 1);
            }
            match talk.process.socket.try_write(&talk.out[talk.sent..]) {
                Ok(sent) => talk.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn listen(&mut self) -> Result<(), Failure> {
        let Some(talk) = &mut self.talk else {
            return Ok(());
        };
        match talk.process.socket.try_read_buf(talk.framer.buffer()) {
            Ok(0) => return Err(Failure::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        while let Some(talk) = &mut self.talk
            && let Some(body) = talk.framer.next()?
        {
            self.hear(FromCodec::parse(body)?)?;
        }
        Ok(())
    }

    fn hear(&mut self, message: FromCodec) -> Result<(), Failure> {
        match message {
            FromCodec::Hello { version, .. } if version != VERSION => {
                return Err(Failure::Version(version));
            }
            FromCodec::Hello { .. } | FromCodec::Health(_) => {
                let _ = self.actor.tell(TranscoderMessage::Healthy);
            }
            FromCodec::Frame(frame) => self.hand_on(frame),
            FromCodec::Failed { cause, text } => {
                let said = format!("{}: {text}", cause.name());
                return Err(Failure::Said(said, cause.is_final()));
            }
            FromCodec::Format(_) | FromCodec::Flushed => {}
        }
        Ok(())
    }

    fn hand_on(&mut self, frame: MediaFrame) {
        let (codec, rate, lasts) = match self.job {
            Job::AacToOpus { .. } => (Codec::Opus.into(), 48_000, Duration::from_millis(20)),
            Job::OpusToAac { .. } => (FrameCodec::Aac, 48_000, Duration::from_nanos(21_333_333)),
            // Anything later than this picture is another.
            Job::H264 { .. } => (Codec::H264.into(), 90_000, Duration::from_nanos(1)),
        };
        self.backlog.handle_output(&frame, lasts);
        let captured = self
            .captured
            .map(|(at, ntp)| shifted(ntp, at, frame.presented));
        let frame = EncodedFrame {
            captured,
            ..frame.into_encoded(codec, rate)
        };
        self.desk.made.fetch_add(1, Ordering::Relaxed);
        metrics::count(FRAMES_OUT, &self.job, 1);
        if let Some(made) = &self.made
            && made.try_send(frame).is_err()
        {
            self.desk.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::count(DROPPED, &self.job, 1);
        }
    }

    fn fail(&mut self, failure: &Failure) {
        metrics::count(FAILURES, &self.job, 1);
        self.hang_up();
        self.backlog.restart();
        self.count_dropped();
        let (reason, last) = (failure.to_string(), failure.is_last());
        let _ = self.actor.tell(TranscoderMessage::Failed { reason, last });
    }

    fn hang_up(&mut self) {
        self.talk = None;
        self.desk.pid.store(0, Ordering::Relaxed);
    }

    fn count_dropped(&mut self) {
        let dropped = self.backlog.take_dropped();
        if dropped > 0 {
            self.desk.dropped.fetch_add(dropped, Ordering::Relaxed);
            metrics::count(DROPPED, &self.job, dropped);
        }
    }
}

/// When there is something to read, or room for what is to be sent.
async fn ready(talk: Option<&Talk>) -> io::Result<()> {
    let Some(talk) = talk else {
        return std::future::pending().await;
    };
    let interest = if talk.sent < talk.out.len() {
        Interest::READABLE | Interest::WRITABLE
    } else {
        Interest::READABLE
    };
    talk.process.socket.ready(interest).await.map(|_| ())
}

/// The wall clock at another moment of the source than the one that it is known at.
fn shifted(ntp: NtpTime, at: Duration, presented: Duration) -> NtpTime {
    let span = |time: Duration| {
        let seconds = time.as_secs() << 32;
        seconds | ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
    };
    match presented.checked_sub(at) {
        Some(later) => NtpTime(ntp.0.wrapping_add(span(later))),
        None => NtpTime(ntp.0.wrapping_sub(span(at.saturating_sub(presented)))),
    }
}
