//! A shard's UDP socket: batched receive with coalescing, send with segmentation.
//!
//! Nothing here fails for good. What the kernel refuses is counted in [`SocketFigures`]; only "try
//! again" reaches the caller, who keeps the batch and comes back.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;

use media_webrtc::{Path, Protocol, Transmit};
use mio::Interest;
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Socket, Type};

use crate::limits::{
    RECEIVE_BATCH, RECEIVE_BUFFER_BYTES, SEGMENTATION_REFUSALS_MAX, SOCKET_BUFFER_BYTES,
};
use crate::net::Reach;

/// "Input/output error": the device cannot segment.
const EIO: i32 = 5;
/// "Invalid argument": the segment size does not suit the path, or segmentation is unknown.
const EINVAL: i32 = 22;

/// What a socket did, as totals since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SocketFigures {
    /// Datagrams received.
    pub(crate) datagrams_in: u64,
    /// Batched receives that brought something.
    pub(crate) receives: u64,
    /// Datagrams sent.
    pub(crate) datagrams_out: u64,
    /// System calls that sent them.
    pub(crate) sends: u64,
    /// Datagrams that the kernel refused to send, or had no room for in time.
    pub(crate) send_drops: u64,
    /// Datagrams of other machines, where those are refused.
    pub(crate) foreign: u64,
    /// Segmented sends that the kernel refused.
    pub(crate) segmentation_refusals: u64,
}

/// How a send went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The kernel has it, or it was counted as dropped.
    Done,
    /// There is no room; so many bytes of it were sent.
    Blocked {
        /// Bytes that the kernel took before.
        bytes: usize,
    },
}

/// One UDP socket with its receive buffers.
pub(crate) struct ShardSocket {
    io: mio::net::UdpSocket,
    state: UdpSocketState,
    reach: Reach,
    port: u16,
    dual: bool,
    buffers: Vec<u8>,
    metas: [RecvMeta; RECEIVE_BATCH],
    cursor: Cursor,
    readable: bool,
    segments: Segmentation,
    pub(crate) figures: SocketFigures,
}

/// Where we are within what the last receive brought.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    message: usize,
    messages: usize,
    offset: usize,
}

/// What we think of the kernel's segmentation.
#[derive(Debug, Clone, Copy)]
struct Segmentation {
    usable: bool,
    refusals: u32,
}

impl ShardSocket {
    /// Binds the socket. A port of 0 takes any that is free.
    pub(crate) fn bind(address: SocketAddr, reach: Reach) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Best effort: the kernel caps both at its own maxima.
        let _grown = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _grown = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let io = mio::net::UdpSocket::from_std(socket.into());
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        let port = io.local_addr()?.port();
        Ok(Self {
            segments: Segmentation {
                usable: state.max_gso_segments() > 1,
                refusals: 0,
            },
            io,
            state,
            reach,
            port,
            dual: address.is_ipv6(),
            // Written, not merely zero: memory is taken now and not under the first load.
            buffers: vec![0xff; RECEIVE_BATCH * RECEIVE_BUFFER_BYTES],
            metas: [RecvMeta::default(); RECEIVE_BATCH],
            cursor: Cursor::default(),
            readable: true,
            figures: SocketFigures::default(),
        })
    }

    /// The port that it is bound to.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
    ) -> io::Result<()> {
        registry.register(&mut self.io, token, Interest::READABLE)
    }

    /// Asks to be woken when there is room to send, or no longer.
    pub(crate) fn watch_room(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        watch: bool,
    ) -> io::Result<()> {
        let interest = if watch {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        registry.reregister(&mut self.io, token, interest)
    }

    /// The poll said that there is something to read.
    pub(crate) const fn set_readable(&mut self) {
        self.readable = true;
    }

    /// Whether a receive may bring something without waiting.
    pub(crate) const fn is_readable(&self) -> bool {
        self.readable
    }

    /// Takes at most `budget` datagrams; how many there were. What one batched receive brought
    /// beyond that is kept for the next call.
    pub(crate) fn receive(
        &mut self,
        budget: usize,
        mut take: impl FnMut(Path, &mut [u8]),
    ) -> usize {
        let mut taken = 0;
        while taken < budget {
            if self.cursor.message >= self.cursor.messages && !self.refill() {
                break;
            }
            taken += self.drain(budget - taken, &mut take);
        }
        taken
    }

    /// One batched receive into the buffers; whether it brought something.
    fn refill(&mut self) -> bool {
        if !self.readable {
            return false;
        }
        let mut rest = self.buffers.as_mut_slice();
        let mut slices: [IoSliceMut<'_>; RECEIVE_BATCH] = std::array::from_fn(|_| {
            let (slice, after) = std::mem::take(&mut rest).split_at_mut(RECEIVE_BUFFER_BYTES);
            rest = after;
            IoSliceMut::new(slice)
        });
        let io = UdpSockRef::from(&self.io);
        let received = self.state.recv(io, &mut slices, &mut self.metas);
        let messages = match received {
            Ok(messages) => messages,
            Err(error) => {
                // An error of an earlier send may surface here; the next receive is clean.
                self.readable = error.kind() != ErrorKind::WouldBlock;
                0
            }
        };
        self.figures.receives += u64::from(messages > 0);
        self.cursor = Cursor {
            message: 0,
            messages,
            offset: 0,
        };
        messages > 0
    }

    /// Hands out what the buffers hold.
    fn drain(&mut self, budget: usize, take: &mut impl FnMut(Path, &mut [u8])) -> usize {
        let mut taken = 0;
        while taken < budget && self.cursor.message < self.cursor.messages {
            let meta = &self.metas[self.cursor.message];
            let start = self.cursor.offset;
            let end = meta.len.min(start.saturating_add(meta.stride.max(1)));
            let base = self.cursor.message * RECEIVE_BUFFER_BYTES;
            // Moved on before the datagram is handled: one that panics is not handled again.
            self.cursor.offset = end;
            if end >= meta.len {
                self.cursor.message += 1;
                self.cursor.offset = 0;
            }
            taken += 1;
            self.figures.datagrams_in += 1;
            if !self.reach.admits(meta.addr.ip(), meta.dst_ip) {
                self.figures.foreign += 1;
                continue;
            }
            let path = Path {
                local: SocketAddr::new(self.reach.local(meta.dst_ip), self.port),
                remote: SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port()),
                protocol: Protocol::Udp,
            };
            take(path, &mut self.buffers[base + start..base + end]);
        }
        taken
    }

    /// Allows or forbids segmented sends, whatever the kernel can do.
    pub(super) fn set_segmentation(&mut self, segment: bool) {
        self.segments.usable = segment && self.state.max_gso_segments() > 1;
    }

    /// Sends what starts at byte `from` of one transmit.
    pub(crate) fn send(&mut self, transmit: &Transmit<'_>, from: usize) -> Sent {
        let rest = transmit.contents.get(from..).unwrap_or_default();
        if rest.is_empty() {
            return Sent::Done;
        }
        let size = transmit.segment_size.unwrap_or(rest.len()).max(1);
        if rest.len() > size && self.segments.usable {
            match self.try_send(&transmit.path, rest, Some(size)) {
                Ok(()) => return self.segmented(rest.len().div_ceil(size)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Sent::Blocked { bytes: from };
                }
                Err(error) => self.refused(&error),
            }
        }
        self.send_each(transmit, from, size)
    }

    /// One datagram a system call.
    fn send_each(&mut self, transmit: &Transmit<'_>, from: usize, size: usize) -> Sent {
        let rest = transmit.contents.get(from..).unwrap_or_default();
        for (index, datagram) in rest.chunks(size).enumerate() {
            match self.try_send(&transmit.path, datagram, None) {
                Ok(()) => {
                    self.figures.sends += 1;
                    self.figures.datagrams_out += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let bytes = from + index * size;
                    return Sent::Blocked { bytes };
                }
                // No buffers, no route, too long for the device: the packet is lost, as on a wire.
                Err(_lost) => self.figures.send_drops += 1,
            }
        }
        Sent::Done
    }

    fn try_send(&self, path: &Path, contents: &[u8], size: Option<usize>) -> io::Result<()> {
        let destination = match path.remote {
            SocketAddr::V4(v4) if self.dual => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            remote @ (SocketAddr::V4(_) | SocketAddr::V6(_)) => remote,
        };
        let transmit = quinn_udp::Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: size,
            src_ip: self.source(path),
        };
        self.state.try_send(UdpSockRef::from(&self.io), &transmit)
    }

    fn source(&self, path: &Path) -> Option<std::net::IpAddr> {
        use std::net::IpAddr;
        let source = self.reach.source(path.local.ip())?;
        Some(match source {
            IpAddr::V4(v4) if self.dual => v4.to_ipv6_mapped().into(),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        })
    }

    const fn segmented(&mut self, datagrams: usize) -> Sent {
        self.segments.refusals = 0;
        self.figures.sends += 1;
        self.figures.datagrams_out += datagrams as u64;
        Sent::Done
    }

    /// A segmented send was refused. A device that cannot segment will not learn it; a size that
    /// does not suit one path says nothing about the others, unless it goes on.
    fn refused(&mut self, error: &io::Error) {
        self.figures.segmentation_refusals += 1;
        let code = error.raw_os_error();
        if !matches!(code, Some(EIO | EINVAL)) {
            return;
        }
        self.segments.refusals += 1;
        if code == Some(EIO) || self.segments.refusals >= SEGMENTATION_REFUSALS_MAX {
            self.segments.usable = false;
        }
    }

    /// Counts what was given up for want of room.
    pub(crate) fn dropped(&mut self, datagrams: usize) {
        self.figures.send_drops += datagrams as u64;
    }
}

#[cfg(test)]
mod tests;
