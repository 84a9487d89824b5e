//! Opening what one peer sends.

use std::fmt;

use super::keys::{MasterKey, SrtpProfile};
use super::replay::{ReplayWindow, estimate_index};
use super::{Cipher, RTCP_CLEAR_BYTES, RTCP_ENCRYPTED, RTCP_INDEX_BYTES, RTP_INDEX_END, RtpId};
use crate::header::RtpHeader;
use crate::{SrtpError, bytes};

/// Sources that one peer may send from over the life of its keys. A publisher of three layers has
/// six, and a new set with every track that it starts; none is forgotten, since its packets could
/// then be replayed.
pub const SOURCES_MAX: usize = 1_024;

/// What opening a packet gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of payload written, padding included; see [`RtpHeader::unpadded`].
    pub length: usize,
    /// The sequence number unwrapped to 48 bits.
    pub index: u64,
}

/// Opens SRTP and SRTCP under one master key: what arrives over one transport.
pub struct SrtpReceiver {
    cipher: Cipher,
    rtp: Sources,
    rtcp: Sources,
}

impl SrtpReceiver {
    /// Derives the session keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`] if `master` is of another profile.
    pub fn new(profile: SrtpProfile, master: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            cipher: Cipher::new(profile, master)?,
            rtp: Sources::default(),
            rtcp: Sources::default(),
        })
    }

    /// Decrypts the payload of `packet` to the front of `out`; the header stays where it is.
    ///
    /// After an error nothing in `out` means anything, and nothing is remembered of the packet.
    ///
    /// # Errors
    /// [`SrtpError`] for packets that are not authentic, were seen before, or do not fit.
    pub fn open_rtp(
        &mut self,
        header: &RtpHeader,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Opened, SrtpError> {
        let tag = self.cipher.tag_length();
        let truncated = SrtpError::Truncated {
            needed: header.header_length() + tag,
            length: packet.len(),
        };
        let (clear, sealed) = packet
            .split_at_checked(header.header_length())
            .ok_or(truncated)?;
        let length = sealed.len().checked_sub(tag).ok_or(truncated)?;
        let room = out.len();
        let out = out.get_mut(..length).ok_or(SrtpError::Buffer {
            needed: length,
            length: room,
        })?;
        let (place, index) = self.rtp.place(header.ssrc, |window| match window {
            None => Some(header.sequence.into()),
            Some(window) => estimate_index(window.highest(), header.sequence),
        })?;
        if index >= RTP_INDEX_END {
            return Err(SrtpError::Index(index));
        }
        let ssrc = header.ssrc;
        let mut id = RtpId { ssrc, index };
        let mut opened = self.cipher.open_rtp(id, clear, sealed, out);
        if opened.is_err() && place.is_err() && header.sequence < 0x8000 {
            // A source that starts just below a rollover, and whose first packets were lost.
            id.index += 1 << 16;
            opened = self.cipher.open_rtp(id, clear, sealed, out);
        }
        opened?;
        let index = id.index;
        self.rtp.accept(place, ssrc, index);
        Ok(Opened { length, index })
    }

    /// Decrypts a whole compound packet into `out`, in place of what `out` held.
    ///
    /// After an error `out` is empty.
    ///
    /// # Errors
    /// [`SrtpError`] for packets that are not authentic, not encrypted, or were seen before.
    pub fn open_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        out.clear();
        let opened = self.open_rtcp_into(packet, out);
        if opened.is_err() {
            out.clear();
        }
        opened
    }

    fn open_rtcp_into(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        let tag = self.cipher.tag_length();
        let truncated = SrtpError::Truncated {
            needed: RTCP_CLEAR_BYTES + tag + RTCP_INDEX_BYTES,
            length: packet.len(),
        };
        let (clear, rest) = packet.split_at_checked(RTCP_CLEAR_BYTES).ok_or(truncated)?;
        let length = rest
            .len()
            .checked_sub(tag + RTCP_INDEX_BYTES)
            .ok_or(truncated)?;
        let ssrc = bytes::u32_at(clear, 4).ok_or(truncated)?;
        // With GCM the index comes last, with CM the tag does.
        let index_at = match &self.cipher {
            Cipher::Gcm(_) => length + tag,
            Cipher::Cm(_) => length,
        };
        let word = bytes::u32_at(rest, index_at).ok_or(truncated)?;
        if word & RTCP_ENCRYPTED == 0 {
            return Err(SrtpError::Unencrypted);
        }
        let stated = u64::from(word & !RTCP_ENCRYPTED);
        let (place, index) = self.rtcp.place(ssrc, |_| Some(stated))?;
        out.extend_from_slice(clear);
        match &self.cipher {
            Cipher::Gcm(gcm) => {
                let sealed = rest.get(..length + tag).ok_or(truncated)?;
                gcm.open_rtcp(ssrc, word, sealed, out)?;
            }
            Cipher::Cm(cm) => {
                let ciphertext = rest.get(..length).ok_or(truncated)?;
                let tag = rest.get(length + RTCP_INDEX_BYTES..).ok_or(truncated)?;
                cm.open_rtcp(ssrc, word, (ciphertext, tag), out)?;
            }
        }
        self.rtcp.accept(place, ssrc, index);
        Ok(())
    }
}

impl fmt::Debug for SrtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpReceiver")
            .field("rtp_sources", &self.rtp.0.len())
            .field("rtcp_sources", &self.rtcp.0.len())
            .finish_non_exhaustive()
    }
}

/// What was seen of each source, in the order of their SSRCs.
#[derive(Default)]
struct Sources(Vec<(u32, ReplayWindow)>);

/// Where a source is, or where it belongs.
type Place = Result<usize, usize>;

impl Sources {
    /// Finds the source and the index of a packet, and checks that it may be accepted.
    fn place(
        &self,
        ssrc: u32,
        index: impl FnOnce(Option<&ReplayWindow>) -> Option<u64>,
    ) -> Result<(Place, u64), SrtpError> {
        let place = self.0.binary_search_by_key(&ssrc, |source| source.0);
        let known = place.ok().and_then(|at| self.0.get(at));
        let window = known.map(|source| &source.1);
        // Before the first index there is none; as old as can be.
        let index = index(window).ok_or(SrtpError::Replayed(0))?;
        match window {
            Some(window) if !window.is_fresh(index) => Err(SrtpError::Replayed(index)),
            None if self.0.len() >= SOURCES_MAX => Err(SrtpError::Sources),
            _ => Ok((place, index)),
        }
    }

    /// Remembers a packet that proved authentic.
    fn accept(&mut self, place: Place, ssrc: u32, index: u64) {
        match place {
            Ok(at) => {
                if let Some(source) = self.0.get_mut(at) {
                    source.1.accept(index);
                }
            }
            Err(at) => {
                let at = at.min(self.0.len());
                self.0.insert(at, (ssrc, ReplayWindow::starting_at(index)));
            }
        }
    }
}
