//! Random numbers from a seed: unpredictable to others, the same again in a simulation.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use media_types::ShardId;

use crate::demux::{digit_of, shard_prefix};

/// Random characters of a user name after the shard's two: 40 bits, so that a stranger's guess
/// meets a transport about never.
const UFRAG_DIGITS: usize = 8;
/// 26 × 5 bits; RFC 8445, section 5.3 asks for 128.
const PASSWORD_DIGITS: usize = 26;

/// HMAC-SHA-256 over a counter, keyed with the seed.
pub(crate) struct Random {
    key: Key,
    counter: u64,
}

impl Random {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self {
            key: Key::new(HMAC_SHA256, seed),
            counter: 0,
        }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.counter += 1;
        let tag = sign(&self.key, &self.counter.to_be_bytes());
        let first = tag.as_ref().first_chunk().copied();
        u64::from_be_bytes(first.unwrap_or_default())
    }

    /// An ICE user name fragment that names the shard.
    pub(crate) fn ufrag(&mut self, shard: ShardId) -> String {
        let prefix = shard_prefix(shard).map(char::from);
        prefix
            .into_iter()
            .chain(self.digits(UFRAG_DIGITS))
            .collect()
    }

    /// An ICE password.
    pub(crate) fn password(&mut self) -> String {
        self.digits(PASSWORD_DIGITS).collect()
    }

    fn digits(&mut self, count: usize) -> impl Iterator<Item = char> {
        (0..count).map(|_| char::from(digit_of(self.next_u64())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard_of_ufrag;

    #[test]
    fn a_seed_repeats_itself_and_no_other() {
        let [mut a, mut b, mut c] = [1, 1, 2].map(|seed| Random::new(&[seed; 32]));
        let [first, same, other] = [&mut a, &mut b, &mut c].map(|random| random.ufrag(ShardId(40)));
        assert_eq!(first, same);
        assert_ne!(first, other);
        assert_ne!(first, a.ufrag(ShardId(40)));
        assert_eq!(shard_of_ufrag(&first), Some(ShardId(40)));
        assert_eq!(a.password().len(), 26);
    }
}
