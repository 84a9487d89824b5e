//! `GET /v1/quic`: where QUIC is spoken, and what to pin. A page on another port of this host asks
//! for it before it opens a WebTransport session.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use signaling::ErrorType;

use super::problem::ApiError;
use super::state::AppState;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reach {
    /// The UDP port, at the host of this URL.
    port: u16,
    /// SHA-256 of the certificate, in hexadecimal digits, where it was made at start.
    certificate_hashes: Vec<String>,
}

pub(super) async fn reach(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let quic = state.quic.as_ref().ok_or(ErrorType::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(Reach {
            port: quic.port,
            certificate_hashes: quic.hash.iter().map(|hash| hash.hex()).collect(),
        }))
}
