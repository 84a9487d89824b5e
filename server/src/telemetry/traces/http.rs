//! Spans of HTTP requests.

use actix_web::dev::ServiceRequest;

use super::{Context, Kind, Span};

/// What is asked for by hundreds a second and means nothing by itself, or never ends.
fn is_worth_it(path: &str) -> bool {
    let beginnings = ["/admin/v1/", "/whip/", "/whep/"];
    beginnings
        .iter()
        .any(|beginning| path.starts_with(beginning))
}

/// The span of a request, part of what its `traceparent` says.
pub(crate) fn of_request(request: &ServiceRequest) -> Span {
    if super::TRACER.get().is_none() || !is_worth_it(request.path()) {
        return Span(None);
    }
    let header = request.headers().get("traceparent");
    let parent = header.and_then(|value| Context::parse(value.to_str().ok()?));
    let method = request.method().as_str();
    Span::begin(method, Kind::Server, parent)
        .with("http.request.method", method)
        .with("url.path", request.path())
}
