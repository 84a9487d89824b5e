//! Bodies of WHIP (RFC 9725) and WHEP: the trickle fragment of a `PATCH` (RFC 8840).

use std::fmt;

use media_types::Mid;

use crate::limits::{FRAGMENT_BYTES_MAX, FRAGMENT_CANDIDATES_MAX, FRAGMENT_MEDIA_MAX};

/// The media type of an offer and an answer.
pub const SDP_CONTENT_TYPE: &str = "application/sdp";
/// The media type of a fragment (RFC 8840, section 9).
pub const FRAGMENT_CONTENT_TYPE: &str = "application/trickle-ice-sdpfrag";

/// Candidates and, for a restart, credentials of ICE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SdpFragment {
    /// `a=ice-ufrag` (RFC 8839, section 5.4), where it stands first, at whatever level.
    pub ufrag: Option<String>,
    /// `a=ice-pwd` (RFC 8839, section 5.4).
    pub pwd: Option<String>,
    /// `a=ice-lite` (RFC 8839, section 5.3): written in the answer of a server that is.
    pub ice_lite: bool,
    /// What stands before the first m-line.
    pub session: FragmentPart,
    /// The m-lines that are named.
    pub media: Vec<FragmentMedia>,
}

/// One m-line of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentMedia {
    /// `audio`, `video` or `application`.
    pub kind: String,
    /// `a=mid`.
    pub mid: Option<Mid>,
    /// Its candidates.
    pub part: FragmentPart,
}

/// Candidates of one level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FragmentPart {
    /// The lines without `a=`, as `RTCIceCandidate.candidate` has them.
    pub candidates: Vec<String>,
    /// `a=end-of-candidates` (RFC 8838, section 14).
    pub complete: bool,
}

/// Why a text is not a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// Longer than [`FRAGMENT_BYTES_MAX`], or with too many parts.
    #[error("the fragment is too large")]
    TooLarge,
    /// A line that is not `x=…`, or an m-line without a kind.
    #[error("line {0} cannot be read")]
    Line(usize),
    /// Credentials outside what RFC 8839, section 5.4 allows.
    #[error("the ICE credentials cannot be used")]
    Credentials,
}

impl SdpFragment {
    /// Reads a fragment. Attributes that say nothing of ICE are passed over.
    ///
    /// # Errors
    /// See [`FragmentError`].
    pub fn parse(text: &str) -> Result<Self, FragmentError> {
        if text.len() > FRAGMENT_BYTES_MAX {
            return Err(FragmentError::TooLarge);
        }
        let mut fragment = Self::default();
        let mut candidates = 0_usize;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            let wrong = FragmentError::Line(index.saturating_add(1));
            match line.split_once('=').ok_or(wrong)? {
                ("m", media) => fragment.open_media(media).ok_or(wrong)?,
                ("a", attribute) => fragment.attribute(attribute).ok_or(wrong)?,
                (kind, _) if kind.len() == 1 => {}
                _ => return Err(wrong),
            }
            candidates = candidates.saturating_add(usize::from(line.starts_with("a=candidate:")));
            if candidates > FRAGMENT_CANDIDATES_MAX || fragment.media.len() > FRAGMENT_MEDIA_MAX {
                return Err(FragmentError::TooLarge);
            }
        }
        fragment.check_credentials()?;
        Ok(fragment)
    }

    /// Every candidate with the m-line it stands under.
    pub fn candidates(&self) -> impl Iterator<Item = (Option<Mid>, &str)> {
        let session = self.session.candidates.iter().map(|line| (None, line));
        let media = self.media.iter().flat_map(|media| {
            let lines = media.part.candidates.iter();
            lines.map(move |line| (media.mid, line))
        });
        session.chain(media).map(|(mid, line)| (mid, line.as_str()))
    }

    /// The credentials, where both are there.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.ufrag.as_deref().zip(self.pwd.as_deref())
    }

    fn open_media(&mut self, media: &str) -> Option<()> {
        let kind = media.split_ascii_whitespace().next()?;
        self.media.push(FragmentMedia {
            kind: kind.to_owned(),
            mid: None,
            part: FragmentPart::default(),
        });
        Some(())
    }

    fn attribute(&mut self, attribute: &str) -> Option<()> {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "ice-ufrag" => {
                self.ufrag.get_or_insert_with(|| value.to_owned());
            }
            "ice-pwd" => {
                self.pwd.get_or_insert_with(|| value.to_owned());
            }
            "ice-lite" => self.ice_lite = true,
            "mid" => {
                if let Some(media) = self.media.last_mut() {
                    media.mid = Some(value.parse().ok()?);
                }
            }
            "candidate" => self.part().candidates.push(attribute.to_owned()),
            "end-of-candidates" => self.part().complete = true,
            _ => {}
        }
        Some(())
    }

    fn part(&mut self) -> &mut FragmentPart {
        match self.media.last_mut() {
            Some(media) => &mut media.part,
            None => &mut self.session,
        }
    }

    fn check_credentials(&self) -> Result<(), FragmentError> {
        let legal = |text: &Option<String>, least: usize| {
            text.as_ref().is_none_or(|text| {
                let length = (least..=256).contains(&text.len());
                let ice_char =
                    |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
                length && text.bytes().all(ice_char)
            })
        };
        if legal(&self.ufrag, 4)
            && legal(&self.pwd, 22)
            && self.ufrag.is_some() == self.pwd.is_some()
        {
            Ok(())
        } else {
            Err(FragmentError::Credentials)
        }
    }
}

impl fmt::Display for FragmentPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for candidate in &self.candidates {
            write!(f, "a={candidate}\r\n")?;
        }
        if self.complete {
            f.write_str("a=end-of-candidates\r\n")?;
        }
        Ok(())
    }
}

/// Writes the fragment as the body of a `PATCH` or its answer.
impl fmt::Display for SdpFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ice_lite {
            f.write_str("a=ice-lite\r\n")?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, "a=ice-ufrag:{ufrag}\r\n")?;
        }
        if let Some(pwd) = &self.pwd {
            write!(f, "a=ice-pwd:{pwd}\r\n")?;
        }
        fmt::Display::fmt(&self.session, f)?;
        for media in &self.media {
            let protocol = match media.kind.as_str() {
                "application" => "UDP/DTLS/SCTP webrtc-datachannel",
                _ => "UDP/TLS/RTP/SAVPF 0",
            };
            write!(f, "m={} 9 {protocol}\r\n", media.kind)?;
            if let Some(mid) = media.mid {
                write!(f, "a=mid:{mid}\r\n")?;
            }
            fmt::Display::fmt(&media.part, f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESTART: &str = "a=ice-options:trickle ice2\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:ysXw\r\n\
        a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn a_restart_as_rfc_9725_shows_it_is_read() {
        let fragment = SdpFragment::parse(RESTART).unwrap();
        assert_eq!(
            fragment.credentials(),
            Some(("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k"))
        );
        let candidates: Vec<_> = fragment.candidates().collect();
        assert_eq!(candidates.len(), 1);
        assert_eq!(candidates[0].0.unwrap().as_str(), "0");
        assert!(candidates[0].1.starts_with("candidate:1387637174 1 udp"));
        assert!(fragment.media[0].part.complete);
    }

    #[test]
    fn wrong_texts_are_refused() {
        let parse = SdpFragment::parse;
        assert_eq!(parse("hello"), Err(FragmentError::Line(1)));
        assert_eq!(parse("a=mid:0\r\nm="), Err(FragmentError::Line(2)));
        assert_eq!(parse("a=ice-ufrag:abcd"), Err(FragmentError::Credentials));
        let short = "a=ice-ufrag:abc\r\na=ice-pwd:0123456789012345678901";
        assert_eq!(parse(short), Err(FragmentError::Credentials));
        let flood = "a=candidate:1\r\n".repeat(FRAGMENT_CANDIDATES_MAX + 1);
        assert_eq!(parse(&flood), Err(FragmentError::TooLarge));
        assert_eq!(
            parse(&"\n".repeat(FRAGMENT_BYTES_MAX + 1)),
            Err(FragmentError::TooLarge)
        );
    }

    fn part() -> impl Strategy<Value = FragmentPart> {
        let line =
            "candidate:[0-9]{1,9} 1 udp [0-9]{1,9} 192\\.0\\.2\\.[0-9] [1-9][0-9]{3} typ host";
        (prop::collection::vec(line, 0..4), any::<bool>()).prop_map(|(candidates, complete)| {
            FragmentPart {
                candidates,
                complete,
            }
        })
    }

    fn media() -> impl Strategy<Value = FragmentMedia> {
        let mid = proptest::option::of("[a-z0-9]{1,16}");
        ("audio|video|application", mid, part()).prop_map(|(kind, mid, part)| FragmentMedia {
            kind,
            mid: mid.map(|mid| mid.parse().unwrap()),
            part,
        })
    }

    proptest! {
        #[test]
        fn written_is_read(
            credentials in proptest::option::of(("[A-Za-z0-9+/]{4,32}", "[A-Za-z0-9+/]{22,40}")),
            ice_lite: bool,
            session in part(),
            media in prop::collection::vec(media(), 0..4),
        ) {
            let (ufrag, pwd) = credentials.unzip();
            let fragment = SdpFragment { ufrag, pwd, ice_lite, session, media };
            prop_assert_eq!(SdpFragment::parse(&fragment.to_string()), Ok(fragment));
        }

        #[test]
        fn anything_is_survived(text in "\\PC{0,200}") {
            let _ = SdpFragment::parse(&text);
        }
    }
}
