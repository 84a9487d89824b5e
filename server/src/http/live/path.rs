//! The names of what can be fetched of a stream.

use media_types::MediaKind;

use crate::egress::Container;

/// One thing that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// The multivariant playlist.
    Index,
    /// The DASH manifest.
    Manifest,
    /// One track's playlist.
    Playlist(MediaKind),
    /// An initialisation segment.
    Init(MediaKind, u64),
    /// A segment.
    Segment(MediaKind, u64),
    /// A part of a segment.
    Part(MediaKind, u64, usize),
}

impl File {
    /// Reads the last step of a path.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "index.m3u8" => return Some(Self::Index),
            "manifest.mpd" => return Some(Self::Manifest),
            "video.m3u8" => return Some(Self::Playlist(MediaKind::Video)),
            "audio.m3u8" => return Some(Self::Playlist(MediaKind::Audio)),
            _ => {}
        }
        let (kind, rest) = name.split_once('_')?;
        let kind = match kind {
            "video" => MediaKind::Video,
            "audio" => MediaKind::Audio,
            _ => return None,
        };
        if let Some(number) = rest.strip_prefix("init_") {
            let number = number.strip_suffix(".mp4")?.parse().ok()?;
            return Some(Self::Init(kind, number));
        }
        let rest = rest.strip_suffix(".m4s")?;
        Some(match rest.split_once('_') {
            Some((number, part)) => Self::Part(kind, number.parse().ok()?, part.parse().ok()?),
            None => Self::Segment(kind, rest.parse().ok()?),
        })
    }
}

/// The stream and the container of `{stream}.flv` or `{stream}.mp4`.
pub(super) fn container(name: &str) -> Option<(&str, Container)> {
    let (stream, ending) = name.rsplit_once('.')?;
    match ending {
        "flv" => Some((stream, Container::Flv)),
        "mp4" => Some((stream, Container::Mp4)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let (video, audio) = (MediaKind::Video, MediaKind::Audio);
        let cases = [
            ("index.m3u8", Some(File::Index)),
            ("manifest.mpd", Some(File::Manifest)),
            ("audio.m3u8", Some(File::Playlist(audio))),
            ("video_init_7.mp4", Some(File::Init(video, 7))),
            ("video_12.m4s", Some(File::Segment(video, 12))),
            ("audio_12_3.m4s", Some(File::Part(audio, 12, 3))),
            ("video_12_3.mp4", None),
            ("video_-1.m4s", None),
            ("text_1.m4s", None),
            ("", None),
        ];
        for (name, file) in cases {
            assert_eq!(File::parse(name), file, "{name}");
        }
        assert_eq!(container("a.b.flv"), Some(("a.b", Container::Flv)));
        assert_eq!(container("alice.mp4"), Some(("alice", Container::Mp4)));
        assert_eq!(container("alice"), None);
    }
}
