//! Guards against sealing two packets under one number, which would give the key away.

use crate::limits::FIRST_FORMS;

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

    /// Reads the word that the next number changes.
    pub(crate) fn touch(&self) -> u64 {
        let word = word_of(self.highest).and_then(|at| self.words.get(at));
        word.copied().unwrap_or(0) ^ self.base.unwrap_or(0)
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

/// What of a packet was made when it was first sealed. Whoever seals it again under its number
/// needs it, since one nonce must not cover two texts (RFC 7714, section 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstForm {
    pub(crate) index: u64,
    /// Its transport-wide number.
    pub(crate) transport: Option<[u8; 2]>,
    /// When it was first sent.
    pub(crate) send_time: Option<[u8; 3]>,
    /// Whether it left with redundancy.
    pub(crate) wrapped: bool,
}

/// The first forms of the last packets of one source.
#[derive(Debug, Default)]
pub(crate) struct FirstForms {
    /// Empty until something may have to be sealed again.
    ring: Vec<Option<FirstForm>>,
}

impl FirstForms {
    /// Remembers a form, and forgets the one that is 256 numbers older.
    pub(crate) fn set(&mut self, form: FirstForm) {
        if self.ring.is_empty() {
            self.ring.resize(FIRST_FORMS, None);
        }
        if let Some(place) = self.ring.get_mut(place_of(form.index)) {
            *place = Some(form);
        }
    }

    /// The form of an index, if it is not too old.
    pub(crate) fn get(&self, index: u64) -> Option<FirstForm> {
        let form = self.ring.get(place_of(index)).copied().flatten();
        form.filter(|form| form.index == index)
    }

    /// Forgets all: what was agreed on has changed, and with it what would be written.
    pub(crate) fn clear(&mut self) {
        self.ring.fill(None);
    }
}

fn place_of(index: u64) -> usize {
    usize::try_from(index).unwrap_or(0) % FIRST_FORMS
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
    fn a_form_is_kept_for_256_numbers() {
        let form = |index: u64| FirstForm {
            index,
            transport: Some([index.to_be_bytes()[6], index.to_be_bytes()[7]]),
            send_time: None,
            wrapped: index.is_multiple_of(3),
        };
        let mut forms = FirstForms::default();
        assert_eq!(forms.get(0), None);
        for index in 0..1_000 {
            forms.set(form(index));
            for kept in u64::saturating_sub(index, 255)..=index {
                assert_eq!(forms.get(kept), Some(form(kept)));
            }
            assert_eq!(forms.get(index + 1), None);
            assert!(index < 256 || forms.get(index - 256).is_none());
        }
        forms.clear();
        assert_eq!(forms.get(999), None);
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
