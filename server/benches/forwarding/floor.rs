//! What no forwarder can do without: a header, the cipher over the payload, and the system call.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use quinn_udp::{UdpSockRef, UdpSocketState};
use rustix::io::IoSlice;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use crate::real::loopback;
use crate::world::{PICTURE_PACKET_BYTES, PICTURE_PACKETS, SOUND_BYTES, Sample, cpu};

/// Header with a few extensions, as the forwarder writes it.
const HEADER: usize = 28;
const TAG: usize = 16;
const BATCH: usize = 32;
/// Packets of a run of the cipher alone.
const SEALS: usize = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offload {
    None,
    Segmentation,
}

pub(crate) struct Floor {
    keys: Vec<LessSafeKey>,
    socket: UdpSocket,
    state: UdpSocketState,
    sinks: Vec<UdpSocket>,
    to: Vec<SocketAddr>,
    arena: Vec<u8>,
    payload: Vec<u8>,
    number: u64,
}

impl Floor {
    pub(crate) fn new(destinations: usize) -> Self {
        let socket = loopback();
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).unwrap();
        let sinks: Vec<_> = (0..destinations).map(|_| loopback()).collect();
        let key = |index: usize| {
            let key = [index as u8; 32];
            LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
        };
        Self {
            keys: (0..destinations).map(key).collect(),
            to: sinks
                .iter()
                .map(|sink| sink.local_addr().unwrap())
                .collect(),
            socket,
            state,
            sinks,
            arena: vec![0; crate::engine::ARENA_BYTES],
            payload: vec![0x55; PICTURE_PACKET_BYTES],
            number: 0,
        }
    }

    /// What a second of one publisher costs for all destinations.
    pub(crate) fn second(&mut self, offload: Offload) -> Sample {
        let mut sample = Sample::default();
        for twentieth in 0..10 {
            for _ in 0..3 {
                sample.cpu += self.round(offload, PICTURE_PACKETS, PICTURE_PACKET_BYTES);
                self.drain();
            }
            for _ in 0..5 {
                sample.cpu += self.round(offload, 1, SOUND_BYTES);
                self.drain();
            }
            self.number += twentieth;
        }
        sample.packets = (self.keys.len() * (30 * PICTURE_PACKETS + 50)) as u64;
        sample
    }

    /// Headers and cipher for some tenths of a second, nothing sent.
    pub(crate) fn seal_only(&mut self) -> Sample {
        let (start, wall) = (cpu(), Instant::now());
        let size = HEADER + PICTURE_PACKET_BYTES + TAG;
        let places = self.arena.len() / size;
        for packet in 0..SEALS {
            let destination = packet % self.keys.len();
            self.seal(destination, packet % places * size, PICTURE_PACKET_BYTES);
        }
        Sample {
            cpu: cpu() - start,
            wall: wall.elapsed(),
            packets: SEALS as u64,
        }
    }

    /// So many packets of that size to each.
    fn round(&mut self, offload: Offload, packets: usize, bytes: usize) -> Duration {
        let start = cpu();
        let size = HEADER + bytes + TAG;
        let per_arena = self.arena.len() / (packets * size);
        let mut first = 0;
        while first < self.keys.len() {
            let last = (first + per_arena).min(self.keys.len());
            for destination in first..last {
                for packet in 0..packets {
                    let at = ((destination - first) * packets + packet) * size;
                    self.seal(destination, at, bytes);
                }
            }
            match offload {
                Offload::None => self.send_each(first, last, packets, size),
                Offload::Segmentation => self.send_runs(first, last, packets, size),
            }
            first = last;
        }
        cpu() - start
    }

    fn seal(&mut self, destination: usize, at: usize, bytes: usize) {
        self.number += 1;
        let target = &mut self.arena[at..at + HEADER + bytes + TAG];
        let (header, body) = target.split_at_mut(HEADER);
        header[..2].copy_from_slice(&[0x90, 96]);
        header[2..10].copy_from_slice(&self.number.to_be_bytes());
        header[10..18].copy_from_slice(&(destination as u64).to_be_bytes());
        header[18..26].copy_from_slice(&self.number.to_le_bytes());
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.number.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = &self.keys[destination];
        // The cipher copies as it goes, from the shared payload into the arena.
        key.seal_in_place_scatter(
            nonce,
            Aad::from(&*header),
            &mut [],
            &self.payload[..bytes],
            body,
        )
        .unwrap();
    }

    fn send_each(&self, first: usize, last: usize, packets: usize, size: usize) {
        let count = (last - first) * packets;
        for begin in (0..count).step_by(BATCH) {
            let range = begin..(begin + BATCH).min(count);
            let slices: Vec<[IoSlice<'_>; 1]> = range
                .clone()
                .map(|at| [IoSlice::new(&self.arena[at * size..(at + 1) * size])])
                .collect();
            let addresses: Vec<SocketAddrAny> = range
                .map(|at| SocketAddrAny::from(self.to[first + at / packets]))
                .collect();
            let mut controls: Vec<_> = slices
                .iter()
                .map(|_| SendAncillaryBuffer::default())
                .collect();
            let mut headers: Vec<_> = slices
                .iter()
                .zip(&addresses)
                .zip(&mut controls)
                .map(|((slice, address), control)| MMsgHdr::new_with_addr(address, slice, control))
                .collect();
            let sent = sendmmsg(&self.socket, &mut headers, SendFlags::empty()).unwrap();
            assert_eq!(sent, headers.len());
        }
    }

    fn send_runs(&self, first: usize, last: usize, packets: usize, size: usize) {
        for destination in first..last {
            let at = (destination - first) * packets * size;
            let transmit = quinn_udp::Transmit {
                destination: self.to[destination],
                ecn: None,
                contents: &self.arena[at..at + packets * size],
                segment_size: (packets > 1).then_some(size),
                src_ip: None,
            };
            let sent = self
                .state
                .try_send(UdpSockRef::from(&self.socket), &transmit);
            sent.unwrap();
        }
    }

    fn drain(&mut self) {
        let mut buffer = [0; 2_048];
        for sink in &self.sinks {
            while sink.recv(&mut buffer).is_ok() {}
        }
    }
}
