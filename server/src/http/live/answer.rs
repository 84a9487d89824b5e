//! Answers to players: caching, ranges, and bodies that are shared, not copied.

use std::ops::Range;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, ETAG, HeaderMap, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use media_types::MediaKind;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

use crate::auth::Standing;
use crate::egress::{Container, Joined, Player, Seat, Stream, Window, bytes_out};

pub(super) const HLS: &str = "application/vnd.apple.mpegurl";
pub(super) const DASH: &str = "application/dash+xml";

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fresh {
    /// Asked for again each time.
    Never,
    /// An answer to a blocking reload is the same for all who ask for the same part.
    Short,
}

impl Fresh {
    const fn header(self) -> &'static str {
        match self {
            Self::Never => "no-cache",
            Self::Short => "max-age=6",
        }
    }
}

/// Numbers are never used twice for other bytes, so what has one can be kept.
const IMMUTABLE: &str = "public, max-age=3600, immutable";
/// How long a segment in the making may stand still before its answer ends.
const GROWTH_WAIT: Duration = Duration::from_secs(30);

type Failure = actix_web::Error;

/// A playlist or a manifest.
pub(super) fn text(
    request: &HttpRequest,
    content_type: &'static str,
    tag: Option<&str>,
    fresh: Fresh,
    text: String,
) -> HttpResponse {
    if tag.is_some_and(|tag| matches_tag(request.headers(), tag)) {
        return not_modified(tag.unwrap_or_default(), fresh.header());
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, fresh.header()));
    if let Some(tag) = tag {
        response.insert_header((ETAG, tag));
    }
    bytes_out("playlist", text.len());
    response.content_type(content_type).body(text)
}

/// Something that does not change any more, or the range of it that was asked for.
pub(super) fn whole(
    request: &HttpRequest,
    content_type: &'static str,
    tag: &str,
    parts: Vec<Bytes>,
) -> HttpResponse {
    let headers = request.headers();
    if matches_tag(headers, tag) {
        return not_modified(tag, IMMUTABLE);
    }
    let total: usize = parts.iter().map(Bytes::len).sum();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let same = text(IF_RANGE).is_none_or(|wanted| wanted == tag);
    let range = text(RANGE)
        .filter(|_| same)
        .and_then(|text| range(text, total));
    let (status, range) = match range {
        None => (StatusCode::OK, 0..total),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => {
            return HttpResponse::RangeNotSatisfiable()
                .insert_header((CONTENT_RANGE, format!("bytes */{total}")))
                .finish();
        }
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, IMMUTABLE));
    response.insert_header((ETAG, tag));
    response.insert_header((ACCEPT_RANGES, "bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end.saturating_sub(1);
        let text = format!("bytes {}-{last}/{total}", range.start);
        response.insert_header((CONTENT_RANGE, text));
    }
    bytes_out("segment", range.len());
    let size = u64::try_from(range.len()).unwrap_or(0);
    let slices = cut(parts, &range);
    let body = stream::iter(slices.into_iter().map(Ok::<_, Failure>));
    response
        .content_type(content_type)
        .body(SizedStream::new(size, body))
}

/// The slices of these bytes that lie in a range.
fn cut(parts: Vec<Bytes>, range: &Range<usize>) -> Vec<Bytes> {
    let mut at = 0;
    let mut slices = Vec::with_capacity(parts.len());
    for part in parts {
        let from = range.start.saturating_sub(at).min(part.len());
        let to = range.end.saturating_sub(at).min(part.len());
        at += part.len();
        if from < to {
            slices.push(part.slice(from..to));
        }
    }
    slices
}

/// One range of bytes (RFC 9110, section 14.1.2): `None` for what we serve whole instead, the inner
/// `None` for one that lies outside.
fn range(text: &str, total: usize) -> Option<Option<Range<usize>>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (from.trim(), to.trim()) {
        ("", last) => total.saturating_sub(last.parse().ok()?)..total,
        (first, "") => first.parse().ok()?..total,
        (first, last) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(total)
        }
    };
    Some((range.start < range.end).then_some(range))
}

fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    let wanted = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    wanted.is_some_and(|wanted| {
        wanted.trim() == "*" || wanted.split(',').any(|one| plain(one) == plain(tag))
    })
}

fn not_modified(tag: &str, fresh: &'static str) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((CACHE_CONTROL, fresh))
        .insert_header((ETAG, tag))
        .finish()
}

/// A segment in the making: its parts as they come.
pub(super) fn growing(stream: Stream, kind: MediaKind, number: u64) -> HttpResponse {
    let body = stream::unfold((stream, 0_usize), move |(stream, at)| async move {
        let find = |window: &Window| {
            let rendition = window.renditions.iter().find(|it| it.kind == kind)?;
            rendition.segment(number).cloned()
        };
        let ready = |window: &Window| {
            find(window).is_none_or(|segment| segment.complete || segment.parts.len() > at)
        };
        let window = stream.wait(GROWTH_WAIT, ready).await?;
        let bytes = find(&window)?.parts.get(at)?.bytes.clone();
        bytes_out("segment", bytes.len());
        Some((Ok::<_, Failure>(bytes), (stream, at + 1)))
    });
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .content_type("video/mp4")
        .streaming(body)
}

/// A player of a continuous format: what came before, and then what comes, until either leaves or
/// what let the player in is believed no more.
pub(super) fn continuous(
    container: Container,
    joined: Joined,
    standing: Standing,
    held: (Stream, Seat),
) -> HttpResponse {
    let Joined { prelude, chunks } = joined;
    let player = Player::new(container.word());
    let first = stream::iter(prelude.into_iter().map(Ok::<_, Failure>));
    let state = (chunks, player, false, (standing, held));
    let rest = stream::unfold(
        state,
        |(mut chunks, player, mut behind, mut held)| async move {
            loop {
                match chunks.recv().await {
                    Ok(_) if held.0.is_revoked() => return None,
                    Ok(chunk) if behind && !chunk.start => {}
                    Ok(chunk) => {
                        player.sent(chunk.bytes.len());
                        return Some((Ok(chunk.bytes), (chunks, player, false, held)));
                    }
                    Err(RecvError::Lagged(_)) => {
                        player.lagged();
                        behind = true;
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        },
    );
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type(container.content_type())
        .streaming(first.chain(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range("bytes=0-9", 100), Some(Some(0..10)));
        assert_eq!(range("bytes=90-", 100), Some(Some(90..100)));
        assert_eq!(range("bytes=-5", 100), Some(Some(95..100)));
        assert_eq!(range("bytes=95-200", 100), Some(Some(95..100)));
        assert_eq!(range("bytes=100-", 100), Some(None));
        // Several ranges, other units and nonsense are served whole.
        for text in ["bytes=0-1,5-6", "items=0-1", "bytes=9-2", "bytes=x-"] {
            assert_eq!(range(text, 100), None, "{text}");
        }
    }

    #[test]
    fn a_range_is_cut_out_of_parts() {
        let parts = ["abc", "def", "ghi"].map(Bytes::from_static_str);
        let cut = |range| {
            let slices = cut(parts.to_vec(), &range);
            slices.concat()
        };
        assert_eq!(cut(0..9), b"abcdefghi");
        assert_eq!(cut(2..7), b"cdefg");
        assert_eq!(cut(3..6), b"def");
    }

    trait FromStr {
        fn from_static_str(text: &'static str) -> Self;
    }

    impl FromStr for Bytes {
        fn from_static_str(text: &'static str) -> Self {
            Self::from_static(text.as_bytes())
        }
    }
}
