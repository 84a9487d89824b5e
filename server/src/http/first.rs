//! The socket of a connection, for an answer that is written past the connection's HTTP machine.
//!
//! What many players read alike is made once and goes to each of their sockets, without a copy or
//! a wake-up for each (docs/live.md). An answer may do so if it is the first of its connection:
//! nothing of an earlier one can wait to be written then.

use std::any::Any;
use std::cell::Cell;
use std::net::TcpStream as StdStream;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::{Error, HttpMessage as _, HttpRequest};

/// The socket a second time, until the first request has come.
struct Unasked(Cell<Option<OwnedFd>>);

/// The socket of the connection whose first request this is.
struct OfFirst(OwnedFd);

/// Keeps the socket of a plain connection. On others (TLS) nobody may write but the connection.
pub(super) fn connected(connection: &dyn Any, data: &mut Extensions) {
    let plain = connection.downcast_ref::<TcpStream>();
    if let Some(Ok(socket)) = plain.map(|plain| plain.as_fd().try_clone_to_owned()) {
        data.insert(Unasked(Cell::new(Some(socket))));
    }
}

/// Gives the first request of a connection its socket, if it is one for a live stream; for all
/// others it is closed, so that a connection costs one descriptor.
pub(super) async fn given<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let socket = request.conn_data::<Unasked>();
    if let Some(socket) = socket.and_then(|socket| socket.0.take())
        && request.path().starts_with("/live/")
    {
        request.extensions_mut().insert(OfFirst(socket));
    }
    next.call(request).await
}

/// The socket, where the answer to this request may be written past its connection.
pub(super) fn socket(request: &HttpRequest) -> Option<Arc<TcpStream>> {
    let OfFirst(socket) = request.extensions_mut().remove()?;
    // It does not block: that is a property of what both descriptors stand for.
    TcpStream::from_std(StdStream::from(socket))
        .ok()
        .map(Arc::new)
}
