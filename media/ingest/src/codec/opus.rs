//! Opus: the identification header (RFC 7845, section 5.1) and packet durations (RFC 6716,
//! section 3.1).

/// Channels by an identification header.
pub(super) fn channels(head: &[u8]) -> Option<u8> {
    head.strip_prefix(b"OpusHead")?
        .get(1)
        .copied()
        .filter(|count| *count > 0)
}

/// Samples of a packet at 48 kHz; 0 for one that is none.
#[must_use]
pub fn packet_samples(packet: &[u8]) -> u32 {
    let Some(first) = packet.first() else {
        return 0;
    };
    let configuration = first >> 3;
    let frame = match configuration {
        0..=11 => [480, 960, 1_920, 2_880].get(usize::from(configuration & 3)),
        12..=15 => [480, 960].get(usize::from(configuration & 1)),
        _ => [120, 240, 480, 960].get(usize::from(configuration & 3)),
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u32::from(count & 0x3f)),
    };
    frame
        .copied()
        .unwrap_or(0_u32)
        .saturating_mul(frames)
        .min(5_760)
}
