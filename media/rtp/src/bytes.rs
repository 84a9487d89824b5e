//! Big-endian reads and writes that answer with `None` or do less where bytes are missing.

/// `N` bytes at `at`.
pub(crate) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// The 16-bit number at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    chunk(bytes, at).map(u16::from_be_bytes)
}

/// The 32-bit number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    chunk(bytes, at).map(u32::from_be_bytes)
}

/// Copies `data` to the front of `out` and returns what is left of `out`; too little room loses
/// the rest of `data`.
pub(crate) fn put<'a>(out: &'a mut [u8], data: &[u8]) -> &'a mut [u8] {
    let length = data.len().min(out.len());
    let (front, rest) = out.split_at_mut(length);
    if let Some(data) = data.get(..length) {
        front.copy_from_slice(data);
    }
    rest
}

/// Bytes of hexadecimal digits with any white space between.
#[cfg(test)]
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| u8::try_from(c.to_digit(16)?).ok())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
