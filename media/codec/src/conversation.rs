//! The process's side of the wire: one job, until the server hangs up.

use std::io::{Read, Write};

use bytes::Bytes;
use media_transcode::wire::{Cause, Framer, FromCodec, Health, ToCodec, VERSION, WireError};
use media_transcode::{MediaFrame, TranscodeError, Transcoder};

use crate::limits::{READ_BYTES, REFUSED_MAX};
use crate::{av, backend, sandbox};

/// Why a conversation ends before the server hangs up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// What the server says makes no sense.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The server speaks another version.
    #[error("the server speaks version {0} of the wire")]
    Version(u16),
    /// A message came before those that must come first.
    #[error("a message is out of turn")]
    Turn,
    /// The job.
    #[error(transparent)]
    Job(#[from] TranscodeError),
    /// The socket. There is nobody left to tell.
    #[error("the socket: {0}")]
    Socket(#[from] std::io::Error),
}

impl Ended {
    /// What the server is told; `None` where it cannot be.
    pub(crate) fn cause(&self) -> Option<Cause> {
        Some(match self {
            Self::Wire(_) | Self::Turn => Cause::Wire,
            Self::Version(_) => Cause::Version,
            Self::Job(TranscodeError::Input(_)) => Cause::Input,
            Self::Job(TranscodeError::Unsupported(_)) => Cause::Unsupported,
            Self::Job(TranscodeError::Memory) => Cause::Memory,
            Self::Job(_) => Cause::Internal,
            Self::Socket(_) => return None,
        })
    }
}

/// How far it has come.
enum Phase {
    /// Nothing was said.
    Silent,
    /// Both speak the same version.
    Greeted,
    /// The job runs.
    Running(Box<dyn Transcoder>),
}

/// One conversation.
pub(crate) struct Conversation {
    phase: Phase,
    health: Health,
    /// Frames in a row that could not be decoded.
    refused: u64,
    out: Vec<u8>,
}

/// Speaks until the server hangs up.
pub(crate) fn hold(socket: &mut (impl Read + Write)) -> Result<(), Ended> {
    let mut conversation = Conversation::new();
    let mut framer = Framer::default();
    let mut piece = vec![0; READ_BYTES];
    loop {
        socket.write_all(&conversation.out)?;
        conversation.out.clear();
        let read = socket.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        framer.feed(piece.get(..read).unwrap_or_default());
        while let Some(body) = framer.next()? {
            conversation.handle(body)?;
            // A frame is worth most now, not once all that came with it is done.
            socket.write_all(&conversation.out)?;
            conversation.out.clear();
        }
    }
}

impl Conversation {
    fn new() -> Self {
        let mut out = Vec::new();
        let (version, backend) = (VERSION, av::version());
        FromCodec::Hello { version, backend }.write(&mut out);
        Self {
            phase: Phase::Silent,
            health: Health::default(),
            refused: 0,
            out,
        }
    }

    fn handle(&mut self, body: Bytes) -> Result<(), Ended> {
        let message = ToCodec::parse(body)?;
        match &mut self.phase {
            Phase::Silent => self.greet(&message),
            Phase::Greeted => self.start(&message),
            Phase::Running(_) => self.work(message),
        }
    }

    fn greet(&mut self, message: &ToCodec) -> Result<(), Ended> {
        let ToCodec::Hello { version } = message else {
            return Err(Ended::Turn);
        };
        if *version != VERSION {
            return Err(Ended::Version(*version));
        }
        self.phase = Phase::Greeted;
        Ok(())
    }

    fn start(&mut self, message: &ToCodec) -> Result<(), Ended> {
        let ToCodec::Start { job, begin } = message else {
            return Err(Ended::Turn);
        };
        self.phase = Phase::Running(backend::open(job, *begin)?);
        self.tell_ready();
        Ok(())
    }

    fn work(&mut self, message: ToCodec) -> Result<(), Ended> {
        let Phase::Running(transcoder) = &mut self.phase else {
            return Err(Ended::Turn);
        };
        match message {
            ToCodec::Hello { .. } | ToCodec::Start { .. } => return Err(Ended::Turn),
            ToCodec::Frame(frame) => self.transcode(&frame)?,
            ToCodec::Bitrate(bitrate) => transcoder.set_bitrate(bitrate),
            ToCodec::Keyframe => transcoder.keyframe(),
            ToCodec::Flush => {
                transcoder.flush()?;
                self.tell_ready();
                FromCodec::Flushed.write(&mut self.out);
            }
            ToCodec::Ping { nonce } => {
                sandbox::renew_cpu();
                let bitrate = transcoder.bitrate();
                self.health = Health {
                    nonce,
                    bitrate,
                    ..self.health
                };
                FromCodec::Health(self.health).write(&mut self.out);
            }
        }
        Ok(())
    }

    fn transcode(&mut self, frame: &MediaFrame) -> Result<(), Ended> {
        let Phase::Running(transcoder) = &mut self.phase else {
            return Err(Ended::Turn);
        };
        self.health.taken += 1;
        match transcoder.push(frame) {
            Ok(()) => self.refused = 0,
            Err(error) if error.is_passing() && self.refused < REFUSED_MAX => {
                self.refused += 1;
                self.health.refused += 1;
            }
            Err(error) => return Err(error.into()),
        }
        self.tell_ready();
        Ok(())
    }

    /// Says what has come of the frames so far.
    fn tell_ready(&mut self) {
        let Phase::Running(transcoder) = &mut self.phase else {
            return;
        };
        if let Some(format) = transcoder.poll_format() {
            FromCodec::Format(format).write(&mut self.out);
        }
        while let Some(frame) = transcoder.poll() {
            self.health.made += 1;
            FromCodec::Frame(frame).write(&mut self.out);
        }
    }
}

/// Says why it ends, if there is anybody to hear it.
pub(crate) fn excuse(socket: &mut impl Write, cause: Cause, text: &str) {
    let mut out = Vec::new();
    let text = text.to_owned();
    FromCodec::Failed { cause, text }.write(&mut out);
    let _ = socket.write_all(&out);
}
