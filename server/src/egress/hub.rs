//! The task of one watched stream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use media_egress::hls::{Packager, PackagerSettings, Rendition};
use media_egress::mux::Kinds;
use media_egress::{EgressError, Format, Frame};
use tokio::sync::{mpsc, watch};

use super::SteadyClock;
use super::fanout::{Container, Fanout, Joining};
use super::metrics;
use super::sound::Sound;
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
    Join(Container, Joining),
    /// Somebody wants segments.
    Package,
}

pub(super) struct Hub {
    pub(super) source: Source,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: PackagerSettings,
    pub(super) idle: Duration,
    /// How long frames of players may wait for others.
    pub(super) gather: Duration,
    pub(super) window: watch::Sender<Arc<Window>>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Makes AAC of Opus for players that know no other.
    pub(super) sound: Sound,
}

/// What is being made of the stream.
#[derive(Default)]
struct Outputs {
    packager: Option<Packager>,
    /// At most one of each container.
    fanouts: Vec<Fanout>,
    kinds: Kinds,
    refused: Option<Format>,
    /// When players last got what had come, by our clock.
    served: Duration,
}

impl Hub {
    /// Runs until nobody wants the stream, or it ends.
    pub(super) async fn run(mut self) {
        let mut outputs = Outputs::default();
        // Until somebody is there whom it can go to, what an encoder's stream holds stays there:
        // who has it made is to get the group of pictures that is going on. Packets do not wait:
        // a packager that began with pictures older than their sound would never line them up.
        let mut begun = self.source.is_tapped();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let rest = self.rest(&outputs);
            tokio::select! {
                event = self.source.next(),
                    if rest.is_none() && (begun || !self.source.is_settled()) =>
                {
                    if self.events(&mut outputs, event) {
                        break;
                    }
                }
                () = sleep(rest) => {}
                frame = self.sound.next() => {
                    let now = self.shared.clock.now();
                    outputs.fan_out(&frame, now, Container::is_tagged);
                }
                // Who joins is let in when the tracks are known.
                command = self.commands.recv(), if self.source.is_settled() => match command {
                    Some(command) => {
                        self.obey(&mut outputs, command);
                        begun = true;
                    }
                    None => return,
                },
                () = sleep(outputs.wait(&self.shared.clock)) => {
                    outputs.handle_timeout(self.shared.clock.now());
                }
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

    /// How long frames may still wait where they are. Where players are all that there is, and they
    /// began, what comes is looked at so often as they are written to: to be woken for each frame
    /// would be half of what a stream costs.
    fn rest(&self, outputs: &Outputs) -> Option<Duration> {
        if !self.is_paced(outputs) {
            return None;
        }
        let until = outputs.served.saturating_add(self.gather);
        let rest = until.saturating_sub(self.shared.clock.now());
        Some(rest).filter(|rest| !rest.is_zero())
    }

    /// Taps are read as they fill: they hold less than a frame hub.
    fn is_paced(&self, outputs: &Outputs) -> bool {
        let steady = |it: &Fanout| it.container().is_tagged() && !it.is_awaited();
        !self.source.is_tapped()
            && self.source.is_settled()
            && outputs.packager.is_none()
            && !outputs.fanouts.is_empty()
            && outputs.fanouts.iter().all(steady)
    }

    /// Takes what came, and at a pace all else that is there; whether the stream has ended.
    fn events(&mut self, outputs: &mut Outputs, first: SourceEvent) -> bool {
        if self.event(outputs, first) {
            return true;
        }
        if !self.is_paced(outputs) {
            return false;
        }
        while let Some(event) = self.source.next().now_or_never() {
            if self.event(outputs, event) {
                return true;
            }
        }
        outputs.serve(self.shared.clock.now());
        false
    }

    fn event(&mut self, outputs: &mut Outputs, event: SourceEvent) -> bool {
        match event {
            SourceEvent::Frame(frame) => self.frame(outputs, frame),
            SourceEvent::Kinds(kinds) => {
                outputs.kinds = kinds;
                self.publish(outputs, false);
            }
            SourceEvent::Ended => return true,
        }
        false
    }

    fn is_idle(&mut self, outputs: &mut Outputs) -> bool {
        outputs.fanouts.retain_mut(Fanout::is_used);
        if !outputs.has_tagged() {
            self.sound.stop();
        }
        let quiet = self
            .shared
            .clock
            .now()
            .saturating_sub(self.shared.touched());
        if quiet >= self.idle {
            outputs.packager = None;
        }
        quiet >= self.idle && outputs.fanouts.is_empty()
    }

    fn obey(&mut self, outputs: &mut Outputs, command: Command) {
        match command {
            Command::Join(container, joining) => {
                let known = |it: &Fanout| it.container() == container;
                if !outputs.fanouts.iter().any(known) {
                    let fanout = Fanout::new(container, outputs.kinds, self.gather);
                    outputs.fanouts.push(fanout);
                }
                if let Some(fanout) = outputs.fanouts.iter_mut().find(|it| known(it)) {
                    fanout.join(joining);
                }
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
        let taken = outputs.has_tagged() && self.sound.take(&frame);
        let now = self.shared.clock.now();
        outputs.fan_out(&frame, now, |container| !taken || !container.is_tagged());
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

impl Outputs {
    fn has_tagged(&self) -> bool {
        self.fanouts.iter().any(|it| it.container().is_tagged())
    }

    /// How long until something has waited long enough.
    fn wait(&self, clock: &SteadyClock) -> Option<Duration> {
        let due = self.fanouts.iter().filter_map(Fanout::poll_timeout).min()?;
        Some(due.saturating_sub(clock.now()))
    }

    fn handle_timeout(&mut self, now: Duration) {
        for fanout in &mut self.fanouts {
            fanout.handle_timeout(now);
        }
    }

    /// Sends what was gathered.
    fn serve(&mut self, now: Duration) {
        self.served = now;
        self.fanouts.iter_mut().for_each(Fanout::flush);
    }

    /// Gives a frame to the containers that want it.
    fn fan_out(&mut self, frame: &Frame, now: Duration, wants: impl Fn(Container) -> bool) {
        self.fanouts.retain_mut(|fanout| {
            if !wants(fanout.container()) {
                return true;
            }
            match fanout.push(frame, now) {
                // Where it cannot go on players come anew and get another head.
                Ok(goes_on) => goes_on,
                Err(error) => {
                    tracing::debug!(%error, "a frame cannot be played");
                    metrics::dropped("unwritable", 1);
                    false
                }
            }
        });
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.close();
    }
}
