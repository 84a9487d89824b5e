//! What is said, each way.

use std::time::Duration;

use bytes::Bytes;
use media_types::{Bitrate, MediaKind};

use super::field::{Reader, Writer};
use super::{MAGIC, VERSION, WireError};
use crate::{Format, Job, MediaFrame};

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToCodec {
    /// First of all: the version that is spoken.
    Hello {
        /// [`VERSION`], if both are of one build.
        version: u16,
    },
    /// What to do. Once, after the first message.
    Start {
        /// The job.
        job: Job,
        /// What is presented earlier is decoded and not encoded: a former process has done it.
        begin: Duration,
    },
    /// A frame to be transcoded.
    Frame(MediaFrame),
    /// The bitrate from here on.
    Bitrate(Bitrate),
    /// The next picture is to be a keyframe.
    Keyframe,
    /// Everything that is still inside is to come out.
    Flush,
    /// Whether it still answers.
    Ping {
        /// Comes back in [`Health`].
        nonce: u64,
    },
}

/// How a process is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// Of the ping that this answers.
    pub nonce: u64,
    /// Frames taken.
    pub taken: u64,
    /// Frames given back.
    pub made: u64,
    /// Frames that could not be decoded.
    pub refused: u64,
    /// What the encoder aims at.
    pub bitrate: Bitrate,
}

/// Why a process ends, as far as it can still say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The server speaks another version.
    Version,
    /// The server said something that makes no sense.
    Wire,
    /// There is no decoder or encoder for the job.
    Unsupported,
    /// Its memory is used up.
    Memory,
    /// Nothing of what comes in can be decoded.
    Input,
    /// The backend failed, or the process itself.
    Internal,
}

impl Cause {
    /// Every cause, in the order of its number on the wire.
    pub const ALL: [Self; 6] = [
        Self::Version,
        Self::Wire,
        Self::Unsupported,
        Self::Memory,
        Self::Input,
        Self::Internal,
    ];

    /// Whether another process would say the same.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Version | Self::Unsupported)
    }

    /// What it is called in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Wire => "wire",
            Self::Unsupported => "unsupported",
            Self::Memory => "memory",
            Self::Input => "input",
            Self::Internal => "internal",
        }
    }

    fn number(self) -> u8 {
        let index = Self::ALL.iter().position(|cause| *cause == self);
        index
            .and_then(|index| u8::try_from(index).ok())
            .unwrap_or(u8::MAX)
    }
}

/// What a codec process says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromCodec {
    /// First of all: the version that is spoken, and what it is built on, for the log.
    Hello {
        /// [`VERSION`], if both are of one build.
        version: u16,
        /// Such as the version of libavcodec.
        backend: String,
    },
    /// What the frames from here on are.
    Format(Format),
    /// A transcoded frame.
    Frame(MediaFrame),
    /// The answer to a ping.
    Health(Health),
    /// Everything that was inside has come out.
    Flushed,
    /// The last message before the process ends.
    Failed {
        /// Why.
        cause: Cause,
        /// The same for a reader of the log.
        text: String,
    },
}

const TO_HELLO: u8 = 1;
const TO_START: u8 = 2;
const TO_FRAME: u8 = 3;
const TO_BITRATE: u8 = 4;
const TO_KEYFRAME: u8 = 5;
const TO_FLUSH: u8 = 6;
const TO_PING: u8 = 7;

const FROM_HELLO: u8 = 129;
const FROM_FORMAT: u8 = 130;
const FROM_FRAME: u8 = 131;
const FROM_HEALTH: u8 = 132;
const FROM_FLUSHED: u8 = 133;
const FROM_FAILED: u8 = 134;

const JOB_AAC_OPUS: u8 = 1;
const JOB_OPUS_AAC: u8 = 2;
const JOB_H264: u8 = 3;

impl ToCodec {
    /// The first message.
    #[must_use]
    pub const fn hello() -> Self {
        Self::Hello { version: VERSION }
    }

    /// Appends the message to a buffer, its length first.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { version } => {
                Writer::new(out, TO_HELLO).bytes(&MAGIC).u16(*version);
            }
            Self::Start { job, begin } => write_job(Writer::new(out, TO_START).time(*begin), job),
            Self::Frame(frame) => {
                Writer::new(out, TO_FRAME).frame(frame);
            }
            Self::Bitrate(bitrate) => {
                Writer::new(out, TO_BITRATE).bitrate(*bitrate);
            }
            Self::Keyframe => drop(Writer::new(out, TO_KEYFRAME)),
            Self::Flush => drop(Writer::new(out, TO_FLUSH)),
            Self::Ping { nonce } => {
                Writer::new(out, TO_PING).u64(*nonce);
            }
        }
    }

    /// Reads a message, as a [`super::Framer`] gives it.
    ///
    /// # Errors
    /// [`WireError`] for anything but a message that [`Self::write`] could have made.
    pub fn parse(body: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader(body);
        let kind = reader.u8()?;
        let message = match kind {
            TO_HELLO => Self::Hello {
                version: read_version(&mut reader)?,
            },
            TO_START => Self::Start {
                begin: reader.time()?,
                job: read_job(&mut reader)?,
            },
            TO_FRAME => Self::Frame(reader.frame()?),
            // The kind of the job is not known here; the wider range holds, and the job's own
            // is looked at where it is applied.
            TO_BITRATE => Self::Bitrate(Bitrate::from_bps(reader.u64()?)),
            TO_KEYFRAME => Self::Keyframe,
            TO_FLUSH => Self::Flush,
            TO_PING => Self::Ping {
                nonce: reader.u64()?,
            },
            kind => return Err(WireError::Kind { kind }),
        };
        reader.end(message)
    }
}

impl FromCodec {
    /// Appends the message to a buffer, its length first.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { version, backend } => {
                let writer = Writer::new(out, FROM_HELLO).bytes(&MAGIC).u16(*version);
                writer.text(backend);
            }
            Self::Format(Format { config, size }) => {
                let writer = Writer::new(out, FROM_FORMAT).optional(*size, Writer::size);
                writer.bytes(config);
            }
            Self::Frame(frame) => {
                Writer::new(out, FROM_FRAME).frame(frame);
            }
            Self::Health(health) => {
                let writer = Writer::new(out, FROM_HEALTH)
                    .u64(health.nonce)
                    .u64(health.taken);
                let writer = writer.u64(health.made).u64(health.refused);
                writer.bitrate(health.bitrate);
            }
            Self::Flushed => drop(Writer::new(out, FROM_FLUSHED)),
            Self::Failed { cause, text } => {
                Writer::new(out, FROM_FAILED).u8(cause.number()).text(text);
            }
        }
    }

    /// Reads a message, as a [`super::Framer`] gives it.
    ///
    /// # Errors
    /// [`WireError`] for anything but a message that [`Self::write`] could have made.
    pub fn parse(body: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader(body);
        let kind = reader.u8()?;
        let message = match kind {
            FROM_HELLO => Self::Hello {
                version: read_version(&mut reader)?,
                backend: reader.text()?,
            },
            FROM_FORMAT => Self::Format(Format {
                size: reader.optional(Reader::size)?,
                config: reader.config()?,
            }),
            FROM_FRAME => Self::Frame(reader.frame()?),
            FROM_HEALTH => Self::Health(Health {
                nonce: reader.u64()?,
                taken: reader.u64()?,
                made: reader.u64()?,
                refused: reader.u64()?,
                bitrate: Bitrate::from_bps(reader.u64()?),
            }),
            FROM_FLUSHED => Self::Flushed,
            FROM_FAILED => {
                let cause = Cause::ALL.get(usize::from(reader.u8()?)).copied();
                Self::Failed {
                    cause: cause.ok_or(WireError::Range { field: "a cause" })?,
                    text: reader.text()?,
                }
            }
            kind => return Err(WireError::Kind { kind }),
        };
        reader.end(message)
    }
}

fn read_version(reader: &mut Reader) -> Result<u16, WireError> {
    if reader.array()? != MAGIC {
        return Err(WireError::Magic);
    }
    reader.u16()
}

fn write_job(writer: Writer<'_>, job: &Job) {
    match job {
        Job::AacToOpus { config, bitrate } => {
            writer.u8(JOB_AAC_OPUS).bitrate(*bitrate).bytes(config);
        }
        Job::OpusToAac { bitrate } => {
            writer.u8(JOB_OPUS_AAC).bitrate(*bitrate);
        }
        Job::H264 { bitrate, size } => {
            let writer = writer.u8(JOB_H264).optional(*bitrate, Writer::bitrate);
            writer.optional(*size, Writer::size);
        }
    }
}

fn read_job(reader: &mut Reader) -> Result<Job, WireError> {
    Ok(match reader.u8()? {
        JOB_AAC_OPUS => Job::AacToOpus {
            bitrate: reader.bitrate(MediaKind::Audio)?,
            config: reader.config()?,
        },
        JOB_OPUS_AAC => Job::OpusToAac {
            bitrate: reader.bitrate(MediaKind::Audio)?,
        },
        JOB_H264 => Job::H264 {
            bitrate: reader.optional(|reader| reader.bitrate(MediaKind::Video))?,
            size: reader.optional(Reader::size)?,
        },
        _ => return Err(WireError::Range { field: "a job" }),
    })
}
