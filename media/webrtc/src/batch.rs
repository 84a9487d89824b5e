//! The send arena: one buffer that all transports of a turn seal their packets into.

use std::ops::Range;

use crate::path::{Path, Protocol};

/// Most segments of one segmented send: the kernel's limit for UDP.
const SEGMENTS_MAX: usize = 64;
/// Most bytes of one segmented send: an IPv4 datagram's 65,535 less its headers, rounded down.
const SEGMENTED_BYTES_MAX: usize = 65_000;
/// Of each buffer for control packets: a compound that is too long to grow further, and what was
/// written last.
const CONTROL_BYTES: usize = 2_048;

#[derive(Debug, Clone, Copy)]
struct Entry {
    path: Path,
    start: usize,
    end: usize,
}

/// Datagrams that are ready to be sent, one after the other in one buffer.
///
/// Reused from turn to turn: [`TransmitBatch::clear`] keeps the memory. The arena never moves or
/// grows beyond what [`TransmitBatch::new`] was given; when a datagram does not fit,
/// [`TransmitBatch::is_full`] says so and the caller sends what is there first.
#[derive(Debug)]
pub struct TransmitBatch {
    arena: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
    full: bool,
    /// What control packets are put together in, for whichever transport writes some.
    compound: Vec<u8>,
    sealed: Vec<u8>,
}

/// One send: a single datagram, or several of one size to one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where it goes.
    pub path: Path,
    /// The datagrams, one after the other.
    pub contents: &'a [u8],
    /// The size of each datagram but the last, if there are several.
    pub segment_size: Option<usize>,
}

impl TransmitBatch {
    /// An arena of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            arena: vec![0; capacity],
            used: 0,
            entries: Vec::with_capacity(capacity / 256),
            full: false,
            compound: Vec::with_capacity(CONTROL_BYTES),
            sealed: Vec::with_capacity(CONTROL_BYTES),
        }
    }

    /// Lends the buffers for control packets, or takes them back.
    pub(crate) const fn swap_buffers(&mut self, compound: &mut Vec<u8>, sealed: &mut Vec<u8>) {
        std::mem::swap(&mut self.compound, compound);
        std::mem::swap(&mut self.sealed, sealed);
    }

    /// Forgets all datagrams.
    pub fn clear(&mut self) {
        self.used = 0;
        self.entries.clear();
        self.full = false;
    }

    /// Whether nothing is to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many datagrams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all datagrams since the last [`TransmitBatch::clear`]. What one transport added is
    /// the difference before and after its turn: nobody has to add up [`TransmitBatch::datagrams`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.used
    }

    /// Whether a datagram of `size` bytes fits.
    #[must_use]
    pub fn fits(&self, size: usize) -> bool {
        self.arena.len().saturating_sub(self.used) >= size
    }

    /// Whether a datagram was refused for want of room since the last [`TransmitBatch::clear`].
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Notes that something had to wait for want of room.
    pub const fn mark_full(&mut self) {
        self.full = true;
    }

    /// Adds a datagram that `write` puts into a buffer of `size_max` bytes; it returns the length.
    ///
    /// Returns whether there was room; without it `write` is not called.
    ///
    /// # Errors
    /// Whatever `write` returns; nothing is added then.
    pub fn push_with<E>(
        &mut self,
        path: Path,
        size_max: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<bool, E> {
        let start = self.used;
        let Some(target) = self.arena.get_mut(start..start.saturating_add(size_max)) else {
            self.full = true;
            return Ok(false);
        };
        let length = write(target)?.min(size_max);
        if length > 0 {
            self.used = start + length;
            self.entries.push(Entry {
                path,
                start,
                end: self.used,
            });
        }
        Ok(true)
    }

    /// Adds a finished datagram. Returns whether there was room.
    pub fn push(&mut self, path: Path, datagram: &[u8]) -> bool {
        let added = self.push_with(path, datagram.len(), |target| {
            target.copy_from_slice(datagram);
            Ok::<_, std::convert::Infallible>(datagram.len())
        });
        added.unwrap_or(false)
    }

    /// The sends, in order. Neighbours to one UDP path that have one size, of which only the last
    /// may be shorter, are one send of at most 64 segments and 65,000 bytes.
    pub fn transmits(&self) -> impl Iterator<Item = Transmit<'_>> {
        let mut rest = self.entries.as_slice();
        std::iter::from_fn(move || {
            let (first, following) = rest.split_first()?;
            let run = run_length(first, following);
            let last = following.get(..run).and_then(<[_]>::last).unwrap_or(first);
            rest = following.get(run..).unwrap_or_default();
            Some(Transmit {
                path: first.path,
                contents: self.slice(first.start..last.end),
                segment_size: (run > 0).then_some(first.end - first.start),
            })
        })
    }

    /// Each datagram by itself, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = (Path, &[u8])> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.path, self.slice(entry.start..entry.end)))
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        self.arena.get(range).unwrap_or_default()
    }
}

/// How many of `following` belong to the send that starts with `first`.
fn run_length(first: &Entry, following: &[Entry]) -> usize {
    if first.path.protocol == Protocol::Tcp {
        return 0;
    }
    let size = first.end - first.start;
    let mut run = 0;
    for entry in following.iter().take(SEGMENTS_MAX - 1) {
        let length = entry.end - entry.start;
        let too_long = entry.end - first.start > SEGMENTED_BYTES_MAX;
        if entry.path != first.path || length > size || too_long {
            break;
        }
        run += 1;
        if length < size {
            break;
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16, protocol: Protocol) -> Path {
        Path {
            local: ([127, 0, 0, 1], 7_800).into(),
            remote: ([127, 0, 0, 1], port).into(),
            protocol,
        }
    }

    fn sends(batch: &TransmitBatch) -> Vec<(u16, usize, Option<usize>)> {
        let sends = batch.transmits();
        sends
            .map(|send| {
                (
                    send.path.remote.port(),
                    send.contents.len(),
                    send.segment_size,
                )
            })
            .collect()
    }

    #[test]
    fn neighbours_of_one_size_are_one_send() {
        let mut batch = TransmitBatch::new(10_000);
        let [a, b] = [path(1, Protocol::Udp), path(2, Protocol::Udp)];
        for (path, size) in [(a, 100), (a, 100), (a, 60), (a, 100), (b, 100), (b, 101)] {
            assert!(batch.push(path, &vec![7; size]));
        }
        let expected = [
            (1, 260, Some(100)),
            (1, 100, None),
            (2, 100, None),
            (2, 101, None),
        ];
        assert_eq!(sends(&batch), expected);
        assert_eq!(batch.datagrams().count(), 6);
        assert_eq!(batch.bytes(), 561);
        batch.clear();
        assert_eq!(batch.bytes(), 0);
        assert!(batch.is_empty() && sends(&batch).is_empty());
    }

    #[test]
    fn runs_are_bounded_and_tcp_is_never_merged() {
        let mut batch = TransmitBatch::new(200_000);
        for _ in 0..70 {
            batch.push(path(1, Protocol::Udp), &[0; 1_200]);
        }
        assert_eq!(
            sends(&batch),
            [(1, 54 * 1_200, Some(1_200)), (1, 16 * 1_200, Some(1_200))]
        );
        batch.clear();
        for _ in 0..65 {
            batch.push(path(1, Protocol::Udp), &[0; 100]);
        }
        assert_eq!(sends(&batch), [(1, 6_400, Some(100)), (1, 100, None)]);
        batch.clear();
        batch.push(path(1, Protocol::Tcp), &[0; 100]);
        batch.push(path(1, Protocol::Tcp), &[0; 100]);
        assert_eq!(sends(&batch), [(1, 100, None), (1, 100, None)]);
    }

    #[test]
    fn a_full_arena_refuses_and_says_so() {
        let mut batch = TransmitBatch::new(150);
        let a = path(1, Protocol::Udp);
        assert!(batch.push(a, &[1; 100]));
        assert!(!batch.push(a, &[2; 51]) && batch.is_full());
        assert_eq!(batch.push_with(a, 50, |_| Err::<usize, _>(5)), Err(5));
        assert_eq!(batch.len(), 1);
        batch.clear();
        assert!(!batch.is_full() && batch.fits(150));
    }
}
