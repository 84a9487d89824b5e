//! Recording patterns: ffmpeg encodes a moving picture or a tone as a caller's machine would.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use media_types::Codec;

use super::{Frame, Pattern, Shape, container, file};

/// Seconds that are encoded.
const SECONDS: u32 = 12;
/// From one keyframe to the next, in seconds: where a server asks for one, the pattern jumps there.
const KEYFRAME_SECONDS: u16 = 3;

/// The pattern of that shape in `folder`; made first where it is not there yet.
///
/// # Errors
/// When ffmpeg is missing or fails, or the folder cannot be written.
pub fn recorded(folder: &Path, shape: Shape) -> Result<Pattern> {
    let path = folder.join(shape.file_name());
    if !path.exists() {
        record(&path, shape)?;
    }
    Pattern::load(&path)
}

/// Encodes and writes a pattern.
///
/// # Errors
/// As [`recorded`].
pub fn record(path: &Path, shape: Shape) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let words = ffmpeg_words(shape)?;
    let output = Command::new("ffmpeg")
        .args(&words)
        .stdin(Stdio::null())
        .output()
        .context("ffmpeg cannot be started; recorded patterns need it")?;
    ensure!(
        output.status.success(),
        "ffmpeg {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    let frames = frames_of(shape.codec, &output.stdout)?;
    ensure!(!frames.is_empty(), "ffmpeg made no frames");
    // Another process may record the same: whole files only.
    let unfinished: PathBuf = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&unfinished, file::write(shape, &frames)?)?;
    std::fs::rename(&unfinished, path)?;
    Ok(())
}

fn frames_of(codec: Codec, bytes: &[u8]) -> Result<Vec<Frame>> {
    match codec {
        Codec::Vp8 | Codec::Av1 => container::ivf(bytes, codec),
        Codec::H264 => Ok(container::annex_b(bytes)),
        Codec::Opus => container::ogg_opus(bytes),
        Codec::Vp9 | Codec::H265 => bail!("{} is not recorded", codec.name()),
    }
}

fn ffmpeg_words(shape: Shape) -> Result<Vec<String>> {
    let Shape {
        width,
        height,
        fps,
        kbps,
        codec,
    } = shape;
    let rate = format!("{kbps}k");
    let group = (fps * KEYFRAME_SECONDS).to_string();
    let picture = format!(
        "mandelbrot=size={width}x{height}:rate={fps}:start_scale=0.2:end_scale=0.15:end_pts={}",
        u32::from(fps) * SECONDS
    );
    let sound = "sine=frequency=220:beep_factor=4:sample_rate=48000".to_owned();
    let source = if codec == Codec::Opus { sound } else { picture };
    let mut words: Vec<String> = Vec::new();
    let mut add = |text: &str| words.extend(text.split(' ').map(str::to_owned));
    add("-v error -f lavfi -i");
    add(&source);
    add(&format!("-t {SECONDS}"));
    if codec != Codec::Opus {
        add(&format!(
            "-pix_fmt yuv420p -b:v {rate} -maxrate {rate} -bufsize {rate}"
        ));
        add(&format!("-g {group} -keyint_min {group}"));
    }
    match codec {
        Codec::Vp8 => {
            add("-c:v libvpx -deadline realtime -cpu-used 8 -lag-in-frames 0 -error-resilient 1");
            add("-qmin 4 -qmax 60 -f ivf");
        }
        Codec::Av1 => {
            add("-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -f ivf");
        }
        Codec::H264 => {
            add("-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline");
            add("-x264-params scenecut=0:repeat-headers=1:aud=1 -f h264");
        }
        Codec::Opus => {
            add(&format!(
                "-ac 2 -c:a libopus -application voip -frame_duration 20 -b:a {rate}"
            ));
            add("-f ogg");
        }
        Codec::Vp9 | Codec::H265 => bail!("{} is not recorded", codec.name()),
    }
    add("-");
    Ok(words)
}
