//! A player: the frames of a live source, as they came, as RTMP messages.

use bytes::Bytes;
use media_ingest::flv::{Tag, config_tag, frame_tag, metadata_tag};
use media_ingest::rtmp::{Refusal, write_tag};
use media_types::FrameFormat;

use super::RtmpServer;
use super::key::StreamKey;
use crate::auth::{Access, authorize};
use crate::live::{FrameEvent, FrameReader};

/// One player on one connection.
pub(super) struct Player {
    stream: u32,
    frames: FrameReader,
    /// What decoders were told, and will be told again after a pause.
    formats: Vec<FrameFormat>,
    /// Whether the stream has begun for this player: metadata comes before its first frame.
    begun: bool,
    paused: bool,
}

/// What a player gets next.
pub(super) enum Played {
    /// Messages.
    Bytes(Bytes),
    /// The publisher has gone.
    Ended,
}

impl Player {
    /// Judges the token and joins the stream, at the group of pictures that is going on.
    pub(super) fn open(server: &RtmpServer, stream: u32, key: &StreamKey) -> Result<Self, Refusal> {
        let unauthorized = |_| Refusal::Unauthorized;
        let claims = server
            .auth
            .judge(&key.token, Access::Play, server.clock.unix());
        let claims = claims.map_err(unauthorized)?;
        authorize(&claims, Access::Play, &key.room).map_err(unauthorized)?;
        let frames = server.live.frames().subscribe(&key.room, &key.identity);
        Ok(Self {
            stream,
            frames: frames.ok_or(Refusal::NotFound)?,
            formats: Vec::new(),
            begun: false,
            paused: false,
        })
    }

    pub(super) const fn stream(&self) -> u32 {
        self.stream
    }

    pub(super) const fn pause(&mut self, paused: bool) {
        self.paused = paused;
        // What was missed is not made up: it begins again at a keyframe.
        self.begun &= !paused;
    }

    /// The next messages.
    pub(super) async fn next(&mut self) -> Played {
        let mut out = Vec::new();
        loop {
            match self.frames.next().await {
                FrameEvent::Format(format) => self.format(&mut out, format),
                FrameEvent::Frame(_) if self.paused => {}
                FrameEvent::Frame(frame) => {
                    let starts = frame.keyframe && !self.waits_for_video(&frame.codec);
                    if self.begun || starts {
                        let tag = frame_tag(0, &frame);
                        self.begin(&mut out, tag.timestamp);
                        write_tag(&mut out, &tag, self.stream);
                        return Played::Bytes(out.into());
                    }
                }
                // The hub goes on at a keyframe by itself.
                FrameEvent::Skipped(_) => {}
                FrameEvent::Ended => return Played::Ended,
            }
        }
    }

    /// Sound alone does not begin a stream that has pictures.
    fn waits_for_video(&self, codec: &media_types::FrameCodec) -> bool {
        let video = media_types::MediaKind::Video;
        let has_video = self
            .formats
            .iter()
            .any(|format| format.codec.kind() == video);
        has_video && codec.kind() != video
    }

    fn format(&mut self, out: &mut Vec<u8>, format: FrameFormat) {
        if self.begun {
            self.append(out, config_tag(0, &format, 0));
        }
        self.formats
            .retain(|known| known.codec.kind() != format.codec.kind());
        self.formats.push(format);
    }

    /// What comes before the first frame.
    fn begin(&mut self, out: &mut Vec<u8>, timestamp: u32) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.append(out, Some(metadata_tag(&self.formats)));
        for format in &self.formats {
            self.append(out, config_tag(0, format, timestamp));
        }
    }

    fn append(&self, out: &mut Vec<u8>, tag: Option<Tag>) {
        if let Some(tag) = tag {
            write_tag(out, &tag, self.stream);
        }
    }
}
