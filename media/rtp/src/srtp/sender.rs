//! Sealing what goes to one peer.

use std::fmt;

use super::keys::{MasterKey, SrtpProfile};
use super::{Cipher, RTCP_CLEAR_BYTES, RTCP_ENCRYPTED, RTP_INDEX_END, RtpId};
use crate::header::HEADER_BYTES_MIN;
use crate::{SrtpError, bytes};

/// Seals SRTP and SRTCP under one master key: what leaves over one transport.
pub struct SrtpSender {
    cipher: Cipher,
    /// The index of the next SRTCP packet. One count for all sources: each sees it rise, and no
    /// nonce comes twice.
    rtcp_index: u32,
}

impl SrtpSender {
    /// Derives the session keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`] if `master` is of another profile.
    pub fn new(profile: SrtpProfile, master: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            cipher: Cipher::new(profile, master)?,
            rtcp_index: 0,
        })
    }

    /// Reads a little of what sealing needs, so that its memory is near; of no meaning.
    #[must_use]
    pub const fn touch(&self) -> u32 {
        let key = match &self.cipher {
            Cipher::Gcm(gcm) => gcm.touch(),
            Cipher::Cm(_) => 0,
        };
        self.rtcp_index ^ key
    }

    /// Seals a packet whose header, and `prefix_len` bytes of rewritten payload after it, the
    /// caller wrote to the front of `out`: encrypts the prefix, appends `payload` encrypted, then
    /// the tag. Returns the length of the packet.
    ///
    /// `index` is the sequence number unwrapped to 48 bits. **The pair of source and index must
    /// never come twice with different bytes**: that would give away the plaintext, and with GCM
    /// the authentication key too.
    ///
    /// # Errors
    /// [`SrtpError::Header`] if the header names another source or sequence number,
    /// [`SrtpError::Index`] past the end of the key's life, [`SrtpError::Buffer`] for want of room.
    pub fn seal_rtp(
        &mut self,
        out: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
        prefix_len: usize,
        payload: &[u8],
    ) -> Result<usize, SrtpError> {
        if index >= RTP_INDEX_END {
            return Err(SrtpError::Index(index));
        }
        let room = out.len();
        let lengths = [
            header_len,
            prefix_len,
            payload.len(),
            self.cipher.tag_length(),
        ];
        let needed = lengths.into_iter().fold(0, usize::saturating_add);
        let packet = out.get_mut(..needed).ok_or(SrtpError::Buffer {
            needed,
            length: room,
        })?;
        let (header, body) = packet
            .split_at_mut_checked(header_len)
            .ok_or(SrtpError::Header)?;
        let sequence = bytes::u16_at(header, 2).map(u64::from);
        let named = sequence == Some(index & 0xffff) && bytes::u32_at(header, 8) == Some(ssrc);
        if header_len < HEADER_BYTES_MIN || !named {
            return Err(SrtpError::Header);
        }
        let id = RtpId { ssrc, index };
        match &self.cipher {
            Cipher::Gcm(gcm) => gcm.seal_rtp(id, header, body, payload)?,
            Cipher::Cm(cm) => cm.seal_rtp(id, header, body, payload)?,
        }
        Ok(needed)
    }

    /// Seals a compound packet and appends it to `out`, which stays as it was after an error.
    ///
    /// # Errors
    /// [`SrtpError::Truncated`] below eight bytes, [`SrtpError::Index`] after 2^31 packets.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        let truncated = SrtpError::Truncated {
            needed: RTCP_CLEAR_BYTES,
            length: packet.len(),
        };
        let ssrc = bytes::u32_at(packet, 4).ok_or(truncated)?;
        if self.rtcp_index >= RTCP_ENCRYPTED {
            return Err(SrtpError::Index(self.rtcp_index.into()));
        }
        let word = self.rtcp_index | RTCP_ENCRYPTED;
        let start = out.len();
        out.extend_from_slice(packet);
        let sealed = match &self.cipher {
            Cipher::Gcm(gcm) => gcm.seal_rtcp(ssrc, word, start, out),
            Cipher::Cm(cm) => cm.seal_rtcp(ssrc, word, start, out),
        };
        match sealed {
            Ok(()) => self.rtcp_index += 1,
            Err(_) => out.truncate(start),
        }
        sealed
    }
}

impl fmt::Debug for SrtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpSender").finish_non_exhaustive()
    }
}
