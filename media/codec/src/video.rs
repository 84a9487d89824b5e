//! H.264 to H.264 without reordering: decode, scale where asked, encode one picture for one.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ffmpeg_next::frame;
use media_transcode::{Format, MediaFrame, Size, TranscodeError, Transcoder};
use media_types::Bitrate;

use crate::av::{NOMINAL_FPS, Scaler, VideoDecoder, VideoEncoder, is_plain};
use crate::nal::{from_annex_b, to_annex_b};
use crate::rate::{SourceRate, clamped, differs, guess};

/// Beyond this a picture that is presented before its predecessor is not late: the source's clock
/// was set back.
const BACK_MAX: Duration = Duration::from_secs(1);
/// How far before the place where a former process stopped a source may begin and still be the
/// same one.
const RESUME_MAX: Duration = Duration::from_secs(10);

/// One video job.
pub(crate) struct VideoJob {
    decoder: VideoDecoder,
    encoder: Option<VideoEncoder>,
    scaler: Option<Scaler>,
    /// Of the result, where it is not the source's.
    size: Option<Size>,
    source: SourceRate,
    /// As it was asked for; `None` follows the source.
    wanted: Option<Bitrate>,
    /// What is aimed at, and what the encoder was told, which counts pictures differently.
    bitrate: Bitrate,
    told: Bitrate,
    keyframe: bool,
    begin: Duration,
    last: Option<Duration>,
    number: i64,
    /// When the pictures inside the encoder are presented.
    inside: VecDeque<Duration>,
    format: Option<Format>,
    ready: VecDeque<MediaFrame>,
}

impl VideoJob {
    pub(crate) fn new(
        bitrate: Option<Bitrate>,
        size: Option<Size>,
        begin: Duration,
    ) -> Result<Self, TranscodeError> {
        Ok(Self {
            decoder: VideoDecoder::h264()?,
            encoder: None,
            scaler: None,
            size,
            source: SourceRate::default(),
            wanted: bitrate,
            bitrate: bitrate.unwrap_or_default(),
            told: Bitrate::ZERO,
            keyframe: true,
            begin,
            last: None,
            number: 0,
            inside: VecDeque::new(),
            format: None,
            ready: VecDeque::new(),
        })
    }

    fn take_decoded(&mut self) -> Result<(), TranscodeError> {
        while let Some(picture) = self.decoder.poll()? {
            self.take_picture(picture)?;
        }
        Ok(())
    }

    fn take_picture(&mut self, picture: frame::Video) -> Result<(), TranscodeError> {
        let at = picture.timestamp().and_then(|at| u64::try_from(at).ok());
        let at = at.map_or(Duration::ZERO, Duration::from_nanos);
        // The keyframes of the source stay keyframes, so that all renditions have them at once.
        self.keyframe |= picture.is_key();
        if !self.is_wanted(at) {
            return Ok(());
        }
        self.last = Some(at);
        let mut picture = self.scaled(picture)?;
        let mut encoder = match self.encoder.take() {
            Some(encoder) if encoder.fits(&picture) => encoder,
            _ => self.open_encoder(&picture)?,
        };
        self.follow_source(&mut encoder);
        let keyframe = std::mem::take(&mut self.keyframe);
        let pushed = encoder.push(&mut picture, self.number, keyframe);
        self.number += 1;
        self.inside.push_back(at);
        let taken = pushed.and_then(|()| self.take_encoded(&mut encoder));
        self.encoder = Some(encoder);
        taken
    }

    /// Whether a picture has its turn: it is neither done already nor presented twice.
    fn is_wanted(&mut self, at: Duration) -> bool {
        let early = self.begin.saturating_sub(at);
        if early > RESUME_MAX {
            self.begin = Duration::ZERO;
        } else if !early.is_zero() {
            return false;
        }
        self.last
            .is_none_or(|last| at > last || last - at > BACK_MAX)
    }

    fn scaled(&mut self, picture: frame::Video) -> Result<frame::Video, TranscodeError> {
        let even = |side: u32| (side & !1).max(2);
        let wanted = match self.size {
            Some(size) => (u32::from(size.width()), u32::from(size.height())),
            None => (even(picture.width()), even(picture.height())),
        };
        if wanted == (picture.width(), picture.height()) && is_plain(picture.format()) {
            return Ok(picture);
        }
        let mut scaler = match self.scaler.take() {
            Some(scaler) if scaler.fits(&picture, wanted) => scaler,
            _ => Scaler::new(&picture, wanted)?,
        };
        let scaled = scaler.run(&picture);
        self.scaler = Some(scaler);
        scaled
    }

    fn open_encoder(&mut self, picture: &frame::Video) -> Result<VideoEncoder, TranscodeError> {
        let (width, height) = (picture.width(), picture.height());
        if self.bitrate == Bitrate::ZERO {
            self.bitrate = guess(width, height);
        }
        self.told = self.scaled_bitrate();
        let encoder = VideoEncoder::h264(picture, self.told)?;
        self.inside.clear();
        self.keyframe = true;
        let side = |side| u16::try_from(side).unwrap_or(0);
        self.format = Some(Format {
            config: Bytes::new(),
            size: Size::new(side(width), side(height)),
        });
        Ok(encoder)
    }

    /// Tells the encoder when the source's bitrate, or its pictures a second, have changed.
    fn follow_source(&mut self, encoder: &mut VideoEncoder) {
        if let Some(bitrate) = self.wanted.or_else(|| self.source.bitrate()) {
            self.bitrate = bitrate;
        }
        let told = self.scaled_bitrate();
        if differs(self.told, told) {
            self.told = told;
            encoder.set_bitrate(told);
        }
    }

    /// The encoder thinks that there are [`NOMINAL_FPS`] pictures a second.
    fn scaled_bitrate(&self) -> Bitrate {
        let nominal = NOMINAL_FPS * 1_000;
        let real = self
            .source
            .pictures_per_1000_s()
            .unwrap_or(nominal)
            .max(1_000);
        clamped(Bitrate::from_bps(self.bitrate.bps() * nominal / real))
    }

    fn take_encoded(&mut self, encoder: &mut VideoEncoder) -> Result<(), TranscodeError> {
        while let Some(packet) = encoder.poll()? {
            let (Some(data), Some(presented)) = (packet.data(), self.inside.pop_front()) else {
                continue;
            };
            self.ready.push_back(MediaFrame {
                presented,
                decoded: presented,
                keyframe: packet.is_key(),
                data: Bytes::from(from_annex_b(data)),
            });
        }
        Ok(())
    }
}

impl Transcoder for VideoJob {
    fn push(&mut self, frame: &MediaFrame) -> Result<(), TranscodeError> {
        self.source.handle_frame(frame.decoded, frame.data.len());
        let shape = || TranscodeError::Input("NAL units do not add up".to_owned());
        let data = to_annex_b(&frame.data).ok_or_else(shape)?;
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        self.decoder
            .push(&data, nanos(frame.presented), nanos(frame.decoded))?;
        self.take_decoded()
    }

    fn poll(&mut self) -> Option<MediaFrame> {
        self.ready.pop_front()
    }

    fn poll_format(&mut self) -> Option<Format> {
        self.format.take()
    }

    fn flush(&mut self) -> Result<(), TranscodeError> {
        self.decoder.drain()?;
        self.take_decoded()?;
        self.decoder.reset();
        Ok(())
    }

    fn keyframe(&mut self) {
        self.keyframe = true;
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) {
        self.wanted = Some(clamped(bitrate));
    }

    fn bitrate(&self) -> Bitrate {
        self.bitrate
    }
}
