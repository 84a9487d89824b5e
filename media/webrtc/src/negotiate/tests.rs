//! Answers to a browser's offer, and to offers that nobody can answer.
#![allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]

use std::time::{Duration, Instant};

use media_rtp::extension::ExtensionKind;
use proptest::prelude::*;

use super::*;
use crate::config::{Certificate, TransportConfig, TransportSeed};
use crate::packet::SlotIndex;
use crate::path::{CandidateAddr, Protocol};
use crate::sdp::Section;

/// What Chromium 156 offers: a microphone, a camera in three layers, two pairs of slots, data.
const CHROMIUM: &str = include_str!("../../tests/fixtures/chromium.sdp");

struct Desk {
    now: Instant,
    session: Session,
    negotiator: Negotiator,
    slots: Slots,
}

fn desk(permissions: Permissions) -> Desk {
    desk_with(permissions, |_| {})
}

fn desk_with(permissions: Permissions, adjust: impl FnOnce(&mut TransportConfig)) -> Desk {
    let now = Instant::now();
    let addr = ([192, 0, 2, 1], 7_800).into();
    let candidates = [Protocol::Udp, Protocol::Tcp];
    let candidates = candidates.map(|protocol| CandidateAddr { addr, protocol });
    let certificate = Certificate::generate().unwrap();
    let mut config = TransportConfig::new(now, Duration::ZERO, certificate, candidates.to_vec());
    adjust(&mut config);
    let seed = TransportSeed {
        ufrag: "AAuser".into(),
        pwd: "hV3nQe0sTq8uWm5rYb2kLp".into(),
        random: 1,
    };
    Desk {
        now,
        session: Session::new(now, &config, &seed).unwrap(),
        negotiator: Negotiator::new(permissions, 9),
        slots: Slots::new(1),
    }
}

impl Desk {
    fn offer(&mut self, text: &str) -> Result<(Negotiated, Vec<Line>), WebRtcError> {
        self.offer_pairs(text, &[])
    }

    fn offer_pairs(
        &mut self,
        text: &str,
        pairs: &[(Mid, Mid)],
    ) -> Result<(Negotiated, Vec<Line>), WebRtcError> {
        let (session, slots) = (&mut self.session, &mut self.slots);
        self.negotiator.apply(self.now, session, slots, text, pairs)
    }
}

fn mid(text: &str) -> Mid {
    text.parse().unwrap()
}

fn section<'a>(sdp: &'a Sdp<'a>, name: &str) -> &'a Section<'a> {
    sdp.sections
        .iter()
        .find(|section| section.mid() == Some(mid(name)))
        .unwrap()
}

#[test]
fn a_browser_gets_all_it_asked_for() {
    let (negotiated, lines) = desk(Permissions::ALL).offer(CHROMIUM).unwrap();
    assert!(negotiated.data);
    let usages: Vec<_> = negotiated.media.iter().map(|line| line.usage).collect();
    use MediaLineUse::{Publish, Slot};
    assert_eq!(usages, [Publish, Publish, Slot, Slot, Slot, Slot]);
    let camera = &negotiated.media[1];
    let codecs = [Codec::Vp8, Codec::H264, Codec::Av1, Codec::Vp9];
    assert_eq!(
        camera
            .codecs
            .iter()
            .filter(|codec| codecs.contains(codec))
            .count(),
        4
    );
    assert_eq!(camera.codecs[0], Codec::Vp8);
    let rids: Vec<_> = camera.rids.iter().map(Rid::to_string).collect();
    assert_eq!(rids, ["q", "h", "f"]);
    assert!(negotiated.media[3].rids.is_empty());
    let video = &lines[1];
    for (kind, id) in [
        (ExtensionKind::Mid, 4),
        (ExtensionKind::Rid, 10),
        (ExtensionKind::RepairedRid, 11),
        (ExtensionKind::TransportSequence, 3),
        (ExtensionKind::AbsSendTime, 2),
        (ExtensionKind::DependencyDescriptor, 12),
        (ExtensionKind::PlayoutDelay, 5),
        (ExtensionKind::VideoOrientation, 13),
    ] {
        assert_eq!(video.extensions.id(kind), Some(id), "{kind:?}");
    }
    assert_eq!(lines[0].extensions.id(ExtensionKind::AudioLevel), Some(1));
    let vp8 = video.format_for(Codec::Vp8).unwrap();
    assert_eq!((vp8.payload_type, vp8.rtx), (96, Some(97)));
    let h264 = video.format_for(Codec::H264).unwrap();
    assert_eq!((h264.payload_type, h264.rtx), (102, Some(103)));
    assert_eq!((lines[0].red, lines[1].red), (Some(63), None));
    let feedback = video.feedback;
    assert!(feedback.nack && feedback.pli && feedback.fir && feedback.transport && feedback.remb);
}

#[test]
fn the_answer_reads_as_it_should() {
    let mut desk = desk(Permissions::ALL);
    let (negotiated, _) = desk.offer(CHROMIUM).unwrap();
    let answer = &negotiated.answer;
    let offer = Sdp::split(CHROMIUM).unwrap();
    let sdp = Sdp::split(answer).unwrap();
    assert_eq!(sdp.sections.len(), offer.sections.len());
    assert!(sdp.session.contains(&"a=ice-lite"));
    assert!(sdp.session.contains(&"a=group:BUNDLE 0 1 2 3 4 5 6"));
    assert!(sdp.session.contains(&"o=- 4 1 IN IP4 127.0.0.1"));
    assert!(!answer.contains("str0m"));
    for (ours, theirs) in sdp.sections.iter().zip(&offer.sections) {
        assert_eq!(ours.mid(), theirs.mid());
        let place = |format: &&str| theirs.formats.iter().position(|f| f == format);
        assert!(ours.formats.iter().all(|format| place(format).is_some()));
        assert!(ours.formats.iter().map(place).is_sorted());
    }
    let camera = section(&sdp, "1");
    assert_eq!(camera.attribute("simulcast"), Some("recv q;h;f"));
    assert_eq!(camera.direction().as_str(), "recvonly");
    assert!(camera.declared_sources().is_empty() && camera.attribute("msid").is_none());
    let first = section(&sdp, "0");
    let candidates: Vec<_> = first.attributes("candidate").collect();
    assert_eq!(candidates.len(), 2);
    assert!(candidates[1].contains("tcptype passive"));
    let slot = section(&sdp, "3");
    let (_, known) = desk.slots.by_mid(mid("3")).unwrap();
    let source = slot.declared_sources()[0];
    assert_eq!(
        (source.ssrc, source.rtx),
        (known.ssrc, Some(known.rtx_ssrc))
    );
    assert!(section(&sdp, "2").declared_sources()[0].rtx.is_none());
}

#[test]
fn sound_and_picture_of_a_pair_share_a_stream() {
    let streams = |pairs: &[(Mid, Mid)]| {
        let (negotiated, _) = desk(Permissions::ALL).offer_pairs(CHROMIUM, pairs).unwrap();
        let sdp = Sdp::split(&negotiated.answer).unwrap();
        let stream = |name| {
            let msid = section(&sdp, name).attribute("msid").unwrap();
            msid.split(' ').next().unwrap().to_owned()
        };
        ["2", "3", "4", "5"].map(stream)
    };
    let [a, b, c, d] = streams(&[]);
    assert!(a == b && c == d && a != c);
    let [a, b, c, d] = streams(&[(mid("2"), mid("5"))]);
    assert!(a == d && b != c && b != a && c != a);
}

#[test]
fn slots_keep_their_source_over_every_offer() {
    let mut desk = desk(Permissions::ALL);
    let sources = |negotiated: &Negotiated| {
        let sdp = Sdp::split(&negotiated.answer).unwrap();
        let sources = sdp.sections.iter().flat_map(Section::declared_sources);
        sources.collect::<Vec<_>>()
    };
    let (first, _) = desk.offer(CHROMIUM).unwrap();
    let before = sources(&first);
    assert_eq!(before.len(), 4);
    // The client stops showing one slot, then shows it again.
    let at = CHROMIUM.find("a=mid:5").unwrap();
    let (head, tail) = CHROMIUM.split_at(at);
    let stopped = format!("{head}{}", tail.replacen("a=recvonly", "a=inactive", 1));
    let (second, lines) = desk.offer(&stopped).unwrap();
    assert_eq!(second.media[5].usage, MediaLineUse::Idle);
    assert!(!lines[5].client.receives);
    assert_eq!(sources(&second), before[..3]);
    let (third, _) = desk.offer(CHROMIUM).unwrap();
    assert_eq!(sources(&third), before);
    assert_eq!(desk.slots.by_mid(mid("5")).unwrap().0, SlotIndex(3));
    assert!(third.answer.contains("o=- 4 3 "));
}

#[test]
fn lines_may_be_added_later() {
    let mut desk = desk(Permissions::ALL);
    let third = CHROMIUM.match_indices("m=").nth(2).unwrap().0;
    let first = CHROMIUM[..third].replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 0 1");
    let (negotiated, before) = desk.offer(&first).unwrap();
    assert_eq!((negotiated.media.len(), negotiated.data), (2, false));
    let (negotiated, after) = desk.offer(CHROMIUM).unwrap();
    assert_eq!((negotiated.media.len(), negotiated.data), (6, true));
    assert_eq!(after[..2], before);
    let codecs = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];
    assert_eq!(negotiated.media[3].codecs, codecs);
}

#[test]
fn what_a_client_may_not_do_is_not_agreed_to() {
    let viewer = Permissions {
        publish: false,
        subscribe: true,
        data: false,
    };
    let (negotiated, _) = desk(viewer).offer(CHROMIUM).unwrap();
    assert!(!negotiated.data);
    let usages: Vec<_> = negotiated.media.iter().map(|line| line.usage).collect();
    use MediaLineUse::{Idle, Slot};
    assert_eq!(usages, [Idle, Idle, Slot, Slot, Slot, Slot]);
    let publisher = Permissions {
        publish: true,
        subscribe: false,
        data: true,
    };
    let (negotiated, _) = desk(publisher).offer(CHROMIUM).unwrap();
    let idle = negotiated.media.iter().filter(|line| line.usage == Idle);
    assert_eq!(idle.count(), 4);
    assert!(!negotiated.answer.contains("a=msid:"));
}

#[test]
fn only_allowed_codecs_are_agreed_to() {
    let mut desk = desk_with(Permissions::ALL, |config| config.codecs = vec![Codec::Vp8]);
    let (negotiated, _) = desk.offer(CHROMIUM).unwrap();
    assert_eq!(negotiated.media[1].codecs, [Codec::Vp8]);
    // No audio codec is left: refused, and out of the bundle.
    assert_eq!(negotiated.media[0].usage, MediaLineUse::Idle);
    assert!(negotiated.answer.contains("m=audio 0 "));
    assert!(negotiated.answer.contains("a=group:BUNDLE 1 3 5 6"));
}

#[test]
fn attributes_of_absent_formats_and_candidates_are_left_out() {
    let extra = "a=rtcp-fb:77 nack\r\na=rtcp-fb:* ccm fir\r\n\
        a=candidate:1 1 udp 2122260223 b3a2c1d0-aaaa.local 51234 typ host\r\n";
    let odd = CHROMIUM.replacen("a=rtcp-rsize\r\n", &format!("a=rtcp-rsize\r\n{extra}"), 1);
    assert!(odd != CHROMIUM);
    let offer = offer::check(&odd).unwrap();
    let text = offer::for_str0m(&offer);
    assert!(!text.contains(":77 ") && !text.contains(".local") && text.contains(":* ccm fir"));
    assert!(desk(Permissions::ALL).offer(&odd).is_ok());
}

#[test]
fn bad_offers_are_refused() {
    let refused = |text: &str| {
        let error = desk(Permissions::ALL).offer(text).unwrap_err();
        assert!(
            matches!(error, WebRtcError::BadSdp(_) | WebRtcError::SdpLimit { .. }),
            "{error}"
        );
    };
    refused("");
    refused("hello");
    refused("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
    refused(&CHROMIUM.replace("a=fingerprint", "a=fingerprinted"));
    refused(&CHROMIUM.replace("a=ice-ufrag", "a=ice-uf"));
    refused(&CHROMIUM.replace("a=mid:3", "a=mid:2"));
    refused(&CHROMIUM.replace("a=mid:3\r\n", ""));
    refused(&CHROMIUM.replace("m=application", "m=text"));
    // One number, two meanings; one number twice; two formats of one number's repairs.
    refused(&CHROMIUM.replacen("a=rtpmap:96 VP8", "a=rtpmap:96 H264", 1));
    refused(&CHROMIUM.replacen("a=fmtp:100 profile-id=2", "a=fmtp:100 profile-id=0", 1));
    refused(&CHROMIUM.replacen("SAVPF 96 97", "SAVPF 96 96", 1));
    refused(&CHROMIUM.replacen("a=fmtp:97 apt=96", "a=fmtp:97 apt=98", 1));
    refused(&CHROMIUM.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 zz:"));
    refused(&format!("{CHROMIUM}{}", "a=x:y\r\n".repeat(60_000)));
    let line = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:";
    let many: String = (0..200).map(|mid| format!("{line}x{mid}\r\n")).collect();
    refused(&format!("{CHROMIUM}{many}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens to an offer's lines, the answer is an answer or an error.
    #[test]
    fn mangled_offers_do_not_panic(
        edits in prop::collection::vec((0_usize..560, 0_usize..560, 0_u8..5), 1..12),
    ) {
        let mut lines: Vec<String> = CHROMIUM.lines().map(str::to_owned).collect();
        for (at, other, what) in edits {
            let (at, other) = (at % lines.len(), other % lines.len());
            match what {
                0 => { lines.remove(at); }
                1 => lines.swap(at, other),
                2 => { let copy = lines[other].clone(); lines.insert(at, copy); }
                3 => { let half = lines[at].len() / 2; lines[at].truncate(half); }
                _ => lines[at] = lines[at].replace(char::is_numeric, "999"),
            }
        }
        let _ = desk(Permissions::ALL).offer(&lines.join("\r\n"));
    }
}
