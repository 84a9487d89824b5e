//! A recording in a file: a line of JSON, then each frame with its length.

use anyhow::{Context, Result, bail, ensure};

use super::{Frame, Shape};

/// The first line.
const MAGIC: &[u8] = b"troupe pattern 1\n";
/// Set in a frame's length if it is a keyframe.
const KEYFRAME: u32 = 1 << 31;

pub(super) fn write(shape: Shape, frames: &[Frame]) -> Result<Vec<u8>> {
    let mut file = MAGIC.to_vec();
    file.extend(serde_json::to_vec(&shape)?);
    file.push(b'\n');
    for frame in frames {
        let length = u32::try_from(frame.bytes.len())?;
        ensure!(length < KEYFRAME, "a frame of {length} bytes");
        let mark = if frame.keyframe { KEYFRAME } else { 0 };
        file.extend((length | mark).to_be_bytes());
        file.extend_from_slice(&frame.bytes);
    }
    Ok(file)
}

pub(super) fn read(file: &[u8]) -> Result<(Shape, Vec<Frame>)> {
    let rest = file.strip_prefix(MAGIC).context("this is no pattern")?;
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (head, rest) = rest.split_at(end.context("its head is cut short")?);
    let shape = serde_json::from_slice(head).context("its head")?;
    let mut rest = &rest[1..];
    let mut frames = Vec::new();
    while let Some((word, after)) = rest.split_first_chunk::<4>() {
        let word = u32::from_be_bytes(*word);
        let length = usize::try_from(word & !KEYFRAME)?;
        let Some((bytes, after)) = after.split_at_checked(length) else {
            bail!("frame {} is cut short", frames.len());
        };
        frames.push(Frame {
            keyframe: word & KEYFRAME != 0,
            bytes: bytes.to_vec(),
        });
        rest = after;
    }
    ensure!(rest.is_empty(), "{} bytes too many", rest.len());
    Ok((shape, frames))
}
