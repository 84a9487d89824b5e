//! Which of the last packets have come.

const WORDS: usize = 32;
/// Numbers remembered: more than repair ever reaches back.
const SPAN: u64 = 64 * WORDS as u64;

/// A bit for each of the last [`SPAN`] sequence numbers.
#[derive(Debug)]
pub(super) struct Window {
    words: [u64; WORDS],
    /// The highest number plus one.
    end: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            words: [0; WORDS],
            end: 0,
        }
    }
}

impl Window {
    /// Makes `newest` the highest number, and forgets those that fall out.
    pub(super) fn advance(&mut self, newest: u64) {
        if newest >= self.end + SPAN {
            self.words = [0; WORDS];
        } else {
            for sequence in self.end..=newest {
                if let Some((word, mask)) = self.bit(sequence) {
                    *word &= !mask;
                }
            }
        }
        self.end = newest + 1;
    }

    /// Notes a number that is not above the highest; `false` if it was known or is too old to tell.
    pub(super) fn insert(&mut self, sequence: u64) -> bool {
        if sequence + SPAN < self.end {
            return false;
        }
        let Some((word, mask)) = self.bit(sequence) else {
            return false;
        };
        let fresh = *word & mask == 0;
        *word |= mask;
        fresh
    }

    fn bit(&mut self, sequence: u64) -> Option<(&mut u64, u64)> {
        let index = usize::try_from(sequence % SPAN / 64).ok()?;
        Some((self.words.get_mut(index)?, 1 << (sequence % 64)))
    }
}
