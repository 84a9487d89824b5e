//! The little that WHIP needs of a session description: its ICE lines (RFC 8839, section 5).

use signaling::SdpFragment;

/// The same description with other ICE credentials: what a restart by `PATCH` amounts to (RFC 9725,
/// section 4.3.3). Candidates belong to the old credentials and go; those of the fragment follow by
/// trickle.
pub(super) fn with_credentials(sdp: &str, ufrag: &str, pwd: &str) -> String {
    let mut text = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        match line.split_once(':').map_or(line, |(name, _)| name) {
            "a=ice-ufrag" => text.push_str(&format!("a=ice-ufrag:{ufrag}")),
            "a=ice-pwd" => text.push_str(&format!("a=ice-pwd:{pwd}")),
            "a=candidate" | "a=end-of-candidates" => continue,
            _ => text.push_str(line),
        }
        text.push_str("\r\n");
    }
    text
}

/// The ICE credentials of a description.
pub(super) fn credentials(sdp: &str) -> Option<(&str, &str)> {
    let find = |prefix: &str| sdp.lines().find_map(|line| line.strip_prefix(prefix));
    find("a=ice-ufrag:").zip(find("a=ice-pwd:"))
}

/// The ICE lines of an answer, as the answer to a restart carries them.
pub(super) fn ice_of(answer: &str) -> SdpFragment {
    let mut fragment = SdpFragment::default();
    if let Some((ufrag, pwd)) = credentials(answer) {
        fragment.ufrag = Some(ufrag.to_owned());
        fragment.pwd = Some(pwd.to_owned());
    }
    let mut lines = answer.lines();
    fragment.ice_lite = lines.any(|line| line == "a=ice-lite");
    for line in answer.lines() {
        let Some(attribute) = line.strip_prefix("a=") else {
            continue;
        };
        // All m-lines are bundled: the first one's candidates are everybody's.
        if attribute.starts_with("candidate:") {
            let candidate = attribute.to_owned();
            if !fragment.session.candidates.contains(&candidate) {
                fragment.session.candidates.push(candidate);
            }
        }
        fragment.session.complete |= attribute == "end-of-candidates";
    }
    fragment
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\na=ice-lite\r\nm=audio 9 X 0\r\na=ice-ufrag:old1\r\n\
        a=ice-pwd:oldoldoldoldoldoldold1\r\na=candidate:1 1 udp 1 192.0.2.1 7 typ host\r\n\
        a=end-of-candidates\r\na=mid:0\r\n";

    #[test]
    fn a_restart_changes_the_credentials_alone() {
        let new = with_credentials(SDP, "newu", "newnewnewnewnewnewnew2");
        assert_eq!(credentials(&new), Some(("newu", "newnewnewnewnewnewnew2")));
        let expected = "v=0\r\na=ice-lite\r\nm=audio 9 X 0\r\na=ice-ufrag:newu\r\n\
            a=ice-pwd:newnewnewnewnewnewnew2\r\na=mid:0\r\n";
        assert_eq!(new, expected);
    }

    #[test]
    fn the_answer_to_a_restart_is_a_fragment() {
        let fragment = ice_of(SDP);
        assert_eq!(fragment.credentials(), credentials(SDP));
        assert_eq!(
            SdpFragment::parse(&fragment.to_string()),
            Ok(fragment.clone())
        );
        assert!(fragment.ice_lite && fragment.session.complete);
        assert_eq!(fragment.candidates().count(), 1);
    }
}
