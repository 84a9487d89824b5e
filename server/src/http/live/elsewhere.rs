//! Streams that are at other workers: a balancer sends players to any of them.

use actix_web::{HttpRequest, HttpResponse};
use signaling::{ErrorType, RpcError};

use super::Viewer;
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use crate::http::whip::moved_to;

/// What is said anew: who is let in, and where. A session takes the place of whatever let in, since
/// it holds at every worker, and a token in a header does not follow to another address.
const SAID_ANEW: [&str; 8] = [
    "access_token",
    "session",
    "exp",
    "kid",
    "nonce",
    "sig",
    "prefix",
    "at",
];

/// A playlist names the worker that made it: each packages for itself, with numbers of its own.
/// What it names is there for as long as that worker lives; `moved` says so.
pub(super) async fn here(
    (state, request): (&AppState, &HttpRequest),
    viewer: &Viewer,
) -> Result<(), ApiError> {
    let at = viewer.query.at.as_deref();
    let Some(at) = at.filter(|at| *at != state.ops.worker) else {
        return Ok(());
    };
    match state.ops.signalling_of(at).await {
        Some(url) => Err(moved(request, &url, &format!("{}&at={at}", viewer.session))),
        None => Ok(()),
    }
}

fn moved(request: &HttpRequest, url: &str, suffix: &str) -> ApiError {
    let rest = rest_of(request.query_string());
    let address = format!("{}{suffix}{rest}", request.path());
    ApiError(RpcError::moved(moved_to(url, &address)))
}

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
    Err(moved(request, &url, &viewer.session))
}

/// What a query says besides that.
fn rest_of(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && !SAID_ANEW.contains(&name)
    });
    pairs.map(|pair| format!("&{pair}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_loses_what_is_said_anew() {
        let query = "access_token=a.b.c&_HLS_msn=7&_HLS_part=2&session=1-2&at=wk_1&sig=0&x";
        assert_eq!(rest_of(query), "&_HLS_msn=7&_HLS_part=2&x");
        assert_eq!(rest_of(""), "");
        assert_eq!(rest_of("exp=1&kid=k&nonce=n&prefix=/live&sig=f"), "");
    }
}
