//! The listeners of encoders.

use std::sync::Arc;

use media_types::Clock;
use rustls::ServerConfig;

use super::{RunError, opening};
use crate::auth::Auth;
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

/// What the front ends of encoders need.
pub(super) struct Inputs<'a> {
    pub(super) config: &'a Config,
    pub(super) auth: &'a Arc<Auth>,
    pub(super) live: &'a Live,
    pub(super) transcoding: &'a Transcoding,
    pub(super) health: &'a Arc<Health>,
    pub(super) clock: &'a Arc<dyn Clock>,
}

impl Inputs<'_> {
    /// Serves RTMP on a thread of its own.
    pub(super) fn serve(&self, listeners: Option<RtmpListeners>) -> Result<(), RunError> {
        let Some(listeners) = listeners else {
            return Ok(());
        };
        let runtime = crate::ingest::start_thread().map_err(opening("the thread of encoders"))?;
        let server = RtmpServer {
            config: self.config.rtmp.clone(),
            auth: Arc::clone(self.auth),
            live: self.live.clone(),
            transcoding: self.transcoding.clone(),
            health: Arc::clone(self.health),
            clock: Arc::clone(self.clock),
        };
        listeners.serve(server, &runtime);
        Ok(())
    }
}
