//! The header extensions that we take from an offer.

use media_rtp::extension::ExtensionKind;
use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues};

/// An extension of video that str0m passes through negotiation and never reads.
#[derive(Debug)]
struct Negotiated;

impl ExtensionSerializer for Negotiated {
    fn write_to(&self, _buf: &mut [u8], _values: &ExtensionValues) -> usize {
        0
    }

    fn parse_value(&self, _buf: &[u8], _values: &mut ExtensionValues) -> bool {
        false
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }
}

/// What is taken where offered. The ids are the client's; those here only keep them apart.
pub(crate) fn offered() -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    let descriptor = ExtensionKind::DependencyDescriptor.uri();
    let extensions = [
        Extension::AudioLevel,
        Extension::AbsoluteSendTime,
        Extension::TransportSequenceNumber,
        Extension::RtpMid,
        Extension::RtpStreamId,
        Extension::RepairedRtpStreamId,
        Extension::AbsoluteCaptureTime,
        Extension::PlayoutDelay,
        Extension::VideoOrientation,
        Extension::with_serializer(descriptor, Negotiated),
    ];
    for (id, extension) in (1..).zip(extensions) {
        map.set(id, extension);
    }
    map
}
