//! Failures as `application/problem+json` (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONNECTION, LOCATION, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use signaling::{ErrorType, Problem, RpcError};

/// An error of the protocol as a handler's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError(pub RpcError);

impl ApiError {
    /// The same with more to say to a developer.
    #[must_use]
    pub fn detailed(kind: ErrorType, detail: impl Into<String>) -> Self {
        Self(RpcError::with_message(kind, detail))
    }
}

impl From<ErrorType> for ApiError {
    fn from(kind: ErrorType) -> Self {
        Self(kind.into())
    }
}

impl From<RpcError> for ApiError {
    fn from(error: RpcError) -> Self {
        Self(error)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        let status = self.0.kind().http_status();
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(wait) = self.0.data.retry_after_ms {
            // The header counts whole seconds: never too early.
            response.insert_header((RETRY_AFTER, wait.div_ceil(1_000).to_string()));
        }
        if self.0.kind() == ErrorType::Moved
            && let Some(url) = &self.0.data.url
        {
            response.insert_header((LOCATION, url.as_str()));
        }
        if self.0.kind() == ErrorType::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"troupe\""));
        }
        if self.0.kind() == ErrorType::TlsRequired {
            response.insert_header((UPGRADE, "TLS/1.2, HTTP/1.1"));
            response.insert_header((CONNECTION, "upgrade"));
        }
        let body = serde_json::to_string(&Problem::from(&self.0)).unwrap_or_default();
        response.content_type(Problem::CONTENT_TYPE).body(body)
    }
}
