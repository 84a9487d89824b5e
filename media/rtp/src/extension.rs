//! Header extensions (RFC 8285): which there are, under which id, and what they say.

mod elements;
mod shared;
mod values;

pub use elements::Elements;
pub use shared::SharedDescriptor;
pub use values::{
    AbsCaptureTime, DescriptorBytes, Extensions, abs_send_time_bytes, abs_send_time_of,
    abs_send_time_since,
};

use crate::RtpError;

/// A header extension that this server reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExtensionKind {
    /// The m-line that a packet belongs to (RFC 9143).
    Mid,
    /// The simulcast layer (RFC 8852).
    Rid,
    /// The simulcast layer that a retransmission repairs (RFC 8852).
    RepairedRid,
    /// How loud it is (RFC 6464).
    AudioLevel,
    /// When it was sent, as a fraction of 64 seconds.
    AbsSendTime,
    /// A number that counts all packets of a transport (transport-wide-cc-extensions-01).
    TransportSequence,
    /// Layers and dependencies of a picture (AV1 RTP specification, appendix A).
    DependencyDescriptor,
    /// How long a receiver should hold pictures back.
    PlayoutDelay,
    /// When the frame was captured.
    AbsCaptureTime,
    /// How the picture is to be turned (3GPP TS 26.114).
    VideoOrientation,
    /// Which simulcast layers are sent, at what rates.
    VideoLayersAllocation,
}

impl ExtensionKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AudioLevel,
        Self::AbsSendTime,
        Self::TransportSequence,
        Self::DependencyDescriptor,
        Self::PlayoutDelay,
        Self::AbsCaptureTime,
        Self::VideoOrientation,
        Self::VideoLayersAllocation,
    ];

    /// The name in `a=extmap` lines.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::TransportSequence => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::DependencyDescriptor => concat!(
                "https://aomediacodec.github.io/av1-rtp-spec/",
                "#dependency-descriptor-rtp-header-extension"
            ),
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::VideoLayersAllocation => {
                "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
            }
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }

    const fn slot(self) -> usize {
        self as usize
    }
}

/// Which kind has which id, as negotiated for one m-line or one transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtensionMap {
    /// The id of each kind, in the order of [`ExtensionKind::ALL`]; zero is none.
    ids: [u8; ExtensionKind::ALL.len()],
}

impl ExtensionMap {
    /// A map with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a kind an id. It loses any id it had; another kind that had the id loses it.
    ///
    /// # Errors
    /// [`RtpError::ExtensionId`] for 0 and 15, which RFC 8285 keeps for itself.
    pub fn insert(&mut self, kind: ExtensionKind, id: u8) -> Result<(), RtpError> {
        if id == 0 || id == 15 {
            return Err(RtpError::ExtensionId(id));
        }
        for taken in &mut self.ids {
            if *taken == id {
                *taken = 0;
            }
        }
        if let Some(slot) = self.ids.get_mut(kind.slot()) {
            *slot = id;
        }
        Ok(())
    }

    /// Takes a kind out.
    pub fn remove(&mut self, kind: ExtensionKind) {
        if let Some(slot) = self.ids.get_mut(kind.slot()) {
            *slot = 0;
        }
    }

    /// The id of a kind.
    #[must_use]
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        self.ids.get(kind.slot()).copied().filter(|&id| id != 0)
    }

    /// The kind with an id.
    #[must_use]
    pub fn kind(&self, id: u8) -> Option<ExtensionKind> {
        let slot = self.ids.iter().position(|&taken| taken == id && id != 0)?;
        ExtensionKind::ALL.get(slot).copied()
    }

    /// Every kind that has an id.
    pub fn iter(&self) -> impl Iterator<Item = (ExtensionKind, u8)> + '_ {
        let pairs = ExtensionKind::ALL.into_iter().zip(self.ids);
        pairs.filter(|&(_, id)| id != 0)
    }
}

#[cfg(test)]
mod tests;
