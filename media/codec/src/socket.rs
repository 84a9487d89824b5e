//! Standard input as what it is: a socket, both ways. It stays descriptor 0, the only one that the
//! sandbox leaves.

use std::io::{self, Read, Stdin, Write};
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, SendFlags};

/// The socket to the server.
pub(crate) struct Socket(Stdin);

impl Socket {
    /// Standard input, if it is a socket.
    pub(crate) fn new() -> Option<Self> {
        let stdin = io::stdin();
        rustix::net::sockopt::socket_type(stdin.as_fd()).ok()?;
        Some(Self(stdin))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, _) = rustix::net::recv(self.0.as_fd(), buffer, RecvFlags::empty())?;
        Ok(read)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A server that is gone is an error like others, not a signal.
        Ok(rustix::net::send(
            self.0.as_fd(),
            bytes,
            SendFlags::NOSIGNAL,
        )?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
