//! The admin API: flags, and sections of the configuration.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};
use signaling::rest::{Page, PageQuery};
use signaling::{AdminRole, ErrorType};

use super::audited::note;
use super::{State, operator};
use crate::http::problem::ApiError;
use crate::ops::flags::{Flag, SWITCHES};
use crate::ops::sections::{LIVE, hide_secrets};

#[derive(Serialize)]
struct Named {
    name: String,
    /// Whether the server itself heeds it.
    switch: bool,
    #[serde(flatten)]
    flag: Flag,
}

pub(in crate::http) async fn flags(
    state: State,
    request: HttpRequest,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let flags = state.ops.policy.flags();
    let named = flags.iter().map(|(name, flag)| Named {
        name: name.clone(),
        switch: SWITCHES.contains(&name.as_str()),
        flag: flag.clone(),
    });
    let page = Page::cut(named.collect(), &query, |it| it.name.clone());
    Ok(HttpResponse::Ok().json(page))
}

pub(in crate::http) async fn flag(
    state: State,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let flags = state.ops.policy.flags();
    let flag = flags.get(name.as_str()).ok_or(ErrorType::NotFound)?;
    Ok(HttpResponse::Ok().json(flag))
}

pub(in crate::http) async fn put_flag(
    state: State,
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Json<Flag>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let flag = body.into_inner();
    note(&request, json!(flag));
    state.ops.put_flag(&name, Some(&flag)).await?;
    Ok(HttpResponse::Ok().json(flag))
}

pub(in crate::http) async fn delete_flag(
    state: State,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    if !state.ops.put_flag(&name, None).await? {
        return Err(ErrorType::NotFound.into());
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Everything in force, without secrets; what of it lies in the store; what in there is refused.
fn shown(state: &State) -> Value {
    let mut config = serde_json::to_value(&*state.config).unwrap_or_default();
    let live = state.ops.sections.live();
    config["limits"] = json!(live.limits);
    config["log"] = json!(live.log);
    config["webhooks"] = json!(live.webhooks);
    json!({
        "config": hide_secrets(config),
        "live": LIVE,
        "stored": hide_secrets(json!(state.ops.sections.stored())),
        "refused": state.ops.refusals.list(),
    })
}

pub(in crate::http) async fn config(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Admin)?;
    Ok(HttpResponse::Ok().json(shown(&state)))
}

pub(in crate::http) async fn patch_config(
    state: State,
    request: HttpRequest,
    body: web::Json<BTreeMap<String, Value>>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Admin)?;
    note(&request, hide_secrets(json!(*body)));
    state.ops.patch_config(&body).await?;
    // Workers take it from the store, this one too.
    Ok(HttpResponse::Ok().json(json!({ "written": body.keys().collect::<Vec<_>>() })))
}
