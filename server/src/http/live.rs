//! What players fetch: LL-HLS, DASH, HTTP-FLV and progressive MP4 (docs/hls.md).

mod answer;
mod elsewhere;
mod line;
mod path;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use media_egress::hls::playlist::{self, Context};
use media_egress::hls::{Rendition, Segment};
use media_egress::{dash, hls};
use media_types::{Identity, MediaKind, RoomName};
use serde::Deserialize;
use signaling::ErrorType;

use super::auth::{authorized, name, secure_enough};
use super::first;
use super::problem::ApiError;
use super::state::AppState;
use crate::auth::{Access, Bearer, SignedQuery};
use crate::egress::{Container, Stream, Window};
use elsewhere::or_elsewhere;
use path::File;

/// How long a player waits until a stream can be played: a keyframe and a segment.
const READY_WAIT: Duration = Duration::from_secs(12);
/// How long it waits for the second of two tracks when the first is there.
const SECOND_TRACK_WAIT: Duration = Duration::from_secs(3);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Query {
    session: Option<String>,
    sig: Option<String>,
    /// The worker that what is asked for was named by.
    at: Option<String>,
    #[serde(rename = "_HLS_msn")]
    segment: Option<u64>,
    #[serde(rename = "_HLS_part")]
    part: Option<usize>,
    #[serde(rename = "_HLS_skip")]
    skip: Option<String>,
}

/// Who asks for what.
struct Viewer {
    room: RoomName,
    stream: Identity,
    query: Query,
    bearer: Bearer,
    /// Lets the viewer in at any worker: `?session=…`.
    session: String,
    /// Put behind addresses in playlists.
    suffix: String,
}

/// `/live/{room}/{stream}/{file}`.
pub(super) async fn file(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (room, stream, file) = path.into_inner();
    let file = File::parse(&file).ok_or(ErrorType::NotFound)?;
    let viewer = viewer(&state, &request, &room, &stream)?;
    elsewhere::here((&state, &request), &viewer).await?;
    let answer = match file {
        File::Index => index(&state, &request, &viewer).await,
        File::Manifest => manifest(&state, &request, &viewer).await,
        File::Playlist(kind) => media(&state, &request, &viewer, kind).await,
        File::Init(kind, number) => init(&state, &request, &viewer, kind, number),
        File::Segment(kind, number) => segment(&state, &request, &viewer, kind, number).await,
        File::Part(kind, number, part) => {
            part_of(&state, &request, &viewer, (kind, number, part)).await
        }
    };
    or_elsewhere((&state, &request), &viewer, answer).await
}

/// `/live/{room}/{stream}.flv` and `.mp4`.
pub(super) async fn continuous(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (room, file) = path.into_inner();
    let (stream, container) = path::container(&file).ok_or(ErrorType::NotFound)?;
    let viewer = viewer(&state, &request, &room, stream)?;
    elsewhere::here((&state, &request), &viewer).await?;
    let answer = played(&state, &request, &viewer, container).await;
    or_elsewhere((&state, &request), &viewer, answer).await
}

async fn played(
    state: &AppState,
    request: &HttpRequest,
    viewer: &Viewer,
    container: Container,
) -> Result<HttpResponse, ApiError> {
    let seat = state.egress()?.admit()?;
    let stream = opened(state, viewer).await?;
    let clock = std::sync::Arc::clone(&state.clock);
    let standing = state.auth.standing(viewer.bearer.clone(), clock);
    if let Some(socket) = first::socket(request) {
        let most = state.egress()?.waiting_max();
        let answer = line::answer((socket, container), most, standing, (stream, seat));
        return Ok(answer.await?);
    }
    let joined = stream.join(container).await?;
    Ok(answer::continuous(
        container,
        joined,
        standing,
        (stream, seat),
    ))
}

/// Judges who asks: a session, a signed URL, or a token.
fn viewer(
    state: &AppState,
    request: &HttpRequest,
    room: &str,
    stream: &str,
) -> Result<Viewer, ApiError> {
    secure_enough(state, request)?;
    let room: RoomName = name(room)?;
    let stream: Identity = name(stream)?;
    let query = web::Query::<Query>::from_query(request.query_string());
    let query = query
        .map_err(|error| ApiError::detailed(ErrorType::InvalidParams, error.to_string()))?
        .into_inner();
    let (play, now) = (&state.auth.play, state.unix());
    let bearer = if let Some(session) = &query.session {
        play.judge_session(session, &room, &stream, now)?
    } else if query.sig.is_some() {
        let signed = web::Query::<SignedQuery>::from_query(request.query_string());
        let signed = signed.map_err(|_| ErrorType::Unauthorized)?;
        play.judge_url(request.method().as_str(), request.path(), &signed, now)?;
        Bearer::of_key(signed.into_inner().kid)
    } else {
        (&authorized(state, request, Access::Play, &room)?).into()
    };
    // A session outlives what opened it, unless that was revoked.
    if state.auth.revoked.meet_bearer(&bearer, now) {
        return Err(ErrorType::Unauthorized.into());
    }
    let session = query.session.clone();
    let session = session.unwrap_or_else(|| play.session(&room, &stream, &bearer, now));
    Ok(Viewer {
        room,
        stream,
        query,
        bearer,
        session: format!("?session={session}"),
        suffix: format!("?session={session}&at={}", state.ops.worker),
    })
}

async fn opened(state: &AppState, viewer: &Viewer) -> Result<Stream, ApiError> {
    Ok(state.egress()?.open(&viewer.room, &viewer.stream).await?)
}

fn found(state: &AppState, viewer: &Viewer) -> Result<Stream, ApiError> {
    let found = state.egress()?.find(&viewer.room, &viewer.stream);
    Ok(found.ok_or(ErrorType::NotFound)?)
}

fn rendition(window: &Window, kind: MediaKind) -> Result<&Rendition, ApiError> {
    let found = window.renditions.iter().find(|it| it.kind == kind);
    Ok(found.ok_or(ErrorType::NotFound)?)
}

/// The stream with something to play in it.
async fn playable(
    state: &AppState,
    viewer: &Viewer,
) -> Result<(Stream, std::sync::Arc<Window>), ApiError> {
    let stream = opened(state, viewer).await?;
    stream.package().await;
    let begun = |window: &Window, kind| {
        let found = window.renditions.iter().find(|it| it.kind == kind);
        found.is_some_and(|rendition| rendition.edge().is_some())
    };
    let any = |window: &Window| window.renditions.iter().any(|it| it.edge().is_some());
    let all = |window: &Window| {
        let kinds = window.kinds;
        any(window)
            && (!kinds.video || begun(window, MediaKind::Video))
            && (!kinds.audio || begun(window, MediaKind::Audio))
    };
    let first = |window: &Window| window.refused.is_some() || any(window);
    let window = stream.wait(READY_WAIT, first).await.ok_or_else(later)?;
    if let Some(format) = window.refused {
        let text = format!(
            "players take H.264, H.265, VP9 and AV1, and this stream is {format:?}; \
             narrow the room's codecs, or watch by WHEP"
        );
        return Err(ApiError::detailed(ErrorType::Conflict, text));
    }
    let window = stream.wait(SECOND_TRACK_WAIT, all).await.unwrap_or(window);
    if !any(&window) {
        return Err(ErrorType::NotFound.into());
    }
    Ok((stream, window))
}

fn later() -> ApiError {
    let error = signaling::RpcError::from(ErrorType::Unavailable);
    ApiError(error.retry_after(Duration::from_secs(1)))
}

async fn index(
    state: &AppState,
    request: &HttpRequest,
    viewer: &Viewer,
) -> Result<HttpResponse, ApiError> {
    let (_, window) = playable(state, viewer).await?;
    let context = Context {
        epoch: window.epoch,
        suffix: &viewer.suffix,
    };
    let text = playlist::multivariant(&window.renditions, &context);
    Ok(answer::text(
        request,
        answer::HLS,
        None,
        answer::Fresh::Never,
        text,
    ))
}

async fn manifest(
    state: &AppState,
    request: &HttpRequest,
    viewer: &Viewer,
) -> Result<HttpResponse, ApiError> {
    let (stream, mut window) = playable(state, viewer).await?;
    let whole = |window: &Window| window.renditions.iter().all(has_segment);
    if !whole(&window) {
        window = stream.wait(READY_WAIT, whole).await.ok_or_else(later)?;
    }
    let context = dash::Context {
        epoch: window.epoch,
        now: state.egress()?.now(),
        suffix: &viewer.suffix,
    };
    let text = dash::manifest(&window.renditions, &context);
    Ok(answer::text(
        request,
        answer::DASH,
        None,
        answer::Fresh::Never,
        text,
    ))
}

fn has_segment(rendition: &Rendition) -> bool {
    rendition.segments.iter().any(|segment| segment.complete)
}

async fn media(
    state: &AppState,
    request: &HttpRequest,
    viewer: &Viewer,
    kind: MediaKind,
) -> Result<HttpResponse, ApiError> {
    let stream = match state.egress()?.find(&viewer.room, &viewer.stream) {
        Some(stream) => stream,
        None => playable(state, viewer).await?.0,
    };
    stream.package().await;
    let of = |window: &Window| {
        let found = window.renditions.iter().find(|it| it.kind == kind);
        found.cloned()
    };
    let has = |window: &Window| of(window).is_some_and(|it| has_segment(&it));
    let mut window = stream.wait(READY_WAIT, has).await.ok_or_else(later)?;
    let blocking = viewer.query.segment.is_some();
    if let Some(number) = viewer.query.segment {
        let rendition = of(&window).ok_or(ErrorType::NotFound)?;
        let newest = rendition
            .segments
            .back()
            .map_or(0, |segment| segment.number);
        if number > newest.saturating_add(media_egress::limits::SEGMENTS_AHEAD_MAX) {
            return Err(ErrorType::InvalidParams.into());
        }
        let part = viewer.query.part;
        let holds = |window: &Window| of(window).is_some_and(|it| it.holds(number, part));
        let limit = Duration::from_secs(rendition.target_s.saturating_mul(3));
        window = stream.wait(limit, holds).await.ok_or_else(later)?;
    }
    let rendition = rendition(&window, kind)?;
    let skip = matches!(viewer.query.skip.as_deref(), Some("YES" | "v2"));
    let context = Context {
        epoch: window.epoch,
        suffix: &viewer.suffix,
    };
    let text = playlist::media(rendition, &window.renditions, skip, &context);
    let tag = rendition.edge().map(|(number, part)| {
        let ended = u8::from(rendition.ended);
        format!("W/\"{number}.{part}.{ended}.{}\"", u8::from(skip))
    });
    let fresh = if blocking {
        answer::Fresh::Short
    } else {
        answer::Fresh::Never
    };
    Ok(answer::text(
        request,
        answer::HLS,
        tag.as_deref(),
        fresh,
        text,
    ))
}

fn init(
    state: &AppState,
    request: &HttpRequest,
    viewer: &Viewer,
    kind: MediaKind,
    number: u64,
) -> Result<HttpResponse, ApiError> {
    let window = found(state, viewer)?.window();
    let init = rendition(&window, kind)?.init(number);
    let init = init.cloned().ok_or(ErrorType::NotFound)?;
    let tag = format!("\"i{number}{}\"", hls::parts::name(kind));
    Ok(answer::whole(request, "video/mp4", &tag, vec![init]))
}

async fn segment(
    state: &AppState,
    request: &HttpRequest,
    viewer: &Viewer,
    kind: MediaKind,
    number: u64,
) -> Result<HttpResponse, ApiError> {
    let stream = found(state, viewer)?;
    let window = wait_for(&stream, kind, number, 0).await?;
    let segment = rendition(&window, kind)?
        .segment(number)
        .ok_or(ErrorType::NotFound)?;
    if !segment.complete {
        return Ok(answer::growing(stream, kind, number));
    }
    let parts = segment
        .parts
        .iter()
        .map(|part| part.bytes.clone())
        .collect();
    let tag = format!("\"s{number}{}\"", hls::parts::name(kind));
    Ok(answer::whole(request, "video/mp4", &tag, parts))
}

async fn part_of(
    state: &AppState,
    request: &HttpRequest,
    viewer: &Viewer,
    (kind, number, part): (MediaKind, u64, usize),
) -> Result<HttpResponse, ApiError> {
    let stream = found(state, viewer)?;
    let window = wait_for(&stream, kind, number, part).await?;
    let segment = rendition(&window, kind)?
        .segment(number)
        .ok_or(ErrorType::NotFound)?;
    let found = segment.parts.get(part).ok_or(ErrorType::NotFound)?;
    let tag = format!("\"p{number}.{part}{}\"", hls::parts::name(kind));
    Ok(answer::whole(
        request,
        "video/mp4",
        &tag,
        vec![found.bytes.clone()],
    ))
}

/// Waits for a part that was hinted at; what is further ahead is not there.
async fn wait_for(
    stream: &Stream,
    kind: MediaKind,
    number: u64,
    part: usize,
) -> Result<std::sync::Arc<Window>, ApiError> {
    let window = stream.window();
    let newest = rendition(&window, kind)?
        .segments
        .back()
        .map_or(0, |it| it.number);
    if number > newest.saturating_add(1) {
        return Err(ErrorType::NotFound.into());
    }
    let there = |segment: &Segment| segment.complete || segment.parts.len() > part;
    let has = |window: &Window| {
        let rendition = rendition(window, kind).ok();
        rendition.is_some_and(|it| {
            let newest = it.segments.back().map_or(0, |it| it.number);
            number < newest || it.segment(number).is_some_and(|segment| there(segment))
        })
    };
    let limit = Duration::from_secs(rendition(&window, kind)?.target_s.saturating_mul(3));
    stream.wait(limit, has).await.ok_or_else(later)
}
