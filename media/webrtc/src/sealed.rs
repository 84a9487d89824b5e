//! Guards against sealing two packets under one number, which would give the key away.

/// Numbers remembered below the highest.
const SPAN: u64 = 1_024;
const WORDS: usize = 16;

/// Which numbers of one source were sealed, and where its rollover count starts.
#[derive(Debug, Default)]
pub(crate) struct SealedWindow {
    /// Subtracted from numbers: receivers take the first packet's rollover count for zero.
    base: Option<u64>,
    highest: u64,
    words: [u64; WORDS],
}

impl SealedWindow {
    /// The SRTP index of a number, and whether it is sealed for the first time. `None` if it is
    /// from before the start, or too old to tell.
    pub(crate) fn index(&mut self, sequence: u64) -> Option<(u64, bool)> {
        let base = *self.base.get_or_insert(sequence & !0xffff);
        let index = sequence.checked_sub(base)?;
        if index > self.highest {
            self.advance(index);
        }
        if index + SPAN <= self.highest {
            return None;
        }
        let word = usize::try_from(index / 64 % (SPAN / 64)).ok();
        let word = word.and_then(|word| self.words.get_mut(word))?;
        let bit = 1 << (index % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        Some((index, fresh))
    }

    fn advance(&mut self, index: u64) {
        if index - self.highest >= SPAN {
            self.words = [0; WORDS];
        } else {
            for passed in self.highest + 1..=index {
                let word = usize::try_from(passed / 64 % (SPAN / 64)).ok();
                if let Some(word) = word.and_then(|word| self.words.get_mut(word)) {
                    *word &= !(1 << (passed % 64));
                }
            }
        }
        self.highest = index;
    }
}

const _: () = assert!(SPAN == 64 * WORDS as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_fresh_once() {
        let mut window = SealedWindow::default();
        let start = 3 * 65_536 + 65_530;
        assert_eq!(window.index(start), Some((65_530, true)));
        assert_eq!(window.index(start + 10), Some((65_540, true)));
        assert_eq!(window.index(start + 5), Some((65_535, true)));
        assert_eq!(window.index(start + 5), Some((65_535, false)));
        assert_eq!(window.index(start + 2_000), Some((67_530, true)));
        assert_eq!(window.index(start + 10), None);
        assert_eq!(window.index(3), None);
    }

    proptest! {
        #[test]
        fn nothing_is_fresh_twice(steps in prop::collection::vec(0_u64..3_000, 1..300)) {
            let mut window = SealedWindow::default();
            let mut seen = std::collections::HashSet::new();
            for step in steps {
                if let Some((index, true)) = window.index(step) {
                    prop_assert!(seen.insert(index));
                }
            }
        }
    }
}
