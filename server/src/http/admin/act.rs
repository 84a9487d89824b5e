//! What operators do to peers: messages, mutes, changes, revoked tokens.

use actix_web::{HttpRequest, HttpResponse, web};
use actors::{GrantChange, PeerChange, Revocation};
use media_types::{Identity, TrackId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signaling::client_message::{JoinParams, SendParams};
use signaling::{Address, AdminRole, ClientMessage, ErrorType};

use super::audited::note;
use super::{State, operator};
use crate::http::auth::name;
use crate::http::problem::ApiError;

/// The body of `POST rooms/{r}/send`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SendBody {
    /// `room` or `peer:ID`; `room` where it is not said.
    #[schemars(with = "Option<String>")]
    to: Option<Address>,
    topic: String,
    payload: Value,
}

pub(in crate::http) async fn send(
    state: State,
    request: HttpRequest,
    room: web::Path<String>,
    body: web::Json<SendBody>,
) -> Result<HttpResponse, ApiError> {
    let claims = operator(&state, &request, AdminRole::Operator)?;
    let SendBody { to, topic, payload } = body.into_inner();
    let params = SendParams {
        to: to.unwrap_or(Address::Room),
        topic,
        payload,
        reliable: None,
    };
    if matches!(params.to, Address::OtherRoom(_)) {
        return Err(ErrorType::InvalidParams.into());
    }
    ClientMessage::Send(params.clone()).check_limits()?;
    let delivered = state.rooms.send(name(&room)?, claims.sub, params).await?;
    Ok(HttpResponse::Ok().json(json!({ "delivered": delivered })))
}

/// The body of `POST rooms/{r}/peers/{p}/mute`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct MuteBody {
    /// All of the peer's tracks where it is not said.
    track_id: Option<String>,
    muted: bool,
}

pub(in crate::http) async fn mute(
    state: State,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Json<MuteBody>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let (room, peer) = path.into_inner();
    let track = body.track_id.as_deref().map(name::<TrackId>).transpose()?;
    note(
        &request,
        json!({ "track": body.track_id, "muted": body.muted }),
    );
    let muted = state
        .rooms
        .mute(name(&room)?, name(&peer)?, track, body.muted);
    muted.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The body of `PATCH rooms/{r}/peers/{p}`: what is absent stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PeerBody {
    name: Option<String>,
    metadata: Option<Value>,
    #[serde(default)]
    grants: GrantsBody,
}

/// What the peer may do from now on; what is absent stays.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct GrantsBody {
    publish: Option<bool>,
    subscribe: Option<bool>,
    data: Option<bool>,
}

pub(in crate::http) async fn change(
    state: State,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    body: web::Json<PeerBody>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Operator)?;
    let (room, peer) = path.into_inner();
    let PeerBody {
        name: to,
        metadata,
        grants,
    } = body.into_inner();
    // The same texts as a join may give, within the same limits.
    let checked = ClientMessage::Join(JoinParams {
        name: to.clone(),
        metadata: metadata.clone(),
        ..JoinParams::default()
    });
    checked.check_limits()?;
    note(
        &request,
        json!({ "name": to, "metadata": metadata, "grants": grants }),
    );
    let grants = GrantChange {
        publish: grants.publish,
        subscribe: grants.subscribe,
        data: grants.data,
    };
    let change = PeerChange {
        name: to,
        metadata,
        grants,
    };
    let changed = state.rooms.change_peer(name(&room)?, name(&peer)?, change);
    changed.await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The body of `POST tokens/revoke`: one of the three.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RevokeBody {
    jti: Option<String>,
    #[schemars(with = "Option<String>")]
    sub: Option<Identity>,
    kid: Option<String>,
    /// Whether sessions that came by such a token end.
    #[serde(default)]
    end: bool,
}

impl RevokeBody {
    fn revocation(self) -> Option<Revocation> {
        match (self.jti, self.sub, self.kid) {
            (Some(jti), None, None) => Some(Revocation::Token(jti)),
            (None, Some(sub), None) => Some(Revocation::Identity(sub)),
            (None, None, Some(key)) => Some(Revocation::Key(key)),
            _ => None,
        }
    }
}

pub(in crate::http) async fn revoke(
    state: State,
    request: HttpRequest,
    body: web::Json<RevokeBody>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Admin)?;
    let body = body.into_inner();
    let end = body.end;
    let one = || ApiError::detailed(ErrorType::InvalidParams, "name one of jti, sub and kid");
    let revocation = body.revocation().ok_or_else(one)?;
    note(
        &request,
        json!({ "revoked": format!("{revocation:?}"), "end": end }),
    );
    state.ops.revoke(&revocation, end).await?;
    let ended = if end {
        state.rooms.revoke(revocation).await?
    } else {
        0
    };
    Ok(HttpResponse::Ok().json(json!({ "ended": ended })))
}
