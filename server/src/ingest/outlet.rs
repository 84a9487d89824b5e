//! Where the frames of one track of a source go: into the room as they are, or through a codec
//! process first.

use bytes::Bytes;
use media_ingest::codec::NalUnits;
use media_ingest::packetize::Packetizer;
use media_transcode::Job;
use media_types::{Bitrate, Codec, EncodedFrame, FrameCodec, MediaTime, PacketFrame};

use super::metrics;
use crate::live::{IngestPort, PushError};
use crate::transcode::{TranscodeHandle, TranscodeOutput};

/// Opus for sound that came as AAC: what music takes in stereo.
const OPUS_BITRATE: Bitrate = Bitrate::from_kbps(128);

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
    pub(super) fn push(&self, mut frame: EncodedFrame) {
        if frame.keyframe && frame.codec == FrameCodec::Rtp(Codec::H264) {
            frame.data = with_parameter_sets(frame.data, &self.parameter_sets);
        }
        if !self.handle.push(frame) {
            metrics::dropped();
        }
    }
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
    fn keyframes_get_their_parameter_sets_once() {
        let sets = [b"\x67s", b"\x68p"].map(|set| Bytes::from_static(set));
        let frame = Bytes::from_static(b"\0\0\0\x02\x65i");
        let whole = with_parameter_sets(frame, &sets);
        assert_eq!(&whole[..], b"\0\0\0\x02\x67s\0\0\0\x02\x68p\0\0\0\x02\x65i");
        assert_eq!(with_parameter_sets(whole.clone(), &sets), whole);
    }
}
