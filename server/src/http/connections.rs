//! How many connections clients have open, of as many as `http.connections_max` lets be.

use std::any::Any;

use actix_web::dev::Extensions;
use metrics::gauge;

use super::first;
use crate::telemetry::HTTP_CONNECTIONS;

/// One of them: what a connection keeps is dropped when it ends.
struct Open;

impl Open {
    fn counted() -> Self {
        gauge!(HTTP_CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(HTTP_CONNECTIONS).decrement(1.0);
    }
}

/// Counts a connection for as long as it lasts, and gives it what else it keeps.
pub(super) fn connected(connection: &dyn Any, data: &mut Extensions) {
    data.insert(Open::counted());
    first::connected(connection, data);
}
