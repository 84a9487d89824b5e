//! The limits of each message's parameters, checked after parsing.

use serde_json::Value;

use crate::client_message::{ClientMessage, JoinParams, OfferParams, SendParams};
use crate::error::{ErrorType, RpcError};
use crate::limits;

pub(crate) fn check(message: &ClientMessage) -> Result<(), RpcError> {
    match message {
        ClientMessage::Join(params) => join(params),
        ClientMessage::Offer(params) => offer(params),
        ClientMessage::Candidate(params) => {
            text("candidate", &params.candidate, limits::CANDIDATE_BYTES_MAX)
        }
        ClientMessage::Subscribe(params) => count("slots", params.slots.len(), limits::SLOTS_MAX),
        ClientMessage::SetMetadata(params) => metadata(&params.metadata),
        ClientMessage::Send(params) => send(params),
        ClientMessage::Chat(params) => text("text", &params.text, limits::CHAT_BYTES_MAX),
        ClientMessage::React(params) => text("kind", &params.kind, limits::REACTION_BYTES_MAX),
        ClientMessage::Ping(_)
        | ClientMessage::Unpublish(_)
        | ClientMessage::Mute(_)
        | ClientMessage::Time(_)
        | ClientMessage::Stats(_)
        | ClientMessage::Settled(_)
        | ClientMessage::Leave(_) => Ok(()),
    }
}

fn join(params: &JoinParams) -> Result<(), RpcError> {
    for (name, token) in [("token", &params.token), ("resume", &params.resume)] {
        let token = token.as_ref().map_or("", |token| token.expose());
        text(name, token, limits::TOKEN_BYTES_MAX)?;
    }
    let nonce = params.nonce.as_deref().unwrap_or_default();
    text("nonce", nonce, limits::NONCE_BYTES_MAX)?;
    let cause = params.traceparent.as_deref().unwrap_or_default();
    text("traceparent", cause, limits::TRACEPARENT_BYTES_MAX)?;
    let name = params.name.as_deref().unwrap_or_default();
    text("name", name, limits::DISPLAY_NAME_BYTES_MAX)?;
    params.metadata.as_ref().map_or(Ok(()), metadata)
}

fn offer(params: &OfferParams) -> Result<(), RpcError> {
    text("sdp", &params.sdp, limits::SDP_BYTES_MAX)?;
    count("tracks", params.tracks.len(), limits::TRACKS_MAX)?;
    let pairs = params.pairs.as_ref().map_or(0, Vec::len);
    count("pairs", pairs, limits::SLOTS_MAX)?;
    params.tracks.iter().try_for_each(|track| {
        let name = track.name.as_deref().unwrap_or_default();
        text("tracks.name", name, limits::DISPLAY_NAME_BYTES_MAX)
    })
}

fn send(params: &SendParams) -> Result<(), RpcError> {
    text("topic", &params.topic, limits::TOPIC_BYTES_MAX)
}

fn metadata(metadata: &Value) -> Result<(), RpcError> {
    let length = metadata.to_string().len();
    bound("metadata", length, limits::METADATA_BYTES_MAX, "bytes")
}

fn text(name: &str, text: &str, most: usize) -> Result<(), RpcError> {
    bound(name, text.len(), most, "bytes")
}

fn count(name: &str, count: usize, most: usize) -> Result<(), RpcError> {
    bound(name, count, most, "entries")
}

fn bound(name: &str, length: usize, most: usize, unit: &str) -> Result<(), RpcError> {
    if length <= most {
        return Ok(());
    }
    let message = format!("{name}: at most {most} {unit}");
    Err(RpcError::with_message(ErrorType::TooLarge, message))
}
