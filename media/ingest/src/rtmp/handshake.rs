//! The simple handshake (RTMP 1.0, section 5.2), both ends. Clients that try the digest variant of
//! later players fall back to it when the answer carries no digest.

use crate::error::IngestError;

/// The only version that is spoken.
const VERSION: u8 = 3;
/// The length of the packets that follow the version.
const PACKET: usize = 1_536;

#[derive(Debug)]
enum Phase {
    /// Waits for the other end's version and first packet.
    Hello,
    /// Waits for the other end's echo of our packet, of which this many bytes are missing.
    Echo(usize),
    Done,
}

/// One end of a handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    phase: Phase,
    client: bool,
    ours: [u8; PACKET],
    received: Vec<u8>,
}

impl Handshake {
    /// The server's end. `seed` makes the packet differ between connections; nothing secret.
    pub(crate) fn server(seed: u64) -> Self {
        Self::new(seed, false)
    }

    /// The client's end; writes the opening to `out`.
    pub(crate) fn client(seed: u64, out: &mut Vec<u8>) -> Self {
        let handshake = Self::new(seed, true);
        out.push(VERSION);
        out.extend_from_slice(&handshake.ours);
        handshake
    }

    fn new(seed: u64, client: bool) -> Self {
        let mut ours = [0; PACKET];
        let mut state = seed | 1;
        // The first eight bytes are a time and zeroes, which say that there is no digest.
        for byte in ours.iter_mut().skip(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            [*byte, ..] = state.to_be_bytes();
        }
        Self {
            phase: Phase::Hello,
            client,
            ours,
            received: Vec::new(),
        }
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Takes what belongs to the handshake from the front of `input` and says how much that was.
    pub(crate) fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, IngestError> {
        match self.phase {
            Phase::Done => Ok(0),
            Phase::Echo(left) => {
                let used = left.min(input.len());
                self.phase = match left.saturating_sub(used) {
                    0 => Phase::Done,
                    left => Phase::Echo(left),
                };
                Ok(used)
            }
            Phase::Hello => self.hello(input, out),
        }
    }

    fn hello(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, IngestError> {
        let wanted = (PACKET + 1).saturating_sub(self.received.len());
        let taken = input.get(..wanted.min(input.len())).unwrap_or_default();
        self.received.extend_from_slice(taken);
        if let Some(version) = self.received.first().copied()
            && version != VERSION
        {
            return Err(IngestError::Version(version));
        }
        if self.received.len() == PACKET + 1 {
            if !self.client {
                out.push(VERSION);
                out.extend_from_slice(&self.ours);
            }
            out.extend_from_slice(self.received.get(1..).unwrap_or_default());
            self.received = Vec::new();
            self.phase = Phase::Echo(PACKET);
        }
        Ok(taken.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pump(from: &mut Vec<u8>, to: &mut Handshake, out: &mut Vec<u8>, step: usize) {
        let bytes = std::mem::take(from);
        for part in bytes.chunks(step) {
            let mut rest = part;
            while !rest.is_empty() {
                let used = to.read(rest, out).unwrap();
                assert!(used > 0, "nothing is left over");
                rest = &rest[used..];
            }
        }
    }

    #[test]
    fn both_ends_finish_and_echo_each_other() {
        for step in [1, 7, 1_537, 4_000] {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            let mut client = Handshake::client(1, &mut up);
            let mut server = Handshake::server(2);
            let hello = up.clone();
            pump(&mut up, &mut server, &mut down, step);
            assert_eq!(down.len(), 1 + 2 * PACKET);
            assert_eq!(down[0], VERSION);
            assert_eq!(&down[1 + PACKET..], &hello[1..]);
            let echoed = down[1..=PACKET].to_vec();
            pump(&mut down, &mut client, &mut up, step);
            assert!(client.is_done());
            assert_eq!(up, echoed);
            pump(&mut up, &mut server, &mut down, step);
            assert!(server.is_done() && down.is_empty());
        }
    }

    #[test]
    fn another_version_is_refused_at_its_first_byte() {
        let mut out = Vec::new();
        let mut server = Handshake::server(2);
        assert_eq!(server.read(&[6], &mut out), Err(IngestError::Version(6)));
        assert!(out.is_empty());
    }
}
