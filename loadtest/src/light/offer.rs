//! What a light client offers, in the words of a browser.

use std::fmt::Write;
use std::net::SocketAddr;

use media_rtp::extension::ExtensionKind;
use media_types::Codec;

use super::ClientPlan;
use super::wire::Wire;

pub(super) const LEVEL_ID: u8 = 1;
pub(super) const SEQUENCE_ID: u8 = 3;
pub(super) const MID_ID: u8 = 4;
pub(super) const CAPTURE_TIME_ID: u8 = 5;
pub(super) const RID_ID: u8 = 10;
pub(super) const REPAIRED_RID_ID: u8 = 11;
/// Simulcast layers, lowest first.
pub(super) const RIDS: [&str; 3] = ["q", "h", "f"];

/// What an m-line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    SendAudio,
    SendVideo,
    PlayAudio,
    ShowVideo,
}

/// The m-lines of a plan in order; the mid of each is its place.
pub(super) fn lines(plan: &ClientPlan) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(plan.audio.as_ref().map(|_| Line::SendAudio));
    lines.extend(plan.video.first().map(|_| Line::SendVideo));
    lines.extend(std::iter::repeat_n(Line::PlayAudio, plan.audio_slots));
    lines.extend(std::iter::repeat_n(Line::ShowVideo, plan.video_slots));
    lines
}

/// Media and repair payload types of a codec, the same in every offer.
pub(super) const fn payload_types(codec: Codec) -> (u8, u8) {
    match codec {
        Codec::Opus => (111, 0),
        Codec::Vp8 => (96, 97),
        Codec::Vp9 => (98, 99),
        Codec::H264 => (102, 103),
        Codec::Av1 => (45, 46),
        Codec::H265 => (104, 105),
    }
}

/// What a packet with this payload type is: its codec, and whether it is a repair.
pub(super) fn codec_of(payload_type: u8) -> Option<(Codec, bool)> {
    Codec::ALL.into_iter().find_map(|codec| {
        let (media, repair) = payload_types(codec);
        let is_repair = payload_type == repair && repair != 0;
        (payload_type == media || is_repair).then_some((codec, is_repair))
    })
}

/// The text of the offer.
pub(super) fn write(
    plan: &ClientPlan,
    wire: &Wire,
    local: SocketAddr,
    fingerprint: &str,
) -> String {
    let lines = lines(plan);
    let ip = local.ip();
    let family = if ip.is_ipv4() { 4 } else { 6 };
    let mut text = format!("v=0\r\no=- 7 2 IN IP{family} {ip}\r\ns=-\r\nt=0 0\r\n");
    let mids: Vec<String> = (0..lines.len()).map(|mid| mid.to_string()).collect();
    put(&mut text, &format!("group:BUNDLE {}", mids.join(" ")));
    put(&mut text, "extmap-allow-mixed");
    put(&mut text, "msid-semantic: WMS");
    for (mid, line) in lines.into_iter().enumerate() {
        let video = matches!(line, Line::SendVideo | Line::ShowVideo);
        let codecs = codecs_of(plan, line);
        let types = codecs.iter().flat_map(|codec| {
            let (media, repair) = payload_types(*codec);
            [Some(media), (repair != 0).then_some(repair)]
                .into_iter()
                .flatten()
        });
        let types: Vec<String> = types.map(|one| one.to_string()).collect();
        let kind = if video { "video" } else { "audio" };
        let types = types.join(" ");
        let port = local.port();
        let _ = write!(text, "m={kind} {port} UDP/TLS/RTP/SAVPF {types}\r\n");
        let _ = write!(text, "c=IN IP{family} {ip}\r\n");
        put(
            &mut text,
            &format!("candidate:1 1 udp 2122260223 {ip} {port} typ host"),
        );
        put(&mut text, "end-of-candidates");
        put(&mut text, &format!("ice-ufrag:{}", wire.ufrag));
        put(&mut text, &format!("ice-pwd:{}", wire.password));
        put(&mut text, &format!("fingerprint:{fingerprint}"));
        put(&mut text, "setup:actpass");
        put(&mut text, &format!("mid:{mid}"));
        put_extensions(&mut text, video);
        let sends = matches!(line, Line::SendAudio | Line::SendVideo);
        put(&mut text, if sends { "sendonly" } else { "recvonly" });
        if sends {
            put(&mut text, &format!("msid:troupe-loadtest {kind}"));
        }
        put(&mut text, "rtcp-mux");
        put(&mut text, "rtcp-rsize");
        for codec in codecs {
            put_codec(&mut text, codec);
        }
        if line == Line::SendVideo && plan.video.len() > 1 {
            put_simulcast(&mut text, plan.video.len());
        }
    }
    text
}

fn codecs_of(plan: &ClientPlan, line: Line) -> Vec<Codec> {
    match line {
        Line::SendAudio | Line::PlayAudio => vec![Codec::Opus],
        Line::SendVideo => plan
            .video
            .first()
            .map(|one| one.shape.codec)
            .into_iter()
            .collect(),
        Line::ShowVideo => plan.codecs.clone(),
    }
}

fn put_extensions(text: &mut String, video: bool) {
    let mut extension = |id: u8, kind: ExtensionKind| {
        put(text, &format!("extmap:{id} {}", kind.uri()));
    };
    extension(SEQUENCE_ID, ExtensionKind::TransportSequence);
    extension(MID_ID, ExtensionKind::Mid);
    extension(CAPTURE_TIME_ID, ExtensionKind::AbsCaptureTime);
    if video {
        extension(RID_ID, ExtensionKind::Rid);
        extension(REPAIRED_RID_ID, ExtensionKind::RepairedRid);
    } else {
        extension(LEVEL_ID, ExtensionKind::AudioLevel);
    }
}

fn put_codec(text: &mut String, codec: Codec) {
    let (media, repair) = payload_types(codec);
    let format = match codec {
        Codec::Opus => "opus/48000/2",
        Codec::Vp8 => "VP8/90000",
        Codec::Vp9 => "VP9/90000",
        Codec::H264 => "H264/90000",
        Codec::Av1 => "AV1/90000",
        Codec::H265 => "H265/90000",
    };
    put(text, &format!("rtpmap:{media} {format}"));
    let parameters = match codec {
        Codec::Opus => "minptime=10;useinbandfec=1",
        Codec::H264 => "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        Codec::Av1 => "level-idx=5;profile=0;tier=0",
        Codec::Vp9 => "profile-id=0",
        Codec::Vp8 | Codec::H265 => "",
    };
    if !parameters.is_empty() {
        put(text, &format!("fmtp:{media} {parameters}"));
    }
    put(text, &format!("rtcp-fb:{media} transport-cc"));
    if repair != 0 {
        for feedback in ["goog-remb", "ccm fir", "nack", "nack pli"] {
            put(text, &format!("rtcp-fb:{media} {feedback}"));
        }
        put(text, &format!("rtpmap:{repair} rtx/90000"));
        put(text, &format!("fmtp:{repair} apt={media}"));
    }
}

fn put_simulcast(text: &mut String, layers: usize) {
    let rids: Vec<&str> = RIDS.into_iter().take(layers).collect();
    for rid in &rids {
        put(text, &format!("rid:{rid} send"));
    }
    put(text, &format!("simulcast:send {}", rids.join(";")));
}

fn put(text: &mut String, attribute: &str) {
    let _ = write!(text, "a={attribute}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_types_are_told_apart() {
        for codec in Codec::ALL {
            let (media, repair) = payload_types(codec);
            assert_eq!(codec_of(media), Some((codec, false)));
            if repair != 0 {
                assert_eq!(codec_of(repair), Some((codec, true)));
            }
        }
        assert_eq!((codec_of(0), codec_of(127)), (None, None));
    }
}
