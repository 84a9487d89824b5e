//! Payloads that many hands hold and nobody copies.
//!
//! A packet is decrypted once into a pooled buffer and from then on shared: the history, and every
//! subscriber, hold the same bytes. When the last holder lets go, the pool writes into it again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Room for one packet: an Ethernet frame and the tag of its encryption.
pub const PAYLOAD_BYTES_MAX: usize = 1_600;

/// How many held buffers an acquire looks past, in either queue, before it makes a new one.
/// Histories let go in the order in which they took, so the front is nearly always free.
const LOOK_PAST: usize = 4;

type Buffer = [u8; PAYLOAD_BYTES_MAX];

/// Immutable bytes, shared by reference count.
#[derive(Clone)]
pub struct Payload {
    buffer: Arc<Buffer>,
    start: u16,
    end: u16,
}

impl Payload {
    /// A payload outside any pool, for tests and for what is rare. Bytes past
    /// [`PAYLOAD_BYTES_MAX`] are refused with `None`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Option<Self> {
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        buffer.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let end = u16::try_from(bytes.len()).ok()?;
        Some(Self {
            buffer: Arc::new(buffer),
            start: 0,
            end,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.buffer
            .get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or_default()
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.end.saturating_sub(self.start))
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// The same bytes without the first `count`; shares the buffer.
    #[must_use]
    pub fn skip(&self, count: usize) -> Self {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let start = self.start.saturating_add(count).min(self.end);
        Self {
            buffer: Arc::clone(&self.buffer),
            start,
            end: self.end,
        }
    }

    /// The same bytes without the last `count`; shares the buffer.
    #[must_use]
    pub fn trim(&self, count: usize) -> Self {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let end = self.end.saturating_sub(count).max(self.start);
        Self {
            buffer: Arc::clone(&self.buffer),
            start: self.start,
            end,
        }
    }

    /// Whether both are the same memory, not merely equal bytes.
    #[must_use]
    pub fn same_buffer(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.buffer, &other.buffer)
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} B)", self.len())
    }
}

/// Buffers that come back by themselves when the last [`Payload`] over them is dropped.
pub struct BufferPool {
    /// In the order in which they were handed out.
    buffers: VecDeque<Arc<Buffer>>,
    /// Those that are still held though younger ones are free: whoever holds them is in no hurry.
    late: VecDeque<Arc<Buffer>>,
    spare_max: usize,
}

impl BufferPool {
    /// A pool that remembers at most `buffers_max` buffers; it makes more when all of them are
    /// held, and those are freed by their last holder.
    #[must_use]
    pub fn new(buffers_max: usize) -> Self {
        Self {
            buffers: VecDeque::with_capacity(buffers_max),
            late: VecDeque::new(),
            spare_max: buffers_max,
        }
    }

    /// Fills a free buffer and shares what `fill` says it wrote.
    ///
    /// `fill` gets the whole buffer of [`PAYLOAD_BYTES_MAX`] bytes and returns the range that is
    /// the payload, or its error, in which case the buffer stays free. A range that does not fit
    /// is cut.
    ///
    /// # Errors
    /// Whatever `fill` returns.
    pub fn fill<E>(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Result<std::ops::Range<usize>, E>,
    ) -> Result<Payload, E> {
        let mut shared = self.acquire();
        let range = match Arc::get_mut(&mut shared) {
            Some(buffer) => fill(buffer),
            None => Ok(0..0),
        };
        if self.len() < self.spare_max {
            self.buffers.push_back(Arc::clone(&shared));
        }
        let range = range?;
        let end = u16::try_from(range.end.min(PAYLOAD_BYTES_MAX)).unwrap_or(0);
        let start = u16::try_from(range.start).unwrap_or(end).min(end);
        Ok(Payload {
            buffer: shared,
            start,
            end,
        })
    }

    /// Buffers remembered, held or free.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffers.len() + self.late.len()
    }

    /// Whether the pool remembers no buffer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn acquire(&mut self) -> Arc<Buffer> {
        let taken = self.take_late().or_else(|| self.take_oldest());
        taken.unwrap_or_else(|| Arc::new([0; PAYLOAD_BYTES_MAX]))
    }

    /// The oldest free buffer near the front. Held ones before it are late; while none is free
    /// nothing moves, so that the order stays.
    fn take_oldest(&mut self) -> Option<Arc<Buffer>> {
        let mut front = self.buffers.iter_mut().take(LOOK_PAST);
        let free = front.position(|buffer| Arc::get_mut(buffer).is_some())?;
        self.late.extend(self.buffers.drain(..free));
        self.buffers.pop_front()
    }

    /// A late buffer that has become free; those that have not are looked at again next time round.
    fn take_late(&mut self) -> Option<Arc<Buffer>> {
        for _ in 0..LOOK_PAST.min(self.late.len()) {
            let mut buffer = self.late.pop_front()?;
            if Arc::get_mut(&mut buffer).is_some() {
                return Some(buffer);
            }
            self.late.push_back(buffer);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(pool: &mut BufferPool, bytes: &[u8]) -> Payload {
        pool.fill(|buffer| -> Result<_, ()> {
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(0..bytes.len())
        })
        .unwrap()
    }

    #[test]
    fn a_dropped_payload_frees_its_buffer() {
        let mut pool = BufferPool::new(8);
        let first = write(&mut pool, b"one");
        let second = write(&mut pool, b"two");
        assert!(!first.same_buffer(&second));
        let address = first.as_slice().as_ptr();
        drop(first);
        let third = write(&mut pool, b"three");
        assert_eq!(third.as_slice().as_ptr(), address);
        assert_eq!(second.as_slice(), b"two");
        assert_eq!(pool.len(), 2);
    }

    /// Buffers made over 20,000 packets, of which those of `held(number)` packets later are let go.
    fn made(held: impl Fn(u64) -> u64) -> usize {
        let mut pool = BufferPool::new(4_096);
        let mut holders: Vec<(u64, Payload)> = Vec::new();
        let mut made = std::collections::BTreeSet::new();
        for number in 0..20_000 {
            holders.retain(|(until, _)| *until > number);
            let payload = write(&mut pool, &number.to_be_bytes());
            made.insert(payload.as_slice().as_ptr());
            holders.push((number + held(number), payload));
        }
        made.len()
    }

    #[test]
    fn no_more_buffers_are_made_than_are_held_at_once() {
        assert_eq!(made(|_| 200), 200);
        // Sound is held for less time than pictures, and some packets much longer than either.
        let mixed = made(|number| match number {
            _ if number % 97 == 0 => 2_000,
            _ if number % 3 == 0 => 120,
            _ => 200,
        });
        assert!(mixed <= 200 + 21 + 20, "{mixed}");
        // Swapped in order by a little, as streams that take turns do.
        let wavering = made(|number| 200 + number * 7 % 5);
        assert!(wavering <= 210, "{wavering}");
    }

    #[test]
    fn views_share_the_buffer() {
        let whole = Payload::copy_of(b"descriptor+data").unwrap();
        let rest = whole.skip(11);
        assert_eq!(rest.as_slice(), b"data");
        assert!(rest.same_buffer(&whole));
        assert_eq!(whole.skip(99).len(), 0);
        assert!(Payload::copy_of(&[0; PAYLOAD_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn a_failed_fill_keeps_the_buffer_free() {
        let mut pool = BufferPool::new(8);
        assert_eq!(pool.fill(|_| Err(7)).err(), Some(7));
        assert_eq!(write(&mut pool, b"x").as_slice(), b"x");
        assert_eq!(pool.len(), 1);
    }
}
