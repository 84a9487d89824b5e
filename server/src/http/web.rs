//! The web app, embedded, and the tokens that it fetches in `--dev`.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use media_types::{Identity, RoomName};
use serde::{Deserialize, Serialize};
use signaling::{ErrorType, Grant, Grants, RoomPattern};

use super::auth::name;
use super::problem::ApiError;
use super::state::AppState;
use crate::auth::{TokenRequest, issue};
use crate::config::DEV_KEY;

/// The page's own scripts and styles, media from anywhere it plays, and sockets to any worker.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob:; media-src 'self' blob: mediastream:; connect-src *; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'";
/// Names of built files hold a hash of their content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "no-cache";
/// How long a token of the page lives: a page that is reloaded fetches another.
const DEV_TOKEN_TTL: Duration = Duration::from_secs(15 * 60);
/// The same of an encoder's, which reconnects with what it was given.
const DEV_INGEST_TTL: Duration = Duration::from_secs(12 * 3_600);

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Troupe</title>\
    <h1>Troupe is running, but its web app is not built in.</h1>\
    <p>Build it with <code>make web</code> and start again, or use the client library.";

#[cfg(feature = "web")]
#[derive(rust_embed::RustEmbed)]
#[folder = "web/app/dist"]
#[allow_missing = true]
struct App;

pub(super) struct File {
    content: Cow<'static, [u8]>,
    etag: String,
}

#[cfg(feature = "web")]
fn find(path: &str) -> Option<File> {
    App::get(path).map(File::of)
}

#[cfg(feature = "web")]
impl File {
    pub(super) fn of(file: rust_embed::EmbeddedFile) -> Self {
        let hash = file.metadata.sha256_hash();
        let short = hash
            .iter()
            .take(8)
            .fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
        Self {
            content: file.data,
            etag: format!("\"{short:016x}\""),
        }
    }
}

#[cfg(not(feature = "web"))]
fn find(_path: &str) -> Option<File> {
    None
}

/// Any path that nothing else answers: a file of the app, else its page, which knows its own paths.
pub(super) async fn app(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = request.path().trim_start_matches('/');
    let looks_like_file = path
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains('.'));
    let reserved = path.starts_with("v1/") || path.starts_with("dev/");
    let reading = matches!(request.method().as_str(), "GET" | "HEAD");
    if !reading || reserved {
        return Err(ErrorType::NotFound.into());
    }
    if let Some(file) = find(path) {
        return Ok(serve(&request, path, file, POLICY));
    }
    if looks_like_file {
        return Err(ErrorType::NotFound.into());
    }
    Ok(match find("index.html") {
        Some(file) => serve(&request, "index.html", file, POLICY),
        None => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .body(NOT_BUILT),
    })
}

/// A built file, under the policy of its page.
pub(super) fn serve(
    request: &HttpRequest,
    path: &str,
    file: File,
    policy: &'static str,
) -> HttpResponse {
    let known = request.headers().get(IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    let mut response = if known == Some(&file.etag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    let hashed = path.starts_with("assets/");
    let cache = if hashed { IMMUTABLE } else { REVALIDATE };
    response.insert_header((CACHE_CONTROL, cache));
    response.insert_header((CONTENT_SECURITY_POLICY, policy));
    response.insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response.insert_header((REFERRER_POLICY, "no-referrer"));
    if known == Some(&file.etag) {
        return response.insert_header((ETAG, file.etag)).finish();
    }
    response.insert_header((ETAG, file.etag));
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = match kind.type_().as_str() {
        "text" => format!("{kind}; charset=utf-8"),
        _ => kind.to_string(),
    };
    response.content_type(kind).body(file.content.into_owned())
}

#[derive(Debug, Deserialize)]
pub(super) struct DevTokenQuery {
    room: String,
    identity: String,
    name: Option<String>,
    #[serde(rename = "for", default)]
    purpose: Purpose,
}

/// What a page is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Purpose {
    /// A call.
    #[default]
    Call,
    /// Watching a stream.
    Watch,
    /// Publishing one by an encoder.
    Ingest,
}

impl Purpose {
    const fn grants(self) -> &'static [Grant] {
        match self {
            Self::Call => &[Grant::Publish, Grant::Subscribe, Grant::Data],
            Self::Watch => &[Grant::Subscribe, Grant::Play],
            Self::Ingest => &[Grant::Ingest],
        }
    }

    /// Encoders and players reconnect with what they were given, and encoders for long.
    const fn lives(self) -> (Duration, bool) {
        match self {
            Self::Call => (DEV_TOKEN_TTL, true),
            Self::Watch => (DEV_TOKEN_TTL, false),
            Self::Ingest => (DEV_INGEST_TTL, false),
        }
    }
}

#[derive(Debug, Serialize)]
struct DevToken {
    token: String,
    /// The port of RTMP, for who publishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtmp: Option<u16>,
}

/// A token for whoever asks: in `--dev` alone, so that a reload just works.
pub(super) async fn dev_token(
    state: web::Data<AppState>,
    query: web::Query<DevTokenQuery>,
) -> Result<HttpResponse, ApiError> {
    let keys = &state.config.auth.keys;
    let key = keys.iter().find(|key| key.name == DEV_KEY);
    let key = key
        .filter(|_| state.config.dev)
        .ok_or(ErrorType::NotFound)?;
    let room: RoomName = name(&query.room)?;
    let identity: Identity = name(&query.identity)?;
    let grants = Grants::for_room(RoomPattern::Exact(room));
    let all = query.purpose.grants().iter().copied();
    let mut grants = all.fold(grants, Grants::with);
    grants.name.clone_from(&query.name);
    let (ttl, once) = query.purpose.lives();
    let request = TokenRequest {
        identity,
        grants,
        ttl,
        once,
    };
    let token = issue(key, request, state.unix()).map_err(|_| ErrorType::Internal)?;
    let listens = state.config.rtmp.enabled && query.purpose == Purpose::Ingest;
    let rtmp = listens.then(|| state.config.rtmp.listen.port());
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(DevToken { token, rtmp }))
}
