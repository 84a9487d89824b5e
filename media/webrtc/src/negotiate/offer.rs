//! Checks an offer before str0m sees it, and leaves out what str0m need not see.

use media_types::Mid;

use crate::error::WebRtcError;
use crate::limits::{MEDIA_LINES_MAX, SDP_BYTES_MAX};
use crate::sdp::{Direction, Format, Sdp, Section, SectionKind, attribute_value};

/// Splits an offer and refuses what cannot be answered.
pub(super) fn check(text: &str) -> Result<Sdp<'_>, WebRtcError> {
    let bad = |what: &str| WebRtcError::BadSdp(what.to_owned());
    if text.len() > SDP_BYTES_MAX {
        return Err(WebRtcError::SdpLimit {
            what: "bytes",
            limit: SDP_BYTES_MAX,
        });
    }
    let sdp = Sdp::split(text).ok_or_else(|| bad("not session description lines"))?;
    if sdp.session.first() != Some(&"v=0") {
        return Err(bad("it does not start with v=0"));
    }
    if sdp.sections.is_empty() {
        return Err(bad("no m-lines"));
    }
    if sdp.sections.len() > MEDIA_LINES_MAX {
        return Err(WebRtcError::SdpLimit {
            what: "m-lines",
            limit: MEDIA_LINES_MAX,
        });
    }
    check_mids(&sdp)?;
    for section in &sdp.sections {
        check_formats(section)?;
    }
    if sdp.ice_credentials().is_none() {
        return Err(bad("no ICE credentials"));
    }
    let fingerprint = |section: &Section<'_>| section.attribute("fingerprint").is_some();
    let fingerprint =
        sdp.attribute("fingerprint").is_some() || sdp.sections.iter().any(fingerprint);
    if !fingerprint {
        return Err(bad("no DTLS fingerprint"));
    }
    Ok(sdp)
}

fn check_mids(sdp: &Sdp<'_>) -> Result<(), WebRtcError> {
    let mut seen: Vec<Mid> = Vec::new();
    for section in &sdp.sections {
        if section.kind == SectionKind::Other {
            return Err(WebRtcError::BadSdp(format!(
                "unknown medium: {}",
                section.head
            )));
        }
        let mid = section.mid();
        let mid = mid.ok_or_else(|| WebRtcError::BadSdp("an m-line without a mid".into()))?;
        if seen.contains(&mid) {
            return Err(WebRtcError::BadSdp(format!("two m-lines with mid {mid}")));
        }
        seen.push(mid);
    }
    Ok(())
}

/// Each format is listed and mapped once.
fn check_formats(section: &Section<'_>) -> Result<(), WebRtcError> {
    let once = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.windows(2).all(|pair| pair.first() != pair.last())
    };
    let of = |attribute| {
        let values = section.attributes(attribute);
        let numbers = values.filter_map(|value| value.split_ascii_whitespace().next());
        numbers.collect::<Vec<_>>()
    };
    if once(section.formats.clone()) && once(of("rtpmap")) && once(of("fmtp")) {
        return Ok(());
    }
    let head = section.head;
    Err(WebRtcError::BadSdp(format!("a format twice in: {head}")))
}

/// What a payload type means: encoding and clock, and those parameters that tell one format of an
/// encoding from another.
pub(super) fn meaning(format: &Format<'_>) -> String {
    const TELLING: [&str; 4] = ["apt=", "profile-id=", "packetization-mode=", "tier-flag="];
    let mut meaning = format.encoding.to_ascii_lowercase();
    let mut parameters: Vec<_> = format.parameters.split(';').map(str::trim).collect();
    parameters.sort_unstable();
    for parameter in parameters {
        // Of H.264's profile-level-id the level may differ.
        let profile = parameter.strip_prefix("profile-level-id=");
        let profile = profile.and_then(|value| value.get(..4));
        if TELLING.iter().any(|name| parameter.starts_with(name)) {
            meaning.push_str(parameter);
        }
        meaning.push_str(profile.unwrap_or_default());
    }
    meaning
}

/// The offer for str0m: without candidates, since an ICE-lite agent learns addresses from checks
/// and a forged candidate must not make us send anywhere; without sources, which we bind ourselves;
/// without attributes of formats that the m-line does not list, which some clients leave behind;
/// and without the wish to receive media, which str0m never sends: it would keep streams ready.
pub(super) fn for_str0m(offer: &Sdp<'_>) -> String {
    let mut text = String::new();
    let mut put = |line: &str| {
        text.push_str(line);
        text.push_str("\r\n");
    };
    for line in &offer.session {
        let direction = line.strip_prefix("a=").and_then(Direction::of);
        if direction.is_none() && !is_candidate(line) {
            put(line);
        }
    }
    for section in &offer.sections {
        put(&format!("{} {}", section.head, section.formats.join(" ")));
        let is_media = matches!(section.kind, SectionKind::Media(_));
        for line in &section.lines {
            let directed = is_media && line.strip_prefix("a=").and_then(Direction::of).is_some();
            let foreign = is_candidate(line) || is_source(line) || directed;
            if !foreign && !is_of_absent_format(section, line) {
                put(line);
            }
        }
        if is_media {
            let sends = direction(offer, section).sends;
            put(if sends { "a=sendonly" } else { "a=inactive" });
        }
    }
    text
}

/// The direction of an m-line as the client sees it: its own, else the session's.
pub(super) fn direction(offer: &Sdp<'_>, section: &Section<'_>) -> Direction {
    let of = |lines: &[&str]| {
        let mut words = lines.iter().filter_map(|line| line.strip_prefix("a="));
        words.find_map(Direction::of)
    };
    let given = of(&section.lines).or_else(|| of(&offer.session));
    given.unwrap_or_else(|| section.direction())
}

fn is_candidate(line: &str) -> bool {
    attribute_value(line, "candidate").is_some() || line == "a=end-of-candidates"
}

fn is_source(line: &str) -> bool {
    attribute_value(line, "ssrc").is_some() || attribute_value(line, "ssrc-group").is_some()
}

fn is_of_absent_format(section: &Section<'_>, line: &str) -> bool {
    let names = ["rtpmap", "fmtp", "rtcp-fb"];
    let value = names.iter().find_map(|name| attribute_value(line, name));
    let format = value.and_then(|value| value.split_ascii_whitespace().next());
    format.is_some_and(|format| format != "*" && !section.formats.contains(&format))
}
