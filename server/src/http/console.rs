//! The operators' console, embedded: one page that asks the admin API.

use actix_web::{HttpRequest, HttpResponse};
use signaling::ErrorType;

use super::admin::table::ROOT;
use super::problem::ApiError;
use super::web::{File, serve};

/// The page's own files, and this worker alone: it asks the others.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Troupe</title>\
    <h1>This worker runs, but its console is not built in.</h1>\
    <p>Build it with <code>make web</code> and start again, or use <code>troupe admin</code>.";

#[cfg(feature = "web")]
#[derive(rust_embed::RustEmbed)]
#[folder = "web/console/dist"]
#[allow_missing = true]
struct Console;

#[cfg(feature = "web")]
fn find(path: &str) -> Option<File> {
    Console::get(path).map(File::of)
}

#[cfg(not(feature = "web"))]
fn find(_path: &str) -> Option<File> {
    None
}

/// The page at `/`, its files, and nothing else.
pub(super) async fn page(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = request.path();
    let reading = matches!(request.method().as_str(), "GET" | "HEAD");
    if !reading || path.starts_with(ROOT) {
        return Err(ErrorType::NotFound.into());
    }
    let path = match path.trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    match find(path) {
        Some(file) => Ok(serve(&request, path, file, POLICY)),
        None if path == "index.html" => Ok(HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .body(NOT_BUILT)),
        None => Err(ErrorType::NotFound.into()),
    }
}
