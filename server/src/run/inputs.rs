//! The listeners of encoders.

use std::sync::Arc;

use rustls::ServerConfig;

use super::foundation::Foundation;
use super::{RunError, opening};
use crate::config::Config;
use crate::http::Health;
use crate::ingest::rtmp::{RtmpListeners, RtmpServer};
use crate::live::Live;
use crate::transcode::Transcoding;

/// Binds what the settings want. A developer's second server goes without, where the first has the
/// port.
pub(super) fn bind(
    config: &Config,
    tls: Option<&ServerConfig>,
) -> Result<Option<RtmpListeners>, RunError> {
    match RtmpListeners::bind(&config.rtmp, tls) {
        Err(error) if config.dev => {
            tracing::warn!(%error, "RTMP is not served");
            Ok(None)
        }
        bound => bound.map_err(opening("the RTMP listeners")),
    }
}

/// Serves RTMP on a thread of its own.
pub(super) fn serve(
    listeners: Option<RtmpListeners>,
    config: &Config,
    foundation: &Foundation,
    (live, transcoding, health): (&Live, &Transcoding, &Arc<Health>),
) -> Result<(), RunError> {
    let Some(listeners) = listeners else {
        return Ok(());
    };
    let runtime = crate::ingest::start_thread().map_err(opening("the thread of encoders"))?;
    let server = RtmpServer {
        config: config.rtmp.clone(),
        auth: Arc::clone(&foundation.auth),
        live: live.clone(),
        transcoding: transcoding.clone(),
        health: Arc::clone(health),
        clock: Arc::clone(&foundation.clock),
    };
    listeners.serve(server, &runtime);
    Ok(())
}
