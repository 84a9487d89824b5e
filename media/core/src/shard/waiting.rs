//! Data messages that wait until a client's channels have room for them.
//!
//! Reliable messages wait in their order. When there is no room for one more, the client is slow:
//! all that waits is dropped, since a gap in what should have none is worth nothing, and its owner
//! is told once, so that the client begins anew. Of lossy messages the oldest go first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limits::{DATA_BYTES_PER_TRANSPORT_MAX, DATA_MESSAGES_PER_TRANSPORT_MAX};

/// A message that several clients may wait for.
pub(super) type Shared = Arc<[u8]>;

/// What became of a message that found no room in its channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Messages that were dropped.
    pub(super) dropped: u64,
    /// The client turned out to be slow just now.
    pub(super) slowed: bool,
}

/// What waits for one client.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    reliable: VecDeque<Shared>,
    lossy: VecDeque<Shared>,
    bytes: usize,
    /// It was full, and its channel has taken nothing since.
    slow: bool,
}

impl Waiting {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.reliable.is_empty() && self.lossy.is_empty()
    }

    /// Whether a message of this kind has to wait behind others.
    pub(super) fn is_before(&self, reliable: bool) -> bool {
        let queue = if reliable {
            &self.reliable
        } else {
            &self.lossy
        };
        !queue.is_empty()
    }

    /// Adds a message that found no room in its channel.
    pub(super) fn push(&mut self, reliable: bool, message: Shared) -> Pushed {
        let mut pushed = Pushed::default();
        if reliable && self.slow {
            pushed.dropped = 1;
            return pushed;
        }
        while !self.fits(message.len()) {
            let Some(oldest) = self.lossy.pop_front() else {
                return self.overflow(reliable, pushed.dropped + 1);
            };
            self.bytes -= oldest.len();
            pushed.dropped += 1;
        }
        self.bytes += message.len();
        let queue = if reliable {
            &mut self.reliable
        } else {
            &mut self.lossy
        };
        queue.push_back(message);
        pushed
    }

    fn overflow(&mut self, reliable: bool, dropped: u64) -> Pushed {
        if !reliable {
            return Pushed {
                dropped,
                slowed: false,
            };
        }
        let waited = u64::try_from(self.reliable.len()).unwrap_or(u64::MAX);
        self.reliable.clear();
        self.bytes = 0;
        self.slow = true;
        Pushed {
            dropped: dropped + waited,
            slowed: true,
        }
    }

    /// One message always fits, however large.
    fn fits(&self, bytes: usize) -> bool {
        let messages = self.reliable.len() + self.lossy.len();
        let bytes = self.bytes + bytes;
        messages == 0
            || (messages < DATA_MESSAGES_PER_TRANSPORT_MAX && bytes <= DATA_BYTES_PER_TRANSPORT_MAX)
    }

    /// A channel took a message: the client takes them again.
    pub(super) fn on_sent(&mut self, reliable: bool) {
        if reliable {
            self.slow = false;
        }
    }

    /// Offers what waits to `send`, in order, until that refuses.
    pub(super) fn flush(&mut self, mut send: impl FnMut(bool, &[u8]) -> bool) {
        for reliable in [true, false] {
            loop {
                let queue = if reliable {
                    &mut self.reliable
                } else {
                    &mut self.lossy
                };
                let Some(message) = queue.front() else {
                    break;
                };
                if !send(reliable, message) {
                    break;
                }
                self.bytes -= message.len();
                queue.pop_front();
                self.on_sent(reliable);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Shared {
        vec![7; bytes].into()
    }

    fn pushed(dropped: u64, slowed: bool) -> Pushed {
        Pushed { dropped, slowed }
    }

    #[test]
    fn reliable_messages_wait_in_order_and_a_full_queue_is_told_once() {
        let mut waiting = Waiting::default();
        for number in 0..256_u16 {
            let bytes: Shared = number.to_be_bytes().to_vec().into();
            assert_eq!(waiting.push(true, bytes), pushed(0, false));
        }
        let mut left = 2;
        let mut sent = Vec::new();
        waiting.flush(|reliable, bytes| {
            assert!(reliable);
            left -= 1;
            sent.push(bytes.to_vec());
            left >= 0
        });
        assert_eq!(sent, [[0, 0], [0, 1], [0, 2]]);
        assert!(waiting.is_before(true) && !waiting.is_before(false));
        for _ in 0..2 {
            assert_eq!(waiting.push(true, message(2)), pushed(0, false));
        }
        assert_eq!(waiting.push(true, message(2)), pushed(257, true));
        assert!(waiting.is_empty());
        assert_eq!(
            waiting.push(true, message(2)),
            pushed(1, false),
            "told already"
        );
        waiting.on_sent(true);
        assert_eq!(waiting.push(true, message(2)), pushed(0, false));
    }

    #[test]
    fn of_lossy_messages_the_oldest_go_and_they_make_room_for_reliable_ones() {
        let mut waiting = Waiting::default();
        let half = DATA_BYTES_PER_TRANSPORT_MAX / 2;
        for dropped in [0, 0, 1, 1] {
            assert_eq!(waiting.push(false, message(half)), pushed(dropped, false));
        }
        assert_eq!(waiting.push(true, message(half)), pushed(1, false));
        assert_eq!(waiting.push(true, message(half)), pushed(1, false));
        assert_eq!(
            waiting.push(false, message(1)),
            pushed(1, false),
            "no room to be had"
        );
        assert_eq!(waiting.push(true, message(1)), pushed(3, true));
    }

    #[test]
    fn one_message_fits_whatever_its_size() {
        let mut waiting = Waiting::default();
        let size = DATA_BYTES_PER_TRANSPORT_MAX + 500;
        assert_eq!(waiting.push(true, message(size)), pushed(0, false));
        waiting.flush(|_, bytes| bytes.len() == size);
        assert!(waiting.is_empty() && waiting.bytes == 0);
    }
}
