//! What a socket is closed with.

use actix_web_actors::ws;
use signaling::view::CloseReason;

/// The close frame for a reason (RFC 6455, section 7.4.1); none is a normal end.
pub(super) fn frame(reason: Option<CloseReason>) -> ws::CloseReason {
    let code = match reason {
        None | Some(CloseReason::RoomClosed) => ws::CloseCode::Normal,
        Some(CloseReason::SlowClient | CloseReason::Overloaded) => ws::CloseCode::Again,
        Some(CloseReason::Draining | CloseReason::Moved | CloseReason::Timeout) => {
            ws::CloseCode::Away
        }
        Some(CloseReason::ShardRestarted) => ws::CloseCode::Restart,
        Some(
            CloseReason::Kicked
            | CloseReason::Replaced
            | CloseReason::Revoked
            | CloseReason::Malformed
            | CloseReason::HandshakeTimeout,
        ) => ws::CloseCode::Policy,
        Some(_) => ws::CloseCode::Error,
    };
    ws::CloseReason {
        code,
        description: reason.map(|reason| word(Some(reason))),
    }
}

/// The close frame for what the codec refuses.
pub(super) fn protocol(error: &ws::ProtocolError) -> ws::CloseReason {
    let code = if matches!(error, ws::ProtocolError::Overflow) {
        ws::CloseCode::Size
    } else {
        ws::CloseCode::Protocol
    };
    code.into()
}

/// The reason's word, as `closing` says it.
pub(super) fn word(reason: Option<CloseReason>) -> String {
    let word = reason.and_then(|reason| serde_json::to_value(reason).ok());
    let word = word.as_ref().and_then(serde_json::Value::as_str);
    word.unwrap_or("left").to_owned()
}
