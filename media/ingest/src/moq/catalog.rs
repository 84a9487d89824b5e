//! The catalog: which tracks a broadcast has, as WebCodecs describes decoders.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use media_types::{Codec, FrameCodec, MediaKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::map::Container;
use crate::error::IngestError;
use crate::limits::{
    CATALOG_BYTES_MAX, CATALOG_GROUP_BYTES_MAX, CONFIG_BYTES_MAX, TRACK_NAME_BYTES_MAX, TRACKS_MAX,
};

/// The track that carries the catalog: each group is a whole one.
pub const CATALOG_TRACK: &str = "catalog.json";

/// What a broadcast has. Renditions in codecs or containers that are not taken are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Its tracks, pictures first, in the order of their names.
    pub renditions: Vec<Rendition>,
    /// How many tracks were left out.
    pub unsupported: usize,
}

/// One track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// The track's name within the broadcast.
    pub track: String,
    /// The codec.
    pub codec: FrameCodec,
    /// The codec as WebCodecs names it.
    pub codecs: String,
    /// How frames carry their times.
    pub container: Container,
    /// The codec's configuration record; empty where the frames bring what decoders need.
    pub description: Bytes,
    /// Pixels; 0 if unknown.
    pub width: u32,
    /// Pixels; 0 if unknown.
    pub height: u32,
    /// Samples a second; 0 for pictures.
    pub sample_rate: u32,
    /// Channels; 0 for pictures.
    pub channels: u32,
}

#[derive(Serialize, Deserialize)]
struct Root {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    video: Option<Section>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio: Option<Section>,
}

#[derive(Serialize, Deserialize)]
struct Section {
    renditions: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    codec: String,
    #[serde(default)]
    container: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    coded_width: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    coded_height: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    sample_rate: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    number_of_channels: u32,
}

#[derive(Serialize, Deserialize)]
struct Kind {
    kind: String,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            kind: Container::Legacy.word().to_owned(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Follows a catalog: the first frame of a group is a whole one, each later frame changes what came
/// before it (RFC 7396).
#[derive(Debug, Default)]
pub struct CatalogReader {
    value: Value,
    /// Bytes of the group so far.
    read: usize,
}

impl CatalogReader {
    /// Takes the next frame of a group, or the first of another.
    ///
    /// # Errors
    /// What is no catalog, or beyond its bounds.
    pub fn frame(&mut self, bytes: &[u8], first: bool) -> Result<Catalog, IngestError> {
        const BROKEN: IngestError = IngestError::Media("catalog");
        self.read = if first { 0 } else { self.read }.saturating_add(bytes.len());
        if bytes.len() > CATALOG_BYTES_MAX || self.read > CATALOG_GROUP_BYTES_MAX {
            return Err(BROKEN);
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|_| BROKEN)?;
        if first {
            self.value = value;
        } else {
            merge(&mut self.value, value);
        }
        // A struct would be read from a list as well.
        if !self.value.is_object() {
            return Err(BROKEN);
        }
        let root = Root::deserialize(&self.value).map_err(|_| BROKEN)?;
        Catalog::of(root)
    }
}

/// RFC 7396, section 2. What is parsed is nested 128 deep at most.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

impl Catalog {
    /// Reads a whole catalog.
    ///
    /// # Errors
    /// What is no catalog, or beyond its bounds.
    pub fn read(bytes: &[u8]) -> Result<Self, IngestError> {
        CatalogReader::default().frame(bytes, true)
    }

    fn of(root: Root) -> Result<Self, IngestError> {
        let sections = [
            (root.video, MediaKind::Video),
            (root.audio, MediaKind::Audio),
        ];
        let mut catalog = Self::default();
        for (section, kind) in sections {
            for (track, entry) in section.into_iter().flat_map(|section| section.renditions) {
                if catalog.renditions.len() >= TRACKS_MAX || track.len() > TRACK_NAME_BYTES_MAX {
                    return Err(IngestError::Media("tracks of a catalog"));
                }
                match Rendition::of(track, entry, kind)? {
                    Some(rendition) => catalog.renditions.push(rendition),
                    None => catalog.unsupported = catalog.unsupported.saturating_add(1),
                }
            }
        }
        Ok(catalog)
    }

    /// Writes it.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let section = |kind| {
            let of_kind = self.renditions.iter().filter(|it| it.codec.kind() == kind);
            let renditions: BTreeMap<_, _> = of_kind
                .map(|rendition| (rendition.track.clone(), Entry::of(rendition)))
                .collect();
            (!renditions.is_empty()).then_some(Section { renditions })
        };
        let root = Root {
            video: section(MediaKind::Video),
            audio: section(MediaKind::Audio),
        };
        // A map with texts for keys has nothing that JSON cannot say.
        serde_json::to_vec(&root).unwrap_or_default().into()
    }
}

impl Rendition {
    /// `None` where it is not taken.
    fn of(track: String, entry: Entry, kind: MediaKind) -> Result<Option<Self>, IngestError> {
        let description = match &entry.description {
            Some(text) => unhex(text)?,
            None => Bytes::new(),
        };
        let Some(codec) = codec_of(&entry.codec).filter(|codec| codec.kind() == kind) else {
            return Ok(None);
        };
        let Some(container) = Container::of(&entry.container.kind) else {
            return Ok(None);
        };
        // Nobody can tell what comes without one.
        let needs = matches!(codec, FrameCodec::Aac | FrameCodec::Rtp(Codec::H265));
        if needs && description.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            track,
            codec,
            codecs: entry.codec,
            container,
            description,
            width: entry.coded_width,
            height: entry.coded_height,
            sample_rate: entry.sample_rate,
            channels: entry.number_of_channels,
        }))
    }
}

impl Entry {
    fn of(rendition: &Rendition) -> Self {
        let kind = rendition.container.word().to_owned();
        let description = &rendition.description;
        Self {
            codec: rendition.codecs.clone(),
            container: Kind { kind },
            description: (!description.is_empty()).then(|| hex(description)),
            coded_width: rendition.width,
            coded_height: rendition.height,
            sample_rate: rendition.sample_rate,
            number_of_channels: rendition.channels,
        }
    }
}

/// The codec that WebCodecs names so (its codec registry), if it is taken.
fn codec_of(name: &str) -> Option<FrameCodec> {
    let codec = match name.split('.').next().unwrap_or_default() {
        "avc1" | "avc3" => Codec::H264,
        "hvc1" | "hev1" => Codec::H265,
        "vp8" => Codec::Vp8,
        "vp09" => Codec::Vp9,
        "av01" => Codec::Av1,
        "opus" | "Opus" => Codec::Opus,
        "mp4a" => return Some(FrameCodec::Aac),
        _ => return None,
    };
    Some(codec.into())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a text cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Result<Bytes, IngestError> {
    let broken = IngestError::Media("description");
    if text.len() / 2 > CONFIG_BYTES_MAX || !text.len().is_multiple_of(2) {
        return Err(broken);
    }
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect();
    bytes.map(Bytes::from).ok_or(broken)
}
