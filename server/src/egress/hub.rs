//! The task of one watched stream.

use std::sync::Arc;
use std::time::Duration;

use media_egress::hls::{Packager, PackagerSettings, Rendition};
use media_egress::mux::Kinds;
use media_egress::{EgressError, Format, Frame};
use tokio::sync::{mpsc, oneshot, watch};

use super::fanout::{Container, Fanout, Joined};
use super::metrics;
use super::source::{Source, SourceEvent};
use super::streams::Shared;

/// How often a stream looks whether somebody still wants it.
const TICK: Duration = Duration::from_secs(1);

/// What players can fetch at present.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Pictures first.
    pub renditions: Vec<Rendition>,
    /// The wall clock at time 0 of the stream.
    pub epoch: Duration,
    /// The tracks that the publisher has.
    pub kinds: Kinds,
    /// A codec of the publisher's that these players do not take.
    pub refused: Option<Format>,
    /// The publisher has gone.
    pub ended: bool,
}

/// What requests ask of the task.
pub(super) enum Command {
    /// A player of a continuous format.
    Join(Container, oneshot::Sender<Joined>),
    /// Somebody wants segments.
    Package,
}

pub(super) struct Hub {
    pub(super) source: Source,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: PackagerSettings,
    pub(super) idle: Duration,
    pub(super) window: watch::Sender<Arc<Window>>,
    pub(super) commands: mpsc::Receiver<Command>,
}

/// What is being made of the stream.
#[derive(Default)]
struct Outputs {
    packager: Option<Packager>,
    flv: Option<Fanout>,
    mp4: Option<Fanout>,
    kinds: Kinds,
    refused: Option<Format>,
}

impl Hub {
    /// Runs until nobody wants the stream, or it ends.
    pub(super) async fn run(mut self) {
        let mut outputs = Outputs::default();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.source.next() => match event {
                    SourceEvent::Frame(frame) => self.frame(&mut outputs, frame),
                    SourceEvent::Kinds(kinds) => {
                        outputs.kinds = kinds;
                        self.publish(&outputs, false);
                    }
                    SourceEvent::Ended => break,
                },
                // Who joins is let in when the tracks are known.
                command = self.commands.recv(), if self.source.is_settled() => match command {
                    Some(command) => self.obey(&mut outputs, command),
                    None => return,
                },
                _ = tick.tick() => {
                    if self.is_idle(&mut outputs) {
                        return;
                    }
                }
            }
        }
        if let Some(packager) = &mut outputs.packager {
            let _unfinished = packager.end();
        }
        self.publish(&outputs, true);
    }

    fn is_idle(&self, outputs: &mut Outputs) -> bool {
        for fanout in [&mut outputs.flv, &mut outputs.mp4] {
            if fanout.as_mut().is_some_and(|fanout| !fanout.is_used()) {
                *fanout = None;
            }
        }
        let quiet = self
            .shared
            .clock
            .now()
            .saturating_sub(self.shared.touched());
        if quiet >= self.idle {
            outputs.packager = None;
        }
        quiet >= self.idle && outputs.flv.is_none() && outputs.mp4.is_none()
    }

    fn obey(&mut self, outputs: &mut Outputs, command: Command) {
        match command {
            Command::Join(container, reply) => {
                let kinds = outputs.kinds;
                let slot = match container {
                    Container::Flv => &mut outputs.flv,
                    Container::Mp4 => &mut outputs.mp4,
                };
                slot.get_or_insert_with(|| Fanout::new(container, kinds))
                    .join(reply);
            }
            Command::Package => {
                if outputs.packager.is_none() {
                    let first = self.shared.clock.now().as_secs();
                    outputs.packager = Some(Packager::new(self.settings, first));
                }
            }
        }
    }

    fn frame(&mut self, outputs: &mut Outputs, frame: Frame) {
        let mut changed = false;
        if let Some(packager) = &mut outputs.packager {
            match packager.push(frame.clone()) {
                Ok(new) => changed = new,
                Err(EgressError::Unsupported(format)) => {
                    changed = outputs.refused != Some(format);
                    outputs.refused = Some(format);
                }
                Err(error) => {
                    tracing::debug!(%error, "a frame is not packaged");
                    metrics::dropped("unwritable", 1);
                }
            }
        }
        for slot in [&mut outputs.flv, &mut outputs.mp4] {
            let Some(fanout) = slot else {
                continue;
            };
            match fanout.push(&frame) {
                Ok(true) => {}
                // Players come anew and get another head.
                Ok(false) => *slot = None,
                Err(error) => {
                    tracing::debug!(%error, "a frame cannot be played");
                    metrics::dropped("unwritable", 1);
                    *slot = None;
                }
            }
        }
        if changed {
            self.publish(outputs, false);
        }
    }

    fn publish(&self, outputs: &Outputs, ended: bool) {
        let renditions = outputs.packager.as_ref().map(Packager::renditions);
        let window = Window {
            renditions: renditions.unwrap_or_default(),
            epoch: self.source.epoch().unwrap_or_default(),
            kinds: outputs.kinds,
            refused: outputs.refused,
            ended,
        };
        self.window.send_replace(Arc::new(window));
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.close();
    }
}
