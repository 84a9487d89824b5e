//! The admin API: streams that are watched by HTTP, and recordings.

use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use media_types::{Identity, RoomName, TrackId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use signaling::rest::{Page, PageQuery};
use signaling::{AdminRole, ErrorType};

use super::{State, operator, others, text};
use crate::egress::record::RecordingRequest;
use crate::http::auth::name;
use crate::http::problem::ApiError;

/// Tracks that one recording may name.
const TRACKS_MAX: usize = 64;
/// The shortest file of a recording.
const ROTATION_MIN: Duration = Duration::from_secs(10);

/// A stream that is packaged.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct EgressStatus {
    id: String,
    room: RoomName,
    stream: Identity,
    /// Since somebody last asked for something.
    quiet_ms: u64,
    worker: String,
}

pub(in crate::http) async fn list(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let all = state.egress()?.list().into_iter();
    let own = all.map(|(room, stream, quiet)| {
        json!(EgressStatus {
            id: format!("{room}/{stream}"),
            room,
            stream,
            quiet_ms: u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX),
            worker: state.ops.worker.clone(),
        })
    });
    others::merged(&state, &request, "egress", own.collect(), |it| {
        text(it, "id")
    })
    .await
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

/// What shall be recorded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct RecordingBody {
    room: RoomName,
    #[serde(default)]
    stream: Option<Identity>,
    #[serde(default)]
    tracks: Vec<TrackId>,
    #[serde(default)]
    rotation_s: Option<u64>,
}

pub(in crate::http) async fn record(
    state: State,
    request: HttpRequest,
    body: web::Json<RecordingBody>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let body = body.into_inner();
    let rotation = body.rotation_s.map(Duration::from_secs);
    let short = rotation.is_some_and(|it| !it.is_zero() && it < ROTATION_MIN);
    if body.tracks.len() > TRACKS_MAX || short {
        let text = "at most 64 tracks, and files of 10 s or more";
        return Err(ApiError::detailed(ErrorType::InvalidParams, text));
    }
    let request = RecordingRequest {
        room: body.room,
        stream: body.stream,
        tracks: body.tracks,
        rotation,
    };
    let view = state.recordings()?.start(request).await?;
    let location = format!("/admin/v1/recordings/{}", view.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .json(view))
}

pub(in crate::http) async fn recordings(
    state: State,
    request: HttpRequest,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let page = Page::cut(state.recordings()?.list(), &query, |it| it.id.clone());
    Ok(HttpResponse::Ok().json(page))
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
