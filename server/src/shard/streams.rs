//! The shard's ends of its ICE-TCP connections: one bounded queue of bytes each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use media_webrtc::Path;
use tokio::sync::Notify;

use crate::limits::STREAM_OUT_BYTES_MAX;

/// The writing end of one connection.
#[derive(Debug)]
pub(crate) struct StreamOut {
    path: Path,
    number: u64,
    bytes: rtrb::Producer<u8>,
    /// Dropped after the queue, so that the reader finds it abandoned when it is woken.
    signal: LastSignal,
    written: bool,
}

/// Wakes the connection once more at its end.
#[derive(Debug)]
struct LastSignal(Arc<StreamSignal>);

impl Drop for LastSignal {
    fn drop(&mut self) {
        self.0.waiting.notify_one();
    }
}

/// What both ends of a connection share beside the bytes.
#[derive(Debug, Default)]
pub(crate) struct StreamSignal {
    /// There is something to write, or the shard's end is gone.
    pub(crate) waiting: Notify,
    /// The transport answered with more than STUN, so ICE has chosen this connection.
    proven: AtomicBool,
}

impl StreamSignal {
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }
}

/// The queue towards one client, and what both ends share.
pub(crate) fn stream(
    path: Path,
    number: u64,
) -> (StreamOut, rtrb::Consumer<u8>, Arc<StreamSignal>) {
    let (producer, consumer) = rtrb::RingBuffer::new(STREAM_OUT_BYTES_MAX);
    let signal = Arc::new(StreamSignal::default());
    let out = StreamOut {
        path,
        number,
        bytes: producer,
        signal: LastSignal(Arc::clone(&signal)),
        written: false,
    };
    (out, consumer, signal)
}

impl StreamOut {
    /// Whose it is.
    #[cfg(test)]
    pub(crate) const fn path(&self) -> Path {
        self.path
    }

    /// Queues one frame and wakes the connection at once, as tests of the connection do.
    #[cfg(test)]
    pub(crate) fn answer(&mut self, datagram: &[u8]) -> bool {
        let pushed = self.push(datagram);
        self.signal.0.waiting.notify_one();
        pushed
    }

    /// Queues one frame with its length before it (RFC 4571, section 2); whole or not at all.
    fn push(&mut self, datagram: &[u8]) -> bool {
        let Ok(length) = u16::try_from(datagram.len()) else {
            return false;
        };
        if self.bytes.slots() < datagram.len() + 2 {
            return false;
        }
        let framed = self.bytes.push_entire_slice(&length.to_be_bytes()).is_ok()
            && self.bytes.push_entire_slice(datagram).is_ok();
        self.written = true;
        // STUN starts with 0 or 1 (RFC 7983); everything else is sent to the chosen path alone.
        if datagram.first().is_some_and(|&first| first > 3) {
            self.signal.0.proven.store(true, Ordering::Relaxed);
        }
        framed
    }
}

/// All connections of one shard.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: HashMap<Path, StreamOut>,
    written: Vec<Path>,
    /// Frames dropped since their client did not keep up, or had left.
    pub(crate) drops: u64,
}

impl Streams {
    pub(crate) fn open(&mut self, stream: StreamOut) {
        self.open.insert(stream.path, stream);
    }

    /// Forgets a connection; whether it was known.
    pub(crate) fn close(&mut self, path: Path, number: u64) -> bool {
        let known = self.open.get(&path).is_some_and(|s| s.number == number);
        if known {
            self.open.remove(&path);
        }
        known
    }

    pub(crate) fn is_open(&self, path: &Path) -> bool {
        self.open.contains_key(path)
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Queues a datagram towards its client, or counts it as dropped.
    pub(crate) fn send(&mut self, path: &Path, datagram: &[u8]) {
        let Some(stream) = self.open.get_mut(path) else {
            self.drops += 1;
            return;
        };
        let first = !stream.written;
        if !stream.push(datagram) {
            self.drops += 1;
        }
        if first && stream.written {
            self.written.push(*path);
        }
    }

    /// Wakes the connections that have something new.
    pub(crate) fn flush(&mut self) {
        for path in self.written.drain(..) {
            if let Some(stream) = self.open.get_mut(&path) {
                stream.written = false;
                stream.signal.0.waiting.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use media_webrtc::Protocol;

    use super::*;

    fn path() -> Path {
        Path {
            local: ([127, 0, 0, 1], 7_800).into(),
            remote: ([127, 0, 0, 1], 5_000).into(),
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn frames_carry_their_length_and_prove_the_connection() {
        let (out, mut bytes, signal) = stream(path(), 1);
        let mut streams = Streams::default();
        streams.open(out);
        streams.send(&path(), &[1, 1, 0]);
        assert!(!signal.is_proven());
        streams.send(&path(), &[22, 254]);
        assert!(signal.is_proven());
        streams.flush();
        let mut written = [0; 9];
        bytes.pop_entire_slice(&mut written).unwrap();
        assert_eq!(written, [0, 3, 1, 1, 0, 0, 2, 22, 254]);
    }

    #[test]
    fn a_full_queue_drops_whole_frames() {
        let (out, mut bytes, _signal) = stream(path(), 1);
        let mut streams = Streams::default();
        streams.open(out);
        let frame = vec![20; 1_022];
        for _ in 0..STREAM_OUT_BYTES_MAX / 1_024 + 3 {
            streams.send(&path(), &frame);
        }
        assert_eq!(streams.drops, 3);
        let mut one = vec![0; 1_024];
        bytes.pop_entire_slice(&mut one).unwrap();
        streams.send(&path(), &frame);
        assert_eq!(streams.drops, 3);
    }

    #[test]
    fn an_old_number_closes_nothing() {
        let (old, _bytes, _signal) = stream(path(), 1);
        let (new, bytes, _signal) = stream(path(), 2);
        let mut streams = Streams::default();
        streams.open(old);
        streams.open(new);
        assert!(!streams.close(path(), 1));
        assert!(streams.is_open(&path()) && streams.len() == 1);
        assert!(streams.close(path(), 2));
        assert!(bytes.is_abandoned());
        streams.send(&path(), &[0]);
        assert_eq!(streams.drops, 1);
    }
}
