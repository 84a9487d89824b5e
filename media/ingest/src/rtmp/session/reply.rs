//! What the server says.

use std::time::Instant;

use super::super::amf::{self, Value};
use super::super::chunk::{MessageType, write_message};
use super::super::command::Command;
use super::super::control::{STREAM_BEGIN, STREAM_END, user_control};
use super::super::{
    AUDIO_CHUNK_STREAM, COMMAND_CHUNK_STREAM, CONTROL_CHUNK_STREAM, STATUS_CHUNK_STREAM,
    VIDEO_CHUNK_STREAM,
};
use super::{Role, Session};
use crate::error::IngestError;
use crate::flv::{Tag, TagKind};
use crate::limits::{CHUNK_SIZE_OURS, WINDOW_BYTES};

/// Reconnect request, multitrack and extensions before payloads (E-RTMP v2, `capsEx`).
const CAPABILITIES: f64 = 7.0;
/// We take it in and pass it on (E-RTMP v2, `FourCcInfoMask`).
const FORWARDED: f64 = 4.0;
const VIDEO_CODECS: [&str; 4] = ["avc1", "hvc1", "av01", "vp09"];
const AUDIO_CODECS: [&str; 2] = ["mp4a", "Opus"];

/// Why a request to publish or play is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The token is none, or not for this.
    Unauthorized,
    /// The room or the identity has no legal name, or the key is malformed.
    BadName,
    /// Nobody publishes that.
    NotFound,
    /// A limit is reached, or the worker is going.
    Unavailable,
}

impl Refusal {
    /// The code for a publisher and for a player, and a text.
    const fn code(self, publish: bool) -> (&'static str, &'static str) {
        match (self, publish) {
            (Self::Unauthorized, true) => ("NetStream.Publish.Unauthorized", "not authorized"),
            (Self::Unauthorized, false) => ("NetStream.Play.Unauthorized", "not authorized"),
            (Self::BadName, true) => ("NetStream.Publish.BadName", "bad stream key"),
            (Self::BadName, false) => ("NetStream.Play.StreamNotFound", "bad stream key"),
            (Self::NotFound, true) => ("NetStream.Publish.BadName", "no such room"),
            (Self::NotFound, false) => ("NetStream.Play.StreamNotFound", "no such stream"),
            (Self::Unavailable, true) => ("NetStream.Publish.Failed", "not now; try again"),
            (Self::Unavailable, false) => ("NetStream.Play.Failed", "not now; try again"),
        }
    }
}

impl Session {
    /// Grants what the client asked for on that message stream.
    ///
    /// # Errors
    /// When nothing was asked for there; it may have been taken back meanwhile.
    pub fn accept(&mut self, now: Instant, stream: u32) -> Result<(), IngestError> {
        match self.streams.get(&stream) {
            Some(Role::WantsPublish) => {
                self.streams.insert(stream, Role::Publishing);
                self.deadline = now.checked_add(self.config.silence_timeout);
                user_control(&mut self.writer, STREAM_BEGIN, stream);
                self.status(stream, "status", "NetStream.Publish.Start", "publishing");
                Ok(())
            }
            Some(Role::WantsPlay) => {
                self.streams.insert(stream, Role::Playing);
                self.deadline = None;
                user_control(&mut self.writer, STREAM_BEGIN, stream);
                self.status(stream, "status", "NetStream.Play.Reset", "starting");
                self.status(stream, "status", "NetStream.Play.Start", "playing");
                self.sample_access(stream);
                Ok(())
            }
            Some(Role::Idle | Role::Publishing | Role::Playing) | None => {
                Err(IngestError::OutOfPlace)
            }
        }
    }

    /// Refuses it, with the reason in words that encoders show. The caller closes the connection.
    pub fn reject(&mut self, stream: u32, refusal: Refusal) {
        let publish = match self.streams.get(&stream) {
            Some(Role::WantsPublish | Role::Publishing) => true,
            Some(Role::WantsPlay | Role::Playing) => false,
            Some(Role::Idle) | None => return,
        };
        self.streams.insert(stream, Role::Idle);
        let (code, text) = refusal.code(publish);
        self.status(stream, "error", code, text);
    }

    /// Tells a player that its publisher has gone.
    pub fn end_play(&mut self, stream: u32) {
        if self.streams.get(&stream) == Some(&Role::Playing) {
            self.status(
                stream,
                "status",
                "NetStream.Play.UnpublishNotify",
                "unpublished",
            );
            self.status(stream, "status", "NetStream.Play.Stop", "stopped");
            user_control(&mut self.writer, STREAM_END, stream);
        }
    }

    /// Asks the client to connect anew, elsewhere where a URL is given (E-RTMP v2, reconnect
    /// request). A client that does not know the request ignores it.
    pub fn request_reconnect(&mut self, url: Option<&str>) {
        let mut pairs = vec![
            ("level", "status".into()),
            ("code", "NetConnection.Connect.ReconnectRequest".into()),
            ("description", "the worker is going".into()),
        ];
        if let Some(url) = url {
            pairs.push(("tcUrl", url.into()));
        }
        let info = Value::object(pairs);
        let command = Command::new("onStatus", 0.0, Value::Null).with(info);
        self.command(0, &command);
    }

    pub(super) fn greet(&mut self, connect: &Command) {
        let window = WINDOW_BYTES.to_be_bytes();
        let head = |kind| (kind, 0, 0);
        let writer = &mut self.writer;
        writer.write(
            CONTROL_CHUNK_STREAM,
            head(MessageType::WINDOW_SIZE),
            &[&window],
        );
        // 2: the client may weigh the limit against its own.
        let kind = head(MessageType::PEER_BANDWIDTH);
        writer.write(CONTROL_CHUNK_STREAM, kind, &[&window, &[2]]);
        writer.set_chunk_size(CHUNK_SIZE_OURS);
        let codecs = |names: &[&'static str]| {
            Value::object(names.iter().map(|name| (*name, FORWARDED.into())))
        };
        let properties = Value::object([
            ("fmsVer", "FMS/3,5,7,7009".into()),
            ("capabilities", 31.0.into()),
            ("capsEx", CAPABILITIES.into()),
            ("videoFourCcInfoMap", codecs(&VIDEO_CODECS)),
            ("audioFourCcInfoMap", codecs(&AUDIO_CODECS)),
        ]);
        let info = Value::object([
            ("level", "status".into()),
            ("code", "NetConnection.Connect.Success".into()),
            ("description", "connected".into()),
            ("objectEncoding", 0.0.into()),
        ]);
        let result = Command::new("_result", connect.transaction, properties).with(info);
        self.command(0, &result);
    }

    pub(super) fn created(&mut self, command: &Command, stream: u32) {
        let result = Command::new("_result", command.transaction, Value::Null);
        self.command(0, &result.with(f64::from(stream)));
    }

    /// Answers a call that has no consequence here.
    pub(super) fn acknowledge(&mut self, command: &Command) {
        let result = Command::new("_result", command.transaction, Value::Null);
        match command.name.as_str() {
            // A live stream has no length.
            "getStreamLength" => self.command(0, &result.with(0.0)),
            "FCPublish" => {
                let info = info("status", "NetStream.Publish.Start", "go on");
                self.command(0, &Command::new("onFCPublish", 0.0, Value::Null).with(info));
                self.command(0, &result.with(Value::Undefined));
            }
            _ => self.command(0, &result.with(Value::Undefined)),
        }
    }

    pub(super) fn refuse_call(&mut self, command: &Command) {
        if command.transaction != 0.0 {
            let info = info("error", "NetConnection.Call.Failed", "no such call");
            let error = Command::new("_error", command.transaction, Value::Null);
            self.command(0, &error.with(info));
        }
    }

    pub(super) fn paused(&mut self, stream: u32, paused: bool) {
        let code = if paused {
            "NetStream.Pause.Notify"
        } else {
            "NetStream.Unpause.Notify"
        };
        self.status(stream, "status", code, "as asked");
    }

    pub(super) fn unpublished(&mut self, stream: u32) {
        self.status(
            stream,
            "status",
            "NetStream.Unpublish.Success",
            "unpublished",
        );
    }

    fn status(&mut self, stream: u32, level: &str, code: &str, text: &str) {
        let command = Command::new("onStatus", 0.0, Value::Null);
        self.command(stream, &command.with(info(level, code, text)));
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

    /// Flash players may look at samples; others ignore it.
    fn sample_access(&mut self, stream: u32) {
        let mut bytes = Vec::new();
        amf::write(&mut bytes, &"|RtmpSampleAccess".into());
        amf::write(&mut bytes, &Value::Boolean(true));
        amf::write(&mut bytes, &Value::Boolean(true));
        let head = (MessageType::DATA_AMF0, stream, 0);
        self.writer.write(STATUS_CHUNK_STREAM, head, &[&bytes]);
    }
}

fn info(level: &str, code: &str, text: &str) -> Value {
    Value::object([
        ("level", level.into()),
        ("code", code.into()),
        ("description", text.into()),
    ])
}

/// Appends a tag as an accepted player gets it on that message stream.
pub fn write_tag(out: &mut Vec<u8>, tag: &Tag, stream: u32) {
    let (id, kind) = match tag.kind {
        TagKind::Audio => (AUDIO_CHUNK_STREAM, MessageType::AUDIO),
        TagKind::Video => (VIDEO_CHUNK_STREAM, MessageType::VIDEO),
        TagKind::Script => (STATUS_CHUNK_STREAM, MessageType::DATA_AMF0),
    };
    let head = (kind, stream, tag.timestamp);
    write_message(out, CHUNK_SIZE_OURS, id, head, &[&tag.data]);
}
