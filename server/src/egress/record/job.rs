//! The task of one recording.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use media_contract::{TapWish, Wish};
use media_egress::Frame;
use media_egress::mux::Kinds;
use media_egress::recorder::{Recorder, RecorderSettings};
use media_types::{Identity, RoomName, TrackId};
use signaling::RpcError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::super::SteadyClock;
use super::super::source::{Source, SourceEvent};
use super::writer::{StreamId, Writer};
use super::{Record, RecordingBody};
use crate::live::{EgressChange, EgressHandle, EgressPurpose, EgressRequest, Live};

/// How often a keyframe is asked for, so that files can be cut and a loss does not last.
const KEYFRAME_EVERY: Duration = Duration::from_secs(10);
/// Orders of streams that wait for the recording's task.
const ORDERS_MAX: usize = 256;
/// How long a recorder that lost its file waits before it tries another.
const RETRY: Duration = Duration::from_secs(1);

const fn wish() -> TapWish {
    TapWish {
        wish: Wish {
            width_max: u16::MAX,
            height_max: u16::MAX,
            fps_max: u8::MAX,
            priority: 10,
            paused: false,
        },
        keyframe_every: Some(KEYFRAME_EVERY),
    }
}

/// What a recording reads.
pub(super) struct Job {
    live: Live,
    room: RoomName,
    settings: RecorderSettings,
    clock: SteadyClock,
    streams: Vec<(String, Source)>,
    /// Of a whole room: who comes later is recorded too.
    watch: Option<EgressHandle>,
}

type Order = (StreamId, media_egress::recorder::Action, Arc<AtomicBool>);

impl Job {
    /// Opens what the request names.
    pub(super) async fn open(
        live: &Live,
        request: RecordingBody,
        settings: RecorderSettings,
        clock: SteadyClock,
    ) -> Result<Self, RpcError> {
        let room = request.room;
        let mut job = Self {
            live: live.clone(),
            room: room.clone(),
            settings,
            clock,
            streams: Vec::new(),
            watch: None,
        };
        match (request.stream, request.tracks) {
            (_, tracks) if !tracks.is_empty() => {
                for track in tracks {
                    let source = job.track(track).await?;
                    job.streams.push((track.to_string(), source));
                }
            }
            (Some(stream), _) => {
                let source = job.stream(&stream).await?;
                job.streams.push((stream.to_string(), source));
            }
            (None, _) => {
                let request = EgressRequest {
                    room,
                    stream: None,
                    wish: wish(),
                    purpose: EgressPurpose::Recorder,
                };
                job.watch = Some(live.open_egress(request).await?);
            }
        }
        Ok(job)
    }

    /// What opens a publisher; it holds nothing of the job while it waits.
    fn stream(
        &self,
        stream: &Identity,
    ) -> impl Future<Output = Result<Source, RpcError>> + Send + use<> {
        let (live, room, stream) = (self.live.clone(), self.room.clone(), stream.clone());
        let (purpose, clock) = (EgressPurpose::Recorder, self.clock.clone());
        async move { Source::open(&live, &room, &stream, wish(), purpose, clock).await }
    }

    async fn track(&self, track: TrackId) -> Result<Source, RpcError> {
        let request = EgressRequest {
            room: self.room.clone(),
            stream: None,
            wish: wish(),
            purpose: EgressPurpose::Recorder,
        };
        let handle = self.live.open_egress(request).await?;
        Ok(Source::of_track(handle, track, self.clock.clone()))
    }

    /// Records until it is told to stop, or there is nothing left to record.
    pub(super) async fn run(
        mut self,
        record: &Record,
        writer: Writer,
        mut stop: watch::Receiver<bool>,
    ) {
        let (orders, mut inbox) = mpsc::channel::<Order>(ORDERS_MAX);
        let mut streams = Streams::new(orders, stop.clone(), self.settings);
        for (name, source) in std::mem::take(&mut self.streams) {
            streams.begin(name, source);
        }
        loop {
            tokio::select! {
                biased;
                Some((stream, action, broken)) = inbox.recv() => {
                    writer.send(stream, action, &broken);
                    continue;
                }
                ended = streams.tasks.join_next(), if !streams.tasks.is_empty() => {
                    if let Some(Ok(name)) = ended {
                        streams.active.remove(&name);
                    }
                }
                _ = stop.changed(), if !*stop.borrow() => self.watch = None,
                change = watched(&mut self.watch) => self.follow(change, &mut streams).await,
            }
            let over = self.watch.is_none() || *stop.borrow();
            if over && streams.tasks.is_empty() {
                break;
            }
        }
        while let Ok((stream, action, broken)) = inbox.try_recv() {
            writer.send(stream, action, &broken);
        }
        if record.view().state == super::RecordingState::Active {
            record.view().state = super::RecordingState::Stopping;
        }
        writer.finish().await;
    }

    /// Records who comes to the room, and hears of its end.
    async fn follow(&mut self, change: EgressChange, streams: &mut Streams) {
        match change {
            EgressChange::Added(port) => {
                let publisher = port.track().publisher.clone();
                drop(port);
                let name = publisher.to_string();
                if streams.active.contains(&name) {
                    return;
                }
                // One who has gone again is no failure.
                let opening = self.stream(&publisher);
                if let Ok(source) = opening.await {
                    streams.active.insert(name.clone());
                    streams.begin(name, source);
                }
            }
            EgressChange::Removed(_) => {}
            EgressChange::Ended(_) => self.watch = None,
        }
    }
}

/// The tasks of a recording, one for each stream.
struct Streams {
    orders: mpsc::Sender<Order>,
    stop: watch::Receiver<bool>,
    settings: RecorderSettings,
    tasks: JoinSet<String>,
    next: StreamId,
    /// Publishers that are recorded now.
    active: HashSet<String>,
    /// Names of files that were given out.
    used: HashSet<String>,
}

impl Streams {
    fn new(
        orders: mpsc::Sender<Order>,
        stop: watch::Receiver<bool>,
        settings: RecorderSettings,
    ) -> Self {
        Self {
            orders,
            stop,
            settings,
            tasks: JoinSet::new(),
            next: 0,
            active: HashSet::new(),
            used: HashSet::new(),
        }
    }

    /// Begins a stream; one who comes back gets files of another name.
    fn begin(&mut self, name: String, source: Source) {
        let mut file = name.clone();
        let mut turn = 2;
        while !self.used.insert(file.clone()) {
            file = format!("{name}.{turn}");
            turn += 1;
        }
        let (orders, stop) = (self.orders.clone(), self.stop.clone());
        let task = record_stream(self.next, file, source, self.settings, orders, stop);
        self.next += 1;
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }
}

async fn watched(watch: &mut Option<EgressHandle>) -> EgressChange {
    match watch {
        Some(handle) => handle.next().await,
        None => std::future::pending().await,
    }
}

/// Records one stream until it ends or all stop.
async fn record_stream(
    id: StreamId,
    name: String,
    mut source: Source,
    settings: RecorderSettings,
    orders: mpsc::Sender<Order>,
    mut stop: watch::Receiver<bool>,
) {
    let broken = Arc::new(AtomicBool::new(false));
    let wants = Kinds {
        video: true,
        audio: true,
    };
    let mut recorder = Recorder::new(name, wants, settings);
    let mut paused_until = Duration::ZERO;
    while !*stop.borrow() {
        let event = tokio::select! {
            event = source.next() => event,
            _ = stop.changed() => break,
        };
        let frame: Frame = match event {
            SourceEvent::Frame(frame) => frame,
            SourceEvent::Kinds(kinds) => {
                recorder.expect(kinds);
                continue;
            }
            SourceEvent::Ended => break,
        };
        if broken.swap(false, Ordering::AcqRel) {
            let _lost = recorder.finish();
            paused_until = source.now().saturating_add(RETRY);
        }
        if source.now() < paused_until {
            continue;
        }
        let epoch = source.epoch().unwrap_or_default();
        if let Err(error) = recorder.push(epoch, frame) {
            tracing::debug!(%error, "a frame is not recorded");
        }
        send(id, &mut recorder, &orders, &broken).await;
    }
    let _unwritable = recorder.finish();
    send(id, &mut recorder, &orders, &broken).await;
}

async fn send(
    id: StreamId,
    recorder: &mut Recorder,
    orders: &mpsc::Sender<Order>,
    broken: &Arc<AtomicBool>,
) {
    while let Some(action) = recorder.poll_action() {
        let _ended = orders.send((id, action, Arc::clone(broken))).await;
    }
}
