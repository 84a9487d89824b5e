//! One stream's bytes to any number of continuous players, made once and shared.

use bytes::Bytes;
use media_egress::flv::FlvMuxer;
use media_egress::mux::{Chunk, Kinds, Muxer};
use media_egress::{EgressError, Frame};
use media_types::MediaKind;
use std::time::Duration;
use tokio::sync::{broadcast, oneshot};

/// Chunks that a player may be behind: some ten seconds. Beyond, it goes on at a keyframe.
const CHUNKS_MAX: usize = 512;
/// Bytes kept for who joins: a group of pictures of ten seconds at 13 Mb/s. Where one is longer,
/// who joins waits for the next keyframe.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The length of the fragments of progressive MP4.
const FRAGMENT: Duration = Duration::from_millis(200);

/// What continuous players read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// HTTP-FLV.
    Flv,
    /// Progressive fragmented MP4.
    Mp4,
}

impl Container {
    /// The word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Mp4 => "mp4",
        }
    }

    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Mp4 => "video/mp4",
        }
    }
}

/// What a player gets: what came before, and then what comes.
pub struct Joined {
    /// The head, and the group of pictures that is going on.
    pub prelude: Vec<Bytes>,
    /// What follows.
    pub chunks: broadcast::Receiver<Chunk>,
}

enum Writer {
    Flv(FlvMuxer),
    Mp4(Box<Muxer>),
}

/// One container of one stream.
pub(super) struct Fanout {
    writer: Writer,
    kinds: Kinds,
    chunks: broadcast::Sender<Chunk>,
    group: Vec<Chunk>,
    group_bytes: usize,
    waiting: Vec<oneshot::Sender<Joined>>,
}

impl Fanout {
    pub(super) fn new(container: Container, kinds: Kinds) -> Self {
        Self {
            writer: match container {
                Container::Flv => Writer::Flv(FlvMuxer::default()),
                Container::Mp4 => Writer::Mp4(Box::new(Muxer::new(kinds, FRAGMENT, false))),
            },
            kinds,
            chunks: broadcast::Sender::new(CHUNKS_MAX),
            group: Vec::new(),
            group_bytes: 0,
            waiting: Vec::new(),
        }
    }

    /// Lets a player in: now, if a group of pictures is going on, else at the next keyframe.
    pub(super) fn join(&mut self, reply: oneshot::Sender<Joined>) {
        self.waiting.push(reply);
        self.admit();
    }

    /// Whether somebody listens or waits.
    pub(super) fn is_used(&mut self) -> bool {
        self.waiting.retain(|reply| !reply.is_closed());
        self.chunks.receiver_count() > 0 || !self.waiting.is_empty()
    }

    /// Takes a frame. `false`: the container cannot go on with this stream as it has become, and
    /// players have to come anew.
    pub(super) fn push(&mut self, frame: &Frame) -> Result<bool, EgressError> {
        match &mut self.writer {
            Writer::Flv(muxer) => {
                let mut chunk = muxer.push(frame)?;
                chunk.start &= frame.config.kind() == MediaKind::Video || !self.kinds.video;
                self.send(chunk);
            }
            Writer::Mp4(muxer) => {
                for chunk in muxer.push(frame.clone())? {
                    self.send(chunk);
                }
            }
        }
        self.admit();
        Ok(match &self.writer {
            Writer::Flv(_) => true,
            Writer::Mp4(muxer) => !muxer.is_stale() && !muxer.is_short(),
        })
    }

    fn send(&mut self, chunk: Chunk) {
        if chunk.start {
            self.group.clear();
            self.group_bytes = 0;
        }
        if chunk.start || !self.group.is_empty() {
            self.group_bytes = self.group_bytes.saturating_add(chunk.bytes.len());
            self.group.push(chunk.clone());
        }
        if self.group_bytes > GROUP_BYTES_MAX {
            self.group.clear();
            self.group_bytes = 0;
        }
        // Nobody listening is no failure.
        let _sent = self.chunks.send(chunk);
    }

    fn admit(&mut self) {
        if self.group.is_empty() || self.waiting.is_empty() {
            return;
        }
        let head = match &self.writer {
            Writer::Flv(muxer) => muxer.prelude(self.kinds).ok(),
            Writer::Mp4(muxer) => muxer.init().cloned(),
        };
        let Some(head) = head else {
            return;
        };
        for reply in self.waiting.drain(..) {
            let group = self.group.iter().map(|chunk| chunk.bytes.clone());
            let joined = Joined {
                prelude: std::iter::once(head.clone()).chain(group).collect(),
                chunks: self.chunks.subscribe(),
            };
            let _gone = reply.send(joined);
        }
    }
}
