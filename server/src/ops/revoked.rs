//! Tokens that are believed no more, on every worker and over restarts: records under
//! `tokens/revoked/` that all workers follow.

use std::sync::Arc;
use std::time::Duration;

use actors::Revocation;
use control_plane::{Entry, keys};
use media_types::Identity;
use serde::{Deserialize, Serialize};
use signaling::{ErrorType, RpcError};

use super::store::Guarded;
use crate::auth::Revocations;

const VERSION: u32 = 1;
/// Bytes of a `jti` or a key's name: they become a part of a key in the store.
const NAME_BYTES_MAX: usize = 256;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    version: u32,
    kind: String,
    name: String,
    /// Seconds since the Unix epoch; by then nothing that it names can be good.
    until: u64,
    /// Sessions end too.
    #[serde(default)]
    end: bool,
}

fn parts(revocation: &Revocation) -> (&'static str, String) {
    match revocation {
        Revocation::Token(jti) => ("jti", jti.clone()),
        Revocation::Identity(identity) => ("sub", identity.to_string()),
        Revocation::Key(key) => ("kid", key.clone()),
    }
}

fn revocation(kept: &Kept) -> Option<Revocation> {
    match kept.kind.as_str() {
        "jti" => Some(Revocation::Token(kept.name.clone())),
        "sub" => kept.name.parse::<Identity>().ok().map(Revocation::Identity),
        "kid" => Some(Revocation::Key(kept.name.clone())),
        _ => None,
    }
}

/// Tells all workers.
///
/// # Errors
/// `unavailable` where the store does not take it: this worker alone refuses such tokens.
pub(super) async fn publish(
    store: &Guarded,
    revoked: &Revocations,
    what: &Revocation,
    end: bool,
    now: Duration,
) -> Result<(), RpcError> {
    let (kind, name) = parts(what);
    if name.len() > NAME_BYTES_MAX {
        return Err(RpcError::with_message(
            ErrorType::InvalidParams,
            "above 256 bytes",
        ));
    }
    let key = keys::revocation(kind, &name);
    let kept = Kept {
        version: VERSION,
        kind: kind.to_owned(),
        name,
        until: now.saturating_add(revoked.life()).as_secs(),
        end,
    };
    let value = serde_json::to_vec(&kept).unwrap_or_default();
    store.put(&key, Some(value)).await.map(|_| ())
}

/// Takes a record to heart; the sessions to end, where some shall.
pub(super) fn hear(
    entry: &Entry,
    revoked: &Arc<Revocations>,
    now: Duration,
) -> Result<Option<Revocation>, String> {
    let kept: Kept = serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    let named = revocation(&kept).ok_or_else(|| format!("no such kind: {}", kept.kind))?;
    let until = Duration::from_secs(kept.until);
    if until <= now {
        return Ok(None);
    }
    let added = revoked.add_until(named.clone(), until, now);
    added.map_err(|error| error.word().to_owned())?;
    Ok(kept.end.then_some(named))
}

/// Deletes records that name nothing good any more.
///
/// # Errors
/// `unavailable`.
pub(super) async fn forget(store: &Guarded, now: Duration) -> Result<(), RpcError> {
    for entry in store.list(&keys::revocations()).await?.entries {
        let kept = serde_json::from_slice::<Kept>(&entry.value);
        if kept.is_ok_and(|kept| kept.until < now.as_secs()) {
            store.put(&entry.key, None).await?;
        }
    }
    Ok(())
}
