//! Sequence numbers: 16 bits that wrap on the wire (RFC 3550, section 5.1), 64 that do not inside.

/// A sequence number as the wire carries it. It has no total order: which of two is newer depends
/// on the shorter way around the circle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number on the wire of an unwrapped one: its low 16 bits.
    #[must_use]
    pub const fn of(unwrapped: u64) -> Self {
        let [.., high, low] = unwrapped.to_be_bytes();
        Self(u16::from_be_bytes([high, low]))
    }

    /// Whether `self` was sent after `other`, judged by the shorter way around.
    #[must_use]
    pub const fn is_newer_than(self, other: Self) -> bool {
        self.distance(other) > 0
    }

    /// How many steps `self` lies after `other`; negative if before.
    #[must_use]
    pub const fn distance(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// The number that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Gives each number of a stream its place on a line that does not wrap.
///
/// A number is taken for the one nearest to the highest so far (RFC 3711, section 3.3.1), so that
/// reordering of up to 2¹⁵ packets is understood. The first number `n` becomes 2¹⁶ + `n`: whatever
/// came before it, but arrives later, still has a positive place.
#[derive(Debug, Clone, Default)]
pub struct SequenceUnwrapper {
    highest: Option<u64>,
}

impl SequenceUnwrapper {
    /// The place of the first number 0.
    pub const ORIGIN: u64 = 1 << 16;

    /// The place of `number`, which becomes the highest if it is newer than all before.
    pub fn unwrap(&mut self, number: SequenceNumber) -> u64 {
        let place = self.place_of(number);
        self.highest = Some(self.highest.map_or(place, |highest| highest.max(place)));
        place
    }

    /// The place that `number` has or would have, without taking note of it.
    #[must_use]
    pub fn place_of(&self, number: SequenceNumber) -> u64 {
        match self.highest {
            None => Self::ORIGIN + u64::from(number.0),
            Some(highest) => {
                let distance = number.distance(SequenceNumber::of(highest));
                highest.saturating_add_signed(i64::from(distance))
            }
        }
    }

    /// The highest place so far.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_wraps() {
        let [first, last] = [SequenceNumber(0), SequenceNumber(u16::MAX)];
        assert!(first.is_newer_than(last));
        assert!(!last.is_newer_than(first) && !first.is_newer_than(first));
        assert_eq!(first.distance(last), 1);
        assert_eq!(last.distance(first), -1);
        assert_eq!(last.next(), first);
    }

    #[test]
    fn the_first_number_leaves_room_below() {
        let mut unwrapper = SequenceUnwrapper::default();
        assert_eq!(unwrapper.place_of(SequenceNumber(3)), 65_539);
        assert_eq!(unwrapper.unwrap(SequenceNumber(3)), 65_539);
        assert_eq!(unwrapper.unwrap(SequenceNumber(65_535)), 65_535);
        assert_eq!(unwrapper.highest(), Some(65_539));
        assert_eq!(unwrapper.unwrap(SequenceNumber(4)), 65_540);
    }

    proptest! {
        #[test]
        fn reordered_numbers_find_their_place(
            start in any::<u16>(),
            steps in prop::collection::vec((0_u64..2_000, 0_u64..2_000), 1..300),
        ) {
            let mut unwrapper = SequenceUnwrapper::default();
            let mut front = unwrapper.unwrap(SequenceNumber(start));
            for (ahead, behind) in steps {
                front += ahead;
                prop_assert_eq!(unwrapper.unwrap(SequenceNumber::of(front)), front);
                let late = front - behind;
                prop_assert_eq!(unwrapper.unwrap(SequenceNumber::of(late)), late);
                prop_assert_eq!(unwrapper.highest(), Some(front));
            }
        }
    }
}
