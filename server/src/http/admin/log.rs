//! The admin API: what happened, and what operators did.

use std::time::Duration;

use actix_web::http::header::{ACCEPT, CACHE_CONTROL};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::rest::PageQuery;
use signaling::{AdminRole, ErrorType};
use tokio::sync::watch;

use super::{State, operator};
use crate::http::auth::bearer;
use crate::http::problem::ApiError;
use crate::ops::audit::Head;
use crate::ops::events::Event;

/// Events of one page, and those read at once for a stream.
const EVENTS_MAX: usize = 1_000;
/// Before a stream with nothing to say says that it lives: proxies cut those that are silent.
const ALIVE_AFTER: Duration = Duration::from_secs(15);
/// How long another worker may take to give its log.
const OTHERS_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct EventsQuery {
    after: Option<u64>,
    cursor: Option<u64>,
    limit: Option<usize>,
}

pub(in crate::http) async fn events(
    state: State,
    request: HttpRequest,
    query: web::Query<EventsQuery>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    // A browser's EventSource says by itself where it was (WHATWG HTML, section 9.2).
    let again = header("last-event-id").and_then(|id| id.parse().ok());
    let after = again.or(query.after).or(query.cursor);
    let streams = header(ACCEPT.as_str()).is_some_and(|it| it.contains("text/event-stream"));
    if !streams {
        let limit = query.limit.unwrap_or(100).clamp(1, EVENTS_MAX);
        let since = state.ops.journal.since(after.unwrap_or(0), limit);
        let cursor = since.events.last().map(|event| event.id.to_string());
        let events: Vec<&Event> = since.events.iter().map(AsRef::as_ref).collect();
        let body = json!({ "items": events, "cursor": cursor, "lost": since.lost });
        return Ok(HttpResponse::Ok().json(body));
    }
    let news = state.ops.journal.listen();
    // Without a number: from now on.
    let at = after.unwrap_or_else(|| *news.borrow());
    let body = stream::unfold((state, news, at), next_chunk);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(body))
}

type Following = (State, watch::Receiver<u64>, u64);

async fn next_chunk(
    (state, mut news, at): Following,
) -> Option<(Result<Bytes, std::convert::Infallible>, Following)> {
    loop {
        let since = state.ops.journal.since(at, EVENTS_MAX);
        if let Some(last) = since.events.last().map(|event| event.id) {
            let mut text = String::new();
            if since.lost {
                text.push_str("event: lost\ndata: {}\n\n");
            }
            for event in since.events {
                let data = serde_json::to_string(&*event).unwrap_or_default();
                text.push_str(&format!(
                    "id: {}\nevent: {}\ndata: {data}\n\n",
                    event.id, event.kind
                ));
            }
            return Some((Ok(Bytes::from(text)), (state, news, last)));
        }
        match tokio::time::timeout(ALIVE_AFTER, news.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some((Ok(Bytes::from_static(b": alive\n\n")), (state, news, at))),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct AuditQuery {
    /// This worker's log alone.
    local: bool,
}

/// What operators did, on all workers: each chain whole and by itself, since it is checked so.
pub(in crate::http) async fn audit(
    state: State,
    request: HttpRequest,
    query: web::Query<AuditQuery>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Admin)?;
    let own = own_log(&state).await?;
    if query.local {
        return Ok(HttpResponse::Ok().json(own));
    }
    let token = bearer(&request).ok_or(ErrorType::Unauthorized)?;
    let heads = state.ops.heads().await?;
    let mine = |head: &Head| own["chain"] == head.chain.as_str();
    let others = heads.iter().filter(|head| !mine(head));
    let (state, token) = (&state, token.expose());
    let asked = others.map(|head| async move {
        let log = ask(state, &head.url, token).await;
        log.ok_or(head).map(|log| (head, log))
    });
    let answers = join_all(asked).await;
    let mut missing = Vec::new();
    let mut items = entries_of(&own);
    for answer in answers {
        match answer {
            Ok((head, log)) if log["chain"] == head.chain.as_str() => {
                items.extend(entries_of(&log));
            }
            Ok((head, _)) | Err(head) => missing.push(json!(head)),
        }
    }
    let key = |item: &Value| item["order"].as_str().unwrap_or_default().to_owned();
    items.sort_by_key(key);
    let page = signaling::rest::Page::cut(items, &page, key);
    Ok(HttpResponse::Ok().json(json!({
        "items": page.items, "cursor": page.cursor, "heads": heads, "missing": missing,
    })))
}

async fn own_log(state: &State) -> Result<Value, ApiError> {
    let unavailable = |_| ApiError::from(ErrorType::Unavailable);
    let records = state.ops.audit.records().await.map_err(unavailable)?;
    let head = state
        .ops
        .audit
        .head(&state.ops.url)
        .await
        .map_err(unavailable)?;
    Ok(json!({ "chain": head.chain, "worker": head.worker, "records": records }))
}

/// The log of another worker, asked with what the operator brought.
async fn ask(state: &State, url: &str, token: &str) -> Option<Value> {
    let url = format!("{}/admin/v1/audit?local=true", url.trim_end_matches('/'));
    let request = state
        .ops
        .client
        .get(url)
        .bearer_auth(token)
        .timeout(OTHERS_MAX);
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    serde_json::from_slice(&answer.bytes().await.ok()?).ok()
}

/// A log's entries, each with its chain, and what all are sorted by: time, chain, place.
fn entries_of(log: &Value) -> Vec<Value> {
    let records = log["records"].as_array().into_iter().flatten();
    let entries = records.map(|record| {
        let body = record["body"].as_str().unwrap_or_default();
        let entry: Value = serde_json::from_str(body).unwrap_or_default();
        let (at, seq) = (entry["at"].as_u64(), record["seq"].as_u64());
        let chain = log["chain"].as_str().unwrap_or_default();
        let (at, seq) = (at.unwrap_or(0), seq.unwrap_or(0));
        json!({
            "order": format!("{at:016}/{chain}/{seq:012}"),
            "chain": chain, "seq": seq, "entry": entry,
            "body": body, "prev": record["prev"], "hash": record["hash"],
        })
    });
    entries.collect()
}
