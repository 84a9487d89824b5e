//! What another worker sends: datagrams and frames of a relay.

use std::time::{Duration, Instant};

use media_core::{Hop, HopConfig, RelayBody, RelayMessage};
use media_types::{Epoch, RoomId, ShardId, TrackId};

/// Parts of an input, each after its length; an odd first byte makes it a frame.
fn parts(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = input.split_first()?;
        let (part, rest) = rest.split_at(usize::from(length).min(rest.len()));
        input = rest;
        Some(part)
    })
}

/// Whatever comes is read or counted, what leaves is bounded, and a frame that was understood
/// is understood by the next hop in the same way.
pub(crate) fn relay(input: &[u8]) {
    #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
    let mut now = Instant::now();
    let mut hop = Hop::new(now, HopConfig::default());
    let mut next = Hop::new(now, HopConfig::default());
    let (room, track) = (RoomId::new(1), TrackId::new(1));
    let body = RelayBody::Demand {
        track,
        encodings: 1,
    };
    let demand = RelayMessage::new(room, Epoch(1), body);
    hop.handle_message(now, ShardId(0), ShardId(0), demand);
    let mut out = Vec::new();
    for part in parts(input) {
        match part.split_first() {
            Some((kind, frame)) if kind % 2 == 1 => {
                let _refused = hop.handle_frame(now, frame);
            }
            Some((_, datagram)) => hop.handle_datagram(now, datagram),
            None => now += Duration::from_millis(7),
        }
        while let Some(delivery) = hop.poll_delivery() {
            let (from, to) = (delivery.from, delivery.to);
            next.handle_message(now, from, to, delivery.message);
        }
        while hop.poll_datagram(now, &mut out) {
            assert!(
                out.len() <= HopConfig::default().datagram_max,
                "{}",
                out.len()
            );
        }
        while let Some(frame) = next.poll_frame() {
            let mut last = Hop::new(now, HopConfig::default());
            last.handle_frame(now, &frame).expect("our own frame");
        }
    }
}
