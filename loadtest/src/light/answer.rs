//! What a client needs of an answer, whoever made it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use media_rtp::extension::{ExtensionKind, ExtensionMap};

/// An answer, read.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) ufrag: String,
    pub(super) password: String,
    /// Hash function and hash, as the line has it.
    pub(super) fingerprint: String,
    /// The other end begins the handshake.
    pub(super) active: bool,
    /// UDP addresses, preferred first.
    pub(super) candidates: Vec<SocketAddr>,
    /// How much each of them is preferred (RFC 8445, section 5.1.2).
    priorities: Vec<u32>,
    /// The header extensions that were taken, under our ids.
    pub(super) extensions: ExtensionMap,
    /// Repairs' sources with what they repair (RFC 5576, section 4.2).
    pub(super) repairs: Vec<(u32, u32)>,
    /// Of each m-line: its payload types, preferred first; none where it was refused.
    pub(super) lines: Vec<Vec<u8>>,
}

impl Answer {
    /// # Errors
    /// What is missing.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut answer = Self::default();
        for line in text.lines() {
            answer.take(line.trim_end());
        }
        ensure!(!answer.lines.is_empty(), "the answer has no m-line");
        ensure!(!answer.ufrag.is_empty(), "the answer has no a=ice-ufrag");
        ensure!(!answer.password.is_empty(), "the answer has no a=ice-pwd");
        let secure = !answer.fingerprint.is_empty();
        ensure!(secure, "the answer has no a=fingerprint with sha-256");
        ensure!(
            !answer.candidates.is_empty(),
            "the answer has no UDP candidate: servers that trickle their own are not supported"
        );
        Ok(answer)
    }

    fn take(&mut self, line: &str) {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            let port = words.nth(1).unwrap_or("0");
            let types = words.skip(1).filter_map(|word| word.parse().ok());
            self.lines.push(if port == "0" {
                Vec::new()
            } else {
                types.collect()
            });
            return;
        }
        let Some((name, value)) = line
            .strip_prefix("a=")
            .and_then(|rest| rest.split_once(':'))
        else {
            return;
        };
        match name {
            "ice-ufrag" => value.clone_into(&mut self.ufrag),
            "ice-pwd" => value.clone_into(&mut self.password),
            "fingerprint" if value.to_ascii_lowercase().starts_with("sha-256 ") => {
                value.clone_into(&mut self.fingerprint);
            }
            "setup" => self.active = value == "active",
            "candidate" => {
                if let Some((priority, address)) = candidate(value)
                    && !self.candidates.contains(&address)
                {
                    let at = self
                        .priorities
                        .partition_point(|before| *before >= priority);
                    self.priorities.insert(at, priority);
                    self.candidates.insert(at, address);
                }
            }
            "extmap" => self.take_extension(value),
            "ssrc-group" => {
                let mut words = value.split(' ');
                if words.next() == Some("FID") {
                    let mut sources = words.filter_map(|word| word.parse().ok());
                    let pair = sources.next().zip(sources.next());
                    self.repairs
                        .extend(pair.map(|(media, repair)| (repair, media)));
                }
            }
            _ => {}
        }
    }

    fn take_extension(&mut self, value: &str) {
        let mut words = value.split(' ');
        let id = words
            .next()
            .and_then(|id| id.split('/').next()?.parse().ok());
        let uri = words.next().unwrap_or_default();
        let kind = ExtensionKind::ALL
            .into_iter()
            .find(|kind| kind.uri() == uri);
        if let (Some(id), Some(kind)) = (id, kind) {
            // Said again for each m-line.
            let _ = self.extensions.insert(kind, id);
        }
    }
}

/// The address of a host or reflexive UDP candidate (RFC 8839, section 5.1).
fn candidate(value: &str) -> Option<(u32, SocketAddr)> {
    let mut words = value.split_ascii_whitespace();
    let component = words.nth(1)?;
    let transport = words.next()?;
    let priority = words.next()?.parse().ok()?;
    let address: IpAddr = words.next()?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    let fits = component == "1" && transport.eq_ignore_ascii_case("udp");
    fits.then_some((priority, SocketAddr::new(address, port)))
}

/// The first fingerprint, ICE password and so on of a session are all that bundled m-lines need;
/// the payload type of the first m-line of that kind that was taken.
pub(super) fn first_type(answer: &Answer, line: usize) -> Result<u8> {
    let types = answer
        .lines
        .get(line)
        .context("fewer m-lines than offered")?;
    types
        .first()
        .copied()
        .context("the server refused the m-line")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        a=fingerprint:sha-1 00:11\r\na=fingerprint:SHA-256 AA:BB\r\na=setup:passive\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=extmap:4 \
        urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=candidate:1 1 udp 2130706431 127.0.0.1 7800 typ host generation 0\r\n\
        a=candidate:2 1 tcp 2130706431 127.0.0.1 7800 typ host tcptype passive\r\n\
        a=candidate:3 1 UDP 2130706432 ::1 7801 typ host\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 98 97\r\na=extmap:3/sendonly \
        http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
        a=ssrc-group:FID 11 12\r\n";

    #[test]
    fn an_answer_is_read() {
        let answer = Answer::read(ANSWER).unwrap();
        assert_eq!((answer.ufrag.as_str(), answer.active), ("abcd", false));
        assert_eq!(answer.fingerprint, "SHA-256 AA:BB");
        let addresses = answer.candidates.iter().map(ToString::to_string);
        assert_eq!(
            addresses.collect::<Vec<_>>(),
            ["[::1]:7801", "127.0.0.1:7800"]
        );
        assert_eq!(answer.extensions.kind(4), Some(ExtensionKind::Mid));
        assert_eq!(
            answer.extensions.kind(3),
            Some(ExtensionKind::TransportSequence)
        );
        assert_eq!(answer.repairs, [(12, 11)]);
        assert_eq!(answer.lines, [vec![111], vec![], vec![98, 97]]);
        assert_eq!(first_type(&answer, 2).unwrap(), 98);
        assert!(first_type(&answer, 1).is_err() && first_type(&answer, 3).is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        for (without, named) in [("a=ice-pwd", "ice-pwd"), ("a=candidate", "candidate")] {
            let kept = ANSWER
                .split("\r\n")
                .filter(|line| !line.starts_with(without));
            let text: Vec<&str> = kept.collect();
            let error = Answer::read(&text.join("\r\n")).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
