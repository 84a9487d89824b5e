//! What a client is told when something fails: one stable word, whatever the protocol.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! error_types {
    ($(
        $(#[$doc:meta])*
        $name:ident = $word:literal, $code:literal, $status:literal, $title:literal;
    )*) => {
        /// The stable word for a failure: `data.type` of a JSON-RPC error, the end of `type` in
        /// problem+json.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[non_exhaustive]
        pub enum ErrorType {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl ErrorType {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The code of the JSON-RPC error (JSON-RPC 2.0, section 5.1).
            #[must_use]
            pub const fn code(self) -> i32 {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that says the same.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// One line for a human; never holds what the client sent.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

error_types! {
    /// The frame or body is not JSON.
    ParseError = "parse_error", -32700, 400, "Not valid JSON";
    /// JSON, but not a request.
    InvalidRequest = "invalid_request", -32600, 400, "Not a valid request";
    /// No such method, or not on this resource.
    MethodNotFound = "method_not_found", -32601, 405, "No such method";
    /// The parameters do not fit the method.
    InvalidParams = "invalid_params", -32602, 400, "Invalid parameters";
    /// We failed.
    Internal = "internal", -32603, 500, "Internal error";
    /// No token, or one that is malformed, badly signed or out of its time.
    Unauthorized = "unauthorized", -32000, 401, "A valid token is needed";
    /// The token does not grant this, or not in this room.
    Forbidden = "forbidden", -32001, 403, "The token does not grant this";
    /// The token was for one use and has been used.
    Replayed = "replayed", -32002, 409, "The token has been used before";
    /// The room, or its number of publishers, is at its limit.
    RoomFull = "room_full", -32003, 503, "The room is full";
    /// Too much in too short a time; see `retryAfterMs`.
    RateLimited = "rate_limited", -32004, 429, "Too many requests";
    /// The session description cannot be used.
    BadSdp = "bad_sdp", -32005, 400, "The session description cannot be used";
    /// The method needs a `join` first.
    NotJoined = "not_joined", -32006, 409, "Join the room first";
    /// The worker takes no new joins; see `retryAfterMs`.
    Draining = "draining", -32007, 503, "The server is shutting down";
    /// Understood, but this server or session cannot do it.
    Unsupported = "unsupported", -32008, 501, "Not supported";
    /// The room lives on another worker; see `url`.
    Moved = "moved", -32009, 307, "The room is on another server";
    /// A queue of ours is full; try again.
    Overloaded = "overloaded", -32010, 503, "The server is overloaded";
    /// No such room, peer, track or session.
    NotFound = "not_found", -32011, 404, "Not found";
    /// Longer than its limit.
    TooLarge = "too_large", -32012, 413, "Too large";
    /// Plain HTTP where TLS is required.
    TlsRequired = "tls_required", -32013, 426, "TLS is required";
    /// `If-Match` names another version than the current one.
    PreconditionFailed = "precondition_failed", -32014, 412, "The resource has changed";
    /// `If-Match` is needed.
    PreconditionRequired = "precondition_required", -32015, 428, "If-Match is needed";
    /// A body of a type that this resource does not take.
    UnsupportedMediaType = "unsupported_media_type", -32016, 415, "Unsupported media type";
    /// The cluster's store does not answer, and what was asked needs it.
    Unavailable = "unavailable", -32017, 503, "Temporarily unavailable";
    /// It contradicts what is there already.
    Conflict = "conflict", -32018, 409, "Conflict";
}

/// What a failed request says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The JSON-RPC code; follows from `data.type`.
    pub code: i32,
    /// One line for a developer. Programs read `data.type`.
    pub message: String,
    /// The stable part.
    pub data: ErrorDetail,
}

/// The stable part of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDetail {
    /// What happened, as a stable word.
    #[serde(rename = "type")]
    pub kind: ErrorType,
    /// When to try again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Where to go instead, with `moved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl RpcError {
    /// An error whose message is the type's title.
    #[must_use]
    pub fn new(kind: ErrorType) -> Self {
        Self::with_message(kind, kind.title())
    }

    /// An error that says more to a developer. Never put a token or the reason of a failed
    /// signature here.
    #[must_use]
    pub fn with_message(kind: ErrorType, message: impl Into<String>) -> Self {
        let data = ErrorDetail {
            kind,
            retry_after_ms: None,
            url: None,
        };
        Self {
            code: kind.code(),
            message: message.into(),
            data,
        }
    }

    /// The room lives there.
    #[must_use]
    pub fn moved(url: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorType::Moved);
        error.data.url = Some(url.into());
        error
    }

    /// The same, with the time after which trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.data.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// What happened.
    #[must_use]
    pub const fn kind(&self) -> ErrorType {
        self.data.kind
    }
}

impl From<ErrorType> for RpcError {
    fn from(kind: ErrorType) -> Self {
        Self::new(kind)
    }
}

/// The body of a failed HTTP request (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `urn:troupe:error:` and the stable word.
    #[serde(rename = "type")]
    pub kind: String,
    /// One line that is the same for every failure of this type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What a developer may want to know about this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When to try again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// The media type of this body.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
    /// What precedes the stable word in `type`.
    pub const TYPE_PREFIX: &'static str = "urn:troupe:error:";
}

impl From<&RpcError> for Problem {
    fn from(error: &RpcError) -> Self {
        let kind = error.kind();
        Self {
            kind: format!("{}{}", Self::TYPE_PREFIX, kind.word()),
            title: kind.title().to_owned(),
            status: kind.http_status(),
            detail: (error.message != kind.title()).then(|| error.message.clone()),
            retry_after_ms: error.data.retry_after_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_type_has_its_own_word_and_code() {
        let listed: Vec<_> = ErrorType::ALL
            .iter()
            .map(|kind| (kind.word(), kind.code(), kind.http_status()))
            .collect();
        let expected = [
            ("parse_error", -32700, 400),
            ("invalid_request", -32600, 400),
            ("method_not_found", -32601, 405),
            ("invalid_params", -32602, 400),
            ("internal", -32603, 500),
            ("unauthorized", -32000, 401),
            ("forbidden", -32001, 403),
            ("replayed", -32002, 409),
            ("room_full", -32003, 503),
            ("rate_limited", -32004, 429),
            ("bad_sdp", -32005, 400),
            ("not_joined", -32006, 409),
            ("draining", -32007, 503),
            ("unsupported", -32008, 501),
            ("moved", -32009, 307),
            ("overloaded", -32010, 503),
            ("not_found", -32011, 404),
            ("too_large", -32012, 413),
            ("tls_required", -32013, 426),
            ("precondition_failed", -32014, 412),
            ("precondition_required", -32015, 428),
            ("unsupported_media_type", -32016, 415),
            ("unavailable", -32017, 503),
            ("conflict", -32018, 409),
        ];
        assert_eq!(listed, expected);
        let codes: BTreeSet<_> = ErrorType::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ErrorType::ALL.len());
        for kind in ErrorType::ALL {
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.word());
        }
    }

    #[test]
    fn an_error_and_its_problem_say_the_same() {
        let error = RpcError::new(ErrorType::RateLimited).retry_after(Duration::from_millis(1_500));
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            serde_json::json!({
                "code": -32004,
                "message": "Too many requests",
                "data": {"type": "rate_limited", "retryAfterMs": 1_500},
            })
        );
        assert_eq!(
            serde_json::to_value(Problem::from(&error)).unwrap(),
            serde_json::json!({
                "type": "urn:troupe:error:rate_limited",
                "title": "Too many requests",
                "status": 429,
                "retryAfterMs": 1_500,
            })
        );
    }

    #[test]
    fn moved_carries_the_url() {
        let error = RpcError::moved("wss://b.example/v1/signal");
        let json = serde_json::to_value(&error).unwrap();
        assert_eq!(json["data"]["url"], "wss://b.example/v1/signal");
        assert_eq!(serde_json::from_value::<RpcError>(json).unwrap(), error);
    }
}
