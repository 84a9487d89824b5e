//! AV1: the aggregation header (AV1 RTP payload specification 1.0, section 4.4) and the first OBU.
//!
//! Without a dependency descriptor the layers of AV1 cannot be told from every packet, so all is
//! taken for the base layer; with one, see [`super::dependency`].

use super::FrameInfo;
use super::bits::Bytes;

/// Z: the first element continues one of the packet before.
const CONTINUES: u8 = 0x80;
/// N: the first packet of a coded video sequence.
const NEW_SEQUENCE: u8 = 0x08;
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// What the packet is; `None` if it is cut short.
pub(super) fn inspect(payload: &[u8], marker: bool) -> Option<FrameInfo> {
    let mut bytes = Bytes::new(payload);
    let aggregation = bytes.byte()?;
    let kind = if aggregation & CONTINUES == 0 {
        // Only a single element has no length before it.
        if (aggregation >> 4) & 0x03 != 1 {
            skip_leb128(&mut bytes)?;
        }
        (bytes.byte()? >> 3) & 0x0f
    } else {
        0
    };
    let fresh = aggregation & (CONTINUES | NEW_SEQUENCE) == NEW_SEQUENCE;
    let keyframe = fresh || kind == SEQUENCE_HEADER;
    Some(FrameInfo {
        keyframe,
        start_of_frame: keyframe || matches!(kind, FRAME_HEADER | FRAME),
        end_of_frame: marker,
        switch_point: true,
        spatial_switch_point: keyframe,
        ..FrameInfo::default()
    })
}

/// At most eight bytes (AV1, section 4.10.5).
fn skip_leb128(bytes: &mut Bytes<'_>) -> Option<()> {
    for _ in 0..8 {
        if bytes.byte()? & 0x80 == 0 {
            return Some(());
        }
    }
    None
}
