//! Whole frames from front end to front end: sound that the packet core does not forward (AAC), and
//! pictures in an order that WebRTC cannot show (B-frames), go to HLS, FLV and RTMP as they came.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media_types::{EncodedFrame, FrameFormat, Identity, MediaKind, RoomName};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::limits::{HUB_FRAMES_MAX, HUB_GROUP_BYTES_MAX, HUB_GROUP_MAX, HUB_LINGER};

type Key = (RoomName, Identity);
type Streams = Arc<Mutex<HashMap<Key, Arc<Stream>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The live sources of a worker whose frames may be read as they came; clones share them.
#[derive(Clone, Default)]
pub struct FrameHub {
    streams: Streams,
}

/// What a reader gets.
#[derive(Debug, Clone)]
pub enum FrameEvent {
    /// What a decoder needs to know of the frames of this kind from here on.
    Format(FrameFormat),
    /// A frame, in the order of decoding.
    Frame(Arc<EncodedFrame>),
    /// The reader fell behind and missed so many; the next frame is a keyframe.
    Skipped(u64),
    /// The source has ended.
    Ended,
}

#[derive(Clone)]
enum Item {
    Format(FrameFormat),
    Frame(Arc<EncodedFrame>),
}

impl From<Item> for FrameEvent {
    fn from(item: Item) -> Self {
        match item {
            Item::Format(format) => Self::Format(format),
            Item::Frame(frame) => Self::Frame(frame),
        }
    }
}

/// One source.
struct Stream {
    state: Mutex<State>,
}

struct State {
    /// Which publisher it is; a newer one takes the readers over.
    generation: u64,
    /// `None` once it has ended.
    sender: Option<broadcast::Sender<Item>>,
    formats: BTreeMap<MediaKind, FrameFormat>,
    /// The last group of pictures with the sound beside it; empty without pictures.
    group: Vec<Arc<EncodedFrame>>,
    group_bytes: usize,
}

impl Stream {
    fn new() -> Self {
        let (sender, _) = broadcast::channel(HUB_FRAMES_MAX);
        Self {
            state: Mutex::new(State {
                generation: 0,
                sender: Some(sender),
                formats: BTreeMap::new(),
                group: Vec::new(),
                group_bytes: 0,
            }),
        }
    }
}

impl State {
    fn format(&mut self, format: FrameFormat) {
        let kind = format.codec.kind();
        if self.formats.get(&kind) == Some(&format) {
            return;
        }
        // What is kept would be read with the wrong format.
        self.forget();
        self.formats.insert(kind, format.clone());
        self.tell(Item::Format(format));
    }

    fn frame(&mut self, frame: EncodedFrame) {
        let frame = Arc::new(frame);
        let is_video = frame.codec.kind() == MediaKind::Video;
        if is_video && frame.keyframe {
            self.forget();
        }
        if (is_video && frame.keyframe) || !self.group.is_empty() {
            self.group_bytes += frame.data.len();
            self.group.push(Arc::clone(&frame));
            if self.group.len() > HUB_GROUP_MAX || self.group_bytes > HUB_GROUP_BYTES_MAX {
                self.forget();
            }
        }
        self.tell(Item::Frame(frame));
    }

    fn forget(&mut self) {
        self.group.clear();
        self.group_bytes = 0;
    }

    fn tell(&self, item: Item) {
        if let Some(sender) = &self.sender {
            // Without readers there is nobody to tell.
            let _told = sender.send(item);
        }
    }
}

impl FrameHub {
    /// Begins to publish the frames of a source. Those who read it before, by an earlier connection
    /// of the same source, go on with this one.
    #[must_use]
    pub fn publish(&self, room: &RoomName, stream: &Identity) -> FrameSource {
        let key = (room.clone(), stream.clone());
        let mut streams = lock(&self.streams);
        let known = streams.get(&key).cloned();
        let stream = known.unwrap_or_else(|| Arc::new(Stream::new()));
        let generation = {
            let mut state = lock(&stream.state);
            state.generation += 1;
            state.forget();
            state.generation
        };
        streams.insert(key.clone(), Arc::clone(&stream));
        FrameSource {
            streams: Arc::clone(&self.streams),
            key,
            stream,
            generation,
        }
    }

    /// Reads a source from its last keyframe on; `None` if there is none, or it only goes to rooms.
    #[must_use]
    pub fn subscribe(&self, room: &RoomName, stream: &Identity) -> Option<FrameReader> {
        let key = (room.clone(), stream.clone());
        let stream = lock(&self.streams).get(&key).cloned()?;
        let state = lock(&stream.state);
        let items = state.sender.as_ref()?.subscribe();
        let formats = state.formats.values().cloned().map(FrameEvent::Format);
        let group = state.group.iter().cloned().map(FrameEvent::Frame);
        Some(FrameReader {
            backlog: formats.chain(group).collect(),
            items,
            has_video: state.formats.contains_key(&MediaKind::Video),
            skipping: state.group.is_empty(),
        })
    }
}

/// The writing end of a source. Dropped, its readers wait a while for its return.
pub struct FrameSource {
    streams: Streams,
    key: Key,
    stream: Arc<Stream>,
    generation: u64,
}

impl FrameSource {
    /// Says what the frames of a kind are from here on. Nothing happens if it is as before.
    pub fn format(&self, format: FrameFormat) {
        self.with(|state| state.format(format));
    }

    /// Hands a frame to all readers. Never blocks.
    pub fn push(&self, frame: EncodedFrame) {
        self.with(|state| state.frame(frame));
    }

    /// The source has ended in order: its readers are told at once.
    pub fn finish(self) {
        end(&self.streams, &self.key, &self.stream, self.generation);
    }

    /// A newer connection of the same source has the word.
    fn with(&self, work: impl FnOnce(&mut State)) {
        let mut state = lock(&self.stream.state);
        if state.generation == self.generation {
            work(&mut state);
        }
    }
}

impl Drop for FrameSource {
    fn drop(&mut self) {
        if lock(&self.stream.state).generation != self.generation {
            return;
        }
        let (streams, key) = (Arc::clone(&self.streams), self.key.clone());
        let (stream, generation) = (Arc::clone(&self.stream), self.generation);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    tokio::time::sleep(HUB_LINGER).await;
                    end(&streams, &key, &stream, generation);
                });
            }
            Err(_) => end(&streams, &key, &stream, generation),
        }
    }
}

/// Ends a source, unless a newer connection has it.
fn end(streams: &Streams, key: &Key, stream: &Arc<Stream>, generation: u64) {
    let mut streams = lock(streams);
    let mut state = lock(&stream.state);
    if state.generation == generation {
        state.sender = None;
        state.forget();
        if streams
            .get(key)
            .is_some_and(|known| Arc::ptr_eq(known, stream))
        {
            streams.remove(key);
        }
    }
}

/// The reading end of a source.
pub struct FrameReader {
    backlog: VecDeque<FrameEvent>,
    items: broadcast::Receiver<Item>,
    has_video: bool,
    /// Nothing can be decoded before the next keyframe.
    skipping: bool,
}

impl FrameReader {
    /// How much later than this frame the newest of those came that were there at the start.
    #[must_use]
    pub fn held_after(&self, frame: &EncodedFrame) -> Duration {
        let newest = self.backlog.iter().rev().find_map(|event| match event {
            FrameEvent::Frame(newest) => Some(newest.decoded.as_duration()),
            FrameEvent::Format(_) | FrameEvent::Skipped(_) | FrameEvent::Ended => None,
        });
        let after = newest.map(|newest| newest.saturating_sub(frame.decoded.as_duration()));
        after.unwrap_or_default()
    }

    /// Waits for the next event. May be cancelled and called again.
    pub async fn next(&mut self) -> FrameEvent {
        if let Some(event) = self.backlog.pop_front() {
            return event;
        }
        loop {
            match self.items.recv().await {
                Ok(item) => {
                    if let Some(event) = self.judge(item) {
                        return event;
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    self.skipping = true;
                    return FrameEvent::Skipped(missed);
                }
                Err(RecvError::Closed) => return FrameEvent::Ended,
            }
        }
    }

    fn judge(&mut self, item: Item) -> Option<FrameEvent> {
        match &item {
            Item::Format(format) => self.has_video |= format.codec.kind() == MediaKind::Video,
            Item::Frame(frame) => {
                let starts = frame.keyframe && frame.codec.kind() == MediaKind::Video;
                self.skipping &= self.has_video && !starts;
                if self.skipping {
                    return None;
                }
            }
        }
        Some(item.into())
    }
}
