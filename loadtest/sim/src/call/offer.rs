//! What a light client offers, in the words of a browser.

use std::fmt::Write;

use super::CallPlan;
use crate::dtls::CERTIFICATE;

pub(super) const OPUS: u8 = 111;
pub(super) const RED: u8 = 63;
pub(super) const VP8: u8 = 96;
pub(super) const LEVEL_ID: u8 = 1;
pub(super) const SEQUENCE_ID: u8 = 3;
pub(super) const MID_ID: u8 = 4;
pub(super) const RID_ID: u8 = 10;
/// Simulcast layers, lowest first.
pub(super) const RIDS: [&str; 3] = ["q", "h", "f"];

const EXTENSIONS: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// The m-lines of a plan, in order: what each is, and whether the client sends on it.
pub(super) fn lines(plan: &CallPlan) -> Vec<(bool, bool)> {
    let mut lines = Vec::new();
    if plan.publish {
        lines.extend([(false, true), (true, true)]);
    }
    lines.extend(std::iter::repeat_n((false, false), plan.audio_slots));
    lines.extend(std::iter::repeat_n((true, false), plan.video_slots));
    lines
}

/// The text of the offer. The mid of an m-line is its place.
pub(super) fn write(plan: &CallPlan, ufrag: &str) -> String {
    let lines = lines(plan);
    let mut text = String::from("v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    let mids: Vec<String> = (0..lines.len()).map(|mid| mid.to_string()).collect();
    put(&mut text, &format!("a=group:BUNDLE {}", mids.join(" ")));
    put(&mut text, "a=extmap-allow-mixed");
    for (mid, (video, sends)) in lines.into_iter().enumerate() {
        put(
            &mut text,
            match video {
                true => "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
                false => "m=audio 9 UDP/TLS/RTP/SAVPF 63 111",
            },
        );
        put(&mut text, "c=IN IP4 0.0.0.0");
        put(&mut text, &format!("a=ice-ufrag:{ufrag}"));
        put(&mut text, "a=ice-pwd:0123456789abcdefghijklmn");
        put(
            &mut text,
            &format!("a=fingerprint:sha-256 {}", fingerprint()),
        );
        put(&mut text, "a=setup:active");
        put(&mut text, &format!("a=mid:{mid}"));
        put(&mut text, &format!("a=extmap:{SEQUENCE_ID} {EXTENSIONS}"));
        put(
            &mut text,
            &format!("a=extmap:{MID_ID} urn:ietf:params:rtp-hdrext:sdes:mid"),
        );
        put(&mut text, if sends { "a=sendonly" } else { "a=recvonly" });
        put(&mut text, "a=rtcp-mux");
        put(&mut text, "a=rtcp-rsize");
        if video {
            put_video(&mut text, sends);
        } else {
            put_audio(&mut text);
        }
    }
    text
}

fn put_audio(text: &mut String) {
    for line in [
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=rtpmap:63 red/48000/2",
        "a=fmtp:63 111/111",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc",
        "a=rtcp-fb:111 nack",
        "a=fmtp:111 minptime=10;useinbandfec=1",
    ] {
        put(text, line);
    }
}

fn put_video(text: &mut String, sends: bool) {
    for line in [
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 transport-cc",
        "a=rtcp-fb:96 ccm fir",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
    ] {
        put(text, line);
    }
    if sends {
        for rid in RIDS {
            put(text, &format!("a=rid:{rid} send"));
        }
        put(text, &format!("a=simulcast:send {}", RIDS.join(";")));
    }
}

/// What of an answer a client needs.
pub(super) struct Answer {
    pub(super) ufrag: String,
    pub(super) pwd: String,
    /// Of each m-line that the server sends on: its place, its source, and its repairs' source.
    pub(super) sources: Vec<(usize, u32, Option<u32>)>,
}

pub(super) fn read(answer: &str) -> Answer {
    let mut read = Answer {
        ufrag: String::new(),
        pwd: String::new(),
        sources: Vec::new(),
    };
    let mut place = None;
    for line in answer.lines() {
        if line.starts_with("m=") {
            place = Some(place.map_or(0, |place: usize| place + 1));
        } else if let Some(ufrag) = line.strip_prefix("a=ice-ufrag:") {
            ufrag.clone_into(&mut read.ufrag);
        } else if let Some(pwd) = line.strip_prefix("a=ice-pwd:") {
            pwd.clone_into(&mut read.pwd);
        } else if let Some(source) = line.strip_prefix("a=ssrc:") {
            let ssrc = source.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
            if let (Some(place), Some(ssrc)) = (place, ssrc) {
                match read.sources.last_mut().filter(|(last, ..)| *last == place) {
                    Some((_, first, rtx)) if *first != ssrc => *rtx = Some(ssrc),
                    Some(_) => {}
                    None => read.sources.push((place, ssrc, None)),
                }
            }
        }
    }
    read
}

fn fingerprint() -> String {
    let provider = str0m::crypto::from_feature_flags().sha256_provider;
    let hash = provider.sha256(&CERTIFICATE);
    let bytes: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

fn put(text: &mut String, line: &str) {
    let _ = write!(text, "{line}\r\n");
}
