//! Where the frames of one track of a source go: into the room as they are, or through a codec
//! process first.

use std::time::Duration;

use bytes::Bytes;
use media_ingest::codec::NalUnits;
use media_ingest::packetize::Packetizer;
use media_transcode::Job;
use media_types::{Bitrate, Codec, EncodedFrame, FrameCodec, MediaKind, MediaTime, PacketFrame};

use super::metrics;
use crate::live::{Demand, IngestPort, PushError};
use crate::transcode::{TranscodeHandle, TranscodeOutput};

/// Opus for sound that came as AAC: what music takes in stereo.
const OPUS_BITRATE: Bitrate = Bitrate::from_kbps(128);
/// How much sound that nobody gets goes to its codec process at a time: to wake three threads for
/// each frame would cost more than the frame. Who begins to listen hears no older sound for it.
const UNHEARD: Duration = Duration::from_millis(200);
/// Frames of it at most, whatever their times say.
const UNHEARD_FRAMES_MAX: usize = 32;

/// A track in the room: its frames cut into RTP payloads.
pub(super) struct Outlet {
    codec: Codec,
    port: IngestPort,
    packetizer: Packetizer,
    /// Whether a keyframe has been sent: nothing before it can be decoded.
    started: bool,
}

impl Outlet {
    pub(super) fn new(codec: Codec, port: IngestPort, parameter_sets: Vec<Bytes>) -> Self {
        let mut packetizer = Packetizer::new(codec);
        packetizer.set_parameter_sets(parameter_sets);
        Self {
            codec,
            port,
            packetizer,
            started: false,
        }
    }

    pub(super) const fn codec(&self) -> Codec {
        self.codec
    }

    pub(super) const fn track(&self) -> media_types::TrackId {
        self.port.track()
    }

    pub(super) fn set_parameter_sets(&mut self, sets: Vec<Bytes>) {
        self.packetizer.set_parameter_sets(sets);
    }

    /// Sends a frame; waits where the shard has no room for it, so that its source waits as well.
    /// `false`: the room takes no more.
    pub(super) async fn push(&mut self, frame: &EncodedFrame) -> bool {
        self.started |= frame.keyframe;
        if !self.started {
            return true;
        }
        let Ok(payloads) = self.packetizer.packetize(&frame.data, frame.keyframe) else {
            metrics::dropped();
            return true;
        };
        let mut packets = PacketFrame {
            payloads,
            timestamp: rtp_timestamp(frame.presented, self.codec),
            keyframe: frame.keyframe,
            captured: frame.captured,
        };
        loop {
            match self.port.push(packets) {
                Ok(()) => return true,
                Err(PushError::Full(again)) => packets = again,
                // Whoever owns the ingest hears of it.
                Err(PushError::Closed) => return false,
            }
            self.port.room().await;
        }
    }
}

/// The job that makes of these frames what browsers play, and the codec that comes of it.
pub(super) fn job(codec: FrameCodec, config: Bytes) -> Option<(Job, Codec)> {
    match codec {
        FrameCodec::Aac => {
            let bitrate = OPUS_BITRATE;
            Some((Job::AacToOpus { config, bitrate }, Codec::Opus))
        }
        FrameCodec::Rtp(Codec::H264) => {
            let job = Job::H264 {
                bitrate: None,
                size: None,
            };
            Some((job, Codec::H264))
        }
        FrameCodec::Rtp(_) => None,
    }
}

/// A track that goes through a codec process.
pub(super) struct Transcoded {
    handle: TranscodeHandle,
    track: media_types::TrackId,
    demand: Demand,
    /// Sound that waits until somebody gets it, or there is enough.
    unheard: Vec<EncodedFrame>,
    parameter_sets: Vec<Bytes>,
}

impl Transcoded {
    /// Sends what comes out into the room until nothing more does.
    pub(super) fn new(
        mut outlet: Outlet,
        (handle, mut output): (TranscodeHandle, TranscodeOutput),
        parameter_sets: Vec<Bytes>,
    ) -> Self {
        let track = outlet.track();
        let demand = outlet.port.demand();
        let wishes = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    frame = output.recv() => match frame {
                        Some(frame) if outlet.push(&frame).await => {}
                        // Given up, or the room is gone.
                        Some(_) | None => return,
                    },
                    () = outlet.port.keyframe_wanted() => wishes.keyframe(),
                }
            }
        });
        Self {
            handle,
            track,
            demand,
            unheard: Vec::new(),
            parameter_sets,
        }
    }

    pub(super) const fn track(&self) -> media_types::TrackId {
        self.track
    }

    pub(super) fn set_parameter_sets(&mut self, sets: Vec<Bytes>) {
        self.parameter_sets = sets;
    }

    /// Hands a frame on; one that the process has no time for is dropped, with what needs it.
    pub(super) fn push(&mut self, mut frame: EncodedFrame) {
        if frame.codec.kind() == MediaKind::Audio {
            self.unheard.push(frame);
            if self.demand.is_there() || is_enough(&self.unheard) {
                for frame in self.unheard.drain(..) {
                    hand_on(&self.handle, frame);
                }
            }
            return;
        }
        if frame.keyframe && frame.codec == FrameCodec::Rtp(Codec::H264) {
            frame.data = with_parameter_sets(frame.data, &self.parameter_sets);
        }
        hand_on(&self.handle, frame);
    }
}

fn hand_on(handle: &TranscodeHandle, frame: EncodedFrame) {
    if !handle.push(frame) {
        metrics::dropped();
    }
}

fn is_enough(unheard: &[EncodedFrame]) -> bool {
    let (Some(first), Some(last)) = (unheard.first(), unheard.last()) else {
        return false;
    };
    let (first, last) = (first.decoded.as_duration(), last.decoded.as_duration());
    // Times that run back say nothing of how much it is.
    let span = last.checked_sub(first).unwrap_or(UNHEARD);
    span >= UNHEARD || unheard.len() >= UNHEARD_FRAMES_MAX
}

/// A keyframe of H.264 with its parameter sets before it.
fn with_parameter_sets(frame: Bytes, sets: &[Bytes]) -> Bytes {
    const SEQUENCE: u8 = 7;
    let kind = |nal: &[u8]| nal.first().map(|first| first & 0x1f);
    if NalUnits::new(&frame, 4).any(|nal| kind(nal) == Some(SEQUENCE)) {
        return frame;
    }
    let mut out = Vec::with_capacity(frame.len() + 256);
    for set in sets {
        // A set is shorter than 64 KiB by its record's own field.
        let length = u32::try_from(set.len()).unwrap_or_default();
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(set);
    }
    out.extend_from_slice(&frame);
    out.into()
}

/// A time on the 32-bit circle of the codec's clock.
fn rtp_timestamp(time: MediaTime, codec: Codec) -> u32 {
    let ticks = u128::from(time.ticks) * u128::from(codec.clock_rate());
    let ticks = ticks / u128::from(time.rate.max(1));
    let [.., a, b, c, d] = ticks.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_ticks_that_wrap() {
        let time = |ticks| MediaTime {
            ticks,
            rate: 1_000_000,
        };
        assert_eq!(rtp_timestamp(time(20_000), Codec::Opus), 960);
        assert_eq!(rtp_timestamp(time(1_000_000), Codec::H264), 90_000);
        // 2³² ticks of 90 kHz and one second.
        let long = (1_u64 << 32) * 100 / 9 + 1_000_000;
        assert!(rtp_timestamp(time(long), Codec::H264).abs_diff(90_000) <= 1);
    }

    #[test]
    fn enough_is_a_fifth_of_a_second_or_many_frames() {
        let at = |ticks| MediaTime { ticks, rate: 1_000 };
        let frame = |millis| EncodedFrame {
            codec: FrameCodec::Aac,
            presented: at(millis),
            decoded: at(millis),
            keyframe: true,
            captured: None,
            data: Bytes::new(),
        };
        let is_enough = |times: &[u64]| {
            let frames: Vec<_> = times.iter().map(|at| frame(*at)).collect();
            is_enough(&frames)
        };
        assert!(!is_enough(&[]));
        assert!(!is_enough(&[1_000, 1_199]));
        assert!(is_enough(&[1_000, 1_100, 1_200]));
        assert!(is_enough(&[1_000, 999]), "a clock that was set back");
        assert!(is_enough(&[1_000; UNHEARD_FRAMES_MAX]), "one that stands");
    }

    #[test]
    fn keyframes_get_their_parameter_sets_once() {
        let sets = [b"\x67s", b"\x68p"].map(|set| Bytes::from_static(set));
        let frame = Bytes::from_static(b"\0\0\0\x02\x65i");
        let whole = with_parameter_sets(frame, &sets);
        assert_eq!(&whole[..], b"\0\0\0\x02\x67s\0\0\0\x02\x68p\0\0\0\x02\x65i");
        assert_eq!(with_parameter_sets(whole.clone(), &sets), whole);
    }
}
