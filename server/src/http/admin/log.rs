//! The admin API: what operators did.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::rest::PageQuery;
use signaling::{AdminRole, ErrorType};

use super::{State, operator};
use crate::http::auth::bearer;
use crate::http::problem::ApiError;
use crate::ops::audit::Head;

/// How long another worker may take to give its log.
const OTHERS_MAX: Duration = Duration::from_secs(5);

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
