//! The JSON-RPC 2.0 envelope, in both directions.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client_message::ClientMessage;
use crate::error::{ErrorType, RpcError};
use crate::limits::{FRAME_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use crate::server_message::{Reply, ServerMessage};

/// The id of a request: a string or a whole number, echoed in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// A text of at most 128 bytes.
    Text(String),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A frame of a client, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Absent for a notification, which gets no answer.
    pub id: Option<RequestId>,
    /// What it asks.
    pub message: ClientMessage,
    /// The W3C trace context from `params.traceparent`.
    pub traceparent: Option<String>,
}

/// A frame of a client that is not understood, and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ParseFailure {
    /// The request's id where it could be read; the answer has `null` otherwise.
    pub id: Option<RequestId>,
    /// What to answer.
    pub error: RpcError,
}

impl ParseFailure {
    /// The answer as a frame.
    #[must_use]
    pub fn to_text(&self) -> String {
        error_text(self.id.as_ref(), &self.error)
    }
}

/// One frame to a client: an answer or a notification.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// A request was carried out.
    Result {
        /// The request's id.
        id: RequestId,
        /// What came of it.
        value: Reply,
    },
    /// A request failed.
    Error {
        /// The request's id.
        id: RequestId,
        /// Why.
        error: RpcError,
    },
    /// Something happened.
    Notify(ServerMessage),
}

impl Outgoing {
    /// The answer to a request, whichever way it went.
    #[must_use]
    pub fn answer(id: RequestId, result: Result<impl Into<Reply>, RpcError>) -> Self {
        match result {
            Ok(value) => Self::Result {
                id,
                value: value.into(),
            },
            Err(error) => Self::Error { id, error },
        }
    }

    /// The frame's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Result { id, value } => reply_text(id, value),
            Self::Error { id, error } => error_text(Some(id), error),
            Self::Notify(message) => notification_text(message),
        }
    }
}

impl From<ServerMessage> for Outgoing {
    fn from(message: ServerMessage) -> Self {
        Self::Notify(message)
    }
}

/// A frame of the server as a client written in Rust sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum FromServer {
    /// The answer to a request: its `result`, to be read as the method's result type.
    Reply {
        /// The request's id; absent where the server could not read it.
        id: Option<RequestId>,
        /// What it got.
        result: Result<Value, RpcError>,
    },
    /// Something happened.
    Notification(ServerMessage),
}

impl FromServer {
    /// Reads one text frame of a server.
    ///
    /// # Errors
    /// What serde says about a frame that is neither an answer nor a known notification.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let frame: Map<String, Value> = serde_json::from_str(text)?;
        if frame.contains_key("method") {
            return serde_json::from_value(Value::Object(frame)).map(Self::Notification);
        }
        let mut frame = frame;
        let id = match frame.remove("id") {
            None | Some(Value::Null) => None,
            Some(id) => Some(serde_json::from_value(id)?),
        };
        let result = match frame.remove("error") {
            Some(error) => Err(serde_json::from_value(error)?),
            None => Ok(frame.remove("result").unwrap_or_default()),
        };
        Ok(Self::Reply { id, result })
    }
}

fn failure(id: Option<RequestId>, kind: ErrorType) -> ParseFailure {
    ParseFailure {
        id,
        error: kind.into(),
    }
}

pub(crate) fn parse_request(text: &str) -> Result<Incoming, ParseFailure> {
    if text.len() > FRAME_BYTES_MAX {
        return Err(failure(None, ErrorType::TooLarge));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|_| failure(None, ErrorType::ParseError))?;
    let Value::Object(mut frame) = value else {
        return Err(failure(None, ErrorType::InvalidRequest));
    };
    let id = match frame.remove("id") {
        None => None,
        Some(id) => Some(request_id(&id).ok_or_else(|| failure(None, ErrorType::InvalidRequest))?),
    };
    let version = frame.remove("jsonrpc");
    let method = frame.remove("method");
    let (Some("2.0"), Some(Value::String(method))) =
        (version.as_ref().and_then(Value::as_str), method)
    else {
        return Err(failure(id, ErrorType::InvalidRequest));
    };
    let params = match frame.remove("params") {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(failure(id, ErrorType::InvalidParams)),
    };
    read_params(id, &method, params)
}

fn read_params(
    id: Option<RequestId>,
    method: &str,
    mut params: Map<String, Value>,
) -> Result<Incoming, ParseFailure> {
    let traceparent = params.remove("traceparent");
    let traceparent = traceparent.as_ref().and_then(Value::as_str);
    let traceparent = traceparent.filter(|text| text.len() <= REQUEST_ID_BYTES_MAX);
    let traceparent = traceparent.map(str::to_owned);
    let parsed = match ClientMessage::from_parts(method, Value::Object(params)) {
        None => return Err(failure(id, ErrorType::MethodNotFound)),
        Some(parsed) => parsed,
    };
    let message = parsed.map_err(|error| ParseFailure {
        id: id.clone(),
        error: RpcError::with_message(ErrorType::InvalidParams, shorten(&error.to_string())),
    })?;
    match message.check_limits() {
        Ok(()) => Ok(Incoming {
            id,
            message,
            traceparent,
        }),
        Err(error) => Err(ParseFailure { id, error }),
    }
}

/// serde quotes what it did not like; a client's megabyte must not come back in full.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    text.chars().take(CHARS_MAX).collect()
}

fn request_id(value: &Value) -> Option<RequestId> {
    if let Some(number) = value.as_i64() {
        return Some(RequestId::Number(number));
    }
    let text = value.as_str()?;
    (text.len() <= REQUEST_ID_BYTES_MAX).then(|| RequestId::Text(text.to_owned()))
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct ResultBody<'a> {
    result: &'a Reply,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RequestId>,
    error: &'a RpcError,
}

fn text_of(frame: &impl Serialize) -> String {
    // Maps with text keys and finite trees always serialise; the fallback keeps the promise typed.
    serde_json::to_string(frame).unwrap_or_default()
}

pub(crate) fn request_text(message: &ClientMessage, id: Option<&RequestId>) -> String {
    text_of(&Envelope {
        jsonrpc: "2.0",
        id,
        body: message,
    })
}

fn reply_text(id: &RequestId, result: &Reply) -> String {
    text_of(&Envelope {
        jsonrpc: "2.0",
        id: Some(id),
        body: ResultBody { result },
    })
}

fn error_text(id: Option<&RequestId>, error: &RpcError) -> String {
    text_of(&ErrorBody {
        jsonrpc: "2.0",
        id,
        error,
    })
}

fn notification_text(message: &ServerMessage) -> String {
    text_of(&Envelope {
        jsonrpc: "2.0",
        id: None,
        body: message,
    })
}
