//! Who a request is for: this worker, another one, or all that have a part in it.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, web};
use bytes::Bytes;
use futures_util::future::join_all;
use media_types::{Identity, RoomName};
use serde::Deserialize;
use signaling::{AdminRole, ErrorType};

use super::others::{ask, hand_over, is_local};
use super::table::ROOT;
use crate::auth::Access;
use crate::http::auth::{bearer, verified};
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use crate::ops::others::Other;

/// Who answers.
enum Addressee {
    /// This worker.
    Here,
    /// These others.
    There(Vec<Other>),
    /// These others, and this worker, whose answer it is.
    Both(Vec<Other>),
    /// None of those that answer; these do not.
    Silent(Vec<String>),
}

impl Addressee {
    fn of(other: Option<Other>) -> Self {
        other.map_or(Self::Here, |other| Self::There(vec![other]))
    }
}

/// Hands requests about rooms, recordings, streams and workers to the worker that can answer them,
/// which judges them and writes them into its audit log.
pub(in crate::http) async fn forwarded<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let state = request.app_data::<web::Data<AppState>>().cloned();
    // Strangers make us ask nobody.
    let viewer = Access::Admin(AdminRole::Viewer);
    let state = state.filter(|state| {
        !is_local(request.request()) && verified(state, request.request(), viewer).is_ok()
    });
    let Some(state) = state else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let response = match addressee(&state, &mut request).await {
        Ok(Addressee::Here) => return Ok(next.call(request).await?.map_into_left_body()),
        Ok(Addressee::There(others)) => {
            let body = body_of(&mut request).await;
            match body {
                Ok(body) => handed_over(&state, request.request(), &others, body).await,
                Err(error) => Err(error),
            }
        }
        Ok(Addressee::Both(others)) => {
            // What they say is in their audit logs; this worker answers for itself.
            let _ = handed_over(&state, request.request(), &others, Bytes::new()).await;
            return Ok(next.call(request).await?.map_into_left_body());
        }
        Ok(Addressee::Silent(workers)) => Err(silent(&workers.join(", "))),
        Err(error) => Err(error),
    };
    let response = response.unwrap_or_else(|error| error.error_response());
    Ok(request.into_response(response).map_into_right_body())
}

fn silent(workers: &str) -> ApiError {
    ApiError::detailed(ErrorType::Unavailable, format!("no answer from {workers}"))
}

/// A body of the admin API is small.
async fn body_of(request: &mut ServiceRequest) -> Result<Bytes, ApiError> {
    let body = request.extract::<Bytes>().await;
    body.map_err(|_| ErrorType::TooLarge.into())
}

/// What the first of them answers that did it; where none did, what the first answers.
async fn handed_over(
    state: &AppState,
    request: &HttpRequest,
    others: &[Other],
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let asked = others
        .iter()
        .map(|other| hand_over(state, request, other, body.clone()));
    let mut answers: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    let done = answers.iter().position(|it| it.status().is_success());
    if answers.is_empty() {
        let names: Vec<_> = others.iter().map(|it| it.worker.as_str()).collect();
        return Err(silent(&names.join(", ")));
    }
    Ok(answers.swap_remove(done.unwrap_or(0)))
}

/// Who answers, by the path, and by the body where that says the room.
async fn addressee(state: &AppState, request: &mut ServiceRequest) -> Result<Addressee, ApiError> {
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let rest = path.strip_prefix(ROOT).and_then(|it| it.strip_prefix('/'));
    let mut parts = rest.unwrap_or_default().split('/');
    let parts = (parts.next(), parts.next(), parts.next(), parts.next());
    Ok(match parts {
        (Some("rooms"), Some(room), what, None) => {
            Addressee::of(of_room(state, &method, room, what).await)
        }
        (Some("rooms"), Some(room), ..) => Addressee::of(owner(state, room).await),
        (Some("workers"), Some(worker), ..) => Addressee::of(other(state, worker).await),
        (Some("recordings"), None, ..) if method == Method::POST => {
            let body = body_of(request).await?;
            request.set_payload(Payload::from(body.clone()));
            let named = serde_json::from_slice::<RoomOf>(&body).ok();
            match named {
                Some(RoomOf { room }) => Addressee::of(owner(state, &room).await),
                None => Addressee::Here,
            }
        }
        (Some("recordings"), Some(id), ..) if !id.is_empty() => {
            let here = state.recordings().is_ok_and(|it| it.get(id).is_ok());
            let path = format!("recordings/{id}");
            holders(state, request.request(), &path, here).await?
        }
        (Some("egress"), Some(room), Some(stream), _) => {
            let here = packages(state, room, stream);
            let path = format!("egress/{room}/{stream}");
            holders(state, request.request(), &path, here).await?
        }
        _ => Addressee::Here,
    })
}

/// The room that a recording is asked of.
#[derive(Deserialize)]
struct RoomOf {
    room: String,
}

fn packages(state: &AppState, room: &str, stream: &str) -> bool {
    let name = room.parse::<RoomName>().ok();
    let name = name.zip(stream.parse::<Identity>().ok());
    name.is_some_and(|(room, stream)| {
        let found = state.egress().ok().and_then(|it| it.find(&room, &stream));
        found.is_some_and(|it| it.is_open())
    })
}

/// Who has a thing that no store knows of: one that recordings are at, all that package a stream
/// where it is to end.
async fn holders(
    state: &AppState,
    request: &HttpRequest,
    path: &str,
    here: bool,
) -> Result<Addressee, ApiError> {
    let all = request.method() == Method::DELETE && path.starts_with("egress/");
    if here && !all {
        return Ok(Addressee::Here);
    }
    let token = bearer(request).ok_or(ErrorType::Unauthorized)?;
    let path = format!("{path}?local=true");
    let others = state.ops.others().await;
    let asked = others
        .iter()
        .map(|other| ask(state, other, &path, token.expose()));
    let (mut have, mut silent) = (Vec::new(), Vec::new());
    for (other, answer) in others.iter().zip(join_all(asked).await) {
        match answer {
            Some(answer) if answer["id"].is_string() => have.push(other.clone()),
            Some(_) => {}
            None => silent.push(other.worker.clone()),
        }
    }
    if !all {
        have.truncate(1);
    }
    Ok(match (here, have.is_empty(), silent.is_empty()) {
        (true, true, _) | (false, true, true) => Addressee::Here,
        (true, false, _) => Addressee::Both(have),
        (false, false, _) => Addressee::There(have),
        (false, true, false) => Addressee::Silent(silent),
    })
}

/// How a room is set, where it is and that it ends is its owner's; the rest any part can do.
async fn of_room(
    state: &AppState,
    method: &Method,
    room: &str,
    what: Option<&str>,
) -> Option<Other> {
    let owners = what.map_or(*method != Method::GET, |what| what == "migrate");
    if !owners {
        return owner(state, room).await;
    }
    match state.rooms.get(room.parse().ok()?).await {
        Ok(status) => other(state, &status.worker).await,
        Err(_) => owner(state, room).await,
    }
}

/// Who has a room that is not here.
async fn owner(state: &AppState, room: &str) -> Option<Other> {
    let room: RoomName = room.parse().ok()?;
    if state.rooms.get(room.clone()).await.is_ok() {
        return None;
    }
    other(state, &state.ops.owner_of(&room).await?).await
}

/// Another worker whose lease runs.
async fn other(state: &AppState, worker: &str) -> Option<Other> {
    if worker == state.ops.worker {
        return None;
    }
    let others = state.ops.others().await;
    others.iter().find(|other| other.worker == worker).cloned()
}
