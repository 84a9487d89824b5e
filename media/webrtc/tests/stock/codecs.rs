//! What is agreed to of what clients offer: a room's codecs, and H.265 from end to end.

use media_rtp::descriptor::inspect;
use media_types::{Codec, Payload};
use media_webrtc::{Incoming, MediaLineUse, Negotiated, SlotIndex};
use str0m::Event;
use str0m::format::Codec as Str0mCodec;
use str0m::media::{Direction, MediaKind};
use str0m::rtp::RtpWrite;

use crate::media::{client_pt, client_sends, ms, packet};
use crate::support::{Pair, client_config, mid};

/// A client that knows Opus with redundancy, VP8 and H.264, in a room that allows `codecs`.
fn pair_in_room(codecs: &[Codec]) -> Pair {
    let client = client_config()
        .clear_codecs()
        .enable_opus(true, true)
        .enable_vp8(true)
        .enable_h264(true);
    Pair::with(client, |config| *config = config.allowing(codecs))
}

fn offer_both(pair: &mut Pair) -> Negotiated {
    let (_, negotiated) = pair.negotiate(|api| {
        api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    });
    negotiated
}

/// The encodings that the answer maps, each once.
fn encodings(answer: &str) -> Vec<String> {
    let maps = answer.lines().filter_map(|line| {
        let map = line.strip_prefix("a=rtpmap:")?;
        Some(map.split_once(' ')?.1.to_ascii_lowercase())
    });
    let mut names: Vec<_> = maps.collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn a_room_narrows_the_answer_to_its_codecs() {
    let mut pair = pair_in_room(&[Codec::H264, Codec::Opus]);
    let negotiated = offer_both(&mut pair);
    let expected = ["h264/90000", "opus/48000/2", "red/48000/2", "rtx/90000"];
    assert_eq!(encodings(&pair.answer), expected);
    let codecs = negotiated.media.iter().map(|line| &line.codecs[..]);
    let [h264, opus] = [[Codec::H264], [Codec::Opus]];
    assert_eq!(codecs.collect::<Vec<_>>(), [opus, h264, h264]);
    // Every retransmission format repairs one that is left.
    for apt in pair
        .answer
        .lines()
        .filter_map(|line| line.split_once("apt="))
    {
        let map = format!("a=rtpmap:{} H264/90000", apt.1);
        assert!(pair.answer.contains(&map), "{map}");
    }
    pair.connect();
    let slot = pair.server.slot(negotiated.media[2].mid).unwrap();
    assert!(pair.server.slot_supports(slot, Codec::H264));
    assert!(!pair.server.slot_supports(slot, Codec::Vp8));
    // A room without a list allows all.
    let mut free = pair_in_room(&[]);
    offer_both(&mut free);
    assert!(encodings(&free.answer).contains(&"vp8/90000".to_owned()));
}

#[test]
fn a_line_without_a_common_codec_is_refused_and_the_rest_works() {
    let mut pair = pair_in_room(&[Codec::Av1, Codec::Opus]);
    let negotiated = offer_both(&mut pair);
    let heads = pair.answer.lines().filter(|line| line.starts_with("m="));
    let ports: Vec<_> = heads.filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(ports, ["9", "0", "0"]);
    let usages: Vec<_> = negotiated.media.iter().map(|line| line.usage).collect();
    use MediaLineUse::{Idle, Publish};
    assert_eq!(usages, [Publish, Idle, Idle]);
    assert!(negotiated.media[1].codecs.is_empty());
    assert_eq!(pair.server.slot(negotiated.media[2].mid), None);
    pair.connect();
    let audio = pair.client.media(client_mid(&pair, 0)).unwrap().mid();
    let pt = client_pt(&pair, Str0mCodec::Opus);
    client_sends(&mut pair, audio, pt, 1);
    pair.run(ms(50));
    assert_eq!(
        (pair.incoming.len(), pair.incoming[0].codec),
        (1, Codec::Opus)
    );
}

/// The client's m-line of that place in the answer.
fn client_mid(pair: &Pair, place: usize) -> str0m::media::Mid {
    let mids = pair
        .answer
        .lines()
        .filter_map(|line| line.strip_prefix("a=mid:"));
    mids.collect::<Vec<_>>()[place].into()
}

/// A NAL unit of H.265 with a body that no other has.
fn unit(kind: u8, body: u8) -> Vec<u8> {
    vec![kind << 1, 1, 0x80, body, body, body]
}

/// One picture that starts a stream, as encoders packetise it: parameter sets one by one or
/// aggregated, then the slice whole or in fragments. `irap` is the slice's type.
fn keyframe(irap: u8, aggregated: bool) -> Vec<Vec<u8>> {
    let sets = [unit(32, 1), unit(33, 2), unit(34, 3)];
    if aggregated {
        let mut one = vec![48 << 1, 1];
        for set in sets.iter().chain([&unit(irap, 4)]) {
            one.extend(u16::try_from(set.len()).unwrap().to_be_bytes());
            one.extend(set);
        }
        return vec![one];
    }
    let fragment = |bits: u8, body| vec![49 << 1, 1, bits | irap, 0x80, body];
    let slice = [fragment(0x80, 5), fragment(0, 6), fragment(0x40, 7)];
    sets.into_iter().chain(slice).collect()
}

/// Sends from the publisher through both transports; what the viewer was shown, and which of the
/// packets were taken for the start of a keyframe.
fn pass_on(
    publisher: &mut Pair,
    viewer: &mut Pair,
    slot: SlotIndex,
    payloads: &[Vec<u8>],
) -> Vec<bool> {
    let line = client_mid(publisher, 0);
    let pt = client_pt(publisher, Str0mCodec::H265);
    for bytes in payloads {
        let number = publisher.incoming.len() as u64 + 1_000;
        let time = u32::try_from(number * 3_000).unwrap();
        let write = RtpWrite::new(pt, number.into(), time, publisher.now, bytes.clone());
        let mut api = publisher.client.direct_api();
        api.stream_tx_by_mid(line, None).unwrap().write_rtp(write);
        publisher.run(ms(20));
        let Incoming { payload, codec, .. } = publisher.incoming.last().unwrap().clone();
        assert_eq!((payload.as_slice(), codec), (&bytes[..], Codec::H265));
        let mut forwarded = packet(slot, codec, number);
        forwarded.payload = Payload::clone(&payload);
        viewer.server.send(viewer.now, forwarded);
        viewer.run(ms(20));
    }
    let start = publisher.incoming.len() - payloads.len();
    let inspected = publisher.incoming[start..].iter().map(|packet| {
        let bytes = packet.payload.as_slice();
        inspect(packet.codec, bytes, packet.marker, None)
            .unwrap()
            .keyframe
    });
    inspected.collect()
}

#[test]
fn h265_goes_from_one_client_to_another() {
    let h265 = || {
        client_config()
            .clear_codecs()
            .enable_h265(true)
            .enable_vp8(true)
    };
    let [mut publisher, mut viewer] = [(); 2].map(|()| Pair::with(h265(), |_| {}));
    let (_, negotiated) = publisher
        .negotiate(|api| api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None));
    assert!(negotiated.media[0].codecs.contains(&Codec::H265));
    assert!(publisher.answer.contains("H265/90000"));
    let (line, _) = viewer
        .negotiate(|api| api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None));
    let slot = viewer.server.slot(mid(line)).unwrap();
    assert!(viewer.server.slot_supports(slot, Codec::H265));
    publisher.connect();
    viewer.connect();
    let mut sent = Vec::new();
    // All types of random-access pictures: BLA, IDR and CRA (H.265, table 7-1).
    for irap in 16..=21 {
        let (split, whole) = (keyframe(irap, false), keyframe(irap, true));
        let picture = vec![unit(1, irap), vec![49 << 1, 1, 0x80 | 1, 0x80, irap]];
        let starts = pass_on(&mut publisher, &mut viewer, slot, &split);
        // The parameter sets that a decoder starts with, never a slice without them.
        assert_eq!(starts, [true, true, false, false, false, false], "{irap}");
        assert_eq!(pass_on(&mut publisher, &mut viewer, slot, &whole), [true]);
        let starts = pass_on(&mut publisher, &mut viewer, slot, &picture);
        assert_eq!(starts, [false, false]);
        sent.extend([split, whole, picture].concat());
    }
    let shown = viewer.client_events.iter().filter_map(|event| match event {
        Event::RtpPacket(packet) => Some((packet.payload.to_vec(), packet.header.payload_type)),
        _ => None,
    });
    let pt = client_pt(&viewer, Str0mCodec::H265);
    let expected: Vec<_> = sent.into_iter().map(|bytes| (bytes, pt)).collect();
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}
