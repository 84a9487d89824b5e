//! The admin API: streams that are watched by HTTP, and recordings.

use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use media_types::{Identity, RoomName};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use signaling::{AdminRole, ErrorType};

use super::{State, operator, others, text};
use crate::auth::WorkerAsk;
use crate::egress::record::RecordingBody;
use crate::http::auth::name;
use crate::http::problem::ApiError;

/// Tracks that one recording may name.
const TRACKS_MAX: usize = 64;
/// The shortest file of a recording.
const ROTATION_MIN: Duration = Duration::from_secs(10);

/// A stream that is packaged.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct EgressStatus {
    id: String,
    #[schemars(with = "String")]
    room: RoomName,
    #[schemars(with = "String")]
    stream: Identity,
    /// Since somebody last asked for something.
    quiet_ms: u64,
    worker: String,
}

fn packaged(state: &State) -> Result<Vec<EgressStatus>, ApiError> {
    let all = state.egress()?.list().into_iter();
    let shown = all.map(|(room, stream, quiet)| EgressStatus {
        id: format!("{room}/{stream}"),
        room,
        stream,
        quiet_ms: u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX),
        worker: state.ops.worker.clone(),
    });
    Ok(shown.collect())
}

pub(in crate::http) async fn list(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let own = packaged(&state)?.iter().map(|it| json!(it)).collect();
    // Of a room on several workers each may package the same stream.
    let key = |it: &Value| format!("{}/{}", text(it, "id"), text(it, "worker"));
    others::merged(&state, &request, "egress", own, key).await
}

pub(in crate::http) async fn show(
    state: State,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let (room, stream) = path.into_inner();
    let id = format!("{room}/{stream}");
    let found = packaged(&state)?.into_iter().find(|it| it.id == id);
    Ok(HttpResponse::Ok().json(found.ok_or(ErrorType::NotFound)?))
}

pub(in crate::http) async fn close(
    state: State,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let (room, stream) = path.into_inner();
    if !state.egress()?.close(&name(&room)?, &name(&stream)?) {
        return Err(ErrorType::NotFound.into());
    }
    Ok(HttpResponse::NoContent().finish())
}

pub(in crate::http) async fn record(
    state: State,
    request: HttpRequest,
    body: web::Json<RecordingBody>,
) -> Result<HttpResponse, ApiError> {
    let body = body.into_inner();
    if body.continues.is_none() {
        operator(&state, &request, AdminRole::Operator)?;
    } else if !others::asks_a_worker((&state, &request), WorkerAsk::Recording, &body.text()) {
        // Only a worker that drains knows what goes on.
        return Err(ErrorType::Unauthorized.into());
    }
    let short = body
        .rotation()
        .is_some_and(|it| !it.is_zero() && it < ROTATION_MIN);
    if body.tracks.len() > TRACKS_MAX || short {
        let text = "at most 64 tracks, and files of 10 s or more";
        return Err(ApiError::detailed(ErrorType::InvalidParams, text));
    }
    let view = state.recordings()?.start(body).await?;
    let location = format!("/admin/v1/recordings/{}", view.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .json(view))
}

pub(in crate::http) async fn recordings(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let all = state.recordings()?.list();
    let own = all.iter().map(|it| json!(it)).collect();
    others::merged(&state, &request, "recordings", own, |it| text(it, "id")).await
}

pub(in crate::http) async fn recording(
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    Ok(HttpResponse::Ok().json(state.recordings()?.get(&id)?))
}

pub(in crate::http) async fn stop(
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    Ok(HttpResponse::Ok().json(state.recordings()?.stop(&id)?))
}

pub(in crate::http) async fn delete(
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Admin)?;
    state.recordings()?.delete(&id)?;
    Ok(HttpResponse::NoContent().finish())
}
