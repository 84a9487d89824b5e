//! The streams that are watched, by their names.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, Weak};
use std::time::Duration;

use media_contract::{TapWish, Wish};
use media_egress::hls::PackagerSettings;
use media_types::{Identity, RoomName};
use signaling::{ErrorType, RpcError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::SteadyClock;
use super::fanout::{Container, Joined, Joining, chunks_max};
use super::hub::{Command, Hub, Window};
use super::line::Line;
use super::metrics::STREAMS;
use super::sound::Sound;
use super::source::Source;
use crate::config::EgressConfig;
use crate::live::{EgressPurpose, EgressRequest, Live};
use crate::transcode::Transcoding;

/// Requests that may wait for a stream's task.
const COMMANDS_MAX: usize = 1_024;
/// How long a player waits for the first keyframe.
const JOIN_WAIT: Duration = Duration::from_secs(10);

/// When a WebRTC publisher is asked for its second keyframe, and for how long it is asked.
const HURRY_AFTER: Duration = Duration::from_millis(600);
const HURRY_LASTS: Duration = Duration::from_millis(800);

/// How long what was packaged stays after its task has ended, for players to finish.
const LINGER: Duration = Duration::from_secs(15);

type Key = (RoomName, Identity);

/// What a stream's task and its handles share.
pub(super) struct Shared {
    pub(super) clock: SteadyClock,
    /// When somebody last asked for something, in ms since the Unix epoch.
    touched: AtomicU64,
    /// When its task ended, likewise; 0 while it runs.
    closed: AtomicU64,
}

impl Shared {
    pub(super) fn touched(&self) -> Duration {
        Duration::from_millis(self.touched.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        self.touched.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Its task has ended.
    pub(super) fn close(&self) {
        self.closed.store(self.now_ms(), Ordering::Release);
    }

    fn closed_at(&self) -> Duration {
        Duration::from_millis(self.closed.load(Ordering::Acquire))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A stream that is watched. Cheap to clone.
#[derive(Clone)]
pub struct Stream {
    shared: Arc<Shared>,
    window: watch::Receiver<Arc<Window>>,
    commands: mpsc::Sender<Command>,
}

impl Stream {
    /// What can be fetched now.
    #[must_use]
    pub fn window(&self) -> Arc<Window> {
        self.shared.touch();
        Arc::clone(&self.window.borrow())
    }

    /// Whether it is still made.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !is_closed(self)
    }

    /// Waits until the window is as wanted, or the publisher is gone; `None` when that takes too
    /// long.
    pub async fn wait(
        &self,
        limit: Duration,
        wanted: impl Fn(&Window) -> bool,
    ) -> Option<Arc<Window>> {
        self.shared.touch();
        let mut window = self.window.clone();
        let found = window.wait_for(|window| wanted(window) || window.ended);
        let found = tokio::time::timeout(limit, found).await.ok()?.ok()?;
        Some(Arc::clone(&found))
    }

    /// Asks for segments to be made.
    pub async fn package(&self) {
        self.shared.touch();
        let _gone = self.commands.send(Command::Package).await;
    }

    /// Joins as a player of a continuous format.
    ///
    /// # Errors
    /// `unavailable` where no keyframe comes.
    pub async fn join(&self, container: Container) -> Result<Joined, RpcError> {
        self.shared.touch();
        let (reply, joined) = oneshot::channel();
        self.ask(container, Joining::Reader(reply), joined).await
    }

    /// The same for a player whose socket is then written to as chunks come.
    pub(crate) async fn join_line(
        &self,
        container: Container,
        line: Weak<Line>,
    ) -> Result<(), RpcError> {
        self.shared.touch();
        let (reply, joined) = oneshot::channel();
        self.ask(container, Joining::Line(line, reply), joined)
            .await
    }

    async fn ask<T>(
        &self,
        container: Container,
        joining: Joining,
        joined: oneshot::Receiver<T>,
    ) -> Result<T, RpcError> {
        let unavailable = || RpcError::from(ErrorType::Unavailable);
        let asked = self.commands.send(Command::Join(container, joining)).await;
        asked.map_err(|_| unavailable())?;
        let joined = tokio::time::timeout(JOIN_WAIT, joined).await;
        joined.ok().and_then(Result::ok).ok_or_else(unavailable)
    }
}

/// The streams that are watched.
pub struct Egress {
    config: EgressConfig,
    live: Live,
    transcoding: Transcoding,
    clock: SteadyClock,
    runtime: Handle,
    streams: Mutex<HashMap<Key, Stream>>,
    players: Arc<AtomicUsize>,
}

impl Egress {
    /// Packages on this runtime.
    #[must_use]
    pub fn new(
        config: EgressConfig,
        (live, transcoding): (Live, Transcoding),
        clock: SteadyClock,
        runtime: Handle,
    ) -> Self {
        Self {
            config,
            live,
            transcoding,
            clock,
            runtime,
            streams: Mutex::default(),
            players: Arc::default(),
        }
    }

    /// The wall clock that streams are stamped with.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// How many chunks may wait for a player.
    #[must_use]
    pub fn waiting_max(&self) -> usize {
        chunks_max(self.config.gather)
    }

    /// Counts a player in; the count falls when what is returned is dropped.
    ///
    /// # Errors
    /// `overloaded`.
    pub fn admit(&self) -> Result<Seat, RpcError> {
        let most = usize::try_from(self.config.players_max).unwrap_or(usize::MAX);
        let seat = Seat(Arc::clone(&self.players));
        if self.players.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(ErrorType::Overloaded.into());
        }
        Ok(seat)
    }

    /// The streams that are packaged, with how long ago somebody asked.
    #[must_use]
    pub fn list(&self) -> Vec<(RoomName, Identity, Duration)> {
        let now = self.clock.now();
        let streams = self.lock();
        let open = streams.iter().filter(|(_, stream)| !is_closed(stream));
        let mut all: Vec<_> = open
            .map(|((room, stream), it)| {
                let quiet = now.saturating_sub(it.shared.touched());
                (room.clone(), stream.clone(), quiet)
            })
            .collect();
        all.sort_unstable();
        all
    }

    /// A stream that is packaged, or was until a moment ago: players may fetch the rest.
    #[must_use]
    pub fn find(&self, room: &RoomName, stream: &Identity) -> Option<Stream> {
        let gone = self.clock.now().saturating_sub(LINGER);
        let found = self.lock().get(&(room.clone(), stream.clone())).cloned();
        found.filter(|it| !is_closed(it) || it.shared.closed_at() > gone)
    }

    /// A stream by its name, packaged from now on if it was not.
    ///
    /// # Errors
    /// `not_found` where nobody here publishes under that name, `overloaded`.
    pub async fn open(&self, room: &RoomName, stream: &Identity) -> Result<Stream, RpcError> {
        if let Some(found) = self.find(room, stream).filter(|found| !is_closed(found)) {
            return Ok(found);
        }
        let wish = TapWish {
            wish: Wish::default(),
            keyframe_every: Some(self.config.segment),
        };
        let purpose = EgressPurpose::Packager;
        let opened = Source::open(&self.live, room, stream, wish, purpose, self.clock.clone());
        let source = opened.await?;
        let mut streams = self.lock();
        let gone = self.clock.now().saturating_sub(LINGER);
        streams.retain(|_, stream| !is_closed(stream) || stream.shared.closed_at() > gone);
        // Somebody else may have been faster.
        let key = (room.clone(), stream.clone());
        if let Some(found) = streams.get(&key).filter(|found| !is_closed(found)) {
            return Ok(found.clone());
        }
        if streams.len() >= usize::try_from(self.config.streams_max).unwrap_or(usize::MAX) {
            return Err(ErrorType::Overloaded.into());
        }
        let sound = Sound::new(
            self.transcoding.clone(),
            room.clone(),
            stream.as_str().to_owned(),
        );
        if source.is_tapped() {
            self.hurry(room, stream);
        }
        let opened = self.spawn(source, sound);
        streams.insert(key, opened.clone());
        metrics::gauge!(STREAMS).set(f64::from(u32::try_from(streams.len()).unwrap_or(0)));
        Ok(opened)
    }

    /// Has a WebRTC publisher send a second keyframe soon after its first: it ends the first
    /// segment, and players of segments begin when one is whole. A tap that is new asks for one.
    fn hurry(&self, room: &RoomName, stream: &Identity) {
        let request = EgressRequest {
            room: room.clone(),
            stream: Some(stream.clone()),
            wish: TapWish::default(),
            purpose: EgressPurpose::Packager,
        };
        let live = self.live.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(HURRY_AFTER).await;
            let opened = live.open_egress(request).await;
            tokio::time::sleep(HURRY_LASTS).await;
            drop(opened);
        });
    }

    fn spawn(&self, source: Source, sound: Sound) -> Stream {
        let shared = Arc::new(Shared {
            clock: self.clock.clone(),
            touched: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        });
        shared.touch();
        let (window_in, window) = watch::channel(Arc::new(Window::default()));
        let (commands, commands_out) = mpsc::channel(COMMANDS_MAX);
        let hub = Hub {
            source,
            shared: Arc::clone(&shared),
            settings: PackagerSettings {
                part: self.config.part,
                segment: self.config.segment,
                segments: usize::try_from(self.config.segments).unwrap_or(usize::MAX),
            },
            idle: self.config.idle_timeout,
            gather: self.config.gather,
            window: window_in,
            commands: commands_out,
            sound,
        };
        self.runtime.spawn(hub.run());
        Stream {
            shared,
            window,
            commands,
        }
    }

    /// Stops packaging a stream; its players have to come anew.
    pub fn close(&self, room: &RoomName, stream: &Identity) -> bool {
        let key = (room.clone(), stream.clone());
        // The task ends when the last handle has gone.
        self.lock().remove(&key).is_some_and(|it| !is_closed(&it))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Stream>> {
        self.streams
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }
}

fn is_closed(stream: &Stream) -> bool {
    !stream.shared.closed_at().is_zero()
}

/// A player's place among those that are admitted.
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
