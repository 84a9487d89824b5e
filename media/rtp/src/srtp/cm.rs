//! AES in counter mode with HMAC-SHA1 cut to 80 bits (RFC 3711, section 4).
//!
//! The hash takes most of the time. Both keys are prepared once; a packet costs one copy of the
//! hash's state and no allocation.

use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};

use super::keys::{HalfKeys, Halves, MasterKey, apply_keystream, counter_mode};
use super::{RTCP_CLEAR_BYTES, RtpId, rtcp_index, split_tag, xor};
use crate::{SrtpError, bytes};

/// The authentication tag.
pub(super) const TAG_BYTES: usize = 10;
/// The session authentication key (RFC 3711, section 8.2).
const AUTH_KEY_BYTES: usize = 20;

/// Session keys of one direction.
pub(super) struct Cm(Halves<Side>);

struct Side {
    key: EncryptingKey,
    salt: [u8; 14],
    /// Holds the hashed key; copied, not hashed again, for each packet.
    auth: hmac::Key,
}

impl Side {
    fn new(key: &[u8], salt: [u8; 14], auth: &[u8; AUTH_KEY_BYTES]) -> Result<Self, SrtpError> {
        Ok(Self {
            key: counter_mode(key)?,
            salt,
            auth: hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth),
        })
    }

    /// XORs the keystream of a packet onto `data` (RFC 3711, section 4.1.1).
    fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) -> Result<(), SrtpError> {
        let [s0, s1, s2, s3] = ssrc.to_be_bytes();
        let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
        let mut counter = [0, 0, 0, 0, s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, 0, 0];
        xor(&mut counter, &self.salt);
        apply_keystream(&self.key, &counter, data)
    }

    /// The tag over `parts` one after the other.
    fn tag<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.auth);
        for part in parts {
            context.update(part);
        }
        bytes::chunk(context.sign().as_ref(), 0).unwrap_or_default()
    }

    fn verify<const N: usize>(&self, parts: [&[u8]; N], tag: &[u8]) -> Result<(), SrtpError> {
        verify_slices_are_equal(&self.tag(parts), tag).map_err(|_| SrtpError::Authentication)
    }
}

/// The rollover counter, which is authenticated but not sent.
fn rollover(index: u64) -> [u8; 4] {
    let [_, _, r0, r1, r2, r3, _, _] = index.to_be_bytes();
    [r0, r1, r2, r3]
}

impl Cm {
    pub(super) fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        let side = |keys: &HalfKeys<'_>| Side::new(&keys.key()?, keys.salt()?, &keys.auth()?);
        Halves::derive(master, side).map(Self)
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
        self.0
            .rtp
            .verify([header, ciphertext, &rollover(id.index)], tag)?;
        bytes::put(out, ciphertext);
        self.0.rtp.apply(id.ssrc, id.index, out)
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
        let length = body.len().saturating_sub(TAG_BYTES);
        let (body, tag) = body.split_at_mut(length);
        let prefix_length = length.saturating_sub(payload.len());
        if let Some(target) = body.get_mut(prefix_length..) {
            bytes::put(target, payload);
        }
        self.0.rtp.apply(id.ssrc, id.index, body)?;
        bytes::put(tag, &self.0.rtp.tag([header, body, &rollover(id.index)]));
        Ok(())
    }

    /// Opens the ciphertext of an SRTCP packet into `out`, which holds its clear part already.
    pub(super) fn open_rtcp(
        &self,
        ssrc: u32,
        index_word: u32,
        (ciphertext, tag): (&[u8], &[u8]),
        out: &mut Vec<u8>,
    ) -> Result<(), SrtpError> {
        let word = index_word.to_be_bytes();
        self.0
            .rtcp
            .verify([out.as_slice(), ciphertext, &word], tag)?;
        out.extend_from_slice(ciphertext);
        let plain = out.get_mut(RTCP_CLEAR_BYTES..).unwrap_or_default();
        self.0.rtcp.apply(ssrc, rtcp_index(index_word), plain)
    }

    /// Seals the packet that `out` holds from `start` on, and appends index and tag.
    pub(super) fn seal_rtcp(
        &self,
        ssrc: u32,
        index_word: u32,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SrtpError> {
        let body = out.get_mut(start + RTCP_CLEAR_BYTES..).unwrap_or_default();
        let index = rtcp_index(index_word);
        self.0.rtcp.apply(ssrc, index, body)?;
        out.extend_from_slice(&index_word.to_be_bytes());
        let tag = self.0.rtcp.tag([out.get(start..).unwrap_or_default()]);
        out.extend_from_slice(&tag);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
