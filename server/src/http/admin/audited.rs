//! Writes down what operators do, after it is done and before they are told.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use serde_json::Value;
use signaling::Claims;

use crate::http::state::AppState;
use crate::ops::audit::Deed;

/// Who asks, once its token was believed.
struct Actor {
    sub: String,
    key: String,
}

/// What is changed, for the log.
struct Note(Value);

/// Notes who asks.
pub(super) fn note_actor(request: &HttpRequest, claims: &Claims) {
    request.extensions_mut().insert(Actor {
        sub: claims.sub.to_string(),
        key: claims.iss.clone(),
    });
}

/// Notes what is changed. No secrets: the log shows it.
pub(super) fn note(request: &HttpRequest, detail: Value) {
    request.extensions_mut().insert(Note(detail));
}

/// Writes down every change that a token was good for, refused ones too.
pub(in crate::http) async fn audited<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let changes = !matches!(request.method().as_str(), "GET" | "HEAD" | "OPTIONS");
    let ops = request.app_data::<web::Data<AppState>>();
    let ops = ops.filter(|_| changes).map(|state| state.ops.clone());
    let action = format!("{} {}", request.method(), request.path());
    let response = next.call(request).await?;
    let Some(ops) = ops else {
        return Ok(response);
    };
    let deed = {
        let extensions = response.request().extensions();
        extensions.get::<Actor>().map(|actor| Deed {
            actor: actor.sub.clone(),
            key: actor.key.clone(),
            action,
            status: response.status().as_u16(),
            detail: extensions
                .get::<Note>()
                .map(|note| note.0.clone())
                .unwrap_or_default(),
        })
    };
    if let Some(deed) = deed {
        ops.journal
            .emit("admin.acted", None, serde_json::json!(deed));
        // A log that cannot be written says so itself; what was done is done.
        let _ = ops.audit.write(deed).await;
    }
    Ok(response)
}
