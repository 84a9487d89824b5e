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
        let word = word_of(index).and_then(|at| self.words.get_mut(at))?;
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
                if let Some(word) = word_of(passed).and_then(|at| self.words.get_mut(at)) {
                    *word &= !(1 << (passed % 64));
                }
            }
        }
        self.highest = index;
    }
}

/// In which of two forms each of the last numbers was sealed. What is sealed again under its number
/// must have the form of its first time, or one key stream would cover two texts.
#[derive(Debug, Default)]
pub(crate) struct FormWindow {
    words: [u64; WORDS],
}

impl FormWindow {
    /// Remembers the form of an index that is sealed for the first time.
    pub(crate) fn set(&mut self, index: u64, form: bool) {
        if let Some(word) = word_of(index).and_then(|at| self.words.get_mut(at)) {
            let bit = 1 << (index % 64);
            *word = if form { *word | bit } else { *word & !bit };
        }
    }

    /// The form of an index that [`SealedWindow::index`] still knows.
    pub(crate) fn get(&self, index: u64) -> bool {
        let word = word_of(index).and_then(|at| self.words.get(at));
        word.is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

fn word_of(index: u64) -> Option<usize> {
    usize::try_from(index / 64 % (SPAN / 64)).ok()
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

    #[test]
    fn a_form_is_kept_as_long_as_its_number() {
        let mut forms = FormWindow::default();
        for index in 0..3_000 {
            forms.set(index, index % 3 == 0);
            for kept in u64::saturating_sub(index, SPAN - 1)..=index {
                assert_eq!(forms.get(kept), kept % 3 == 0, "{kept} of {index}");
            }
        }
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
