//! RTMP 1.0 and its enhancements (E-RTMP v2): bytes in, events and bytes out.
//!
//! [`Session`] is the server's end of one connection, [`Client`] the other one. Both stand on the
//! same chunks and AMF.

pub mod amf;
pub mod chunk;
mod client;
mod command;
mod control;
mod handshake;
mod session;

pub use client::{Client, ClientEvent, ClientGoal};
pub use command::Command;
pub use session::{Connect, Refusal, Session, SessionConfig, SessionEvent, write_tag};

/// The chunk stream of protocol control messages (RTMP 1.0, section 5.4).
const CONTROL_CHUNK_STREAM: u8 = 2;
/// The chunk stream of commands.
const COMMAND_CHUNK_STREAM: u8 = 3;
/// The chunk stream of audio.
const AUDIO_CHUNK_STREAM: u8 = 4;
/// The chunk stream of commands and metadata about a message stream.
const STATUS_CHUNK_STREAM: u8 = 5;
/// The chunk stream of video.
const VIDEO_CHUNK_STREAM: u8 = 6;
