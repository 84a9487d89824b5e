use std::time::{Duration, Instant};

use media_contract::DataTarget;
use media_rtp::extension::Extensions;
use media_rtp::level::AudioLevel;
use media_rtp::timestamp::{RtpTimestamp, SenderClock};
use media_types::{Codec, Epoch, Layer, NtpTime, Payload, RoomId, ShardId, TrackId};
use proptest::prelude::*;

use super::*;
use crate::ingest::FedPacket;
use crate::relay::{RelayBody, RelayLayers, RelayMessage, RelayPacket};
use crate::track::Arrival;
use crate::track::layers::{Layers, Scheme};

fn clock() -> impl Strategy<Value = SenderClock> {
    any::<(u64, u32)>().prop_map(|(ntp, timestamp)| SenderClock {
        ntp: NtpTime(ntp),
        timestamp: RtpTimestamp(timestamp),
    })
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let level = proptest::option::of((0..128_u8, any::<bool>()));
    let capture = proptest::option::of(proptest::collection::vec(any::<u8>(), 8..=16));
    let delay = proptest::option::of(any::<[u8; 3]>());
    let orientation = proptest::option::of(any::<u8>());
    let descriptor = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=255));
    (level, capture, delay, orientation, descriptor).prop_map(
        |(level, capture, delay, orientation, descriptor)| Extensions {
            audio_level: level.map(|(level_dbov, voice)| AudioLevel { level_dbov, voice }),
            abs_capture_time: capture.map(|bytes| bytes.as_slice().try_into().unwrap()),
            playout_delay: delay,
            video_orientation: orientation,
            dependency_descriptor: descriptor.map(|bytes| bytes.as_slice().try_into().unwrap()),
            ..Extensions::default()
        },
    )
}

fn fed() -> impl Strategy<Value = Option<FedPacket>> {
    let fed = (any::<bool>(), any::<bool>(), proptest::option::of(clock()));
    proptest::option::of(fed.prop_map(|(keyframe, first, clock)| FedPacket {
        keyframe,
        first,
        clock,
    }))
}

prop_compose! {
    fn packet()(
        stream in 0..Layer::SPATIAL_MAX,
        flags in any::<[bool; 3]>(),
        codec in 0..Codec::ALL.len(),
        numbers in (any::<u32>(), 0..1_u64 << 62, any::<u32>()),
        extensions in extensions(),
        fed in fed(),
        payload in proptest::collection::vec(any::<u8>(), 0..1_400),
    ) -> RelayPacket {
        let [simulcast, red, marker] = flags;
        let (ssrc, sequence, timestamp) = numbers;
        RelayPacket {
            arrival: Arrival {
                stream,
                simulcast,
                index: None,
                ssrc,
                codec: Codec::ALL[codec],
                red,
                sequence,
                timestamp,
                marker,
                extensions,
                payload: Payload::copy_of(&payload).unwrap(),
                fed,
            },
        }
    }
}

fn body() -> impl Strategy<Value = RelayBody> {
    let track = any::<u64>().prop_map(TrackId::new);
    let name = "[a-z]{1,64}";
    let target = proptest::option::of(name);
    prop_oneof![
        (track.clone(), 0..8_u8)
            .prop_map(|(track, encodings)| RelayBody::Demand { track, encodings }),
        (track.clone(), 0..3_u8)
            .prop_map(|(track, stream)| RelayBody::KeyframeRequest { track, stream }),
        (track.clone(), 0..3_u8, clock()).prop_map(|(track, stream, clock)| RelayBody::Clock {
            track,
            stream,
            clock
        }),
        (track.clone(), any::<bool>()).prop_map(|(track, muted)| RelayBody::Muted { track, muted }),
        track.prop_map(|track| RelayBody::Stopped { track }),
        (
            name,
            target,
            any::<bool>(),
            "[a-z]{0,64}",
            any::<Vec<u8>>(),
            any::<usize>()
        )
            .prop_map(|(from, to, reliable, topic, message, at)| RelayBody::Data {
                from: from.parse().unwrap(),
                to: to.map_or(DataTarget::Room, |to| DataTarget::Peer(to.parse().unwrap())),
                reliable,
                topic,
                payload_at: at % (message.len() + 1),
                message,
            }),
    ]
}

fn written(packet: &RelayPacket) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.write(&mut Writer(&mut bytes));
    bytes
}

/// Values without an equality of their own are compared by what they show.
fn shown(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

#[allow(clippy::disallowed_methods, reason = "a test has no other clock")]
fn now() -> Instant {
    Instant::now()
}

proptest! {
    #[test]
    fn a_packet_is_read_as_it_was_written(packet in packet()) {
        let bytes = written(&packet);
        let read = RelayPacket::read(&bytes).unwrap();
        prop_assert_eq!(read.payload(), packet.payload());
        prop_assert_eq!(shown(&read), shown(&packet));
        prop_assert_eq!(written(&read), bytes);
    }

    #[test]
    fn a_frame_is_read_as_it_was_written(
        body in body(),
        ids in (any::<u64>(), 0..1_u64 << 62, any::<u16>(), any::<u16>(), any::<u32>()),
        cut in any::<prop::sample::Index>(),
    ) {
        let (room, epoch, from, to, label) = ids;
        let label = matches!(body, RelayBody::Demand { .. }).then_some(label);
        let message = RelayMessage::new(RoomId::new(room), Epoch(epoch), body);
        let control = Control { from: ShardId(from), to: ShardId(to), message, label };
        let mut bytes = Vec::new();
        control.write(&mut bytes);
        let read = Control::read(now(), &bytes).unwrap();
        prop_assert_eq!(shown(&read), shown(&control));
        // A shorter one is refused, and so is a longer one.
        let short = &bytes[..cut.index(bytes.len())];
        prop_assert!(Control::read(now(), short).is_err());
        bytes.push(0);
        prop_assert_eq!(Control::read(now(), &bytes).unwrap_err(), WireError::Trailing);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = RelayPacket::read(&bytes);
        let _ = Control::read(now(), &bytes);
    }

    #[test]
    fn a_number_is_as_long_as_it_has_to_be(value in 0..1_u64 << 62) {
        let mut bytes = Vec::new();
        Writer(&mut bytes).number(value);
        let length = match value {
            0..=63 => 1,
            64..=16_383 => 2,
            16_384..=1_073_741_823 => 4,
            _ => 8,
        };
        prop_assert_eq!(bytes.len(), length);
        let mut reader = Reader(&bytes);
        prop_assert_eq!(reader.number(), Ok(value));
        prop_assert_eq!(reader.end(), Ok(()));
    }
}

#[test]
fn layers_arrive_as_they_are_known() {
    let start = now();
    let mut layers = Layers::default();
    layers.set_scheme(Scheme::Simulcast);
    layers.set_published(3);
    for tick in 0..100_u32 {
        let at = start + Duration::from_millis(33) * tick;
        for spatial in 0..2 {
            let layer = Layer {
                spatial,
                temporal: u8::from(tick % 2 == 1),
            };
            layers.on_packet(at, layer, 1_000 << spatial, true);
        }
        layers.roll(at);
    }
    layers.hold(2);
    let mut bytes = Vec::new();
    layers.write(&mut Writer(&mut bytes));
    let mut reader = Reader(&bytes);
    let read = Layers::read(start, &mut reader).unwrap();
    assert_eq!(reader.end(), Ok(()));
    let mut followed = Layers::default();
    assert!(followed.follow(&read));
    let steps = |layers: &Layers| {
        let steps = layers
            .steps()
            .map(|it| (it.layer, it.rate, it.size, it.fps));
        steps.collect::<Vec<_>>()
    };
    assert_eq!(steps(&followed), steps(&layers));
    assert_eq!(steps(&layers).len(), 5, "two of each, and the held one");
    assert_eq!(followed.known(), layers.known());
    for cut in 0..bytes.len() {
        let read = Layers::read(start, &mut Reader(&bytes[..cut]));
        assert_eq!(read.err(), Some(WireError::Short));
    }
}

#[test]
fn layers_cross_in_a_frame() {
    let layers = RelayLayers {
        layers: Layers::default(),
    };
    let body = RelayBody::Layers {
        track: TrackId::new(4),
        layers: Box::new(layers),
    };
    let control = Control {
        from: ShardId(1),
        to: ShardId(0),
        message: RelayMessage::new(RoomId::new(7), Epoch(2), body),
        label: None,
    };
    let mut bytes = Vec::new();
    control.write(&mut bytes);
    let read = Control::read(now(), &bytes).unwrap();
    assert_eq!(shown(&read), shown(&control));
}
