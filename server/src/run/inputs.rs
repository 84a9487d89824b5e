//! The listeners of encoders.

use std::sync::Arc;

use rustls::ServerConfig;

use super::foundation::Foundation;
use super::{RunError, opening};
use crate::config::Config;
use crate::egress::Egress;
use crate::http::Health;
use crate::ingest::rtmp::{RtmpListeners, RtmpServer};
use crate::live::Live;
use crate::net::Reach;
use crate::quic::{self, QuicSocket};
use crate::tls::TlsError;
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

/// Binds the port of QUIC where there is a certificate, or one can be made; `--dev` goes without
/// where somebody else has the port.
pub(super) fn bind_quic(
    config: &Config,
    tls: Option<&ServerConfig>,
    reach: &Reach,
    clock: &dyn media_types::Clock,
) -> Result<Option<QuicSocket>, RunError> {
    if !config.quic.enabled {
        return Ok(None);
    }
    // A certificate that browsers are warned of is not taken by WebTransport at all.
    let given = tls.filter(|_| !config.lan);
    let identity = match given {
        Some(tls) => quic::Identity::shared(tls.clone()),
        None if config.dev => made(reach, clock)?,
        None => {
            tracing::info!("QUIC is not served without a certificate");
            return Ok(None);
        }
    };
    match QuicSocket::bind(&config.quic, &identity) {
        Err(error) if config.dev => {
            tracing::warn!(%error, "QUIC is not served");
            Ok(None)
        }
        bound => bound.map(Some).map_err(opening("the QUIC port")),
    }
}

fn made(reach: &Reach, clock: &dyn media_types::Clock) -> Result<quic::Identity, TlsError> {
    let addresses = reach.announced().iter().map(ToString::to_string);
    let names = std::iter::once("localhost".to_owned()).chain(addresses);
    quic::Identity::made(names.collect(), clock)
}

/// Serves RTMP and QUIC, each on a thread of its own.
pub(super) fn serve(
    (listeners, quic): (Option<RtmpListeners>, Option<QuicSocket>),
    config: &Config,
    foundation: &Foundation,
    (live, transcoding, health): (&Live, &Transcoding, &Arc<Health>),
    egress: &Arc<Egress>,
) -> Result<(), RunError> {
    let server = Arc::new(RtmpServer {
        config: config.rtmp.clone(),
        auth: Arc::clone(&foundation.auth),
        live: live.clone(),
        transcoding: transcoding.clone(),
        health: Arc::clone(health),
        egress: Arc::clone(egress),
        clock: Arc::clone(&foundation.clock),
        ops: Arc::clone(&foundation.ops),
    });
    if let Some(socket) = quic {
        let runtime = quic::start_thread().map_err(opening("the thread of QUIC"))?;
        let served = socket.serve(config.quic.clone(), Arc::clone(&server), &runtime);
        served.map_err(opening("the QUIC port"))?;
    }
    if let Some(listeners) = listeners {
        let runtime = crate::ingest::start_thread().map_err(opening("the thread of encoders"))?;
        listeners.serve(server, &runtime);
    }
    Ok(())
}
