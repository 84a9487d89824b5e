//! Media over QUIC: sessions, in WebTransport or bare.
//!
//! A session belongs to one room, which its path names, and carries one token. What the token
//! allows decides what it may do: with `ingest` it publishes the broadcast of its identity, with
//! `play` it is told of the room's streams and may subscribe to each.

mod ask;
mod broadcast;
mod ingest;
mod stage;

pub(super) use stage::Stage;

use std::sync::Arc;
use std::time::Duration;

use moq_net::{origin, time};
use quinn::Connection;
use web_transport_quinn::proto::ConnectResponse;
use web_transport_quinn::{Request, Session, http::StatusCode};

use self::ask::{Ask, Rights};
use self::stage::Seat;
use super::early::Confirmed;
use super::endpoint::QuicServer;
use super::metrics;
use crate::limits::MOQ_CACHE_BYTES_MAX;
use crate::live::IngestProtocol;

/// How often a session is asked whether its token is still believed.
const STANDING_PERIOD: Duration = Duration::from_secs(1);

/// A session that has begun.
struct Begun {
    session: moq_net::Session,
    rights: Rights,
    /// What the client announces.
    inbound: origin::Consumer,
    /// Keeps the room's streams announced.
    _seat: Option<Seat>,
}

/// Serves a session until it or we have enough; says in a word why it ended.
pub(super) async fn serve(
    server: &Arc<QuicServer>,
    connection: &Connection,
    http: bool,
    confirmed: Confirmed,
) -> &'static str {
    let begin = async {
        if http {
            begin_http(server, connection, confirmed).await
        } else {
            begin_bare(server, connection, confirmed).await
        }
    };
    let protocol = if http {
        IngestProtocol::WebTransport
    } else {
        IngestProtocol::Moq
    };
    match tokio::time::timeout(server.config.setup_timeout, begin).await {
        Ok(Ok(begun)) => run(server, begun, protocol).await,
        Ok(Err(reason)) => {
            metrics::refused(reason);
            reason
        }
        Err(_) => "setup",
    }
}

/// WebTransport: the request's path names the room, its query carries the token.
async fn begin_http(
    server: &Arc<QuicServer>,
    connection: &Connection,
    confirmed: Confirmed,
) -> Result<Begun, &'static str> {
    let request = Request::accept(connection.clone()).await;
    let request = request.map_err(|_| "protocol")?;
    // An earlier flight that somebody repeats gets no further than this.
    confirmed.await;
    let ask = Ask::read(request.url.path(), request.url.query());
    let rights = match ask.and_then(|ask| Rights::judge(&server.rtmp, ask)) {
        Ok(rights) => rights,
        Err(refused) => {
            let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::FORBIDDEN);
            let _told = request.reject(status).await;
            return Err(refused.word());
        }
    };
    let mut response = ConnectResponse::OK;
    let offered = |name: &&&str| request.protocols.iter().any(|offer| offer == **name);
    if let Some(name) = moq_net::ALPNS.iter().find(offered) {
        response = response.with_protocol(*name);
    }
    let session = request.respond(response).await.map_err(|_| "protocol")?;
    let now = server.rtmp.clock.now();
    let handshake = moq_net::Server::new().accept_request(now, session).await;
    let handshake = handshake.map_err(|_| "protocol")?;
    start(server, handshake, rights).await
}

/// MoQ without HTTP: the set-up names the path, which carries room and token; drafts of the IETF
/// may bring the token apart.
async fn begin_bare(
    server: &Arc<QuicServer>,
    connection: &Connection,
    confirmed: Confirmed,
) -> Result<Begun, &'static str> {
    let session = Session::raw(connection.clone());
    let now = server.rtmp.clock.now();
    let handshake = moq_net::Server::new().accept_request(now, session).await;
    let handshake = handshake.map_err(|_| "protocol")?;
    confirmed.await;
    let (path, query) = match handshake.path().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (handshake.path(), None),
    };
    let ask = Ask::read(path, query).map(|ask| match handshake.token() {
        Some(token) => ask.or_token(&token.value),
        None => ask,
    });
    match ask.and_then(|ask| Rights::judge(&server.rtmp, ask)) {
        Ok(rights) => start(server, handshake, rights).await,
        Err(refused) => {
            handshake.close(moq_net::Error::Unauthorized);
            Err(refused.word())
        }
    }
}

async fn start(
    server: &Arc<QuicServer>,
    handshake: moq_net::server::Handshake<Session>,
    rights: Rights,
) -> Result<Begun, &'static str> {
    let mut handshake = handshake;
    let mut config = origin::Config::default();
    let cache = moq_net::cache::Config::default()
        .with_capacity(MOQ_CACHE_BYTES_MAX)
        .with_expiry(moq_net::cache::DEFAULT_EXPIRY);
    config.pool = moq_net::cache::Pool::new(cache);
    let (origin, driver) = origin::Producer::new(config);
    tokio::spawn(time::run(driver));
    let inbound = origin.consume();
    if rights.publishes() {
        handshake = handshake.with_subscriber(origin);
    }
    let seat = if rights.plays() {
        let seat = server.stage.enter(rights.room()).await;
        let seat = seat.map_err(|_| "protocol")?;
        handshake = handshake.with_publisher(seat.consumer());
        Some(seat)
    } else {
        None
    };
    let (session, driver) = handshake.ok().await.map_err(|_| "protocol")?;
    tokio::spawn(time::run(driver));
    tracing::debug!(version = %session.version().as_str(), "MoQ session");
    Ok(Begun {
        session,
        rights,
        inbound,
        _seat: seat,
    })
}

async fn run(server: &Arc<QuicServer>, begun: Begun, protocol: IngestProtocol) -> &'static str {
    let Begun {
        session,
        rights,
        inbound,
        _seat,
    } = begun;
    let publishing = async {
        match rights.key() {
            Some(key) => ingest::serve(server, &inbound, key, protocol).await,
            // It is not even asked what it would publish.
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = publishing => {
            // Whoever took its place, or closed the room, wants it gone.
            session.abort(match ended {
                "refused" => moq_net::Error::Unauthorized,
                _ => moq_net::Error::Closed,
            });
            ended
        }
        () = revoked(server, &rights) => {
            session.abort(moq_net::Error::Unauthorized);
            "revoked"
        }
        _error = session.closed() => "client",
    }
}

/// Comes back once the token of a session that watches is believed no more.
async fn revoked(server: &QuicServer, rights: &Rights) {
    let Some(bearer) = rights.watcher() else {
        return std::future::pending().await;
    };
    let (auth, clock) = (&server.rtmp.auth, &server.rtmp.clock);
    let mut standing = auth.standing(bearer, Arc::clone(clock));
    while !standing.is_revoked() {
        tokio::time::sleep(STANDING_PERIOD).await;
    }
}
