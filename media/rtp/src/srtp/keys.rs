//! Profiles, master keys, and the keys derived from them.

use std::fmt;

use arrayvec::ArrayVec;
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use super::xor;
use crate::SrtpError;

/// How packets are protected, as DTLS negotiates it (RFC 5764, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`; several times the cost of the others, see `benches/wire.rs`.
    AesCm128HmacSha1_80,
}

impl SrtpProfile {
    /// The number in DTLS's `use_srtp` extension.
    #[must_use]
    pub const fn dtls_number(self) -> u16 {
        match self {
            Self::AeadAes256Gcm => 8,
            Self::AeadAes128Gcm => 7,
            Self::AesCm128HmacSha1_80 => 1,
        }
    }

    /// The profile with a number of DTLS's `use_srtp` extension.
    #[must_use]
    pub const fn from_dtls_number(number: u16) -> Option<Self> {
        match number {
            8 => Some(Self::AeadAes256Gcm),
            7 => Some(Self::AeadAes128Gcm),
            1 => Some(Self::AesCm128HmacSha1_80),
            _ => None,
        }
    }

    /// Bytes of a master key.
    #[must_use]
    pub const fn key_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 => 16,
        }
    }

    /// Bytes of a master salt.
    #[must_use]
    pub const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 12,
            Self::AesCm128HmacSha1_80 => 14,
        }
    }

    /// Bytes that DTLS exports for both directions.
    #[must_use]
    pub const fn keying_length(self) -> usize {
        2 * (self.key_length() + self.salt_length())
    }

    /// Bytes by which a sealed RTP packet is longer.
    #[must_use]
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => super::gcm::TAG_BYTES,
            Self::AesCm128HmacSha1_80 => super::cm::TAG_BYTES,
        }
    }

    /// Bytes by which a sealed RTCP packet is longer.
    #[must_use]
    pub const fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + super::RTCP_INDEX_BYTES
    }
}

/// Which side of the handshake we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsRole {
    /// We sent the first flight: the "active" side.
    Client,
    /// We answered it.
    Server,
}

/// A master key with its salt, for one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    profile: SrtpProfile,
    key: ArrayVec<u8, 32>,
    salt: ArrayVec<u8, 14>,
}

impl MasterKey {
    /// # Errors
    /// [`SrtpError::KeyLength`] unless both have the length that the profile asks for.
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        let needed = profile.key_length() + profile.salt_length();
        let length = key.len() + salt.len();
        let wrong = SrtpError::KeyLength { needed, length };
        if key.len() != profile.key_length() || salt.len() != profile.salt_length() {
            return Err(wrong);
        }
        Ok(Self {
            profile,
            key: ArrayVec::try_from(key).map_err(|_| wrong)?,
            salt: ArrayVec::try_from(salt).map_err(|_| wrong)?,
        })
    }

    /// What the key is for.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?})", self.profile)
    }
}

/// Both directions' master keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyingMaterial {
    client: MasterKey,
    server: MasterKey,
}

impl KeyingMaterial {
    /// Splits what DTLS exported: client's key, server's key, client's salt, server's salt (RFC
    /// 5764, section 4.2).
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`] if it is not [`SrtpProfile::keying_length`] bytes.
    pub fn split(profile: SrtpProfile, exported: &[u8]) -> Result<Self, SrtpError> {
        let wrong = SrtpError::KeyLength {
            needed: profile.keying_length(),
            length: exported.len(),
        };
        let (key, salt) = (profile.key_length(), profile.salt_length());
        if exported.len() != profile.keying_length() {
            return Err(wrong);
        }
        let (keys, salts) = exported.split_at_checked(2 * key).ok_or(wrong)?;
        let (client_key, server_key) = keys.split_at_checked(key).ok_or(wrong)?;
        let (client_salt, server_salt) = salts.split_at_checked(salt).ok_or(wrong)?;
        Ok(Self {
            client: MasterKey::new(profile, client_key, client_salt)?,
            server: MasterKey::new(profile, server_key, server_salt)?,
        })
    }

    /// The key that we seal with.
    #[must_use]
    pub const fn sending(&self, role: DtlsRole) -> &MasterKey {
        match role {
            DtlsRole::Client => &self.client,
            DtlsRole::Server => &self.server,
        }
    }

    /// The key that we open with.
    #[must_use]
    pub const fn receiving(&self, role: DtlsRole) -> &MasterKey {
        match role {
            DtlsRole::Client => &self.server,
            DtlsRole::Server => &self.client,
        }
    }
}

/// What a derived key is for (RFC 3711, section 4.3.2); the numbers enter the derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    RtpKey = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

/// An AES key expanded for counter mode.
pub(super) fn counter_mode(key: &[u8]) -> Result<EncryptingKey, SrtpError> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let unbound = UnboundCipherKey::new(algorithm, key).map_err(|_| SrtpError::Key)?;
    EncryptingKey::ctr(unbound).map_err(|_| SrtpError::Key)
}

/// XORs the keystream that starts at `counter` onto `data`.
///
/// The library wipes its copies of the counter and of the last keystream block at each call, but
/// neither allocates nor expands the key again.
pub(super) fn apply_keystream(
    key: &EncryptingKey,
    counter: &[u8; 16],
    data: &mut [u8],
) -> Result<(), SrtpError> {
    let context = EncryptionContext::Iv128(FixedLength::from(counter));
    key.less_safe_encrypt(data, context)
        .map(|_| ())
        .map_err(|_| SrtpError::Key)
}

/// Derives session keys by AES in counter mode with a key derivation rate of zero (RFC 3711,
/// section 4.3.3; RFC 7714, section 11, for 96-bit salts, which are filled up with zeros).
pub(super) struct Derivation {
    key: EncryptingKey,
    salt: [u8; 14],
}

impl Derivation {
    pub(super) fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        let mut salt = [0; 14];
        xor(&mut salt, &master.salt);
        Ok(Self {
            key: counter_mode(&master.key)?,
            salt,
        })
    }

    /// The first `N` bytes of the keystream for `label`.
    pub(super) fn derive<const N: usize>(&self, label: Label) -> Result<[u8; N], SrtpError> {
        let mut counter = [0; 16];
        xor(&mut counter, &self.salt);
        // The label stands left of the 48-bit index, which is zero: the eighth byte of fourteen.
        xor(&mut counter, &[0, 0, 0, 0, 0, 0, 0, label as u8]);
        let mut derived = [0; N];
        apply_keystream(&self.key, &counter, &mut derived)?;
        Ok(derived)
    }

    /// A session key as long as the master key of `profile`.
    pub(super) fn derive_key(
        &self,
        profile: SrtpProfile,
        label: Label,
    ) -> Result<ArrayVec<u8, 32>, SrtpError> {
        let mut key = ArrayVec::from(self.derive::<32>(label)?);
        key.truncate(profile.key_length());
        Ok(key)
    }
}

/// The keys of one half of a connection, media or control.
pub(super) struct HalfKeys<'a> {
    derivation: &'a Derivation,
    profile: SrtpProfile,
    key: Label,
    auth: Label,
    salt: Label,
}

impl HalfKeys<'_> {
    /// The session key.
    pub(super) fn key(&self) -> Result<ArrayVec<u8, 32>, SrtpError> {
        self.derivation.derive_key(self.profile, self.key)
    }

    /// The session authentication key.
    pub(super) fn auth<const N: usize>(&self) -> Result<[u8; N], SrtpError> {
        self.derivation.derive(self.auth)
    }

    /// The session salt.
    pub(super) fn salt<const N: usize>(&self) -> Result<[u8; N], SrtpError> {
        self.derivation.derive(self.salt)
    }
}

/// A cipher for media and one for control.
pub(super) struct Halves<C> {
    pub(super) rtp: C,
    pub(super) rtcp: C,
}

impl<C> Halves<C> {
    /// Makes both of one master key.
    pub(super) fn derive(
        master: &MasterKey,
        cipher: impl Fn(&HalfKeys<'_>) -> Result<C, SrtpError>,
    ) -> Result<Self, SrtpError> {
        let derivation = &Derivation::new(master)?;
        let profile = master.profile();
        let half = |key, auth, salt| HalfKeys {
            derivation,
            profile,
            key,
            auth,
            salt,
        };
        Ok(Self {
            rtp: cipher(&half(Label::RtpKey, Label::RtpAuth, Label::RtpSalt))?,
            rtcp: cipher(&half(Label::RtcpKey, Label::RtcpAuth, Label::RtcpSalt))?,
        })
    }
}

#[cfg(test)]
mod tests;
