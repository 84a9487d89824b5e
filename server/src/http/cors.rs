//! Cross-origin requests (Fetch, section 3.2): pages elsewhere may use signalling, WHIP and WHEP.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::state::AppState;

const METHODS: &str = "GET, POST, PATCH, DELETE, OPTIONS";
const HEADERS: &str = "Authorization, Content-Type, If-Match";
const EXPOSED: &str = "Location, ETag, Link, Retry-After, Accept-Post, Accept-Patch";
/// An hour: the longest that every browser keeps it.
const MAX_AGE_S: &str = "3600";

/// Answers preflights, and lets allowed origins read what is answered.
pub(super) async fn cross_origin<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let allowed = allowed_origin(&request);
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if preflight {
        let mut response = HttpResponse::NoContent().finish();
        if let Some(origin) = allowed {
            let headers = response.headers_mut();
            allow(headers, origin);
            let pairs = [
                (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
                (ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
            ];
            for (name, value) in pairs {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        return Ok(request.into_response(response).map_into_right_body());
    }
    let mut response = next.call(request).await?;
    if let Some(origin) = allowed {
        let headers = response.headers_mut();
        allow(headers, origin);
        let exposed = HeaderValue::from_static(EXPOSED);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    Ok(response.map_into_left_body())
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    if origin != "*" {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

/// What to allow: `*` for all, the origin itself where it is named. Tokens travel in headers, never
/// in cookies, so credentials are never allowed.
fn allowed_origin(request: &ServiceRequest) -> Option<HeaderValue> {
    let origin = request.headers().get(ORIGIN)?;
    let state = request.app_data::<web::Data<AppState>>()?;
    let origins = &state.config.http.cors_origins;
    if origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let text = origin.to_str().ok()?;
    origins
        .iter()
        .any(|allowed| allowed == text)
        .then(|| origin.clone())
}
