//! H.264 byte streams: NAL units after their length, as frames carry them, and after start codes,
//! as libav wants them (ITU-T H.264, annex B).

const START: [u8; 4] = [0, 0, 0, 1];

/// Replaces each length by a start code; `None` where the lengths do not add up.
pub(crate) fn to_annex_b(frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(frame.len());
    let mut rest = frame;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (unit, tail) = tail.split_at_checked(length)?;
        if !unit.is_empty() {
            out.extend(START);
            out.extend_from_slice(unit);
        }
        rest = tail;
    }
    (rest.is_empty() && !out.is_empty()).then_some(out)
}

/// Replaces each start code, of three bytes or four, by a length.
pub(crate) fn from_annex_b(stream: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stream.len() + 16);
    let mut rest = stream;
    while let Some(at) = start_code(rest) {
        let unit = rest.get(at + 3..).unwrap_or_default();
        let end = start_code(unit).unwrap_or(unit.len());
        let (unit, tail) = unit.split_at(end);
        let bytes = trimmed(unit);
        if let (false, Ok(length)) = (bytes.is_empty(), u32::try_from(bytes.len())) {
            out.extend(length.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        rest = tail;
    }
    out
}

/// Where the next three bytes of a start code are.
fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

/// A unit never ends with a zero byte (section 7.4.1); those belong to the next start code.
fn trimmed(unit: &[u8]) -> &[u8] {
    let end = unit
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    unit.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_start_codes_and_back() {
        let frame = [0, 0, 0, 2, 0x67, 0x42, 0, 0, 0, 3, 0x65, 0, 0x88];
        let stream = [0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x65, 0, 0x88];
        assert_eq!(to_annex_b(&frame).unwrap(), stream);
        assert_eq!(from_annex_b(&stream), frame);
        // A short start code and a trailing zero.
        let short = [0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x65, 0, 0x88, 0];
        assert_eq!(from_annex_b(&short), frame);
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        assert_eq!(to_annex_b(&[]), None);
        assert_eq!(to_annex_b(&[0, 0, 0, 3, 1, 2]), None);
        assert_eq!(to_annex_b(&[0, 0, 0, 1, 9, 0, 0]), None);
        assert_eq!(to_annex_b(&[0xff; 64]), None);
        assert_eq!(to_annex_b(&[0, 0, 0, 0]), None);
    }

    #[test]
    fn a_stream_without_start_codes_is_nothing() {
        assert_eq!(from_annex_b(&[1, 2, 3]), []);
        assert_eq!(from_annex_b(&[]), []);
    }
}
