//! A view on SDP text, line by line: what negotiation needs beside str0m, which judges the rest.

use media_rtp::extension::{ExtensionKind, ExtensionMap};
use media_types::{MediaKind, Mid, Rid};

/// What a media section carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SectionKind {
    Media(MediaKind),
    Application,
    Other,
}

/// Who sends, as the describing side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) sends: bool,
    pub(crate) receives: bool,
}

impl Direction {
    pub(crate) fn of(word: &str) -> Option<Self> {
        let (sends, receives) = match word {
            "sendrecv" => (true, true),
            "sendonly" => (true, false),
            "recvonly" => (false, true),
            "inactive" => (false, false),
            _ => return None,
        };
        Some(Self { sends, receives })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }
}

/// A description: lines before the first m-line, and media sections.
#[derive(Debug, Clone)]
pub(crate) struct Sdp<'a> {
    pub(crate) session: Vec<&'a str>,
    pub(crate) sections: Vec<Section<'a>>,
}

/// One m-line with what follows it.
#[derive(Debug, Clone)]
pub(crate) struct Section<'a> {
    pub(crate) kind: SectionKind,
    pub(crate) port: u16,
    /// The m-line without its formats: `m=audio 9 UDP/TLS/RTP/SAVPF`.
    pub(crate) head: &'a str,
    pub(crate) formats: Vec<&'a str>,
    /// The lines after the m-line.
    pub(crate) lines: Vec<&'a str>,
}

/// An `a=rtpmap` line with its `a=fmtp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format<'a> {
    pub(crate) payload_type: u8,
    pub(crate) name: &'a str,
    /// Name, clock rate and channels: `opus/48000/2`.
    pub(crate) encoding: &'a str,
    pub(crate) parameters: &'a str,
}

impl Format<'_> {
    /// The payload type that an RTX format repairs (RFC 4588, section 8.1).
    pub(crate) fn associated(&self) -> Option<u8> {
        let mut parameters = self.parameters.split(';');
        let apt = parameters.find_map(|parameter| parameter.trim().strip_prefix("apt="))?;
        apt.trim().parse().ok()
    }

    pub(crate) fn is_rtx(&self) -> bool {
        self.name.eq_ignore_ascii_case("rtx")
    }

    pub(crate) fn is_red(&self) -> bool {
        self.name.eq_ignore_ascii_case("red")
    }
}

/// A source that a section declares (RFC 5576), with the source of its retransmissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeclaredSource {
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<u32>,
}

impl<'a> Sdp<'a> {
    /// Splits the text. `None` if a line is no `x=…` or an m-line makes no sense.
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let mut sdp = Self {
            session: Vec::new(),
            sections: Vec::new(),
        };
        for line in text.lines().map(str::trim_end) {
            if line.is_empty() {
                continue;
            }
            if line.as_bytes().get(1) != Some(&b'=') {
                return None;
            }
            if line.starts_with("m=") {
                sdp.sections.push(Section::of(line)?);
            } else if let Some(section) = sdp.sections.last_mut() {
                section.lines.push(line);
            } else {
                sdp.session.push(line);
            }
        }
        Some(sdp)
    }

    /// A session-level attribute's value.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.session
            .iter()
            .find_map(|&line| attribute_value(line, name))
    }

    /// The ICE user name fragment and password, of the first section that has them or the session.
    pub(crate) fn ice_credentials(&self) -> Option<(&'a str, &'a str)> {
        let value = |name| {
            let of_sections = self.sections.iter().find_map(|s| s.attribute(name));
            of_sections.or_else(|| self.attribute(name))
        };
        Some((value("ice-ufrag")?, value("ice-pwd")?))
    }
}

impl<'a> Section<'a> {
    fn of(m_line: &'a str) -> Option<Self> {
        let value = m_line.strip_prefix("m=")?;
        let mut words = value.split_ascii_whitespace();
        let kind = match words.next()? {
            "audio" => SectionKind::Media(MediaKind::Audio),
            "video" => SectionKind::Media(MediaKind::Video),
            "application" => SectionKind::Application,
            _ => SectionKind::Other,
        };
        let port = words.next()?.split('/').next()?.parse().ok()?;
        let protocol = words.next()?;
        let formats: Vec<_> = words.collect();
        let head_end = m_line.find(protocol)?.checked_add(protocol.len())?;
        Some(Self {
            kind,
            port,
            head: m_line.get(..head_end)?,
            formats,
            lines: Vec::new(),
        })
    }

    /// The value of the first attribute of this name; empty for a property without one.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes(name).next()
    }

    /// The values of all attributes of this name.
    pub(crate) fn attributes(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter_map(move |&line| attribute_value(line, name))
    }

    pub(crate) fn mid(&self) -> Option<Mid> {
        self.attribute("mid")?.parse().ok()
    }

    /// The direction; `sendrecv` if none is given (RFC 8866, section 6.7).
    pub(crate) fn direction(&self) -> Direction {
        let mut words = self.lines.iter().filter_map(|line| line.strip_prefix("a="));
        words.find_map(Direction::of).unwrap_or(Direction {
            sends: true,
            receives: true,
        })
    }

    /// The formats that have an `a=rtpmap`, in the order of the m-line.
    pub(crate) fn rtp_formats(&self) -> impl Iterator<Item = Format<'a>> {
        self.formats.iter().filter_map(|&text| {
            let of_this = |value: &'a str| {
                let (number, rest) = value.split_once(' ')?;
                (number == text).then_some(rest.trim())
            };
            let rtpmap = self.attributes("rtpmap").find_map(of_this)?;
            Some(Format {
                payload_type: text.parse().ok().filter(|&number: &u8| number < 128)?,
                name: rtpmap.split('/').next()?,
                encoding: rtpmap,
                parameters: self.attributes("fmtp").find_map(of_this).unwrap_or(""),
            })
        })
    }

    /// Whether a feedback message is offered for any format: `nack`, `nack pli`, `transport-cc` …
    pub(crate) fn has_feedback(&self, message: &str) -> bool {
        self.attributes("rtcp-fb").any(|value| {
            let offered = value.split_once(' ');
            offered.is_some_and(|(_, offered)| offered.trim() == message)
        })
    }

    pub(crate) fn extensions(&self) -> ExtensionMap {
        let mut map = ExtensionMap::new();
        for value in self.attributes("extmap") {
            let mut words = value.split_ascii_whitespace();
            let id = words
                .next()
                .and_then(|id| id.split('/').next()?.parse().ok());
            let kind = words.next().and_then(ExtensionKind::from_uri);
            if let (Some(id), Some(kind)) = (id, kind) {
                // An id that no header form carries is not negotiated.
                let _ = map.insert(kind, id);
            }
        }
        map
    }

    /// The simulcast layers that the describing side sends, in its order; the first of
    /// alternatives.
    pub(crate) fn sent_rids(&self) -> Vec<Rid> {
        let value = self.attribute("simulcast").unwrap_or("");
        let mut words = value.split_ascii_whitespace();
        let list = words.by_ref().find(|&word| word == "send");
        let list = list.and_then(|_| words.next()).unwrap_or("");
        let first = |alternatives: &str| {
            let rid = alternatives.split(',').next()?;
            rid.trim_start_matches('~').parse().ok()
        };
        list.split(';').filter_map(first).collect()
    }

    pub(crate) fn declared_sources(&self) -> Vec<DeclaredSource> {
        let number = |text: &str| text.parse::<u32>().ok();
        let pairs = self.attributes("ssrc-group").filter_map(|value| {
            let mut words = value.strip_prefix("FID ")?.split_ascii_whitespace();
            Some((number(words.next()?)?, number(words.next()?)?))
        });
        let pairs: Vec<_> = pairs.collect();
        let mut sources: Vec<DeclaredSource> = Vec::new();
        for value in self.attributes("ssrc") {
            let ssrc = value.split_ascii_whitespace().next().and_then(number);
            let Some(ssrc) = ssrc else { continue };
            let repairs = pairs.iter().any(|pair| pair.1 == ssrc);
            if repairs || sources.iter().any(|source| source.ssrc == ssrc) {
                continue;
            }
            let rtx = pairs.iter().find(|pair| pair.0 == ssrc);
            sources.push(DeclaredSource {
                ssrc,
                rtx: rtx.map(|pair| pair.1),
            });
        }
        sources
    }
}

/// The value of `a=name:value`, or an empty text for `a=name`.
pub(crate) fn attribute_value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("a=")?.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(':').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\n\
        m=video 9/2 UDP/TLS/RTP/SAVPF 96 97 35\r\na=mid:v\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 rtx-time=200; apt=96\r\na=rtcp-fb:96 nack pli\r\n\
        a=extmap:4/recvonly urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=simulcast:recv a send ~q,r;h\r\n\
        a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\na=ssrc:3 cname:x\r\n";

    #[test]
    fn a_section_tells_what_it_offers() {
        let sdp = Sdp::split(TEXT).unwrap();
        assert_eq!(sdp.ice_credentials(), Some(("abcd", "secret")));
        let section = &sdp.sections[0];
        assert_eq!(section.kind, SectionKind::Media(MediaKind::Video));
        assert_eq!(
            (section.port, section.head),
            (9, "m=video 9/2 UDP/TLS/RTP/SAVPF")
        );
        assert_eq!(section.mid(), "v".parse().ok());
        assert_eq!(section.direction().as_str(), "sendrecv");
        let formats: Vec<_> = section.rtp_formats().collect();
        assert_eq!(formats.len(), 2);
        assert_eq!(
            (formats[1].is_rtx(), formats[1].associated()),
            (true, Some(96))
        );
        assert!(section.has_feedback("nack pli") && !section.has_feedback("nack"));
        assert_eq!(section.extensions().id(ExtensionKind::Mid), Some(4));
        let rids: Vec<_> = section.sent_rids().iter().map(Rid::to_string).collect();
        assert_eq!(rids, ["q", "h"]);
        let sources = section.declared_sources();
        let expected = [
            DeclaredSource {
                ssrc: 1,
                rtx: Some(2),
            },
            DeclaredSource { ssrc: 3, rtx: None },
        ];
        assert_eq!(sources, expected);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Sdp::split("hello").is_none());
        assert!(Sdp::split("v=0\nm=audio nine RTP 0").is_none());
        assert!(Sdp::split("").unwrap().sections.is_empty());
    }
}
