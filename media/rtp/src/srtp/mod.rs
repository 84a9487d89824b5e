//! SRTP and SRTCP (RFC 3711, RFC 7714): opening what came, sealing what goes.
//!
//! Payloads are opened out of place, from the datagram into a shared buffer, and sealed out of
//! place, from the shared buffer into the datagram: there is no copy beside the cipher's own pass.
//! Keys are expanded once. Nothing allocates for a packet, but for a source's first.
//!
//! ```
//! use media_rtp::header::{HeaderFields, RtpHeader, write_header};
//! use media_rtp::srtp::{MasterKey, SrtpProfile, SrtpReceiver, SrtpSender};
//!
//! let profile = SrtpProfile::AeadAes128Gcm;
//! let master = MasterKey::new(profile, &[7; 16], &[9; 12])?;
//! let mut sender = SrtpSender::new(profile, &master)?;
//! let mut receiver = SrtpReceiver::new(profile, &master)?;
//!
//! let mut packet = [0; 1_500];
//! let fields = HeaderFields { ssrc: 1, sequence: 5, ..HeaderFields::default() };
//! let header_length = write_header(&mut packet, &fields, &[]).expect("room enough");
//! let length = sender.seal_rtp(&mut packet, header_length, 1, 5, 0, b"payload")?;
//!
//! let header = RtpHeader::parse(&packet[..length]).expect("well formed");
//! let mut payload = [0; 1_500];
//! let opened = receiver.open_rtp(&header, &packet[..length], &mut payload)?;
//! assert_eq!(&payload[..opened.length], b"payload");
//! # Ok::<(), media_rtp::SrtpError>(())
//! ```

mod cm;
mod gcm;
mod keys;
mod receiver;
mod replay;
mod sender;

pub use keys::{DtlsRole, KeyingMaterial, MasterKey, SrtpProfile};
pub use receiver::{Opened, SOURCES_MAX, SrtpReceiver};
pub use replay::WINDOW_PACKETS;
pub use sender::SrtpSender;

use crate::SrtpError;

/// The part of an SRTCP packet that stays in clear: common header and sender (RFC 3711, 3.4).
const RTCP_CLEAR_BYTES: usize = 8;
/// The E flag and the index at the end of an SRTCP packet.
const RTCP_INDEX_BYTES: usize = 4;
/// Set in the index word if the packet is encrypted.
const RTCP_ENCRYPTED: u32 = 1 << 31;
/// One above the largest RTP index: a rollover counter of 32 bits over 16 of sequence number.
const RTP_INDEX_END: u64 = 1 << 48;

/// Session keys and salts of one direction.
enum Cipher {
    Gcm(gcm::Gcm),
    Cm(Box<cm::Cm>),
}

impl Cipher {
    fn new(profile: SrtpProfile, master: &MasterKey) -> Result<Self, SrtpError> {
        if profile != master.profile() {
            return Err(SrtpError::KeyLength {
                needed: profile.key_length(),
                length: master.profile().key_length(),
            });
        }
        Ok(match profile {
            SrtpProfile::AeadAes256Gcm | SrtpProfile::AeadAes128Gcm => {
                Self::Gcm(gcm::Gcm::new(master)?)
            }
            SrtpProfile::AesCm128HmacSha1_80 => Self::Cm(Box::new(cm::Cm::new(master)?)),
        })
    }

    /// Opens `sealed`, which is as long as `out` and the tag.
    fn open_rtp(
        &self,
        id: RtpId,
        header: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), SrtpError> {
        match self {
            Self::Gcm(gcm) => gcm.open_rtp(id, header, sealed, out),
            Self::Cm(cm) => cm.open_rtp(id, header, sealed, out),
        }
    }

    const fn tag_length(&self) -> usize {
        match self {
            Self::Gcm(_) => gcm::TAG_BYTES,
            Self::Cm(_) => cm::TAG_BYTES,
        }
    }
}

/// An RTP packet as the ciphers see it.
#[derive(Debug, Clone, Copy)]
struct RtpId {
    ssrc: u32,
    /// Rollover counter and sequence number, 48 bits.
    index: u64,
}

/// The index of an SRTCP packet, without the flag that stands before it.
fn rtcp_index(index_word: u32) -> u64 {
    u64::from(index_word & !RTCP_ENCRYPTED)
}

/// XORs as many bytes as both have.
fn xor(target: &mut [u8], mask: &[u8]) {
    for (byte, mask) in target.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Ciphertext and the tag behind it.
fn split_tag(sealed: &[u8], tag_length: usize) -> Result<(&[u8], &[u8]), SrtpError> {
    let length = sealed.len();
    let split = length.checked_sub(tag_length);
    let parts = split.and_then(|at| sealed.split_at_checked(at));
    parts.ok_or(SrtpError::Truncated {
        needed: tag_length,
        length,
    })
}

#[cfg(test)]
mod tests;
