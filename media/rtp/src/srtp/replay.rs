//! Which packets were seen, and which index a sequence number stands for.

/// How far a packet may come behind the newest and still be told from a replay. Retransmissions and
/// reordering stay far below it, and 1,024 packets are a second of the fastest video.
pub const WINDOW_PACKETS: u64 = 1_024;

const WORDS: usize = (WINDOW_PACKETS / 64) as usize;

/// A sliding window over packet indices (RFC 3711, section 3.3.2).
#[derive(Debug, Clone)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// Bit `index % WINDOW_PACKETS` is set for what was seen within the window.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has seen `index` alone.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Self {
            highest: index,
            seen: [0; WORDS],
        };
        window.mark(index);
        window
    }

    /// The newest index.
    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether the packet is neither seen nor too old.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        let (word, bit) = Self::place(index);
        let unseen = self.seen.get(word).is_some_and(|seen| seen & bit == 0);
        self.highest - index < WINDOW_PACKETS && unseen
    }

    /// Remembers an authenticated packet.
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= WINDOW_PACKETS {
                self.seen = [0; WORDS];
            } else {
                for passed in self.highest + 1..index {
                    self.clear(passed);
                }
            }
            self.highest = index;
        }
        self.mark(index);
    }

    fn mark(&mut self, index: u64) {
        let (word, bit) = Self::place(index);
        if let Some(seen) = self.seen.get_mut(word) {
            *seen |= bit;
        }
    }

    fn clear(&mut self, index: u64) {
        let (word, bit) = Self::place(index);
        if let Some(seen) = self.seen.get_mut(word) {
            *seen &= !bit;
        }
    }

    fn place(index: u64) -> (usize, u64) {
        let at = index % WINDOW_PACKETS;
        (usize::try_from(at / 64).unwrap_or(0), 1 << (at % 64))
    }
}

/// The index that `sequence` most likely has, given the newest one (RFC 3711, section 3.3.1), or
/// `None` if it would lie before the first.
pub(super) fn estimate_index(highest: u64, sequence: u16) -> Option<u64> {
    let rollover = highest >> 16;
    let newest = highest & 0xffff;
    let sequence = u64::from(sequence);
    let rollover = if newest < 0x8000 {
        if sequence > newest + 0x8000 {
            rollover.checked_sub(1)?
        } else {
            rollover
        }
    } else if newest - 0x8000 > sequence {
        rollover + 1
    } else {
        rollover
    };
    Some(rollover << 16 | sequence)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rollover_counter_follows_the_sequence() {
        assert_eq!(estimate_index(10, 11), Some(11));
        assert_eq!(estimate_index(0xfffe, 1), Some(0x1_0001));
        assert_eq!(estimate_index(0x1_0001, 0xffff), Some(0xffff));
        assert_eq!(estimate_index(0x1_8000, 0), Some(0x1_0000));
        assert_eq!(estimate_index(0x1_8001, 0), Some(0x2_0000));
        assert_eq!(estimate_index(0x1_7fff, 0xffff), Some(0x1_ffff));
        assert_eq!(estimate_index(0x1_7ffe, 0xffff), Some(0xffff));
        assert_eq!(estimate_index(3, 0xffff), None);
    }

    #[test]
    fn the_window_moves() {
        let mut window = ReplayWindow::starting_at(100);
        assert!(!window.is_fresh(100) && window.is_fresh(99) && window.is_fresh(101));
        window.accept(100 + WINDOW_PACKETS - 1);
        assert!(!window.is_fresh(100) && window.is_fresh(101));
        window.accept(101);
        window.accept(100 + WINDOW_PACKETS);
        assert!(!window.is_fresh(100) && !window.is_fresh(101) && window.is_fresh(102));
        window.accept(1 << 40);
        assert!(!window.is_fresh(100 + WINDOW_PACKETS));
        assert!(window.is_fresh((1 << 40) - WINDOW_PACKETS + 1));
    }

    proptest! {
        #[test]
        fn nothing_is_accepted_twice(steps in proptest::collection::vec(0_u64..4_000, 1..300)) {
            let first = steps[0];
            let mut window = ReplayWindow::starting_at(first);
            let mut seen = BTreeSet::from([first]);
            for &index in &steps {
                let highest = seen.last().copied().unwrap();
                let fresh = !seen.contains(&index) && index + WINDOW_PACKETS > highest;
                prop_assert_eq!(window.is_fresh(index), fresh);
                if fresh {
                    window.accept(index);
                    seen.insert(index);
                }
                prop_assert_eq!(window.highest(), seen.last().copied().unwrap());
            }
        }
    }
}
