//! AAC for players of FLV and RTMP where the publisher sends Opus: few of them know another codec.

use std::sync::Arc;

use bytes::Bytes;
use media_egress::{Format, Frame, TrackConfig};
use media_transcode::Job;
use media_types::{Bitrate, Codec, EncodedFrame, FrameCodec, MediaTime, RoomName};

use crate::transcode::{TranscodeHandle, TranscodeOutput, Transcoding};

/// What stereo takes.
const BITRATE: Bitrate = Bitrate::from_kbps(128);
/// The `AudioSpecificConfig` of what codec processes make: AAC-LC, 48 kHz, stereo.
const CONFIG: [u8; 2] = [0x11, 0x90];
const RATE: u32 = 48_000;

/// The sound of one stream on its way through a codec process.
pub(super) struct Sound {
    transcoding: Transcoding,
    room: RoomName,
    stream: String,
    state: State,
}

enum State {
    /// Nobody has wanted it.
    Idle,
    Running(Box<Running>),
    /// The job was given up, or could not be begun: the sound is as it came.
    Failed,
}

struct Running {
    handle: TranscodeHandle,
    output: TranscodeOutput,
    config: Arc<TrackConfig>,
}

impl Sound {
    /// Of that stream; no process runs yet.
    pub(super) const fn new(transcoding: Transcoding, room: RoomName, stream: String) -> Self {
        Self {
            transcoding,
            room,
            stream,
            state: State::Idle,
        }
    }

    /// Takes a frame that is to be made AAC. `false`: it is used as it is.
    pub(super) fn take(&mut self, frame: &Frame) -> bool {
        if frame.config.format != Format::Opus {
            return false;
        }
        if matches!(self.state, State::Idle) {
            self.state = self.begin();
        }
        let State::Running(running) = &self.state else {
            return false;
        };
        let time = MediaTime {
            ticks: frame.dts,
            rate: frame.config.timescale,
        };
        // A process that falls behind loses the oldest.
        let _taken = running.handle.push(EncodedFrame {
            codec: Codec::Opus.into(),
            presented: time,
            decoded: time,
            keyframe: true,
            captured: None,
            data: frame.data.clone(),
        });
        true
    }

    fn begin(&self) -> State {
        let job = Job::OpusToAac { bitrate: BITRATE };
        let opened = self.transcoding.open(&self.room, &self.stream, job);
        let config = TrackConfig::from_asc(Bytes::from_static(&CONFIG));
        match (opened, config) {
            (Ok((handle, output)), Ok(config)) => State::Running(Box::new(Running {
                handle,
                output,
                config: Arc::new(config),
            })),
            (Err(error), _) => {
                tracing::warn!(%error, "players of FLV and RTMP get Opus");
                State::Failed
            }
            (_, Err(_)) => State::Failed,
        }
    }

    /// The next frame of AAC; waits for ever while nothing runs.
    pub(super) async fn next(&mut self) -> Frame {
        loop {
            let State::Running(running) = &mut self.state else {
                return std::future::pending().await;
            };
            match running.output.recv().await {
                Some(frame) if frame.codec == FrameCodec::Aac && frame.decoded.rate == RATE => {
                    return Frame {
                        dts: frame.decoded.ticks,
                        composition: 0,
                        keyframe: true,
                        config: Arc::clone(&running.config),
                        data: frame.data,
                    };
                }
                Some(_) => {}
                None => self.state = State::Failed,
            }
        }
    }

    /// Nobody listens any more.
    pub(super) fn stop(&mut self) {
        self.state = State::Idle;
    }
}
