//! Streams of rooms that other workers have: a balancer sends players to any of them.

use actix_web::{HttpRequest, HttpResponse};
use signaling::{ErrorType, RpcError};

use super::Viewer;
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use crate::http::whip::moved_to;

/// What lets a viewer in. A session takes its place, since it holds at every worker, and a token in
/// a header does not follow to another address.
const CREDENTIALS: [&str; 7] = [
    "access_token",
    "session",
    "exp",
    "kid",
    "nonce",
    "sig",
    "prefix",
];

/// What is not found here may be at the worker that has the room; `moved` names it.
pub(super) async fn or_elsewhere(
    (state, request): (&AppState, &HttpRequest),
    viewer: &Viewer,
    answer: Result<HttpResponse, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let error = match answer {
        Err(error) if error.0.kind() == ErrorType::NotFound => error,
        answer => return answer,
    };
    if state.rooms.get(viewer.room.clone()).await.is_ok() {
        return Err(error);
    }
    let Some(url) = state.ops.whereabouts(&viewer.room).await? else {
        return Err(error);
    };
    let rest = rest_of(request.query_string());
    let address = format!("{}{}{rest}", request.path(), viewer.suffix);
    Err(ApiError(RpcError::moved(moved_to(&url, &address))))
}

/// What a query says besides who asks.
fn rest_of(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && !CREDENTIALS.contains(&name)
    });
    pairs.map(|pair| format!("&{pair}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_loses_what_lets_in() {
        let query = "access_token=a.b.c&_HLS_msn=7&_HLS_part=2&session=1-2&sig=0&x";
        assert_eq!(rest_of(query), "&_HLS_msn=7&_HLS_part=2&x");
        assert_eq!(rest_of(""), "");
        assert_eq!(rest_of("exp=1&kid=k&nonce=n&prefix=/live&sig=f"), "");
    }
}
