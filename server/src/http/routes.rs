//! The routes of both listeners, and what runs before and after each of them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::error::JsonPayloadError;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpServer, web};
use rustls::ServerConfig;
use signaling::ErrorType;
use signaling::limits::SDP_BYTES_MAX;
use socket2::{Domain, Socket, Type};

use super::problem::ApiError;
use super::state::AppState;
use super::{admin, connections, console, cors, first, health, live, quic, web as page, whip, ws};
use crate::telemetry::{self, traces};

/// A body of the admin API: settings and metadata of one room.
const JSON_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take to send a request's head.
const REQUEST_HEAD_MAX: Duration = Duration::from_secs(10);
/// How long data may stay unacknowledged, or unsent to a client that does not read, before the
/// kernel gives the connection up (RFC 5482). A slow client has been told to resume by then.
pub(super) const UNSENT_MAX: Duration = Duration::from_secs(20);
/// Connections that may wait to be accepted: a room's worth of pages that reconnect at once.
const BACKLOG: i32 = 1_024;

/// The open listeners.
pub struct Listeners {
    /// Serves clients; await it, and stop it by its handle.
    pub clients: Server,
    /// Serves operators.
    pub operators: Server,
    /// Where clients reach it.
    pub client_address: SocketAddr,
    /// Where operators reach it.
    pub operator_address: SocketAddr,
}

/// What the listeners speak; plain HTTP where there is nothing.
#[derive(Debug, Clone, Default)]
pub struct ListenersTls {
    /// With clients.
    pub clients: Option<ServerConfig>,
    /// With operators.
    pub operators: Option<ServerConfig>,
}

/// Opens both listeners. Signals are left to the caller.
///
/// # Errors
/// An address that cannot be bound.
pub fn run(state: web::Data<AppState>, tls: ListenersTls) -> io::Result<Listeners> {
    let http = state.config.http.clone();
    let clients_state = state.clone();
    let clients = HttpServer::new(move || {
        let state = clients_state.clone();
        App::new()
            .app_data(state)
            .configure(clients)
            .wrap(from_fn(cors::cross_origin))
            .wrap(from_fn(measured))
            .wrap(from_fn(first::given))
    })
    .on_connect(connections::connected)
    .workers(http.workers)
    .max_connections(http.connections_max)
    .client_request_timeout(REQUEST_HEAD_MAX)
    // A notification and the answer after it are two small writes: with Nagle's algorithm the
    // second waits for the client's delayed acknowledgement of the first, 40 ms.
    .tcp_nodelay(true)
    .shutdown_timeout(1)
    .disable_signals();
    let socket = listen(http.listen)?;
    let clients = match tls.clients {
        Some(tls) => clients.listen_rustls_0_23(socket, tls)?,
        None => clients.listen(socket)?,
    };
    let client_address = bound(&clients.addrs())?;
    let (operators, operator_address) = run_operators(state, tls.operators)?;
    Ok(Listeners {
        client_address,
        operator_address,
        clients: clients.run(),
        operators,
    })
}

fn run_operators(
    state: web::Data<AppState>,
    tls: Option<ServerConfig>,
) -> io::Result<(Server, SocketAddr)> {
    let socket = listen(state.config.admin.listen)?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .configure(operators)
            .wrap(from_fn(admin::audited))
            .wrap(from_fn(admin::forwarded))
            .wrap(from_fn(measured))
    })
    .workers(1)
    .tcp_nodelay(true)
    .shutdown_timeout(1)
    .disable_signals();
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(socket, tls)?,
        None => server.listen(socket)?,
    };
    let address = bound(&server.addrs())?;
    Ok((server.run(), address))
}

fn bound(addresses: &[SocketAddr]) -> io::Result<SocketAddr> {
    let first = addresses.first().copied();
    first.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

/// What clients reach.
pub(super) fn clients(app: &mut web::ServiceConfig) {
    app.app_data(web::PayloadConfig::new(SDP_BYTES_MAX))
        .app_data(query_errors())
        .route("/v1/signal", web::get().to(ws::open))
        .route("/dev/token", web::get().to(page::dev_token))
        .route("/v1/quic", web::get().to(quic::reach))
        .service(
            web::resource("/whip/{room}")
                .route(web::post().to(whip::publish))
                .route(web::method(actix_web::http::Method::OPTIONS).to(whip::endpoint_options))
                .default_service(web::to(whip::not_allowed)),
        )
        .service(
            web::resource("/whep/{room}")
                .route(web::post().to(whip::play))
                .route(web::method(actix_web::http::Method::OPTIONS).to(whip::endpoint_options))
                .default_service(web::to(whip::not_allowed)),
        )
        .service(
            web::resource("/{kind:whip|whep}/{room}/{session}")
                .route(web::patch().to(whip::patch))
                .route(web::delete().to(whip::delete))
                .route(web::method(actix_web::http::Method::OPTIONS).to(whip::session_options))
                .default_service(web::to(whip::not_allowed)),
        )
        .service(live_file())
        .route("/live/{room}/{file}", web::get().to(live::continuous))
        .default_service(web::to(page::app));
}

fn live_file() -> actix_web::Resource {
    web::resource("/live/{room}/{stream}/{file}")
        .route(web::get().to(live::file))
        .route(web::head().to(live::file))
        .default_service(web::to(whip::not_allowed))
}

/// What operators reach.
pub(super) fn operators(app: &mut web::ServiceConfig) {
    app.app_data(json_errors())
        .app_data(query_errors())
        .route("/healthz", web::get().to(health::live))
        .route("/readyz", web::get().to(health::ready))
        .route("/metrics", web::get().to(health::metrics))
        .configure(admin::table::configure)
        .default_service(web::to(console::page));
}

fn json_errors() -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(JSON_BYTES_MAX)
        .error_handler(|error, _| {
            let too_large = matches!(
                error,
                JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. }
            );
            let kind = if too_large {
                ErrorType::TooLarge
            } else if matches!(error, JsonPayloadError::ContentType) {
                ErrorType::UnsupportedMediaType
            } else {
                ErrorType::InvalidParams
            };
            ApiError::detailed(kind, error.to_string()).into()
        })
}

fn query_errors() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|error, _| {
        ApiError::detailed(ErrorType::InvalidParams, error.to_string()).into()
    })
}

/// Counts and times each request under its route's pattern, which is of a closed set.
async fn measured<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let clock = request.app_data::<web::Data<AppState>>().cloned();
    let clock = clock.map(|state| state.clock.clone());
    let started = clock.as_ref().map(|clock| clock.now());
    let mut span = traces::of_request(&request);
    let response = match span.context() {
        Some(_) => {
            let called = span.within(next.call(request)).await?;
            span.set("http.response.status_code", called.status().as_u16());
            if called.status().is_server_error() {
                span.fail(called.status());
            }
            called
        }
        None => next.call(request).await?,
    };
    drop(span);
    let route = response.request().match_pattern();
    let route = route.as_deref().unwrap_or("other");
    let took = clock
        .zip(started)
        .map(|(clock, started)| clock.now().saturating_duration_since(started));
    telemetry::http_request(route, response.status().as_u16(), took.unwrap_or_default());
    Ok(response)
}

/// Opens a listening socket; what is set on it holds for every connection it accepts.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_user_timeout(Some(UNSENT_MAX))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
