//! The actor of one job: carries out what its state decides.

use std::sync::Arc;
use std::time::Duration;

use supervision::{Behaviour, Exit, RestartPolicy, Scope};

use super::state::{TranscoderAction, TranscoderPhase, TranscoderState};
use crate::limits::{CODEC_RESTART_WINDOW, CODEC_RESTARTS_MAX, CODEC_TICK};

/// The process, as whoever moves its frames holds it. Calls return at once; what comes of them is
/// told by [`TranscoderMessage`].
pub trait CodecProcess: Send + Sync {
    /// Starts a process, unless one is there.
    fn launch(&self);
    /// Ends it, if there is one.
    fn kill(&self);
    /// Ends it for good: too much failed.
    fn give_up(&self);
    /// Ends it for good: the room has closed, or the job is over.
    fn end(&self);
    /// How the job is, for the API.
    fn report(&self, phase: TranscoderPhase, failures: u32, failure: Option<&str>);
}

/// What a transcoder hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscoderMessage {
    /// The process is ready, or answered.
    Healthy,
    /// The process has ended, or could not be started.
    Failed {
        /// For the log and the API.
        reason: String,
        /// Another would fare no better.
        last: bool,
    },
    /// A pause is over.
    Retry,
    /// Time to look.
    Tick,
}

/// One job.
pub struct Transcoder {
    process: Arc<dyn CodecProcess>,
    state: Option<TranscoderState>,
}

impl Transcoder {
    /// A first or a later life of a job's actor.
    #[must_use]
    pub fn new(process: Arc<dyn CodecProcess>) -> Self {
        Self {
            process,
            state: None,
        }
    }

    /// How often it may fail: as often as its process.
    #[must_use]
    pub fn policy() -> RestartPolicy {
        RestartPolicy::transient().with_intensity(CODEC_RESTARTS_MAX, CODEC_RESTART_WINDOW)
    }

    /// What its supervisor does when it has ended for good: no process stays behind, and who waits
    /// for frames hears that none will come.
    pub fn bury(process: &dyn CodecProcess, exit: &Exit) {
        if exit.is_failure() {
            process.give_up();
        } else {
            process.end();
        }
    }

    fn act(&mut self, action: Option<TranscoderAction>, scope: &mut Scope<Self>) {
        // First, so that who hears of the end finds the reason.
        if let Some(state) = &self.state {
            self.process
                .report(state.phase(), state.failures(), state.failure());
        }
        match action {
            Some(TranscoderAction::Launch) => self.process.launch(),
            Some(TranscoderAction::LaunchAfter(pause)) => {
                scope.after(pause, TranscoderMessage::Retry);
            }
            Some(TranscoderAction::Kill) => self.process.kill(),
            Some(TranscoderAction::GiveUp) => self.process.give_up(),
            None => {}
        }
    }
}

impl Behaviour for Transcoder {
    type Message = TranscoderMessage;

    /// A life that follows another knows nothing of the process that may be there, and starts with
    /// a new one.
    fn started(&mut self, scope: &mut Scope<Self>) {
        let period: Duration = CODEC_TICK;
        scope.every(period, || TranscoderMessage::Tick);
        self.process.kill();
        let (state, action) = TranscoderState::new(scope.now());
        self.state = Some(state);
        self.act(Some(action), scope);
    }

    fn handle(&mut self, message: TranscoderMessage, scope: &mut Scope<Self>) {
        let now = scope.now();
        let Some(state) = &mut self.state else {
            return;
        };
        let action = match message {
            TranscoderMessage::Healthy => {
                state.handle_healthy(now);
                None
            }
            TranscoderMessage::Failed { reason, last } => {
                tracing::warn!(reason, last, "a codec process failed");
                state.handle_failure(now, reason, last)
            }
            TranscoderMessage::Retry => state.handle_retry(now),
            TranscoderMessage::Tick => state.handle_tick(now),
        };
        self.act(action, scope);
    }
}
