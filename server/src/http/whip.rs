//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): an offer by `POST`, the session under its own
//! URL, trickle and ICE restart by `PATCH`, the end by `DELETE`.

use std::sync::Arc;

use actix_web::http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, LINK, LOCATION};
use actix_web::{Error, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use media_types::{Identity, RoomName, TrackId};
use serde::Deserialize;
use signaling::client_message::{CandidateParams, JoinParams, OfferParams};
use signaling::limits::{FRAGMENT_BYTES_MAX, SDP_BYTES_MAX};
use signaling::whip::{FRAGMENT_CONTENT_TYPE, SDP_CONTENT_TYPE};
use signaling::{ClientMessage, ErrorType, RpcError, SdpFragment};

use super::auth::{authorized, may_enter, name, secure_enough};
use super::ice_servers;
use super::problem::ApiError;
use super::rooms::{JoinRequest, Joined, TellError, Via};
use super::sdp;
use super::state::AppState;
use super::whip_sessions::{WhipOutbox, WhipSession};
use crate::auth::{Access, random_id};

/// What an endpoint takes (RFC 9725, section 4.2; W3C LDP, section 7.1).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// What a session takes (RFC 5789, section 3.1).
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// What a viewer wants to see.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WhepQuery {
    peer: Option<String>,
    track: Option<String>,
}

pub(super) async fn publish(
    state: web::Data<AppState>,
    request: HttpRequest,
    room: web::Path<String>,
    offer: Result<web::Bytes, Error>,
) -> Result<HttpResponse, ApiError> {
    open(&state, &request, &room, offer, Access::Whip, Via::Whip).await
}

pub(super) async fn play(
    state: web::Data<AppState>,
    request: HttpRequest,
    room: web::Path<String>,
    query: web::Query<WhepQuery>,
    offer: Result<web::Bytes, Error>,
) -> Result<HttpResponse, ApiError> {
    let peer = query.peer.as_deref().map(name::<Identity>).transpose()?;
    let track = query.track.as_deref().map(name::<TrackId>).transpose()?;
    let via = Via::Whep { peer, track };
    open(&state, &request, &room, offer, Access::Whep, via).await
}

async fn open(
    state: &AppState,
    request: &HttpRequest,
    room: &str,
    offer: Result<web::Bytes, Error>,
    access: Access,
    via: Via,
) -> Result<HttpResponse, ApiError> {
    may_enter(state, request)?;
    content_type(request, SDP_CONTENT_TYPE)?;
    let room: RoomName = name(room)?;
    let claims = authorized(state, request, access, &room)?;
    let offer = text(offer, SDP_BYTES_MAX, ErrorType::BadSdp)?;
    let id = random_id();
    let outbox = WhipOutbox::new(id.clone(), &state.whip);
    let identity = claims.sub.clone();
    let joined = state.rooms.join(JoinRequest {
        identity: identity.clone(),
        room,
        grants: claims.troupe.clone(),
        // Encoders reconnect with what they were given, so a `jti` is not used up here.
        claims: None,
        resume: None,
        params: JoinParams::default(),
        via,
        outbox: outbox.clone(),
    });
    let Joined { session, .. } = joined.await.map_err(|error| moved(error, request))?;
    let params = OfferParams {
        sdp: offer.clone(),
        ..OfferParams::default()
    };
    let answer = match session.offer(params).await {
        Ok(answer) => answer.sdp,
        Err(error) => {
            session.leave();
            return Err(error.into());
        }
    };
    let session = WhipSession::new(session, offer);
    let generation = session.negotiated().generation;
    state.whip.insert(id.clone(), session);
    if outbox.is_closed() {
        // The room was faster; its end found no URL to remove.
        let _ended = state.whip.remove(&id);
        return Err(ErrorType::Unavailable.into());
    }
    let location = format!("{}/{id}", request.path());
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, location));
    response.insert_header((ETAG, etag(&id, generation)));
    response.insert_header((ACCEPT_PATCH, FRAGMENT_CONTENT_TYPE));
    link_ice_servers(state, &identity, &mut response);
    Ok(response.content_type(SDP_CONTENT_TYPE).body(answer))
}

/// `Link` headers of STUN and TURN servers (RFC 9725, section 4.6).
fn link_ice_servers(state: &AppState, identity: &Identity, response: &mut HttpResponseBuilder) {
    let servers = &state.config.webrtc.ice_servers;
    let servers = ice_servers::for_client(servers, identity, state.unix());
    for link in ice_servers::links(&servers) {
        response.append_header((LINK, link));
    }
}

pub(super) async fn patch(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    body: Result<web::Bytes, Error>,
) -> Result<HttpResponse, ApiError> {
    secure_enough(&state, &request)?;
    content_type(&request, FRAGMENT_CONTENT_TYPE)?;
    let (_, _, id) = path.into_inner();
    let session = state.whip.get(&id)?;
    let body = text(body, FRAGMENT_BYTES_MAX, ErrorType::InvalidParams)?;
    let fragment = SdpFragment::parse(&body)
        .map_err(|error| ApiError::detailed(ErrorType::InvalidParams, error.to_string()))?;
    let negotiated = session.negotiated();
    let wanted = request.headers().get(IF_MATCH);
    let wanted = wanted.ok_or(ErrorType::PreconditionRequired)?;
    let wanted = wanted.to_str().unwrap_or_default().trim();
    if wanted != "*" && wanted != etag(&id, negotiated.generation) {
        return Err(ErrorType::PreconditionFailed.into());
    }
    match fragment.credentials() {
        Some(new) if sdp::credentials(&negotiated.offer) != Some(new) => {
            restart(&id, &session, &negotiated.offer, &fragment, new).await
        }
        _ => {
            trickle(&session, &fragment)?;
            Ok(HttpResponse::NoContent().finish())
        }
    }
}

async fn restart(
    id: &str,
    session: &Arc<WhipSession>,
    offer: &str,
    fragment: &SdpFragment,
    (ufrag, pwd): (&str, &str),
) -> Result<HttpResponse, ApiError> {
    let offer = sdp::with_credentials(offer, ufrag, pwd);
    let params = OfferParams {
        sdp: offer.clone(),
        ..OfferParams::default()
    };
    let answer = session.session.offer(params).await?;
    let generation = session.restarted(offer);
    trickle(session, fragment)?;
    Ok(HttpResponse::Ok()
        .insert_header((ETAG, etag(id, generation)))
        .content_type(FRAGMENT_CONTENT_TYPE)
        .body(sdp::ice_of(&answer.sdp).to_string()))
}

fn trickle(session: &WhipSession, fragment: &SdpFragment) -> Result<(), ApiError> {
    for (sdp_mid, candidate) in fragment.candidates() {
        let message = ClientMessage::Candidate(CandidateParams {
            candidate: candidate.to_owned(),
            sdp_mid,
        });
        match session.session.tell(None, message) {
            Ok(()) => {}
            Err(TellError::Full(_)) => return Err(ErrorType::Overloaded.into()),
            Err(TellError::Closed) => return Err(ErrorType::NotFound.into()),
        }
    }
    Ok(())
}

pub(super) async fn delete(
    state: web::Data<AppState>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (_, _, id) = path.into_inner();
    state.whip.remove(&id)?.session.leave();
    Ok(HttpResponse::Ok().finish())
}

/// `OPTIONS` of an endpoint that is no preflight (RFC 9725, section 4.2).
pub(super) async fn endpoint_options() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ALLOW, "POST, OPTIONS"))
        .insert_header((ACCEPT_POST, SDP_CONTENT_TYPE))
        .finish()
}

/// `OPTIONS` of a session.
pub(super) async fn session_options() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ALLOW, "PATCH, DELETE, OPTIONS"))
        .insert_header((ACCEPT_PATCH, FRAGMENT_CONTENT_TYPE))
        .finish()
}

/// Methods that RFC 9725 keeps for later are answered with 405.
pub(super) async fn not_allowed() -> Result<HttpResponse, ApiError> {
    Err(ErrorType::MethodNotFound.into())
}

fn etag(id: &str, generation: u32) -> String {
    format!("\"{id}-{generation}\"")
}

fn content_type(request: &HttpRequest, expected: &str) -> Result<(), ApiError> {
    let given = request.headers().get(CONTENT_TYPE);
    let given = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err(ErrorType::UnsupportedMediaType.into())
    }
}

/// The body as text. One that could not be read was longer than the route takes.
fn text(
    body: Result<web::Bytes, Error>,
    most: usize,
    wrong: ErrorType,
) -> Result<String, ApiError> {
    let body = body.ok().filter(|body| body.len() <= most);
    let body = body.ok_or(ErrorType::TooLarge)?;
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::from(wrong))?;
    if text.is_empty() {
        return Err(wrong.into());
    }
    Ok(text.to_owned())
}

/// `moved` names the other worker's signalling; an encoder needs the same path there.
pub(super) fn moved(mut error: RpcError, request: &HttpRequest) -> ApiError {
    if let Some(url) = error.data.url.take() {
        error.data.url = Some(moved_to(&url, &request.uri().to_string()));
    }
    ApiError(error)
}

/// A path, with its query, at the worker whose signalling is there.
pub(super) fn moved_to(signalling: &str, path: &str) -> String {
    let base = signalling.trim_end_matches("/v1/signal");
    match base.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}{path}"),
        Some(("wss", rest)) => format!("https://{rest}{path}"),
        _ => format!("{base}{path}"),
    }
}
