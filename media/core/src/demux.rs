//! Datagram to transport: known address first, then the ICE user name that we chose.
//!
//! An address is learned from a STUN request that carries a transport's user name. That is a claim,
//! not a proof: what follows is still checked by STUN's integrity, DTLS and SRTP. So the map is
//! bounded for each transport, and forgetting an address costs its user one more STUN request.

use std::collections::HashMap;

use media_rtp::header::PacketKind;
use media_types::ShardId;
use media_webrtc::Path;

use crate::error::DropReason;
use crate::limits::PATHS_PER_TRANSPORT_MAX;

/// Crockford's base 32 in lower case; all of it is legal in ICE user names (RFC 8839, 5.4).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const STUN_HEADER_BYTES: usize = 20;
const STUN_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const STUN_USERNAME: u16 = 0x0006;

/// User names of one transport: the present one and the one before.
const UFRAGS_MAX: usize = 2;

/// Index of a transport within its shard.
pub(crate) type LinkIndex = u32;

/// How one transport is known.
#[derive(Debug, Default)]
struct Known {
    /// Newest last.
    paths: Vec<Path>,
    ufrags: Vec<Box<str>>,
}

#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_path: HashMap<Path, LinkIndex>,
    by_ufrag: HashMap<Box<str>, LinkIndex>,
    known: HashMap<LinkIndex, Known>,
    /// Who was found last: pictures come in bursts, of which only the first packet is looked up.
    last: Option<(Path, LinkIndex)>,
}

impl Demux {
    /// Makes a transport known by a user name. It may have two: after an ICE restart packets with
    /// the earlier one are still under way.
    pub(crate) fn insert_ufrag(&mut self, ufrag: &str, link: LinkIndex) {
        let known = self.known.entry(link).or_default();
        if known.ufrags.len() >= UFRAGS_MAX {
            self.by_ufrag.remove(&known.ufrags.remove(0));
        }
        known.ufrags.push(ufrag.into());
        self.by_ufrag.insert(ufrag.into(), link);
    }

    /// Whether the user name is taken.
    pub(crate) fn has_ufrag(&self, ufrag: &str) -> bool {
        self.by_ufrag.contains_key(ufrag)
    }

    /// Forgets a transport.
    pub(crate) fn remove(&mut self, link: LinkIndex) {
        self.last = None;
        let known = self.known.remove(&link).unwrap_or_default();
        for ufrag in known.ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for path in known.paths {
            self.by_path.remove(&path);
        }
    }

    /// Forgets a path whose connection ended; gives the transport that used it.
    pub(crate) fn remove_path(&mut self, path: Path) -> Option<LinkIndex> {
        self.last = None;
        let link = self.by_path.remove(&path)?;
        if let Some(known) = self.known.get_mut(&link) {
            known.paths.retain(|&other| other != path);
        }
        Some(link)
    }

    /// Whose datagram this is. A STUN request with a user name of ours teaches its address.
    pub(crate) fn find(
        &mut self,
        path: Path,
        kind: PacketKind,
        datagram: &[u8],
    ) -> Result<LinkIndex, DropReason> {
        if kind != PacketKind::Stun {
            return self.find_known(path).ok_or(DropReason::UnknownAddress);
        }
        let known = self.by_path.get(&path).copied();
        let Some(ufrag) = stun_username(datagram) else {
            return known.ok_or(DropReason::UnknownAddress);
        };
        match (self.by_ufrag.get(ufrag).copied(), known) {
            (Some(named), Some(known)) if named == known => Ok(known),
            (Some(named), _) => {
                self.learn(path, named);
                Ok(named)
            }
            (None, _) => Err(DropReason::UnknownUser),
        }
    }

    fn find_known(&mut self, path: Path) -> Option<LinkIndex> {
        if let Some((_, link)) = self.last.filter(|(last, _)| *last == path) {
            return Some(link);
        }
        let link = *self.by_path.get(&path)?;
        self.last = Some((path, link));
        Some(link)
    }

    fn learn(&mut self, path: Path, link: LinkIndex) {
        self.remove_path(path);
        let paths = &mut self.known.entry(link).or_default().paths;
        if paths.len() >= PATHS_PER_TRANSPORT_MAX {
            self.last = None;
            self.by_path.remove(&paths.remove(0));
        }
        paths.push(path);
        self.by_path.insert(path, link);
    }
}

/// Our part of the user name of a STUN request: what stands before the colon (RFC 8445, 7.2.2).
#[must_use]
pub fn stun_username(datagram: &[u8]) -> Option<&str> {
    let (header, body) = datagram.split_at_checked(STUN_HEADER_BYTES)?;
    if header.get(4..8)? != STUN_COOKIE {
        return None;
    }
    let mut rest = body;
    while let [a, b, c, d, value @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let value_bytes = value.get(..length)?;
        if u16::from_be_bytes([*a, *b]) == STUN_USERNAME {
            let name = std::str::from_utf8(value_bytes).ok()?;
            return Some(name.split(':').next().unwrap_or(name));
        }
        rest = value.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// The two characters with which every user name of a shard begins.
pub(crate) fn shard_prefix(shard: ShardId) -> [u8; 2] {
    [shard.0 >> 5, shard.0].map(|digit| digit_of(u64::from(digit)))
}

/// The digit for the lowest five bits.
pub(crate) fn digit_of(bits: u64) -> u8 {
    let [low, ..] = (bits & 31).to_le_bytes();
    ALPHABET.get(usize::from(low)).copied().unwrap_or(b'0')
}

/// Which shard chose this ICE user name: by its first two characters, for those who must find the
/// shard before any transport, such as the listener of ICE-TCP.
#[must_use]
pub fn shard_of_ufrag(ufrag: &str) -> Option<ShardId> {
    let digit = |byte: &u8| ALPHABET.iter().position(|letter| letter == byte);
    let [first, second, _, _, ..] = ufrag.as_bytes() else {
        return None;
    };
    let number = digit(first)? << 5 | digit(second)?;
    u16::try_from(number).ok().map(ShardId)
}

#[cfg(test)]
mod tests;
