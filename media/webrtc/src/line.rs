//! What was agreed about one m-line.

use media_rtp::extension::{ExtensionKind, ExtensionMap};
use media_types::{Codec, MediaKind, Mid, Rid};

use crate::formats;
use crate::negotiate::{MediaLineDescription, MediaLineUse};
use crate::sdp::{DeclaredSource, Direction, Section, SectionKind};

/// A payload type of an m-line, with that of its retransmissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineFormat {
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
    pub(crate) rtx: Option<u8>,
}

/// One audio or video m-line as agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mid: Mid,
    pub(crate) kind: MediaKind,
    /// What the client may do on it.
    pub(crate) client: Direction,
    /// In the client's order.
    pub(crate) formats: Vec<LineFormat>,
    /// The payload type of redundancy (RFC 2198) for Opus.
    pub(crate) red: Option<u8>,
    pub(crate) extensions: ExtensionMap,
    /// Layers that the client sends, lowest first.
    pub(crate) rids: Vec<Rid>,
    pub(crate) sources: Vec<DeclaredSource>,
    pub(crate) feedback: LineFeedback,
}

/// Feedback messages that both ends know for an m-line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LineFeedback {
    pub(crate) nack: bool,
    pub(crate) pli: bool,
    pub(crate) fir: bool,
    pub(crate) transport: bool,
    pub(crate) remb: bool,
}

impl Line {
    /// Joins what the client offered with what we answered. `None` for what is no medium.
    pub(crate) fn agreed(offer: &Section<'_>, answer: &Section<'_>) -> Option<Self> {
        let SectionKind::Media(kind) = answer.kind else {
            return None;
        };
        let ours = answer.direction();
        let refused = answer.port == 0 || answer.formats.is_empty();
        let formats = if refused {
            Vec::new()
        } else {
            line_formats(answer)
        };
        let red = answer.rtp_formats().find(|format| format.is_red());
        let extensions = answer.extensions();
        let numbered = extensions.id(ExtensionKind::TransportSequence).is_some();
        let both = |message| offer.has_feedback(message) && answer.has_feedback(message);
        Some(Self {
            mid: answer.mid()?,
            kind,
            client: Direction {
                sends: ours.receives && !refused,
                receives: ours.sends && !refused,
            },
            formats,
            red: red
                .filter(|_| kind == MediaKind::Audio && !refused)
                .map(|format| format.payload_type),
            extensions,
            rids: lowest_first(offer.sent_rids()),
            sources: offer.declared_sources(),
            feedback: LineFeedback {
                nack: both("nack"),
                pli: both("nack pli"),
                fir: both("ccm fir"),
                // Without numbers there is nothing to tell, whatever was offered.
                transport: numbered && both("transport-cc"),
                remb: both("goog-remb"),
            },
        })
    }

    pub(crate) fn describe(&self) -> MediaLineDescription {
        let mut codecs = Vec::new();
        for format in &self.formats {
            if !codecs.contains(&format.codec) {
                codecs.push(format.codec);
            }
        }
        MediaLineDescription {
            mid: self.mid,
            kind: self.kind,
            usage: match (self.client.sends, self.client.receives) {
                (true, true) => MediaLineUse::Both,
                (true, false) => MediaLineUse::Publish,
                (false, true) => MediaLineUse::Slot,
                (false, false) => MediaLineUse::Idle,
            },
            codecs,
            rids: self.rids.clone(),
        }
    }

    /// The format to send `codec` with: the first that the client named.
    pub(crate) fn format_for(&self, codec: Codec) -> Option<&LineFormat> {
        self.formats.iter().find(|format| format.codec == codec)
    }
}

/// The formats of forwarded codecs. Of H.264, those that may fragment pictures go first, since a
/// publisher that does so would not be understood otherwise (RFC 6184, section 6.3).
fn line_formats(section: &Section<'_>) -> Vec<LineFormat> {
    let rtx_of = |payload_type| {
        let mut formats = section.rtp_formats();
        let rtx =
            formats.find(|format| format.is_rtx() && format.associated() == Some(payload_type));
        rtx.map(|format| format.payload_type)
    };
    let known = |format: crate::sdp::Format<'_>| {
        let codec = formats::codec_of(format.name)?;
        let single_unit =
            codec == Codec::H264 && !format.parameters.contains("packetization-mode=1");
        let line_format = LineFormat {
            payload_type: format.payload_type,
            codec,
            rtx: rtx_of(format.payload_type),
        };
        Some((single_unit, line_format))
    };
    let mut formats: Vec<_> = section.rtp_formats().filter_map(known).collect();
    formats.sort_by_key(|(single_unit, _)| *single_unit);
    formats.into_iter().map(|(_, format)| format).collect()
}

/// Layers in rising order. The order of an `a=simulcast` line is one of preference and clients
/// differ; names that start with the best of a usual set tell that the list is falling.
fn lowest_first(mut rids: Vec<Rid>) -> Vec<Rid> {
    const HIGHEST: [&str; 4] = ["f", "hi", "high", "full"];
    let first = rids.first().map(|rid| rid.as_str().to_owned());
    let last = rids.last().map(|rid| rid.as_str().to_owned());
    let falling_letters = first.as_deref() == Some("h") && last.as_deref() == Some("l");
    let falling = first.is_some_and(|first| HIGHEST.contains(&first.as_str()));
    if rids.len() > 1 && (falling || falling_letters) {
        rids.reverse();
    }
    rids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_rise_whatever_the_list() {
        let order = |names: &str| {
            let rids = names.split(' ').map(|name| name.parse().unwrap()).collect();
            let names: Vec<_> = lowest_first(rids).iter().map(Rid::to_string).collect();
            names.join(" ")
        };
        assert_eq!(order("q h f"), "q h f");
        assert_eq!(order("f h q"), "q h f");
        assert_eq!(order("h m l"), "l m h");
        assert_eq!(order("l m h"), "l m h");
        assert_eq!(order("0 1 2"), "0 1 2");
        assert_eq!(order("f"), "f");
    }
}
