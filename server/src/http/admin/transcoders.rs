//! The admin API: transcoding jobs.

use actix_web::{HttpRequest, HttpResponse, web};
use media_types::Bitrate;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::{AdminRole, ErrorType};

use super::{State, operator, others, text};
use crate::http::auth::name;
use crate::http::problem::ApiError;

/// Every transcoding job, those that were given up among them.
pub(in crate::http) async fn list(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let jobs = state.transcoders.list();
    let own = jobs.iter().map(|job| {
        let mut job = json!(job);
        job["worker"] = json!(state.ops.worker);
        job
    });
    let key = |job: &Value| {
        format!(
            "{}-{:012}",
            text(job, "worker"),
            job["id"].as_u64().unwrap_or(0)
        )
    };
    others::merged(&state, &request, "transcoders", own.collect(), key).await
}

/// What changes of a job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct JobBody {
    /// What its encoder aims at from here on, in kb/s.
    bitrate_kbps: u32,
}

/// Changes a job of this worker.
pub(in crate::http) async fn change(
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Json<JobBody>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let bitrate = Bitrate::from_kbps(u64::from(body.bitrate_kbps));
    match state.transcoders.set_bitrate(name(&id)?, bitrate) {
        None => Err(ErrorType::NotFound.into()),
        Some(true) => Ok(HttpResponse::NoContent().finish()),
        Some(false) => {
            let problem = "its encoder takes no such bitrate, or the job has ended";
            Err(ApiError::detailed(
                ErrorType::InvalidParams,
                problem.to_owned(),
            ))
        }
    }
}
