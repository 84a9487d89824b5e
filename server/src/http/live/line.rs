//! A player whose socket is written to by the fan-out of its stream.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::rt::net::TcpStream;
use actix_web::{Error, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use metrics::Counter;
use signaling::RpcError;

use crate::auth::Standing;
use crate::egress::{Container, Line, LineEvent, Player, Seat, Stream};

/// How long a socket may take nothing while something waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers with the stream from the group of pictures on that is going on.
///
/// The connection writes the head of the answer; the body it sees is empty and open, and ends with
/// the stream. To the client the body ends with the connection (RFC 9112, section 6.3).
///
/// # Errors
/// `unavailable` where no keyframe comes.
pub(super) async fn answer(
    (socket, container): (Arc<TcpStream>, Container),
    waiting_max: usize,
    standing: Standing,
    held: (Stream, Seat),
) -> Result<HttpResponse, RpcError> {
    let counted = (Player::new(container.word()), Counter::noop());
    let line = Arc::new(Line::new(socket, waiting_max, standing, counted));
    held.0.join_line(container, Arc::downgrade(&line)).await?;
    let body = stream::unfold((line, held), |(line, held)| async move {
        written(&line).await;
        drop(held);
        None::<(Result<Bytes, Error>, _)>
    });
    let mut response = HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type(container.content_type())
        .force_close()
        .streaming(body);
    response.head_mut().no_chunking(true);
    Ok(response)
}

/// Writes what the socket did not take at once, until the stream or the player is gone.
async fn written(line: &Line) {
    // The head of the answer goes out as soon as this has been asked for the first time, and a
    // socket that nothing was written to takes all of it.
    tokio::task::yield_now().await;
    while line.event().await == LineEvent::Waiting {
        if !line.drain(PATIENCE).await {
            return;
        }
    }
}
