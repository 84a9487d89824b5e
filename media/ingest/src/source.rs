//! One publisher's stream: tags in, formats and frames on one timeline out.

mod sound;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use media_types::{Codec, EncodedFrame, FrameCodec, FrameFormat, MediaKind, MediaTime, NtpTime};

use crate::clock::{Mended, Placed, SourceClock};
use crate::codec::{Reordering, TrackFormat, with_four_byte_lengths};
use crate::error::IngestError;
use crate::flv::{Parcel, Tag, TrackKey, read_tag};
use crate::limits::TRACKS_MAX;
use sound::SoundClock;

/// Ticks a second of the timeline.
pub const TIMELINE_RATE: u32 = 1_000_000;

/// What a stream brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEvent {
    /// A track begins, or goes on with another configuration.
    Format {
        /// Which.
        track: TrackKey,
        /// What decoders need.
        format: FrameFormat,
        /// What packetisers put before keyframes.
        parameter_sets: Vec<Bytes>,
    },
    /// A video track shows its pictures in another order than they are decoded in: browsers cannot
    /// play it over RTP. Told once, before the frame that showed it.
    Reordered {
        /// Which.
        track: TrackKey,
        /// What decoders need.
        format: FrameFormat,
        /// What goes before keyframes.
        parameter_sets: Vec<Bytes>,
    },
    /// A frame.
    Frame {
        /// Of which track.
        track: TrackKey,
        /// The frame; its times count from the stream's first.
        frame: EncodedFrame,
    },
    /// The source's time had to be mended.
    Mended {
        /// Of which track.
        track: TrackKey,
        /// What was wrong.
        what: Mended,
    },
    /// A track in a codec that is not taken. Told once.
    Unsupported {
        /// Which.
        track: TrackKey,
    },
    /// A track ended.
    Ended {
        /// Which.
        track: TrackKey,
    },
}

#[derive(Debug)]
enum Track {
    Known(Known),
    /// Not taken, or its configuration has not come.
    Unknown,
}

#[derive(Debug)]
struct Known {
    format: TrackFormat,
    reordered: bool,
    /// The latest time at which a picture is shown.
    shown_us: u64,
    sound: SoundClock,
}

impl Known {
    /// Notes and tells that pictures are shown in another order.
    fn reordered(&mut self, track: TrackKey) -> SourceEvent {
        self.reordered = true;
        SourceEvent::Reordered {
            track,
            format: self.format.format.clone(),
            parameter_sets: self.format.parameter_sets.clone(),
        }
    }
}

/// The machine.
#[derive(Debug, Default)]
pub struct Source {
    clock: SourceClock,
    tracks: BTreeMap<TrackKey, Track>,
    events: VecDeque<SourceEvent>,
}

impl Source {
    /// Takes a tag that arrived now, at `unix` by the wall clock.
    ///
    /// # Errors
    /// A tag that breaks its format; the stream may go on.
    pub fn handle_tag(
        &mut self,
        now: Instant,
        unix: Duration,
        tag: &Tag,
    ) -> Result<(), IngestError> {
        let micros = u64::from(tag.timestamp).saturating_mul(1_000);
        for parcel in read_tag(tag)? {
            self.handle_parcel(now, unix, micros, parcel)?;
        }
        Ok(())
    }

    /// Takes one thing that a source says, at `micros` of its clock in the order of decoding, of
    /// which the milliseconds wrap after 32 bits.
    ///
    /// # Errors
    /// What breaks its format; the stream may go on.
    pub fn handle_parcel(
        &mut self,
        now: Instant,
        unix: Duration,
        micros: u64,
        parcel: Parcel,
    ) -> Result<(), IngestError> {
        match parcel {
            Parcel::Config {
                track,
                codec,
                record,
            } => self.configure(track, codec, record)?,
            Parcel::Frame {
                track,
                codec,
                keyframe,
                offset_ms,
                nanos,
                data,
            } => {
                let frame = Arrived {
                    track,
                    codec,
                    keyframe,
                    offset_ms,
                    data,
                };
                let known = self.is_known(track, codec);
                let (millis, nanos) = split(micros, nanos);
                let placed = self.clock.place(now, track, millis, nanos);
                if known {
                    self.frame(frame, placed, unix);
                }
            }
            Parcel::End { track } => {
                if self.tracks.remove(&track).is_some() {
                    self.events.push_back(SourceEvent::Ended { track });
                }
            }
            Parcel::Unsupported { track } => self.unsupported(track),
        }
        Ok(())
    }

    /// What came of it.
    pub fn poll_event(&mut self) -> Option<SourceEvent> {
        self.events.pop_front()
    }

    /// How long to stop reading because the source runs ahead of time.
    #[must_use]
    pub fn hold(&self) -> Option<Duration> {
        self.clock.hold()
    }

    fn configure(
        &mut self,
        track: TrackKey,
        codec: FrameCodec,
        record: Bytes,
    ) -> Result<(), IngestError> {
        if !self.has_room(track) {
            return Ok(());
        }
        let format = TrackFormat::read(codec, record)?;
        if let Some(Track::Known(known)) = self.tracks.get_mut(&track)
            && known.format.format.codec == codec
        {
            // Encoders repeat themselves.
            if known.format == format {
                return Ok(());
            }
            known.format = format;
        } else {
            let known = Known {
                format,
                reordered: false,
                shown_us: 0,
                sound: SoundClock::default(),
            };
            self.tracks.insert(track, Track::Known(known));
        }
        self.tell_format(track);
        Ok(())
    }

    fn tell_format(&mut self, track: TrackKey) {
        let Some(Track::Known(known)) = self.tracks.get_mut(&track) else {
            return;
        };
        self.events.push_back(SourceEvent::Format {
            track,
            format: known.format.format.clone(),
            parameter_sets: known.format.parameter_sets.clone(),
        });
        if known.format.reordering == Reordering::Stated && !known.reordered {
            self.events.push_back(known.reordered(track));
        }
    }

    /// Whether frames of that track can be used. Codecs that describe themselves need no
    /// configuration.
    fn is_known(&mut self, track: TrackKey, codec: FrameCodec) -> bool {
        if let Some(Track::Known(known)) = self.tracks.get(&track)
            && known.format.format.codec == codec
        {
            return true;
        }
        match codec {
            FrameCodec::Rtp(Codec::Opus | Codec::Vp8 | Codec::Vp9 | Codec::Av1) => {
                let told = self.configure(track, codec, Bytes::new());
                told.is_ok() && self.tracks.contains_key(&track)
            }
            FrameCodec::Rtp(Codec::H264 | Codec::H265) | FrameCodec::Aac => {
                if self.has_room(track) {
                    self.tracks.insert(track, Track::Unknown);
                }
                false
            }
        }
    }

    fn has_room(&self, track: TrackKey) -> bool {
        self.tracks.contains_key(&track) || self.tracks.len() < TRACKS_MAX
    }

    fn unsupported(&mut self, track: TrackKey) {
        if self.has_room(track) && self.tracks.insert(track, Track::Unknown).is_none() {
            self.events.push_back(SourceEvent::Unsupported { track });
        }
    }

    fn frame(&mut self, arrived: Arrived, placed: Placed, unix: Duration) {
        let Arrived {
            track,
            codec,
            keyframe,
            offset_ms,
            data,
        } = arrived;
        let Some(Track::Known(known)) = self.tracks.get_mut(&track) else {
            return;
        };
        if let Some(what) = placed.mended {
            self.events.push_back(SourceEvent::Mended { track, what });
        }
        let mut decoded_us = placed.time_us;
        if track.kind == MediaKind::Audio {
            let samples = known.format.samples(&data);
            decoded_us = known
                .sound
                .place(decoded_us, samples, known.format.clock_rate());
        }
        let offset_us = i64::from(offset_ms).saturating_mul(1_000);
        let presented_us = decoded_us.saturating_add_signed(offset_us);
        if track.kind == MediaKind::Video {
            let back = presented_us < known.shown_us && placed.mended.is_none();
            if back && !known.reordered {
                self.events.push_back(known.reordered(track));
            }
            known.shown_us = presented_us.max(decoded_us);
        }
        let time = |ticks| MediaTime {
            ticks,
            rate: TIMELINE_RATE,
        };
        let data = match codec {
            FrameCodec::Rtp(Codec::H264 | Codec::H265) => {
                with_four_byte_lengths(data, known.format.nal_length_bytes)
            }
            FrameCodec::Rtp(Codec::Av1) => without_delimiter(data),
            FrameCodec::Rtp(_) | FrameCodec::Aac => data,
        };
        // The same line for all tracks: a picture that is shown later counts as captured later.
        let later = Duration::from_micros(presented_us.saturating_sub(decoded_us));
        let captured = unix.saturating_sub(placed.lag).saturating_add(later);
        let frame = EncodedFrame {
            codec,
            presented: time(presented_us),
            decoded: time(decoded_us),
            keyframe,
            captured: Some(NtpTime::from_unix(captured)),
            data,
        };
        self.events.push_back(SourceEvent::Frame { track, frame });
    }
}

/// Milliseconds on the circle of tags, and nanoseconds beyond them.
fn split(micros: u64, nanos: u32) -> (u32, u32) {
    let [.., a, b, c, d] = (micros / 1_000).to_be_bytes();
    let rest = u32::try_from(micros % 1_000).unwrap_or_default();
    let nanos = nanos.saturating_add(rest.saturating_mul(1_000));
    (u32::from_be_bytes([a, b, c, d]), nanos)
}

/// A temporal unit without the delimiter that some encoders leave at its front: an OBU of type 2
/// with a size of zero (AV1, section 5.6).
fn without_delimiter(mut data: Bytes) -> Bytes {
    while data.starts_with(&[0x12, 0x00]) {
        data.advance(2);
    }
    data
}

/// One frame as it came.
struct Arrived {
    track: TrackKey,
    codec: FrameCodec,
    keyframe: bool,
    offset_ms: i32,
    data: Bytes,
}

impl TrackFormat {
    /// Samples of a packet of sound; 0 if unknown.
    fn samples(&self, packet: &[u8]) -> u32 {
        match self.format.codec {
            FrameCodec::Aac => crate::codec::AudioSpecificConfig::FRAME_SAMPLES,
            FrameCodec::Rtp(Codec::Opus) => crate::codec::packet_samples(packet),
            FrameCodec::Rtp(_) => 0,
        }
    }

    /// Samples a second, of which [`Self::samples`] counts.
    fn clock_rate(&self) -> u32 {
        match self.format.codec {
            FrameCodec::Aac => self.format.sample_rate,
            FrameCodec::Rtp(codec) => codec.clock_rate(),
        }
    }
}

#[cfg(test)]
mod tests;
