//! What goes wrong inside, and the one place where it becomes what a client sees.

use control_plane::ControlPlaneError;
use media_contract::RefusedReason;
use signaling::{ErrorType, RpcError};
use supervision::AskError;

use crate::limits::STORE_RETRY_AFTER;

/// Why a room is not here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActorsError {
    /// An actor did not answer.
    #[error("an actor did not answer: {0}")]
    Ask(#[from] AskError),
    /// The worker is being emptied.
    #[error("the worker is draining")]
    Draining,
    /// The worker has as many rooms as it may.
    #[error("the worker has no place for another room")]
    RoomsFull,
    /// Another worker owns the room.
    #[error("the room is on another worker")]
    Elsewhere {
        /// Its signalling URL, where it is known.
        url: Option<String>,
    },
    /// The store did not answer, or not in time.
    #[error("the store did not answer")]
    Store(#[source] Option<ControlPlaneError>),
    /// A shard refused a command.
    #[error("a shard refused: {0:?}")]
    Refused(RefusedReason),
    /// There is no such room or peer here.
    #[error("not found")]
    NotFound,
}

impl From<ActorsError> for RpcError {
    fn from(error: ActorsError) -> Self {
        match error {
            ActorsError::Ask(AskError::Full | AskError::TimedOut) | ActorsError::RoomsFull => {
                ErrorType::Overloaded.into()
            }
            ActorsError::Ask(AskError::Closed | AskError::Lost) => ErrorType::Internal.into(),
            ActorsError::Draining => ErrorType::Draining.into(),
            ActorsError::Elsewhere { url: Some(url) } => Self::moved(url),
            ActorsError::Elsewhere { url: None } => ErrorType::Unavailable.into(),
            ActorsError::Store(_) => {
                Self::from(ErrorType::Unavailable).retry_after(STORE_RETRY_AFTER)
            }
            ActorsError::Refused(reason) => from_refused(reason),
            ActorsError::NotFound => ErrorType::NotFound.into(),
        }
    }
}

pub(crate) fn from_ask(error: AskError) -> RpcError {
    ActorsError::from(error).into()
}

fn from_refused(reason: RefusedReason) -> RpcError {
    match reason {
        RefusedReason::BadSdp(text) => RpcError::with_message(ErrorType::BadSdp, text),
        RefusedReason::Unsupported => ErrorType::Unsupported.into(),
        RefusedReason::Forbidden => ErrorType::Forbidden.into(),
        RefusedReason::Limit(_) => ErrorType::Overloaded.into(),
        RefusedReason::UnknownTrack | RefusedReason::UnknownMid => ErrorType::NotFound.into(),
        // The room moved under us, or a shard lost it: the client tries again.
        RefusedReason::StaleEpoch
        | RefusedReason::UnknownRoom
        | RefusedReason::UnknownTransport => ErrorType::Unavailable.into(),
        _ => ErrorType::Internal.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_word() {
        let url = || Some("wss://b".to_owned());
        let cases = [
            (ActorsError::Ask(AskError::Full), ErrorType::Overloaded),
            (ActorsError::Ask(AskError::TimedOut), ErrorType::Overloaded),
            (ActorsError::Ask(AskError::Closed), ErrorType::Internal),
            (ActorsError::Ask(AskError::Lost), ErrorType::Internal),
            (ActorsError::Draining, ErrorType::Draining),
            (ActorsError::RoomsFull, ErrorType::Overloaded),
            (ActorsError::Elsewhere { url: url() }, ErrorType::Moved),
            (ActorsError::Elsewhere { url: None }, ErrorType::Unavailable),
            (ActorsError::Store(None), ErrorType::Unavailable),
            (ActorsError::NotFound, ErrorType::NotFound),
        ];
        for (error, word) in cases {
            assert_eq!(RpcError::from(error).kind(), word);
        }
        let refusals = [
            (RefusedReason::StaleEpoch, ErrorType::Unavailable),
            (RefusedReason::UnknownRoom, ErrorType::Unavailable),
            (RefusedReason::UnknownTransport, ErrorType::Unavailable),
            (RefusedReason::UnknownTrack, ErrorType::NotFound),
            (RefusedReason::UnknownMid, ErrorType::NotFound),
            (RefusedReason::BadSdp("m=".into()), ErrorType::BadSdp),
            (RefusedReason::Unsupported, ErrorType::Unsupported),
            (RefusedReason::Limit("x"), ErrorType::Overloaded),
            (RefusedReason::Forbidden, ErrorType::Forbidden),
        ];
        for (reason, word) in refusals {
            assert_eq!(RpcError::from(ActorsError::Refused(reason)).kind(), word);
        }
    }
}
