//! What one hears: samples of decoded AAC, and the pitch in them.

use media_transcode::MediaFrame;

/// Samples a second of everything here.
pub(crate) const RATE: usize = 48_000;

/// Decodes raw AAC-LC frames, 48 kHz stereo, with ffmpeg; gives the left channel.
pub(crate) fn decoded(frames: &[MediaFrame]) -> Vec<f32> {
    let mut adts = Vec::new();
    for frame in frames {
        let length = u32::try_from(frame.data.len() + 7).expect("13 bits");
        // ISO/IEC 14496-3, 1.A.3.2: no CRC, AAC-LC, 48 kHz, two channels.
        let fixed = [0xff, 0xf1, 0x4c];
        adts.extend(fixed);
        adts.extend((0x8000_1ffc | length << 13).to_be_bytes());
        adts.extend_from_slice(&frame.data);
    }
    let samples = super::ffmpeg("-f aac -i - -f f32le -ac 1 -ar 48000 -", &adts);
    let samples = samples.chunks_exact(4);
    samples
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")))
        .collect()
}

/// How much there is of one frequency (Goertzel).
fn power(samples: &[f32], hz: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let step = 2.0 * std::f64::consts::PI * hz / RATE as f64;
    let factor = 2.0 * step.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + factor * last - before;
        (before, last) = (last, next);
    }
    last * last + before * before - factor * last * before
}

/// The strongest frequency, to 10 Hz.
pub(crate) fn pitch(samples: &[f32]) -> u32 {
    let strongest = (10..500).map(|tens| tens * 10).max_by(|a, b| {
        let of = |hz: &u32| power(samples, f64::from(*hz));
        of(a).total_cmp(&of(b))
    });
    strongest.expect("a frequency")
}

/// How loud it is; a sine of ffmpeg's has an eighth of full scale as its peak.
pub(crate) fn loudness(samples: &[f32]) -> f32 {
    let sum: f32 = samples.iter().map(|sample| sample * sample).sum();
    #[allow(clippy::cast_precision_loss, reason = "a count")]
    let count = samples.len() as f32;
    (sum / count).sqrt()
}

/// The sharpest turn that the samples take: a click's is many times that of a low tone.
pub(crate) fn sharpest(samples: &[f32]) -> f32 {
    samples
        .windows(3)
        .map(|three| (three[0] - 2.0 * three[1] + three[2]).abs())
        .fold(0.0, f32::max)
}
