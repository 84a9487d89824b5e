//! The listeners: clients on one, operators on the other.
//!
//! Handlers are thin: they check the transport and the token, turn a request into the types of
//! [`signaling`], ask the [`Rooms`], and turn the answer into a response. What rooms are is behind
//! that trait; nothing here knows an actor.

mod admin;
mod auth;
mod connections;
mod console;
mod cors;
mod first;
mod health;
mod ice_servers;
mod live;
mod outbox;
mod problem;
mod quic;
mod rooms;
mod routes;
mod sdp;
mod state;
mod throttle;
mod web;
mod whip;
mod whip_sessions;
mod ws;

pub use health::Health;
pub use outbox::OutQueue;
pub use problem::ApiError;
pub use rooms::{
    Answer, JoinRequest, Joined, Outbox, OutboxError, Rooms, Session, SessionHandle, TellError, Via,
};
pub use routes::{Listeners, ListenersTls, run};
pub use state::AppState;
pub use whip_sessions::WhipSessions;

/// The routes of the admin API, each with its method.
#[cfg(test)]
pub(crate) fn admin_routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    let table = admin::table::TABLE.iter();
    table.map(|entry| (entry.method, entry.path))
}

#[cfg(test)]
mod tests;
