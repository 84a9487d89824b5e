//! One stream's bytes to any number of continuous players, made once and shared.

use bytes::{Bytes, BytesMut};
use media_egress::flv::{FlvMuxer, header};
use media_egress::mux::{Chunk, Kinds, Muxer};
use media_egress::{EgressError, Frame};
use media_types::MediaKind;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{broadcast, oneshot};

use super::line::Line;
use super::tags;

/// How far a player may be behind. Beyond, it goes on at a keyframe.
const BEHIND: Duration = Duration::from_secs(10);
/// What is sent at least, and at most, so many chunks apart: pictures and sound one by one.
const CHUNK_MIN: Duration = Duration::from_millis(13);
const CHUNK_MAX: Duration = Duration::from_millis(160);
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
    /// RTMP messages on message stream 1.
    Rtmp,
}

impl Container {
    /// The word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Mp4 => "mp4",
            Self::Rtmp => "rtmp",
        }
    }

    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Mp4 => "video/mp4",
            Self::Rtmp => "application/octet-stream",
        }
    }

    /// Whether it is made of tags of FLV, whose players know AAC but mostly no Opus.
    pub(super) const fn is_tagged(self) -> bool {
        match self {
            Self::Flv | Self::Rtmp => true,
            Self::Mp4 => false,
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

/// Who wants in, and is told when it is.
pub(super) enum Joining {
    /// One who reads.
    Reader(oneshot::Sender<Joined>),
    /// One who is written to.
    Line(Weak<Line>, oneshot::Sender<()>),
}

impl Joining {
    fn is_given_up(&self) -> bool {
        match self {
            Self::Reader(reply) => reply.is_closed(),
            Self::Line(_, reply) => reply.is_closed(),
        }
    }
}

/// How many chunks a player may be behind.
pub(crate) fn chunks_max(gather: Duration) -> usize {
    let every = gather.clamp(CHUNK_MIN, CHUNK_MAX);
    usize::try_from(BEHIND.as_millis() / every.as_millis()).unwrap_or(1)
}

enum Writer {
    Tags(FlvMuxer),
    Mp4(Box<Muxer>),
}

/// One container of one stream.
pub(super) struct Fanout {
    container: Container,
    writer: Writer,
    kinds: Kinds,
    /// How long sound and pictures may wait for those that they go out with: each chunk is one
    /// write to the socket of every player, and those are what players cost.
    gather: Duration,
    chunks: broadcast::Sender<Chunk>,
    gathered: Vec<Chunk>,
    /// When what was gathered goes out at the latest, by our clock.
    due: Option<Duration>,
    /// When the last picture was, by the stream's.
    pictured: Option<Duration>,
    group: Vec<Chunk>,
    group_bytes: usize,
    waiting: Vec<Joining>,
    /// Players whose sockets are written to from here.
    lines: Vec<Weak<Line>>,
}

impl Fanout {
    pub(super) fn new(container: Container, kinds: Kinds, gather: Duration) -> Self {
        Self {
            container,
            writer: match container {
                Container::Flv | Container::Rtmp => Writer::Tags(FlvMuxer::default()),
                Container::Mp4 => Writer::Mp4(Box::new(Muxer::new(kinds, FRAGMENT, false))),
            },
            kinds,
            gather,
            chunks: broadcast::Sender::new(chunks_max(gather)),
            gathered: Vec::new(),
            due: None,
            pictured: None,
            group: Vec::new(),
            group_bytes: 0,
            waiting: Vec::new(),
            lines: Vec::new(),
        }
    }

    pub(super) const fn container(&self) -> Container {
        self.container
    }

    /// Lets a player in: now, if a group of pictures is going on, else at the next keyframe.
    pub(super) fn join(&mut self, joining: Joining) {
        self.waiting.push(joining);
        self.flush();
        self.admit();
    }

    /// Whether somebody listens or waits.
    pub(super) fn is_used(&mut self) -> bool {
        self.waiting.retain(|joining| !joining.is_given_up());
        self.lines.retain(|line| line.strong_count() > 0);
        let listened = self.chunks.receiver_count() > 0 || !self.lines.is_empty();
        listened || !self.waiting.is_empty()
    }

    /// Whether somebody waits to begin.
    pub(super) const fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, by the clock of `push`.
    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        self.due
    }

    /// Lets go what has waited long enough for company: the source may have stopped.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        if self.due.is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    /// Takes a frame. `false`: the container cannot go on with this stream as it has become, and
    /// players have to come anew.
    pub(super) fn push(&mut self, frame: &Frame, now: Duration) -> Result<bool, EgressError> {
        match &mut self.writer {
            Writer::Tags(muxer) => {
                let mut chunk = muxer.push(frame)?;
                let video = frame.config.kind() == MediaKind::Video;
                chunk.start &= video || !self.kinds.video;
                self.gather(chunk, video, now);
            }
            Writer::Mp4(muxer) => {
                for chunk in muxer.push(frame.clone())? {
                    self.send(chunk);
                }
            }
        }
        self.admit();
        Ok(match &self.writer {
            Writer::Tags(_) => true,
            Writer::Mp4(muxer) => !muxer.is_stale() && !muxer.is_short(),
        })
    }

    /// Puts together what follows closely. A picture goes at once where the next one is not
    /// expected in time, or somebody waits to begin.
    fn gather(&mut self, chunk: Chunk, video: bool, now: Duration) {
        if chunk.start && self.gathered.first().is_some_and(|first| !first.start) {
            self.flush();
        }
        let at = chunk.at;
        self.gathered.push(chunk);
        self.due.get_or_insert(now.saturating_add(self.gather));
        let first = self.gathered.first().map_or(at, |first| first.at);
        let next = if video {
            let last = self.pictured.replace(at);
            let every = last.map_or(Duration::MAX, |last| at.saturating_sub(last));
            at.saturating_add(every)
        } else {
            at
        };
        let full = next.saturating_sub(first) >= self.gather;
        if full || video && !self.waiting.is_empty() {
            self.flush();
        }
    }

    /// Lets go what was gathered.
    pub(super) fn flush(&mut self) {
        self.due = None;
        let Some(first) = self.gathered.first() else {
            return;
        };
        let (start, at) = (first.start, first.at);
        let parts = self.gathered.iter().map(|chunk| &chunk.bytes);
        let bytes = match (self.container, &self.gathered[..]) {
            (Container::Rtmp, _) => tags::messages(parts, tags::STREAM),
            (_, [only]) => only.bytes.clone(),
            _ => parts.fold(BytesMut::new(), joined).freeze(),
        };
        self.gathered.clear();
        self.send(Chunk {
            bytes,
            start,
            at,
            length: Duration::ZERO,
        });
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
        self.lines.retain(|line| match line.upgrade() {
            Some(line) => {
                line.send(&chunk);
                true
            }
            None => false,
        });
        // Nobody listening is no failure.
        let _sent = self.chunks.send(chunk);
    }

    fn admit(&mut self) {
        if self.group.is_empty() || self.waiting.is_empty() {
            return;
        }
        let Some(head) = self.head() else {
            return;
        };
        for joining in self.waiting.drain(..) {
            let group = self.group.iter().map(|chunk| chunk.bytes.clone());
            let prelude = std::iter::once(head.clone()).chain(group);
            match joining {
                Joining::Reader(reply) => {
                    let joined = Joined {
                        prelude: prelude.collect(),
                        chunks: self.chunks.subscribe(),
                    };
                    let _gone = reply.send(joined);
                }
                Joining::Line(line, reply) => {
                    if let Some(joined) = line.upgrade() {
                        joined.begin(prelude);
                        self.lines.push(line);
                    }
                    let _gone = reply.send(());
                }
            }
        }
    }

    /// What comes before the group of pictures.
    fn head(&self) -> Option<Bytes> {
        let muxer = match &self.writer {
            Writer::Mp4(muxer) => return muxer.init().cloned(),
            Writer::Tags(muxer) => muxer,
        };
        let at = self.group.first().map_or(Duration::ZERO, |first| first.at);
        let configs = muxer.prelude(at).ok()?;
        let metadata = tags::metadata(muxer.configs());
        if self.container == Container::Rtmp {
            return Some(tags::messages([&metadata, &configs], tags::STREAM));
        }
        let head = header(self.kinds);
        let parts = [&head, &metadata, &configs];
        Some(parts.into_iter().fold(BytesMut::new(), joined).freeze())
    }
}

/// However a stream ends, players get all of it.
impl Drop for Fanout {
    fn drop(&mut self) {
        self.flush();
        let lines = self.lines.iter().filter_map(Weak::upgrade);
        lines.for_each(|line: Arc<Line>| line.end());
    }
}

fn joined(mut all: BytesMut, part: &Bytes) -> BytesMut {
    all.extend_from_slice(part);
    all
}

#[cfg(test)]
mod tests;
