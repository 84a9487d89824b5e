//! Seeded mutations: the same neighbourhood of each corpus input on every machine.

/// Makes variants of an input.
pub struct Mutator(u64);

impl Mutator {
    /// The variants that belong to a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64: small, and every seed is a good one.
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() >> 1)
            .unwrap_or(0)
            .checked_rem(end)
            .unwrap_or(0)
    }

    /// One variant: a few bytes flipped, set to an extreme, cut, doubled or inserted.
    pub fn mutate(&mut self, input: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len().max(1));
            match self.below(6) {
                0 => flip(&mut bytes, place, 1 << self.below(8)),
                1 => set(&mut bytes, place, 0xff),
                2 => set(&mut bytes, place, 0),
                3 => bytes.truncate(place),
                4 => {
                    let tail = bytes.get(place..).unwrap_or_default().to_vec();
                    bytes.extend(tail.iter().take(64));
                }
                _ => {
                    let byte = self.number().to_le_bytes()[0];
                    bytes.insert(place.min(bytes.len()), byte);
                }
            }
        }
        bytes
    }
}

fn flip(bytes: &mut [u8], place: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= mask;
    }
}

fn set(bytes: &mut [u8], place: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(place) {
        *byte = value;
    }
}
