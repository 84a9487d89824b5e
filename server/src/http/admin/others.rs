//! What is asked of one worker and answered by another, or by all of them.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::rest::{Page, PageQuery};
use signaling::{AdminRole, ErrorType};
use std::time::Duration;

use super::table::ROOT;
use super::{State, operator};
use crate::auth::{WORKER_HEADER, WorkerAsk};
use crate::http::auth::bearer;
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use crate::ops::others::Other;
use crate::telemetry::traces;

/// How long another worker may take to answer.
const OTHERS_MAX: Duration = Duration::from_secs(5);
/// Says that a request came by another worker, so that it goes no further.
const FORWARDED: &str = "troupe-forwarded";

/// Whether this worker alone is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LocalQuery {
    local: bool,
}

/// Whether this worker alone is asked: by `?local=true`, or by another worker.
pub(super) fn is_local(request: &HttpRequest) -> bool {
    says_local(request) || request.headers().contains_key(FORWARDED)
}

/// Whether it is this worker alone that is asked for its own.
fn says_local(request: &HttpRequest) -> bool {
    let query = web::Query::<LocalQuery>::from_query(request.query_string());
    query.is_ok_and(|query| query.local)
}

/// Whether it is a worker that asks for that, by itself and without an operator's token.
pub(super) fn asks_a_worker(
    (state, request): (&State, &HttpRequest),
    ask: WorkerAsk,
    text: &str,
) -> bool {
    let signature = request.headers().get(WORKER_HEADER);
    let signature = signature.and_then(|value| value.to_str().ok());
    let signer = &state.ops.signer;
    signature.is_some_and(|given| signer.judge(ask, (given, text), state.unix()).is_ok())
}

fn json_of(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// Asks another worker with what the operator brought.
pub(super) async fn ask(state: &AppState, other: &Other, path: &str, token: &str) -> Option<Value> {
    let asked = state.ops.client.get(format!("{}{ROOT}/{path}", other.url));
    let mut asked = asked.bearer_auth(token).timeout(OTHERS_MAX);
    if let Some(context) = traces::current() {
        asked = asked.header("traceparent", context.text());
    }
    let answer = asked.send().await.ok()?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        // It answers, and has nothing of the kind.
        return Some(json!({}));
    }
    json_of(&answer.error_for_status().ok()?.bytes().await.ok()?)
}

/// What all workers list under a path, which may have a query, sorted and cut by `key`; those that
/// do not answer are named.
pub(super) async fn merged(
    state: &State,
    request: &HttpRequest,
    path: &str,
    own: Vec<Value>,
    key: fn(&Value) -> String,
) -> Result<HttpResponse, ApiError> {
    let others = !is_local(request);
    joined((state, request), path, own, key, others).await
}

/// What all workers list of a room of which `whole` are said to be; one that holds all of it, or is
/// asked for its own, asks nobody. A request that came by another worker goes on.
pub(super) async fn of_parts(
    (state, request): (&State, &HttpRequest),
    path: &str,
    own: Vec<Value>,
    whole: u32,
    key: fn(&Value) -> String,
) -> Result<HttpResponse, ApiError> {
    let elsewhere = usize::try_from(whole).is_ok_and(|whole| whole > own.len());
    let others = elsewhere && !says_local(request);
    joined((state, request), path, own, key, others).await
}

async fn joined(
    (state, request): (&State, &HttpRequest),
    path: &str,
    own: Vec<Value>,
    key: fn(&Value) -> String,
    ask_others: bool,
) -> Result<HttpResponse, ApiError> {
    let query = web::Query::<PageQuery>::from_query(request.query_string());
    let query =
        query.map_err(|error| ApiError::detailed(ErrorType::InvalidParams, error.to_string()))?;
    let (mut items, mut missing) = (own, Vec::new());
    if ask_others {
        let token = bearer(request).ok_or(ErrorType::Unauthorized)?;
        let cursor = query.cursor.as_deref().map(|it| format!("&cursor={it}"));
        let cursor = cursor.unwrap_or_default();
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}local=true&limit={}{cursor}", query.limit());
        let others = state.ops.others().await;
        let asked = others
            .iter()
            .map(|other| ask(state, other, &path, token.expose()));
        for (other, answer) in others.iter().zip(join_all(asked).await) {
            match answer {
                Some(mut answer) => {
                    items.extend(
                        answer["items"]
                            .as_array_mut()
                            .map(std::mem::take)
                            .unwrap_or_default(),
                    );
                }
                None => missing.push(other.worker.clone()),
            }
        }
    }
    items.sort_by_key(key);
    // A room that moves may be on two workers.
    items.dedup_by_key(|item| key(item));
    let page = Page::cut(items, &query, key);
    Ok(HttpResponse::Ok().json(json!({
        "items": page.items, "cursor": page.cursor, "missing": missing,
    })))
}

/// Asks another worker the same, in the name of the same operator; `None`: it does not answer.
pub(super) async fn hand_over(
    state: &AppState,
    request: &HttpRequest,
    other: &Other,
    body: Bytes,
) -> Option<HttpResponse> {
    let token = bearer(request)?;
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).ok()?;
    let url = format!("{}{}", other.url, request.uri());
    let asked = state.ops.client.request(method, url);
    let mut asked = asked.bearer_auth(token.expose()).header(FORWARDED, "1");
    if let Some(context) = traces::current() {
        asked = asked.header("traceparent", context.text());
    }
    let kind = request.headers().get(CONTENT_TYPE);
    let asked = match kind.and_then(|kind| kind.to_str().ok()) {
        Some(kind) => asked.header("content-type", kind).body(body),
        None => asked,
    };
    let answer = asked.timeout(OTHERS_MAX).send().await.ok()?;
    let status = StatusCode::from_u16(answer.status().as_u16()).ok()?;
    let mut response = HttpResponse::build(status);
    for name in [CONTENT_TYPE, LOCATION, RETRY_AFTER] {
        let value = answer.headers().get(name.as_str());
        if let Some(value) = value.and_then(|value| value.to_str().ok()) {
            response.insert_header((name, value));
        }
    }
    Some(response.body(answer.bytes().await.ok()?))
}

/// Asks the other workers to do something, one after another; whether one of them did.
pub(super) async fn any_other(state: &State, request: &HttpRequest) -> bool {
    if is_local(request) {
        return false;
    }
    for other in state.ops.others().await.iter() {
        let answer = hand_over(state, request, other, Bytes::new()).await;
        if answer.is_some_and(|answer| answer.status().is_success()) {
            return true;
        }
    }
    false
}

/// The figures of one worker, as Prometheus reads them: for pages that reach only one of them.
pub(in crate::http) async fn figures(
    state: State,
    request: HttpRequest,
    worker: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    if *worker != state.ops.worker {
        return Err(ErrorType::NotFound.into());
    }
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(state.metrics.render()))
}
