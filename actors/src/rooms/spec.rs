//! A room's settings, as the store keeps them.

use control_plane::{Condition, Record, RoomSpec, Store, Swap};
use media_types::RoomName;
use signaling::rest::RoomSettings;

use crate::error::ActorsError;

/// Attempts to write a spec against others who write it.
const SPEC_ATTEMPTS: usize = 8;

/// Keeps a room's settings in the store, so that its next life has them too.
///
/// # Errors
/// [`ActorsError::Store`].
pub(crate) async fn keep_spec(
    store: &dyn Store,
    name: &RoomName,
    settings: &RoomSettings,
) -> Result<(), ActorsError> {
    let key = control_plane::keys::room_spec(name);
    let value = spec_of(settings).encode();
    let mut condition = Condition::Absent;
    for _ in 0..SPEC_ATTEMPTS {
        let swap = store.swap(&key, condition, value.clone(), None).await;
        match swap.map_err(|error| ActorsError::Store(Some(error)))? {
            Swap::Done(_) => return Ok(()),
            Swap::Conflict(Some(entry)) => condition = Condition::At(entry.revision),
            Swap::Conflict(None) => condition = Condition::Absent,
        }
    }
    Err(ActorsError::Store(None))
}

/// The spec that settings are stored as.
pub(crate) fn spec_of(settings: &RoomSettings) -> RoomSpec {
    RoomSpec {
        max_peers: settings.max_peers,
        max_publishers: settings.max_publishers,
        empty_timeout_s: settings.empty_timeout_s,
        departure_timeout_s: settings.departure_timeout_s,
        metadata: settings.metadata.clone(),
        codecs: settings.codecs.clone(),
        recording: settings.recording,
        auto_create: settings.auto_create,
    }
}

/// The settings that a stored spec stands for.
pub(crate) fn settings_of(spec: RoomSpec) -> RoomSettings {
    RoomSettings {
        max_peers: spec.max_peers,
        max_publishers: spec.max_publishers,
        empty_timeout_s: spec.empty_timeout_s,
        departure_timeout_s: spec.departure_timeout_s,
        metadata: spec.metadata,
        codecs: spec.codecs,
        recording: spec.recording,
        auto_create: spec.auto_create,
    }
}
