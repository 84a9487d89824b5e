//! The admin API: its routes ([`table`]), and those of rooms and peers.

use actix_web::{HttpRequest, HttpResponse, web};
use actors::Fault;
use media_types::RoomName;
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::rest::{RoomPatch, RoomSettings};
use signaling::{AdminRole, Claims, ErrorType};

use super::auth::{name, verified};
use super::problem::ApiError;
use super::state::AppState;
use crate::auth::Access;

mod act;
mod addressed;
mod audited;
mod cluster;
mod egress;
mod events;
mod log;
mod moves;
mod openapi;
mod others;
mod quic;
mod settings;
pub(super) mod table;
mod transcoders;
mod webhooks;

pub(super) use addressed::forwarded;
pub(super) use audited::audited;

type State = web::Data<AppState>;

/// Checks the role of whoever asks. Rooms play no part: operators see all of them.
fn operator(state: &AppState, request: &HttpRequest, role: AdminRole) -> Result<Claims, ApiError> {
    let claims = verified(state, request, Access::Admin(role))?;
    audited::note_actor(request, &claims);
    if claims.troupe.admits(role) {
        Ok(claims)
    } else {
        Err(ErrorType::Forbidden.into())
    }
}

/// A text of a listed item.
fn text(item: &Value, field: &str) -> String {
    item[field].as_str().unwrap_or_default().to_owned()
}

pub(super) async fn rooms(state: State, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let rooms = state.rooms.list().await?;
    let own = rooms.iter().map(|room| json!(room)).collect();
    others::merged(&state, &request, "rooms", own, |room| text(room, "name")).await
}

pub(super) async fn room(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let status = state.rooms.get(name(&room)?).await?;
    Ok(HttpResponse::Ok().json(status))
}

pub(super) async fn put_room(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
    settings: web::Json<RoomSettings>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let room = name(&room)?;
    audited::note(&request, json!(*settings));
    let (status, opened) = state.rooms.put(room, settings.into_inner()).await?;
    let mut response = if opened {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(response.json(status))
}

pub(super) async fn patch_room(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
    patch: web::Json<RoomPatch>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    audited::note(&request, json!(*patch));
    let status = state.rooms.patch(name(&room)?, patch.into_inner()).await?;
    Ok(HttpResponse::Ok().json(status))
}

pub(super) async fn delete_room(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    state.rooms.close(name(&room)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn peers(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let room = name::<RoomName>(&room)?;
    let whole = state.rooms.get(room.clone()).await?.peers;
    let peers = state.rooms.peers(room.clone()).await?;
    let own = peers.iter().map(|peer| json!(peer)).collect();
    // A viewer's identity may be there more than once; its session is not.
    let key = |peer: &Value| format!("{}/{}", text(peer, "peerId"), text(peer, "sessionId"));
    let path = format!("rooms/{room}/peers");
    others::of_parts((&state, &request), &path, own, whole, key).await
}

pub(super) async fn kick(
    state: State,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let (room, peer) = path.into_inner();
    state.rooms.kick(name(&room)?, name(&peer)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What shall fail.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum FaultBody {
    /// The room's actor.
    Room,
    /// A peer's actor.
    Peer { peer: String },
    /// A peer's transport.
    Transport { peer: String },
}

/// Fails a part on purpose; there is no such route where `debug.faults` is off.
pub(super) async fn fault(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
    body: web::Json<FaultBody>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Admin)?;
    if !state.config.debug.faults {
        return Err(ErrorType::NotFound.into());
    }
    let fault = match body.into_inner() {
        FaultBody::Room => Fault::Room,
        FaultBody::Peer { peer } => Fault::Peer(name(&peer)?),
        FaultBody::Transport { peer } => Fault::Transport(name(&peer)?),
    };
    state.rooms.inject(name(&room)?, fault).await?;
    Ok(HttpResponse::NoContent().finish())
}
