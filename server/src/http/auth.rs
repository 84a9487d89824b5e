//! Where a request carries its token, and whether its transport is good enough.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use media_types::RoomName;
use serde::Deserialize;
use signaling::{Claims, ErrorType, Secret};

use super::problem::ApiError;
use super::state::AppState;
use crate::auth::{Access, authorize};

#[derive(Deserialize)]
struct TokenQuery {
    access_token: Option<String>,
}

/// The token of a request: `Authorization: Bearer`, else `?access_token=`.
pub(super) fn bearer(request: &HttpRequest) -> Option<Secret> {
    let header = request.headers().get(AUTHORIZATION);
    if let Some(header) = header {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        return bearer.then(|| Secret::new(token.trim()));
    }
    let query = actix_web::web::Query::<TokenQuery>::from_query(request.query_string()).ok()?;
    query.into_inner().access_token.map(Secret::new)
}

/// Verifies a request's token for this use.
pub(super) fn verified(
    state: &AppState,
    request: &HttpRequest,
    access: Access,
) -> Result<Claims, ApiError> {
    let token = bearer(request).ok_or(ErrorType::Unauthorized)?;
    Ok(state.auth.judge(token.expose(), access, state.unix())?)
}

/// Verifies a request's token for this use in this room.
pub(super) fn authorized(
    state: &AppState,
    request: &HttpRequest,
    access: Access,
    room: &RoomName,
) -> Result<Claims, ApiError> {
    let claims = verified(state, request, access)?;
    authorize(&claims, access, room)?;
    Ok(claims)
}

/// Whether a request may ask for a session: by TLS where that is required, and not too often.
pub(super) fn may_enter(state: &AppState, request: &HttpRequest) -> Result<(), ApiError> {
    secure_enough(state, request)?;
    let Some(address) = address_of(request, state.config.http.trust_proxy) else {
        return Ok(());
    };
    Ok(state.ops.knock(address)?)
}

/// Who asks: the other end of the connection, or whom a proxy that we believe names last.
fn address_of(request: &HttpRequest, trust_proxy: bool) -> Option<IpAddr> {
    let forwarded = request.headers().get("x-forwarded-for");
    let forwarded = forwarded.filter(|_| trust_proxy);
    let forwarded = forwarded.and_then(|value| value.to_str().ok());
    let named = forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
    named.or_else(|| request.peer_addr().map(|address| address.ip()))
}

/// Refuses plain HTTP where TLS is required.
pub(super) fn secure_enough(state: &AppState, request: &HttpRequest) -> Result<(), ApiError> {
    let http = &state.config.http;
    if !http.require_tls || is_secure(request, http.trust_proxy) {
        Ok(())
    } else {
        Err(ErrorType::TlsRequired.into())
    }
}

/// Whether the request came by TLS, here or at a proxy that we believe.
pub(super) fn is_secure(request: &HttpRequest, trust_proxy: bool) -> bool {
    let forwarded = request.headers().get("x-forwarded-proto");
    let forwarded = forwarded.and_then(|value| value.to_str().ok());
    request.app_config().secure() || trust_proxy && forwarded == Some("https")
}

/// A name from the path.
pub(super) fn name<T: std::str::FromStr>(text: &str) -> Result<T, ApiError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| ApiError::detailed(ErrorType::InvalidParams, error.to_string()))
}
