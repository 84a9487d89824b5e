//! The admin API: who is posted what happens, and what has not been taken yet.

use actix_web::{HttpRequest, HttpResponse, web};
use media_types::RoomName;
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::{AdminRole, ErrorType};

use super::{State, operator, others, text};
use crate::auth::WorkerAsk;
use crate::http::problem::ApiError;
use crate::ops::webhooks::ReceiverStatus;

/// Which room is asked for, and below which epoch.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct ReceiversQuery {
    room: Option<RoomName>,
    epoch: Option<u64>,
}

impl ReceiversQuery {
    fn about(&self) -> Result<Option<(&RoomName, u64)>, ApiError> {
        match (&self.room, self.epoch) {
            (Some(room), Some(epoch)) => Ok(Some((room, epoch))),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => {
                let both = "room and epoch are asked for together";
                Err(ApiError::detailed(
                    ErrorType::InvalidParams,
                    both.to_owned(),
                ))
            }
        }
    }
}

pub(in crate::http) async fn receivers(
    state: State,
    request: HttpRequest,
    query: web::Query<ReceiversQuery>,
) -> Result<HttpResponse, ApiError> {
    // One that has just got a room asks the one that had it.
    let query_string = request.query_string();
    let by_worker = others::asks_a_worker((&state, &request), WorkerAsk::Webhooks, query_string);
    if !by_worker {
        operator(&state, &request, AdminRole::Viewer)?;
    }
    let about = query.about()?;
    let own: Vec<ReceiverStatus> = state.ops.receivers(about);
    if by_worker {
        return Ok(HttpResponse::Ok().json(json!({ "items": own })));
    }
    let own = own.iter().map(|receiver| json!(receiver)).collect();
    let asked = about.map(|(room, epoch)| format!("webhooks?room={room}&epoch={epoch}"));
    let path = asked.unwrap_or_else(|| "webhooks".to_owned());
    let key = |it: &Value| format!("{} {}", text(it, "url"), text(it, "worker"));
    others::merged(&state, &request, &path, own, key).await
}
