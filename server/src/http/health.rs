//! `/healthz` and `/readyz`.

use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{HttpResponse, web};

use super::state::AppState;

/// Whether this worker takes joins. Two facts that nobody reads as a pair: draining wins.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// All listeners are open, or no longer.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// From now on no joins are taken.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether new rooms and peers are taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_draining()
    }

    /// Whether the worker is being emptied.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// The process lives and its HTTP threads answer.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// The worker takes joins.
pub(super) async fn ready(state: web::Data<AppState>) -> HttpResponse {
    let (mut response, text) = if state.health.is_ready() {
        (HttpResponse::Ok(), "ready\n")
    } else if state.health.is_draining() {
        (HttpResponse::ServiceUnavailable(), "draining\n")
    } else {
        (HttpResponse::ServiceUnavailable(), "starting\n")
    };
    response.content_type("text/plain").body(text)
}

/// The figures for Prometheus.
pub(super) async fn metrics(state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(state.metrics.render())
}
