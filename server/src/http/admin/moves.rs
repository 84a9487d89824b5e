//! The admin API: rooms that move, and workers that are emptied.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix_web::{HttpRequest, HttpResponse, web};
use actors::MoveStatus;
use media_types::{RoomName, ShardId, WorkerId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::{AdminRole, ErrorType};

use super::{State, operator, others, text};
use crate::http::auth::name;
use crate::http::problem::ApiError;

/// The body of `POST rooms/{room}/migrate`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::http) struct MigrateBody {
    /// The worker that it shall move to; the one that suits best where it is not said.
    #[schemars(with = "Option<String>")]
    to: Option<WorkerId>,
}

fn shown(status: &MoveStatus) -> Value {
    let mut shown = json!(status.record);
    shown["roomId"] = shown["room"].take();
    shown["room"] = json!(status.room);
    shown
}

pub(in crate::http) async fn migrate(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
    body: Option<web::Json<MigrateBody>>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let to = body.and_then(|body| body.into_inner().to);
    let status = state.rooms.migrate(name::<RoomName>(&room)?, to).await?;
    Ok(HttpResponse::Accepted().json(shown(&status)))
}

/// The body of `POST rooms/{room}/shard`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct ShardBody {
    /// That one; the least busy, if absent.
    to: Option<u16>,
}

/// Has a room go on at another shard of this worker.
pub(in crate::http) async fn shard(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
    body: Option<web::Json<ShardBody>>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let to = body.and_then(|body| body.into_inner().to).map(ShardId);
    let moved = state.rooms.move_shard(name::<RoomName>(&room)?, to).await?;
    let shown = json!({"room": moved.room, "from": moved.from.0, "to": moved.to.0});
    Ok(HttpResponse::Accepted().json(shown))
}

pub(in crate::http) async fn migrations(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let all = state.rooms.migrations().await?;
    let own = all.iter().map(shown).collect();
    others::merged(&state, &request, "migrations", own, |it| text(it, "room")).await
}

/// Empties this worker. The process stays; readiness does not.
pub(in crate::http) async fn drain(
    state: State,
    request: HttpRequest,
    worker: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    if name::<WorkerId>(&worker)?.to_string() != state.ops.worker {
        return Err(ErrorType::NotFound.into());
    }
    state.health.set_draining();
    state.rooms.drain().await?;
    if let Some(recordings) = state.recordings.clone() {
        let ops = Arc::clone(&state.ops);
        actix_web::rt::spawn(async move {
            let settled = AtomicBool::new(false);
            recordings.hand_over(&ops, &settled).await;
        });
    }
    Ok(HttpResponse::Accepted().finish())
}
