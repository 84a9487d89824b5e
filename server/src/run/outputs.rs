//! What packages streams for HTTP, and what records.

use std::sync::Arc;

use super::foundation::Foundation;
use super::{RunError, opening};
use crate::config::Config;
use crate::egress::record::{News, Recordings};
use crate::egress::{Egress, SteadyClock, describe, start_thread};
use crate::live::Live;
use crate::transcode::Transcoding;

/// Starts the thread of both.
pub(super) fn start(
    config: &Config,
    (live, transcoding): (&Live, &Transcoding),
    foundation: &Foundation,
) -> Result<(Arc<Egress>, Arc<Recordings>), RunError> {
    describe();
    let runtime = start_thread().map_err(opening("the thread of egress"))?;
    let clock = SteadyClock::new(Arc::clone(&foundation.clock));
    let settings = config.egress.clone();
    let parts = (live.clone(), transcoding.clone());
    let egress = Egress::new(settings, parts, clock.clone(), runtime.clone());
    let ops = &foundation.ops;
    let who = (ops.worker.clone(), News::new(Arc::clone(&ops.journal)));
    let settings = config.recording.clone();
    let recordings = Recordings::new(who, settings, live.clone(), clock, runtime)
        .map_err(opening("the storage of recordings"))?;
    Ok((Arc::new(egress), Arc::new(recordings)))
}
