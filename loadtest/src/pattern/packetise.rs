//! Frames into RTP payloads: VP8 (RFC 7741), VP9 (RFC 9628), H.264 (RFC 6184), AV1 (AV1 RTP
//! specification 1.0).

/// A payload's longest: with header, extensions and tag it still fits a datagram of 1,200 bytes.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1_120;

/// Where the picture number stands in a VP8 payload of ours.
pub(super) const VP8_PICTURE: std::ops::Range<usize> = 2..4;
/// Where it stands in a VP9 payload of ours, and where the number of the lowest temporal layer.
pub(super) const VP9_PICTURE: std::ops::Range<usize> = 1..3;
pub(super) const VP9_LOWEST: usize = 4;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const NAL_TYPE: u8 = 0x1f;
/// AV1: continues; will be continued; begins a coded video sequence.
const Z: u8 = 0x80;
const Y: u8 = 0x40;
const N: u8 = 0x08;
/// OBU types that are not sent (AV1 RTP specification, section 5).
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;

/// Descriptor with a picture number of 15 bits, which the sender puts in.
pub(super) fn vp8(frame: &[u8]) -> Vec<Vec<u8>> {
    let pieces = frame.chunks(PAYLOAD_BYTES_MAX - VP8_PICTURE.end);
    let described = pieces.enumerate().map(|(place, piece)| {
        let start = if place == 0 { 0x90 } else { 0x80 };
        [&[start, 0x80, 0x80, 0][..], piece].concat()
    });
    described.collect()
}

/// One layer of a VP9 picture.
pub(super) struct Vp9Layer<'a> {
    pub(super) keyframe: bool,
    /// Which one, from the lowest.
    pub(super) spatial: u8,
    /// The sizes of all layers, lowest first.
    pub(super) sizes: &'a [(u16, u16)],
    pub(super) bytes: &'a [u8],
}

/// Descriptor with a picture number of 15 bits and one of the lowest temporal layer, which the
/// sender puts in, and with the structure before a keyframe (RFC 9628, section 4.2).
pub(super) fn vp9(layer: &Vp9Layer<'_>) -> Vec<Vec<u8>> {
    const PICTURE_AND_LAYERS: u8 = 0x80 | 0x20;
    let top = usize::from(layer.spatial) + 1 == layer.sizes.len();
    let dependent = layer.spatial > 0;
    let pieces: Vec<&[u8]> = layer.bytes.chunks(PAYLOAD_BYTES_MAX - 40).collect();
    let last = pieces.len().saturating_sub(1);
    let described = pieces.iter().enumerate().map(|(place, piece)| {
        let structure = layer.keyframe && !dependent && place == 0;
        let flags = PICTURE_AND_LAYERS
            | u8::from(!layer.keyframe) << 6
            | u8::from(place == 0) << 3
            | u8::from(place == last) << 2
            | u8::from(structure) << 1
            | u8::from(top);
        let mut payload = vec![flags, 0x80, 0, layer.spatial << 1 | u8::from(dependent), 0];
        if structure {
            let count = u8::try_from(layer.sizes.len()).unwrap_or(1);
            payload.push((count - 1) << 5 | 0x10);
            for (width, height) in layer.sizes {
                payload.extend(width.to_be_bytes());
                payload.extend(height.to_be_bytes());
            }
        }
        payload.extend_from_slice(piece);
        payload
    });
    described.collect()
}

/// The units between start codes.
pub(super) fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..].starts_with(&[0, 0, 1]) {
            let end = if at > 0 && stream[at - 1] == 0 {
                at - 1
            } else {
                at
            };
            units.extend(start.map(|from: usize| &stream[from..end.max(from)]));
            at += 3;
            start = Some(at);
        } else {
            at += 1;
        }
    }
    units.extend(start.map(|from| &stream[from..]));
    units.retain(|unit| !unit.is_empty());
    units
}

/// Small units that stand before a picture go together, large ones in parts.
pub(super) fn h264(units: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut small: Vec<&[u8]> = Vec::new();
    for unit in units {
        let parameters = matches!(unit[0] & NAL_TYPE, 6..=9);
        let together: usize = small.iter().map(|unit| unit.len() + 2).sum();
        if parameters && together + unit.len() + 3 <= PAYLOAD_BYTES_MAX {
            small.push(unit);
            continue;
        }
        payloads.extend(aggregated(&mut small));
        payloads.extend(single_or_parts(unit));
    }
    payloads.extend(aggregated(&mut small));
    payloads
}

fn aggregated(units: &mut Vec<&[u8]>) -> Option<Vec<u8>> {
    let payload = match units.as_slice() {
        [] => return None,
        [one] => one.to_vec(),
        many => {
            let importance = many.iter().map(|unit| unit[0] & 0x60).max().unwrap_or(0);
            let mut payload = vec![importance | STAP_A];
            for unit in many {
                payload.extend(u16::try_from(unit.len()).unwrap_or(0).to_be_bytes());
                payload.extend_from_slice(unit);
            }
            payload
        }
    };
    units.clear();
    Some(payload)
}

fn single_or_parts(unit: &[u8]) -> Vec<Vec<u8>> {
    if unit.len() <= PAYLOAD_BYTES_MAX {
        return vec![unit.to_vec()];
    }
    let (header, body) = (unit[0], &unit[1..]);
    let parts: Vec<&[u8]> = body.chunks(PAYLOAD_BYTES_MAX - 2).collect();
    let last = parts.len() - 1;
    let fragment = |(place, part): (usize, &&[u8])| {
        let start = u8::from(place == 0) << 7;
        let end = u8::from(place == last) << 6;
        let head = [header & 0xe0 | FU_A, start | end | header & NAL_TYPE];
        [&head[..], part].concat()
    };
    parts.iter().enumerate().map(fragment).collect()
}

/// The units of a temporal unit, without their size fields.
pub(super) fn obus(mut stream: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut units = Vec::new();
    while let Some(&header) = stream.first() {
        let head = 1 + usize::from(header & 0x04 != 0);
        let mut unit = stream.get(..head)?.to_vec();
        unit[0] &= !0x02;
        let mut rest = stream.get(head..)?;
        let size = if header & 0x02 != 0 {
            let (size, used) = read_leb128(rest)?;
            rest = rest.get(used..)?;
            size
        } else {
            rest.len()
        };
        unit.extend_from_slice(rest.get(..size)?);
        stream = rest.get(size..)?;
        if !matches!((header >> 3) & 0x0f, TEMPORAL_DELIMITER | TILE_LIST) {
            units.push(unit);
        }
    }
    Some(units)
}

/// Every element with its length before it, split where a packet is full.
pub(super) fn av1(units: &[Vec<u8>], keyframe: bool) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut payload = vec![if keyframe { N } else { 0 }];
    for unit in units {
        let mut rest = unit.as_slice();
        loop {
            // Two bytes of length always do for what fits.
            let room = PAYLOAD_BYTES_MAX.saturating_sub(payload.len() + 2);
            let taken = rest.len().min(room);
            let (now, later) = rest.split_at(taken);
            if taken > 0 {
                write_leb128(&mut payload, taken);
                payload.extend_from_slice(now);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
            // A new packet, in which the unit goes on if it has begun.
            let begun = rest.len() < unit.len();
            if begun {
                payload[0] |= Y;
            }
            payloads.push(std::mem::replace(&mut payload, vec![u8::from(begun) * Z]));
        }
    }
    payloads.push(payload);
    payloads
}

fn read_leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

pub(super) fn write_leb128(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use media_rtp::descriptor::{inspect, resolution};
    use media_types::Codec;

    use super::*;

    fn fits(payloads: &[Vec<u8>]) -> bool {
        payloads
            .iter()
            .all(|payload| payload.len() <= PAYLOAD_BYTES_MAX)
    }

    #[test]
    fn vp8_is_described_and_whole() {
        let mut frame = vec![0x10, 2, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0];
        frame.resize(3_000, 0x5a);
        let payloads = vp8(&frame);
        assert!(payloads.len() == 3 && fits(&payloads));
        let whole: Vec<u8> = payloads.iter().flat_map(|p| p[4..].to_vec()).collect();
        assert_eq!(whole, frame);
        let first = inspect(Codec::Vp8, &payloads[0], false, None).unwrap();
        assert!(first.keyframe && first.picture.id.is_some());
        assert_eq!(resolution(Codec::Vp8, &payloads[0]).unwrap().width, 320);
        assert!(
            !inspect(Codec::Vp8, &payloads[1], false, None)
                .unwrap()
                .keyframe
        );
    }

    #[test]
    fn h264_is_split_at_start_codes_and_put_together() {
        let mut slice = vec![0x65, 0x88];
        slice.resize(2_500, 0x5a);
        let start: &[u8] = &[0, 0, 0, 1];
        let stream = [start, &[0x67, 1, 2], start, &[0x68, 3], &start[1..], &slice].concat();
        let units = nal_units(&stream);
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &slice]);
        let payloads = h264(&units);
        assert!(payloads.len() == 4 && fits(&payloads));
        assert_eq!(payloads[0], [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3]);
        assert_eq!(&payloads[1][..2], [0x7c, 0x85]);
        assert_eq!(&payloads[3][..2], [0x7c, 0x45]);
        let whole: Vec<u8> = payloads[1..].iter().flat_map(|p| p[2..].to_vec()).collect();
        assert_eq!(whole, slice[1..]);
        assert!(
            inspect(Codec::H264, &payloads[0], false, None)
                .unwrap()
                .keyframe
        );
    }

    #[test]
    fn av1_drops_delimiters_and_continues_over_packets() {
        let mut frame = vec![0x32];
        write_leb128(&mut frame, 2_600);
        frame.resize(frame.len() + 2_600, 0x5a);
        let stream = [&[0x12, 0, 0x0a, 3, 7, 8, 9][..], &frame].concat();
        let units = obus(&stream).unwrap();
        assert_eq!(units.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2_601]);
        assert_eq!(units[0], [0x08, 7, 8, 9]);
        let payloads = av1(&units, true);
        assert!(payloads.len() == 3 && fits(&payloads));
        let heads: Vec<u8> = payloads.iter().map(|payload| payload[0]).collect();
        assert_eq!(heads, [N | Y, Z | Y, Z]);
        assert!(
            inspect(Codec::Av1, &payloads[0], false, None)
                .unwrap()
                .keyframe
        );
        assert!(
            !inspect(Codec::Av1, &payloads[1], false, None)
                .unwrap()
                .keyframe
        );
        // Put together again.
        let mut elements: Vec<Vec<u8>> = Vec::new();
        for payload in &payloads {
            let (mut rest, mut continues) = (&payload[1..], payload[0] & Z != 0);
            while !rest.is_empty() {
                let (length, used) = read_leb128(rest).unwrap();
                let element = rest[used..used + length].to_vec();
                match elements.last_mut().filter(|_| continues) {
                    Some(last) => last.extend(element),
                    None => elements.push(element),
                }
                continues = false;
                rest = &rest[used + length..];
            }
        }
        assert_eq!(elements, units);
    }
}
