//! The admin API: what happened, on all workers, and as it happens.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{ACCEPT, CACHE_CONTROL};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use signaling::{AdminRole, ErrorType};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::others::{ask, is_local};
use super::table::ROOT;
use super::{State, operator};
use crate::http::auth::bearer;
use crate::http::problem::ApiError;
use crate::ops::events::Event;
use crate::ops::others::Other;

/// Events of one page, and those read at once for a stream.
const EVENTS_MAX: usize = 1_000;
/// Before a stream with nothing to say says that it lives: proxies cut those that are silent.
const ALIVE_AFTER: Duration = Duration::from_secs(15);
/// How often a stream looks whether there are more workers.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// Pieces of other workers' streams that may wait for the client.
const PIECES_MAX: usize = 256;
/// The longest piece of another worker's stream: its page of events and more.
const PIECE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct EventsQuery {
    after: Option<u64>,
    cursor: Option<u64>,
    limit: Option<usize>,
}

pub(in crate::http) async fn events(
    state: State,
    request: HttpRequest,
    query: web::Query<EventsQuery>,
) -> Result<HttpResponse, ApiError> {
    operator(&state, &request, AdminRole::Viewer)?;
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    // A browser's EventSource says by itself where it was (WHATWG HTML, section 9.2).
    let again = header("last-event-id").and_then(|id| id.parse().ok());
    let after = again.or(query.after).or(query.cursor);
    let streams = header(ACCEPT.as_str()).is_some_and(|it| it.contains("text/event-stream"));
    if !streams {
        let limit = query.limit.unwrap_or(100).clamp(1, EVENTS_MAX);
        return page(&state, &request, after.unwrap_or(0), limit).await;
    }
    let news = state.ops.journal.listen();
    // Without a number: from now on.
    let at = after.unwrap_or_else(|| *news.borrow());
    let own = stream::unfold((state.clone(), news, at), next_chunk);
    let mut response = HttpResponse::Ok();
    response.content_type("text/event-stream");
    response.insert_header((CACHE_CONTROL, "no-store"));
    if is_local(&request) {
        return Ok(response.streaming(own));
    }
    let token = bearer(&request).ok_or(ErrorType::Unauthorized)?;
    let (out, pieces) = mpsc::channel(PIECES_MAX);
    let after = after.unwrap_or_else(|| now(&state));
    actix_web::rt::spawn(follow_all(state, token.expose().to_owned(), after, out));
    let others = stream::unfold(pieces, async |mut pieces| {
        let piece = pieces.recv().await?;
        Some((Ok::<Bytes, Infallible>(piece), pieces))
    });
    Ok(response.streaming(stream::select(own.boxed_local(), others.boxed_local())))
}

/// The number that an event would have now.
fn now(state: &State) -> u64 {
    u64::try_from(state.unix().as_micros()).unwrap_or(u64::MAX)
}

/// Events of all workers by their numbers, which count microseconds.
async fn page(
    state: &State,
    request: &HttpRequest,
    after: u64,
    limit: usize,
) -> Result<HttpResponse, ApiError> {
    let since = state.ops.journal.since(after, limit);
    let events = since.events.iter().map(|event| json!(**event));
    let (mut items, mut lost) = (events.collect::<Vec<Value>>(), since.lost);
    let mut missing = Vec::new();
    if !is_local(request) {
        let token = bearer(request).ok_or(ErrorType::Unauthorized)?;
        let path = format!("events?local=true&after={after}&limit={limit}");
        let others = state.ops.others().await;
        let asked = others
            .iter()
            .map(|other| ask(state, other, &path, token.expose()));
        for (other, answer) in others.iter().zip(join_all(asked).await) {
            let Some(mut answer) = answer else {
                missing.push(other.worker.clone());
                continue;
            };
            lost |= answer["lost"] == true;
            let more = answer["items"].as_array_mut().map(std::mem::take);
            items.extend(more.unwrap_or_default());
        }
        items.sort_by_key(|item| item["id"].as_u64());
        items.truncate(limit);
    }
    let cursor = items.last().and_then(|event| event["id"].as_u64());
    let cursor = cursor.map(|id| id.to_string());
    Ok(HttpResponse::Ok().json(json!({
        "items": items, "cursor": cursor, "lost": lost, "missing": missing,
    })))
}

type Following = (State, watch::Receiver<u64>, u64);

async fn next_chunk(
    (state, mut news, at): Following,
) -> Option<(Result<Bytes, Infallible>, Following)> {
    loop {
        let since = state.ops.journal.since(at, EVENTS_MAX);
        if let Some(last) = since.events.last().map(|event| event.id) {
            let text = text_of(&since.events, since.lost);
            return Some((Ok(Bytes::from(text)), (state, news, last)));
        }
        match tokio::time::timeout(ALIVE_AFTER, news.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some((Ok(Bytes::from_static(b": alive\n\n")), (state, news, at))),
        }
    }
}

fn text_of(events: &[std::sync::Arc<Event>], lost: bool) -> String {
    let mut text = String::new();
    if lost {
        text.push_str("event: lost\ndata: {}\n\n");
    }
    for event in events {
        let data = serde_json::to_string(&**event).unwrap_or_default();
        text.push_str(&format!(
            "id: {}\nevent: {}\ndata: {data}\n\n",
            event.id, event.kind
        ));
    }
    text
}

/// Brings the streams of all other workers, those that come later too, until nobody listens.
async fn follow_all(state: State, token: String, after: u64, out: mpsc::Sender<Bytes>) {
    let mut at: BTreeMap<String, u64> = BTreeMap::new();
    let mut readers: JoinSet<(String, u64)> = JoinSet::new();
    let mut reading: Vec<String> = Vec::new();
    loop {
        for other in state.ops.others().await.iter() {
            if !reading.contains(&other.worker) {
                reading.push(other.worker.clone());
                let from = at.get(&other.worker).copied().unwrap_or(after);
                let reader = follow(
                    state.clone(),
                    other.clone(),
                    token.clone(),
                    from,
                    out.clone(),
                );
                readers.spawn_local(reader);
            }
        }
        tokio::select! {
            () = out.closed() => return,
            () = tokio::time::sleep(LOOK_PERIOD) => {}
        }
        while let Some(ended) = readers.try_join_next() {
            if let Ok((worker, last)) = ended {
                reading.retain(|it| *it != worker);
                at.insert(worker, last);
            }
        }
    }
}

/// Brings the stream of one other worker; gives back the number it ended at.
async fn follow(
    state: State,
    other: Other,
    token: String,
    mut at: u64,
    out: mpsc::Sender<Bytes>,
) -> (String, u64) {
    let url = format!("{}{ROOT}/events?local=true&after={at}", other.url);
    let asked = state.ops.client.get(url).bearer_auth(token);
    let asked = asked.header("accept", "text/event-stream").send().await;
    let Ok(mut answer) = asked.and_then(reqwest::Response::error_for_status) else {
        return (other.worker, at);
    };
    let mut held = BytesMut::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        held.extend_from_slice(&chunk);
        let end = held.windows(2).rposition(|pair| pair == b"\n\n");
        let Some(end) = end else {
            if held.len() > PIECE_BYTES_MAX {
                break;
            }
            continue;
        };
        let piece = held.split_to(end + 2).freeze();
        if piece.starts_with(b":") {
            continue;
        }
        at = last_id(&piece).unwrap_or(at);
        if out.send(piece).await.is_err() {
            break;
        }
    }
    (other.worker, at)
}

/// The number of the last event in a piece of a stream.
fn last_id(piece: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(piece).ok()?;
    let mut ids = text
        .lines()
        .rev()
        .filter_map(|line| line.strip_prefix("id: "));
    ids.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_of_a_piece_is_found() {
        let piece = b"id: 4\nevent: a\ndata: {}\n\nid: 7\nevent: b\ndata: {}\n\n";
        assert_eq!(last_id(piece), Some(7));
        assert_eq!(last_id(b"event: lost\ndata: {}\n\n"), None);
    }
}
