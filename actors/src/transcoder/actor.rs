//! The actor of one job: carries out what its state decides.

use std::sync::Arc;
use std::time::Duration;

use supervision::{Arbiter, Behaviour, Child, Goodbye, Host, RestartPolicy, Scope, Spec};

use super::state::{TranscoderAction, TranscoderPhase, TranscoderState};
use crate::limits::{CODEC_RESTART_WINDOW, CODEC_RESTARTS_MAX, CODEC_TICK, TRANSCODER_BOX};
use crate::metrics::Counting;

/// The process, as whoever moves its frames holds it. Calls return at once; what comes of them is
/// told by [`TranscoderMessage`].
pub trait CodecProcess: Send + Sync {
    /// Starts a process, unless one is there.
    fn launch(&self);
    /// Ends it, if there is one.
    fn kill(&self);
    /// Nothing will come any more.
    fn give_up(&self);
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

/// Starts the actor of a job.
#[must_use]
pub fn spawn_transcoder(
    arbiter: &Arbiter,
    process: Arc<dyn CodecProcess>,
) -> Child<TranscoderMessage> {
    let policy =
        RestartPolicy::transient().with_intensity(CODEC_RESTARTS_MAX, CODEC_RESTART_WINDOW);
    let last = Arc::clone(&process);
    let spec = Spec::new("transcoder")
        .policy(policy)
        .capacity(TRANSCODER_BOX)
        .observer(Arc::new(Counting))
        .notices(Box::new(move |notice| {
            if let supervision::Notice::Exited(exit) = notice
                && exit.is_failure()
            {
                last.kill();
                last.give_up();
            }
        }));
    let factory = move || Transcoder {
        process: Arc::clone(&process),
        state: None,
    };
    Host::spawn_on(arbiter, factory, spec)
}

impl Transcoder {
    fn act(&mut self, action: Option<TranscoderAction>, scope: &mut Scope<Self>) {
        match action {
            Some(TranscoderAction::Launch) => self.process.launch(),
            Some(TranscoderAction::LaunchAfter(pause)) => {
                scope.after(pause, TranscoderMessage::Retry);
            }
            Some(TranscoderAction::Kill) => self.process.kill(),
            Some(TranscoderAction::GiveUp) => self.process.give_up(),
            None => {}
        }
        if let Some(state) = &self.state {
            self.process
                .report(state.phase(), state.failures(), state.failure());
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

    fn stopping(&mut self, _: &mut Scope<Self>) -> Goodbye {
        self.process.kill();
        Goodbye::Now
    }
}
