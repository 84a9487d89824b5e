//! What a light client answers where the server offers (RFC 9429, section 5.3): it receives all.

use std::fmt::Write;
use std::net::SocketAddr;

use super::wire::Wire;

/// Lines of the offer's m-lines that an answer repeats: it takes what is offered.
const REPEATED: [&str; 5] = ["a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:"];

/// The text of the answer.
pub(super) fn write(offer: &str, wire: &Wire, local: SocketAddr, fingerprint: &str) -> String {
    let ip = local.ip();
    let family = if ip.is_ipv4() { 4 } else { 6 };
    let mut text = format!("v=0\r\no=- 8 1 IN IP{family} {ip}\r\ns=-\r\nt=0 0\r\n");
    let mut lines = offer.lines().map(str::trim_end).peekable();
    while let Some(line) = lines.next_if(|line| !line.starts_with("m=")) {
        if line.starts_with("a=group:BUNDLE") || line == "a=extmap-allow-mixed" {
            let _ = write!(text, "{line}\r\n");
        }
    }
    while let Some(media) = lines.next() {
        let own = [
            format!("c=IN IP{family} {ip}"),
            format!("a=ice-ufrag:{}", wire.ufrag),
            format!("a=ice-pwd:{}", wire.password),
            format!("a=fingerprint:{fingerprint}"),
            "a=setup:active".to_owned(),
            "a=rtcp-mux".to_owned(),
            "a=recvonly".to_owned(),
            format!(
                "a=candidate:1 1 udp 2122260223 {ip} {} typ host",
                local.port()
            ),
            "a=end-of-candidates".to_owned(),
        ];
        let _ = write!(text, "{media}\r\n");
        for line in own {
            let _ = write!(text, "{line}\r\n");
        }
        while let Some(line) = lines.next_if(|line| !line.starts_with("m=")) {
            if REPEATED.iter().any(|start| line.starts_with(start)) {
                let _ = write!(text, "{line}\r\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_is_offered_and_sends_nothing() {
        let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendonly\r\na=mid:0\r\n\
            a=rtpmap:111 opus/48000/2\r\n\
            a=ice-ufrag:theirs\r\na=setup:actpass\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n\
            a=fmtp:97 apt=96\r\na=ssrc:7 cname:x\r\n";
        let wire = Wire::new();
        let local = "127.0.0.1:4000".parse().unwrap();
        let text = write(offer, &wire, local, "sha-256 AA");
        let count = |part: &str| text.matches(part).count();
        assert!(text.starts_with("v=0\r\no=- 8 1 IN IP4 127.0.0.1\r\n"));
        assert_eq!(count("a=group:BUNDLE 0 1\r\n"), 1);
        assert_eq!((count("a=recvonly\r\n"), count("a=sendonly")), (2, 0));
        assert_eq!(count("a=setup:active\r\n"), 2);
        assert_eq!(count(&format!("a=ice-ufrag:{}\r\n", wire.ufrag)), 2);
        assert_eq!((count("theirs"), count("a=ssrc")), (0, 0));
        assert!(text.ends_with("a=mid:1\r\na=rtpmap:96 VP8/90000\r\na=fmtp:97 apt=96\r\n"));
    }
}
