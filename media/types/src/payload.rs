//! Payloads that many hands hold and nobody copies.
//!
//! A packet is decrypted once into a pooled buffer and from then on shared: the history, and every
//! subscriber, hold the same bytes. When the last holder lets go, the pool writes into it again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Room for one packet: an Ethernet frame and the tag of its encryption.
pub const PAYLOAD_BYTES_MAX: usize = 1_600;

/// How many held buffers an acquire looks past before it makes a new one. Histories let go in the
/// order in which they took, so the front of the queue is nearly always free.
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
    buffers: VecDeque<Arc<Buffer>>,
    spare_max: usize,
}

impl BufferPool {
    /// A pool that remembers at most `buffers_max` buffers; it makes more when all of them are
    /// held, and those are freed by their last holder.
    #[must_use]
    pub fn new(buffers_max: usize) -> Self {
        Self {
            buffers: VecDeque::with_capacity(buffers_max),
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
        if self.buffers.len() < self.spare_max {
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
        self.buffers.len()
    }

    /// Whether the pool remembers no buffer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    fn acquire(&mut self) -> Arc<Buffer> {
        for _ in 0..LOOK_PAST.min(self.buffers.len()) {
            let Some(mut buffer) = self.buffers.pop_front() else {
                break;
            };
            if Arc::get_mut(&mut buffer).is_some() {
                return buffer;
            }
            self.buffers.push_back(buffer);
        }
        Arc::new([0; PAYLOAD_BYTES_MAX])
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
