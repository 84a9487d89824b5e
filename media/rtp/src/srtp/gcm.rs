//! AES in Galois/counter mode (RFC 7714).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::keys::{HalfKeys, Halves, MasterKey};
use super::{RTCP_CLEAR_BYTES, RTCP_INDEX_BYTES, RtpId, rtcp_index, split_tag, xor};
use crate::{SrtpError, bytes};

/// The authentication tag; the DTLS profiles know no shorter one.
pub(super) const TAG_BYTES: usize = 16;

/// Session keys of one direction.
pub(super) struct Gcm(Halves<Side>);

struct Side {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Side {
    fn new(key: &[u8], salt: [u8; 12]) -> Result<Self, SrtpError> {
        let algorithm = if key.len() == 32 {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| SrtpError::Key)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            salt,
        })
    }

    /// Two zero bytes, source, and a number of 48 bits, under the salt (RFC 7714, sections 8.1 and
    /// 9.1).
    fn nonce(&self, ssrc: u32, number: u64) -> Nonce {
        let [s0, s1, s2, s3] = ssrc.to_be_bytes();
        let [_, _, n0, n1, n2, n3, n4, n5] = number.to_be_bytes();
        let mut nonce = [0, 0, s0, s1, s2, s3, n0, n1, n2, n3, n4, n5];
        xor(&mut nonce, &self.salt);
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Gcm {
    pub(super) fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        let side = |keys: &HalfKeys<'_>| Side::new(&keys.key()?, keys.salt()?);
        Halves::derive(master, side).map(Self)
    }

    /// Reads some of the salt, which lies beside the key.
    pub(super) const fn touch(&self) -> u32 {
        let [a, b, .., y, z] = self.0.rtp.salt;
        u32::from_be_bytes([a, b, y, z])
    }

    /// Opens `sealed`, which is as long as `out` and the tag.
    pub(super) fn open_rtp(
        &self,
        id: RtpId,
        header: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), SrtpError> {
        let (ciphertext, tag) = split_tag(sealed, TAG_BYTES)?;
        let nonce = self.0.rtp.nonce(id.ssrc, id.index);
        self.0
            .rtp
            .key
            .open_separate_gather(nonce, Aad::from(header), ciphertext, tag, out)
            .map_err(|_| SrtpError::Authentication)
    }

    /// Seals the prefix that `body` starts with and then `payload` into `body`, whose length is
    /// that of both and the tag.
    pub(super) fn seal_rtp(
        &self,
        id: RtpId,
        header: &[u8],
        body: &mut [u8],
        payload: &[u8],
    ) -> Result<(), SrtpError> {
        let prefix_length = body.len().saturating_sub(payload.len() + TAG_BYTES);
        let (prefix, rest) = body.split_at_mut(prefix_length);
        let nonce = self.0.rtp.nonce(id.ssrc, id.index);
        // The cipher goes on from the prefix into the payload, even within a block; copying the
        // payload first and sealing in place is slower, see `benches/wire.rs`.
        self.0
            .rtp
            .key
            .seal_in_place_scatter(nonce, Aad::from(header), prefix, payload, rest)
            .map_err(|_| SrtpError::Key)
    }

    /// Opens the ciphertext of an SRTCP packet into `out`, which holds its clear part already.
    pub(super) fn open_rtcp(
        &self,
        ssrc: u32,
        index_word: u32,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SrtpError> {
        let (ciphertext, tag) = split_tag(sealed, TAG_BYTES)?;
        let aad = rtcp_aad(out, index_word)?;
        out.resize(RTCP_CLEAR_BYTES + ciphertext.len(), 0);
        let plain = out.get_mut(RTCP_CLEAR_BYTES..).unwrap_or_default();
        let nonce = self.0.rtcp.nonce(ssrc, rtcp_index(index_word));
        self.0
            .rtcp
            .key
            .open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, plain)
            .map_err(|_| SrtpError::Authentication)
    }

    /// Seals the packet that `out` holds from `start` on, and appends tag and index.
    pub(super) fn seal_rtcp(
        &self,
        ssrc: u32,
        index_word: u32,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SrtpError> {
        let packet = out.get_mut(start..).unwrap_or_default();
        let aad = rtcp_aad(packet, index_word)?;
        let body = packet.get_mut(RTCP_CLEAR_BYTES..).unwrap_or_default();
        let nonce = self.0.rtcp.nonce(ssrc, rtcp_index(index_word));
        let tag = self
            .0
            .rtcp
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
            .map_err(|_| SrtpError::Key)?;
        out.extend_from_slice(tag.as_ref());
        out.extend_from_slice(&index_word.to_be_bytes());
        Ok(())
    }
}

/// What is authenticated beside the ciphertext (RFC 7714, section 9.2).
fn rtcp_aad(
    packet: &[u8],
    index_word: u32,
) -> Result<[u8; RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES], SrtpError> {
    let Some([a, b, c, d, e, f, g, h]) = bytes::chunk(packet, 0) else {
        return Err(SrtpError::Truncated {
            needed: RTCP_CLEAR_BYTES,
            length: packet.len(),
        });
    };
    let [w, x, y, z] = index_word.to_be_bytes();
    Ok([a, b, c, d, e, f, g, h, w, x, y, z])
}

#[cfg(test)]
mod tests;
