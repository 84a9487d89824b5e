//! The server's end of one connection.

mod reply;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::amf::Value;
use super::chunk::{ChunkReader, ChunkWriter, Message, MessageType};
use super::command::{self, Command};
use super::control::{self, Window};
use super::handshake::Handshake;
use crate::error::IngestError;
use crate::flv::{Tag, TagKind};
use crate::limits::{
    EVENTS_MAX, KEY_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGE_STREAMS_MAX, OUTPUT_BYTES_MAX,
    SETUP_TIMEOUT, SILENCE_TIMEOUT,
};

pub use reply::{Refusal, write_tag};

/// What a session is held to.
#[derive(Debug, Clone, Copy)]
pub struct SessionConfig {
    /// The longest message, in bytes.
    pub message_bytes_max: u32,
    /// From the first byte until something is published or played.
    pub setup_timeout: Duration,
    /// How long a publisher may send nothing.
    pub silence_timeout: Duration,
    /// Makes the handshake's filler differ; nothing secret.
    pub seed: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            setup_timeout: SETUP_TIMEOUT,
            silence_timeout: SILENCE_TIMEOUT,
            seed: 1,
        }
    }
}

/// What a client said when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// The application: the path before the stream's name, without its query.
    pub app: String,
    /// What stood behind a `?` in the application.
    pub query: Option<String>,
    /// Whether it understands a request to connect anew (E-RTMP v2).
    pub reconnects: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// The client connected; answered already.
    Connected(Connect),
    /// The client wants to publish: answer with [`Session::accept`] or [`Session::reject`].
    Publish {
        /// The message stream.
        stream: u32,
        /// The stream key.
        key: String,
    },
    /// The client wants to play: answer in the same way.
    Play {
        /// The message stream.
        stream: u32,
        /// The stream key.
        key: String,
    },
    /// What a publisher says about its stream.
    Metadata {
        /// The message stream.
        stream: u32,
        /// The `onMetaData` values.
        metadata: Value,
    },
    /// Media of an accepted publisher.
    Media {
        /// The message stream.
        stream: u32,
        /// Audio or video as FLV holds it.
        tag: Tag,
    },
    /// A player stops for a while, or goes on.
    Paused {
        /// The message stream.
        stream: u32,
        /// Whether it wants nothing for now.
        paused: bool,
    },
    /// A publication or a play that was asked for is over by the client's will.
    Ended {
        /// The message stream.
        stream: u32,
    },
}

/// What a message stream is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Idle,
    WantsPublish,
    Publishing,
    WantsPlay,
    Playing,
}

/// One connection: bytes in by [`Session::handle_bytes`], events by [`Session::poll_event`], bytes
/// out by [`Session::poll_transmit`].
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    handshake: Handshake,
    reader: ChunkReader,
    writer: ChunkWriter,
    window: Window,
    connected: bool,
    streams: BTreeMap<u32, Role>,
    events: VecDeque<SessionEvent>,
    deadline: Option<Instant>,
}

impl Session {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(now: Instant, config: SessionConfig) -> Self {
        Self {
            handshake: Handshake::server(config.seed),
            reader: ChunkReader::new(config.message_bytes_max),
            writer: ChunkWriter::default(),
            window: Window::default(),
            connected: false,
            streams: BTreeMap::new(),
            events: VecDeque::new(),
            deadline: now.checked_add(config.setup_timeout),
            config,
        }
    }

    /// Takes what the socket had.
    ///
    /// # Errors
    /// What the protocol or the limits do not allow; what [`Self::poll_transmit`] still has may be
    /// sent, and then the connection closes.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) -> Result<(), IngestError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = if self.handshake.is_done() {
                let (used, message) = self.reader.read(rest)?;
                self.window.received(used, &mut self.writer);
                if let Some(message) = message {
                    self.handle_message(now, &message)?;
                }
                used
            } else {
                self.handshake.read(rest, self.writer.bytes())?
            };
            rest = rest.get(used..).unwrap_or_default();
            if self.writer.len() > OUTPUT_BYTES_MAX {
                return Err(IngestError::OutputFull);
            }
        }
        Ok(())
    }

    /// What happened since.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// What to send, all of it.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.writer.is_empty() {
            return None;
        }
        Some(std::mem::take(self.writer.bytes()).into())
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Looks at the clock.
    ///
    /// # Errors
    /// When the client took too long; the connection is at its end.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), IngestError> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(IngestError::Timeout),
            _ => Ok(()),
        }
    }

    fn handle_message(&mut self, now: Instant, message: &Message) -> Result<(), IngestError> {
        match message.kind {
            MessageType::AUDIO | MessageType::VIDEO => self.media(now, message),
            MessageType::AGGREGATE => self.aggregate(now, message),
            MessageType::COMMAND_AMF0 | MessageType::COMMAND_AMF3 => {
                let command = Command::read(message)?;
                self.handle_command(now, message.stream, &command)
            }
            MessageType::DATA_AMF0 | MessageType::DATA_AMF3 => self.data(message),
            _ => control::handle(
                message,
                &mut self.reader,
                &mut self.window,
                &mut self.writer,
            ),
        }
    }

    fn media(&mut self, now: Instant, message: &Message) -> Result<(), IngestError> {
        // What comes before the answer to `publish` is of nobody yet.
        if self.streams.get(&message.stream) != Some(&Role::Publishing) {
            return Ok(());
        }
        self.deadline = now.checked_add(self.config.silence_timeout);
        if message.payload.is_empty() {
            return Ok(());
        }
        let kind = if message.kind == MessageType::AUDIO {
            TagKind::Audio
        } else {
            TagKind::Video
        };
        let tag = Tag {
            kind,
            timestamp: message.timestamp,
            data: message.payload.clone(),
        };
        let stream = message.stream;
        self.event(SessionEvent::Media { stream, tag })
    }

    /// Tags of a file in one message (RTMP 1.0, section 7.1.6); their times count from the
    /// message's.
    fn aggregate(&mut self, now: Instant, message: &Message) -> Result<(), IngestError> {
        let mut rest = message.payload.clone();
        let mut first = None;
        while let Some((kind, timestamp, payload)) = crate::flv::take_tag(&mut rest)? {
            let start = *first.get_or_insert(timestamp);
            let message = Message {
                kind: MessageType(kind),
                stream: message.stream,
                timestamp: timestamp
                    .wrapping_sub(start)
                    .wrapping_add(message.timestamp),
                payload,
            };
            match message.kind {
                MessageType::AUDIO | MessageType::VIDEO => self.media(now, &message)?,
                MessageType::DATA_AMF0 => self.data(&message)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn data(&mut self, message: &Message) -> Result<(), IngestError> {
        if self.streams.get(&message.stream) != Some(&Role::Publishing) {
            return Ok(());
        }
        // Metadata of files can be larger than what is read here; nothing depends on it.
        let Ok(values) = command::values(message, MessageType::DATA_AMF3) else {
            return Ok(());
        };
        let mut values = values
            .into_iter()
            .skip_while(|value| value.as_str() == Some("@setDataFrame"));
        if values.next().as_ref().and_then(Value::as_str) != Some("onMetaData") {
            return Ok(());
        }
        let stream = message.stream;
        match values.next() {
            Some(metadata) => self.event(SessionEvent::Metadata { stream, metadata }),
            None => Ok(()),
        }
    }

    fn handle_command(
        &mut self,
        now: Instant,
        stream: u32,
        command: &Command,
    ) -> Result<(), IngestError> {
        if command.name == "connect" {
            return self.connect(command);
        }
        if !self.connected {
            return Err(IngestError::OutOfPlace);
        }
        match command.name.as_str() {
            "createStream" => self.create_stream(command),
            "publish" => self.request(stream, command, Role::WantsPublish),
            "play" => self.request(stream, command, Role::WantsPlay),
            "pause" | "pauseRaw" => self.pause(stream, command),
            "deleteStream" => {
                let id = command.arguments.first().and_then(Value::as_number);
                let id = id.and_then(stream_id);
                self.end_of(now, id.unwrap_or(stream), true)
            }
            "closeStream" => self.end_of(now, stream, false),
            "FCUnpublish" => self.unpublish(now),
            "releaseStream" | "getStreamLength" | "_checkbw" | "FCPublish" | "FCSubscribe" => {
                self.acknowledge(command);
                Ok(())
            }
            // Hints that change nothing here.
            "receiveAudio" | "receiveVideo" | "seek" | "setPeerInfo" | "onStatus" | "_result"
            | "_error" | "onBWDone" => Ok(()),
            _ => {
                self.refuse_call(command);
                Ok(())
            }
        }
    }

    fn connect(&mut self, command: &Command) -> Result<(), IngestError> {
        let app = command.object.get("app").and_then(Value::as_str);
        let app = app.unwrap_or_default();
        if self.connected || app.len() > KEY_BYTES_MAX {
            return Err(IngestError::OutOfPlace);
        }
        self.connected = true;
        let (app, query) = match app.split_once('?') {
            Some((app, query)) => (app, Some(query.to_owned())),
            None => (app, None),
        };
        let extensions = command.object.get("capsEx").and_then(Value::as_number);
        let connect = Connect {
            app: app.trim_matches('/').to_owned(),
            query,
            reconnects: extensions
                .and_then(stream_id)
                .is_some_and(|bits| bits & 1 == 1),
        };
        self.greet(command);
        self.event(SessionEvent::Connected(connect))
    }

    fn create_stream(&mut self, command: &Command) -> Result<(), IngestError> {
        let free = (1..).find(|id| !self.streams.contains_key(id));
        let id = free.filter(|_| self.streams.len() < MESSAGE_STREAMS_MAX);
        let id = id.ok_or(IngestError::OutOfPlace)?;
        self.streams.insert(id, Role::Idle);
        self.created(command, id);
        Ok(())
    }

    fn request(&mut self, stream: u32, command: &Command, role: Role) -> Result<(), IngestError> {
        if self.streams.get(&stream) != Some(&Role::Idle) {
            return Err(IngestError::OutOfPlace);
        }
        let key = command.text(0).ok_or(IngestError::OutOfPlace)?;
        if key.len() > KEY_BYTES_MAX {
            return Err(IngestError::OutOfPlace);
        }
        self.streams.insert(stream, role);
        let key = key.to_owned();
        self.event(match role {
            Role::WantsPublish => SessionEvent::Publish { stream, key },
            Role::Idle | Role::Publishing | Role::WantsPlay | Role::Playing => {
                SessionEvent::Play { stream, key }
            }
        })
    }

    fn pause(&mut self, stream: u32, command: &Command) -> Result<(), IngestError> {
        if self.streams.get(&stream) != Some(&Role::Playing) {
            return Ok(());
        }
        let paused = command.arguments.first() != Some(&Value::Boolean(false));
        self.paused(stream, paused);
        self.event(SessionEvent::Paused { stream, paused })
    }

    /// Ends whatever is published: the command names a key, not a stream.
    fn unpublish(&mut self, now: Instant) -> Result<(), IngestError> {
        let publishing = |role: &Role| matches!(role, Role::Publishing | Role::WantsPublish);
        let found = self.streams.iter().find(|(_, role)| publishing(role));
        match found.map(|(id, _)| *id) {
            Some(id) => self.end_of(now, id, false),
            None => Ok(()),
        }
    }

    fn end_of(&mut self, now: Instant, stream: u32, gone: bool) -> Result<(), IngestError> {
        let Some(role) = self.streams.get_mut(&stream) else {
            return Ok(());
        };
        let was = std::mem::replace(role, Role::Idle);
        if gone {
            self.streams.remove(&stream);
        }
        if was == Role::Idle {
            return Ok(());
        }
        if self.streams.values().all(|role| *role == Role::Idle) {
            self.deadline = now.checked_add(self.config.setup_timeout);
        }
        if was == Role::Publishing {
            self.unpublished(stream);
        }
        self.event(SessionEvent::Ended { stream })
    }

    fn event(&mut self, event: SessionEvent) -> Result<(), IngestError> {
        if self.events.len() >= EVENTS_MAX {
            return Err(IngestError::EventsFull);
        }
        self.events.push_back(event);
        Ok(())
    }
}

/// A small whole number that came as a double.
pub(super) fn stream_id(number: f64) -> Option<u32> {
    let whole = number.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&number);
    // The range was looked at, so that nothing is cut off.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range"
    )]
    whole.then_some(number as u32)
}

#[cfg(test)]
mod tests;
