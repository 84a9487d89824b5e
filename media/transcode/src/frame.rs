//! One encoded frame on its way to or from a codec process.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use media_types::{EncodedFrame, FrameCodec, MediaTime};

/// One encoded picture, or one packet of audio.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaFrame {
    /// When it is shown or heard, since the stream's origin.
    pub presented: Duration,
    /// When it is decoded; later pictures that others refer to come first. Audio has the same
    /// time twice.
    pub decoded: Duration,
    /// Whether a decoder can start here; always true for audio.
    pub keyframe: bool,
    /// The codec's bytes.
    pub data: Bytes,
}

impl MediaFrame {
    /// A packet of audio.
    #[must_use]
    pub const fn audio(presented: Duration, data: Bytes) -> Self {
        Self {
            presented,
            decoded: presented,
            keyframe: true,
            data,
        }
    }

    /// The frame with its times on a codec's clock.
    #[must_use]
    pub fn into_encoded(self, codec: FrameCodec, rate: u32) -> EncodedFrame {
        EncodedFrame {
            codec,
            presented: ticks(self.presented, rate),
            decoded: ticks(self.decoded, rate),
            keyframe: self.keyframe,
            captured: None,
            data: self.data,
        }
    }
}

impl From<EncodedFrame> for MediaFrame {
    fn from(frame: EncodedFrame) -> Self {
        Self {
            presented: frame.presented.as_duration(),
            decoded: frame.decoded.as_duration(),
            keyframe: frame.keyframe,
            data: frame.data,
        }
    }
}

/// The nearest tick.
fn ticks(time: Duration, rate: u32) -> MediaTime {
    let scaled = time.as_nanos().saturating_mul(u128::from(rate));
    let nearest = scaled.saturating_add(500_000_000) / 1_000_000_000;
    MediaTime {
        ticks: u64::try_from(nearest).unwrap_or(u64::MAX),
        rate,
    }
}

impl fmt::Debug for MediaFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.keyframe { "key" } else { "delta" };
        let (at, bytes) = (self.presented, self.data.len());
        write!(f, "MediaFrame({at:?}, {kind}, {bytes} B)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ticks_survive_the_way_there_and_back(
            presented in 0..1_u64 << 40, decoded in 0..1_u64 << 40,
            rate in prop::sample::select(&[90_000, 48_000, 44_100, 1_000]),
        ) {
            let frame = EncodedFrame {
                codec: FrameCodec::Aac,
                presented: MediaTime { ticks: presented, rate },
                decoded: MediaTime { ticks: decoded, rate },
                keyframe: false,
                captured: None,
                data: Bytes::from_static(b"frame"),
            };
            let there = MediaFrame::from(frame.clone());
            prop_assert_eq!(there.into_encoded(FrameCodec::Aac, rate), frame);
        }
    }
}
