//! The admin API: workers, the rooms that they own, live sources.

use actix_web::{HttpRequest, HttpResponse, web};
use actors::{IngestStatus, IngestTrackStatus};
use control_plane::{Record, RoomOwner, WorkerRecord, keys};
use media_types::{PeerId, RoomName};
use serde_json::{Value, json};
use signaling::rest::{Page, PageQuery};
use signaling::{AdminRole, ErrorType, RpcError};

use super::{State, operator, others, text};
use crate::http::auth::name;
use crate::http::problem::ApiError;

fn track(track: &IngestTrackStatus) -> Value {
    json!({
        "trackId": track.track.to_string(),
        "kind": track.kind,
        "codec": track.codec,
        "live": track.live,
        "bitrate": track.rate.bps(),
    })
}

fn source(ingest: &IngestStatus) -> Value {
    json!({
        "id": ingest.id.to_string(),
        "room": ingest.room,
        "identity": ingest.identity,
        "protocol": ingest.protocol.word(),
        "connected": ingest.connected,
        "joinedAt": ingest.joined_at_ms,
        "connections": ingest.connections,
        "tracks": ingest.tracks.iter().map(track).collect::<Vec<_>>(),
    })
}

pub(in crate::http) async fn ingests(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let all = state.rooms.ingests().await?;
    let own = all.iter().map(|ingest| {
        let mut shown = source(ingest);
        shown["worker"] = json!(state.ops.worker);
        shown
    });
    let key = |it: &Value| format!("{}/{}", text(it, "room"), text(it, "identity"));
    others::merged(&state, &request, "ingests", own.collect(), key).await
}

pub(in crate::http) async fn close_ingest(
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let closed = state.rooms.close_ingest(name::<PeerId>(&id)?).await;
    let elsewhere = |error: &RpcError| error.kind() == ErrorType::NotFound;
    if closed.as_ref().is_err_and(elsewhere) && others::any_other(&state, &request).await {
        return Ok(HttpResponse::NoContent().finish());
    }
    closed?;
    Ok(HttpResponse::NoContent().finish())
}

/// All workers whose lease runs, with where their admin API is.
async fn all_workers(state: &State) -> Result<Vec<Value>, ApiError> {
    let listing = state.ops.store.list(&keys::workers()).await?;
    let heads = state.ops.heads().await?;
    let records = listing.entries.iter();
    let records = records.filter_map(|it| WorkerRecord::decode(&it.key, &it.value).ok());
    let workers = records.map(|record| {
        let id = record.id.to_string();
        let head = heads.iter().find(|head| head.worker == id);
        let mut shown = json!(record);
        shown["admin"] = json!(head.map(|head| &head.url));
        shown["here"] = (id == state.ops.worker).into();
        shown
    });
    Ok(workers.collect())
}

pub(in crate::http) async fn workers(
    state: State,
    request: HttpRequest,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let key = |worker: &Value| worker["id"].as_str().unwrap_or_default().to_owned();
    let mut workers = all_workers(&state).await?;
    workers.sort_by_key(key);
    Ok(HttpResponse::Ok().json(Page::cut(workers, &query, key)))
}

/// Workers, and rooms with their owners: a room whose owner is gone names one that is not listed.
pub(in crate::http) async fn topology(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let workers = all_workers(&state).await?;
    let listing = state.ops.store.list(&keys::rooms()).await?;
    let migrating = |room: &RoomName| {
        let key = keys::room_migration(room);
        listing.entries.iter().any(|entry| entry.key == key)
    };
    let rooms = listing.entries.iter().filter_map(|entry| {
        let room = keys::owned_room(&entry.key)?;
        let owner = RoomOwner::decode(&entry.key, &entry.value).ok()?;
        let worker = owner.worker?;
        let moves = migrating(&room);
        Some(json!({
            "name": room, "worker": worker, "epoch": owner.epoch, "migrating": moves,
        }))
    });
    let rooms: Vec<Value> = rooms.collect();
    Ok(HttpResponse::Ok().json(json!({ "workers": workers, "rooms": rooms })))
}
