//! The client's end of one connection: what load generators and tests publish and play with.

use std::collections::VecDeque;

use bytes::Bytes;

use super::amf::Value;
use super::chunk::{ChunkReader, ChunkWriter, Message, MessageType};
use super::command::Command;
use super::control::{self, Window};
use super::handshake::Handshake;
use super::session::write_tag;
use super::{COMMAND_CHUNK_STREAM, STATUS_CHUNK_STREAM};
use crate::error::IngestError;
use crate::flv::{Tag, TagKind};
use crate::limits::{CHUNK_SIZE_OURS, MESSAGE_BYTES_MAX};

/// What a client connects for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientGoal {
    /// To send a stream.
    Publish,
    /// To receive one.
    Play,
}

/// What a client learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server granted it: [`Client::send`] may be used, or tags will come.
    Started,
    /// A status with level `error`, by its code. The server closes.
    Refused(String),
    /// Any other status, by its code.
    Status(String),
    /// A tag of the stream that is played.
    Tag(Tag),
}

/// One connection that publishes or plays one stream.
#[derive(Debug)]
pub struct Client {
    goal: ClientGoal,
    app: String,
    url: String,
    key: String,
    handshake: Handshake,
    reader: ChunkReader,
    writer: ChunkWriter,
    window: Window,
    greeted: bool,
    stream: u32,
    events: VecDeque<ClientEvent>,
}

impl Client {
    /// A client of `url`, such as `rtmp://host/room`, whose path is the application.
    #[must_use]
    pub fn new(goal: ClientGoal, url: &str, key: &str, seed: u64) -> Self {
        let mut writer = ChunkWriter::default();
        let handshake = Handshake::client(seed, writer.bytes());
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let app = path.split_once('/').map_or("", |(_, app)| app);
        Self {
            goal,
            app: app.to_owned(),
            url: url.to_owned(),
            key: key.to_owned(),
            handshake,
            reader: ChunkReader::new(MESSAGE_BYTES_MAX),
            writer,
            window: Window::default(),
            greeted: false,
            stream: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes what the socket had.
    ///
    /// # Errors
    /// Bytes that are no RTMP.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), IngestError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = if self.handshake.is_done() {
                let (used, message) = self.reader.read(rest)?;
                self.window.received(used, &mut self.writer);
                if let Some(message) = message {
                    self.handle_message(message)?;
                }
                used
            } else {
                self.handshake.read(rest, self.writer.bytes())?
            };
            rest = rest.get(used..).unwrap_or_default();
            if self.handshake.is_done() && !self.greeted {
                self.greeted = true;
                self.connect();
            }
        }
        Ok(())
    }

    /// What happened since.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// What to send, all of it.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.writer.is_empty() {
            return None;
        }
        Some(std::mem::take(self.writer.bytes()).into())
    }

    /// Sends a tag of the stream that is published.
    pub fn send(&mut self, tag: &Tag) {
        write_tag(self.writer.bytes(), tag, self.stream);
    }

    fn connect(&mut self) {
        self.writer.set_chunk_size(CHUNK_SIZE_OURS);
        let object = Value::object([
            ("app", self.app.as_str().into()),
            ("type", "nonprivate".into()),
            ("flashVer", "FMLE/3.0".into()),
            ("tcUrl", self.url.as_str().into()),
            ("capsEx", 1.0.into()),
        ]);
        self.command(0, &Command::new("connect", 1.0, object));
    }

    fn handle_message(&mut self, message: Message) -> Result<(), IngestError> {
        let kind = match message.kind {
            MessageType::AUDIO => TagKind::Audio,
            MessageType::VIDEO => TagKind::Video,
            MessageType::DATA_AMF0 => TagKind::Script,
            MessageType::COMMAND_AMF0 | MessageType::COMMAND_AMF3 => {
                self.handle_command(&Command::read(&message)?);
                return Ok(());
            }
            _ => {
                let Self {
                    reader,
                    window,
                    writer,
                    ..
                } = self;
                return control::handle(&message, reader, window, writer);
            }
        };
        self.events.push_back(ClientEvent::Tag(Tag {
            kind,
            timestamp: message.timestamp,
            data: message.payload,
        }));
        Ok(())
    }

    fn handle_command(&mut self, command: &Command) {
        match (command.name.as_str(), command.transaction) {
            ("_result", 1.0) => {
                self.command(0, &Command::new("createStream", 2.0, Value::Null));
            }
            ("_result", 2.0) => {
                let id = command.arguments.first().and_then(Value::as_number);
                self.stream = id.and_then(super::session::stream_id).unwrap_or(1);
                let (name, last) = match self.goal {
                    ClientGoal::Publish => ("publish", Value::from("live")),
                    ClientGoal::Play => ("play", Value::Number(-2.0)),
                };
                let ask = Command::new(name, 3.0, Value::Null).with(self.key.as_str());
                self.command(self.stream, &ask.with(last));
            }
            ("onStatus", _) => self.status(command),
            _ => {}
        }
    }

    fn status(&mut self, command: &Command) {
        let info = command.arguments.first();
        let text = |name| info.and_then(|info| info.get(name)).and_then(Value::as_str);
        let code = text("code").unwrap_or_default();
        let event = match code {
            "NetStream.Publish.Start" | "NetStream.Play.Start" => ClientEvent::Started,
            _ if text("level") == Some("error") => ClientEvent::Refused(code.to_owned()),
            _ => ClientEvent::Status(code.to_owned()),
        };
        self.events.push_back(event);
    }

    fn command(&mut self, stream: u32, command: &Command) {
        let head = (MessageType::COMMAND_AMF0, stream, 0);
        let id = if stream == 0 {
            COMMAND_CHUNK_STREAM
        } else {
            STATUS_CHUNK_STREAM
        };
        self.writer.write(id, head, &[&command.to_bytes()]);
    }
}
