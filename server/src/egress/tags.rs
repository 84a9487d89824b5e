//! Tags of FLV as RTMP messages, and what players are told of a stream.

use std::sync::Arc;

use bytes::Bytes;
use media_egress::flv::tags;
use media_egress::{Format, TrackConfig};
use media_ingest::flv::{Tag, TagKind, file_tag, metadata_tag};
use media_ingest::rtmp::write_tag;
use media_types::{Codec, FrameCodec, FrameFormat};

/// The message stream that clients which play one stream get; what is made for it is shared.
pub(crate) const STREAM: u32 = 1;

/// The tags in these bytes as messages of an accepted player on that message stream.
pub(crate) fn messages<'a>(parts: impl IntoIterator<Item = &'a Bytes>, stream: u32) -> Bytes {
    let mut out = Vec::new();
    for part in parts {
        for (kind, timestamp, body) in tags(part) {
            let kind = match kind {
                8 => TagKind::Audio,
                9 => TagKind::Video,
                _ => TagKind::Script,
            };
            let tag = Tag {
                kind,
                timestamp,
                data: part.slice_ref(body),
            };
            write_tag(&mut out, &tag, stream);
        }
    }
    out.into()
}

/// The tag that names codecs, sizes and rates.
pub(super) fn metadata<'a>(configs: impl Iterator<Item = &'a Arc<TrackConfig>>) -> Bytes {
    let formats: Vec<FrameFormat> = configs.map(|config| described(config)).collect();
    file_tag(&metadata_tag(&formats))
}

fn described(config: &TrackConfig) -> FrameFormat {
    let codec = match config.format {
        Format::H264 => Codec::H264.into(),
        Format::H265 => Codec::H265.into(),
        Format::Vp8 => Codec::Vp8.into(),
        Format::Vp9 => Codec::Vp9.into(),
        Format::Av1 => Codec::Av1.into(),
        Format::Opus => Codec::Opus.into(),
        Format::Aac => FrameCodec::Aac,
    };
    FrameFormat {
        codec,
        config: config.record.clone(),
        width: config.width,
        height: config.height,
        sample_rate: config.timescale,
        channels: config.channels,
    }
}
