//! Redundant audio (RFC 2198), taken apart no further than to its newest block.

/// Headers of older blocks: follow bit, payload type, timestamp offset, length.
const OLDER_BYTES: usize = 4;

/// Where the primary block starts, which is the last. `None` if the headers do not fit the payload.
#[must_use]
pub fn primary_offset(payload: &[u8]) -> Option<usize> {
    let mut headers = 0;
    let mut older = 0;
    loop {
        let rest = payload.get(headers..)?;
        let first = rest.first()?;
        if first & 0x80 == 0 {
            let offset = headers + 1 + older;
            return (offset <= payload.len()).then_some(offset);
        }
        let [_, _, l0, l1] = rest.first_chunk::<OLDER_BYTES>()?;
        older += usize::from(u16::from_be_bytes([l0 & 0x03, *l1]));
        headers += OLDER_BYTES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_is_the_primary() {
        let two = [0x80 | 111, 0, 4, 2, 111, b'o', b'l', b'n', b'e', b'w'];
        assert_eq!(primary_offset(&two).map(|at| &two[at..]), Some(&b"new"[..]));
        let alone = [111, b'n', b'e', b'w'];
        assert_eq!(primary_offset(&alone), Some(1));
        assert_eq!(primary_offset(&[111]), Some(1));
        assert_eq!(primary_offset(&[0x80 | 111, 0, 4, 9, 111, 0]), None);
        assert_eq!(primary_offset(&[0x80 | 111, 0]), None);
        assert_eq!(primary_offset(&[]), None);
    }
}
