//! The admin API: connections by QUIC, and where their clients are.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use signaling::AdminRole;

use super::{State, operator, others, text};
use crate::http::problem::ApiError;

pub(in crate::http) async fn connections(
    state: State,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let now = state.clock.now();
    let all = state.quic.iter().flat_map(|quic| quic.roster.list(now));
    let own = all.map(|connection| {
        let mut connection = json!(connection);
        connection["worker"] = json!(state.ops.worker);
        connection
    });
    let key = |row: &Value| {
        format!(
            "{}-{:012}",
            text(row, "worker"),
            row["id"].as_u64().unwrap_or(0)
        )
    };
    others::merged(&state, &request, "quic", own.collect(), key).await
}
