//! Publishers with spatial layers within one stream.

use media_contract::{Action, Fact, SlotState, Subject, Wish};
use media_types::{Layer, Mid};
use str0m::RtcConfig;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind as Kind};
use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues, RtpPacket, RtpWrite};

use crate::support::client::{Client, ours};
use crate::support::{World, ms};

/// A publisher of two spatial layers, a packet each; the upper one follows the lower.
pub(crate) struct Scalable {
    pub(crate) client: usize,
    pub(crate) mid: Mid,
    codec: Codec,
    sequence: u64,
    /// VP9's picture id, AV1's frame number.
    number: u16,
    timestamp: u32,
}

/// What a packet's payload carries behind the descriptor, so that tests know it again.
const BODY_BYTES: usize = 300;

impl Scalable {
    pub(crate) fn join(world: &mut World, codec: Codec) -> Self {
        let (client, mid) = join(world, codec, Direction::SendOnly);
        Self {
            client,
            mid,
            codec,
            sequence: 3_000,
            number: 500 + u16::try_from(client).unwrap() * 9_000,
            timestamp: 90_000,
        }
    }

    pub(crate) fn picture(&mut self, world: &mut World) {
        let client = &mut world.clients[self.client];
        let keyframe = self.sequence == 3_000 || !client.keyframe_requests.is_empty();
        client.keyframe_requests.clear();
        let pt = client.payload_type(self.codec);
        for spatial in 0..2 {
            let mut values = ExtensionValues::default();
            let mut payload = match self.codec {
                Codec::Vp9 => vp9(self.number, spatial, keyframe),
                _ => {
                    values
                        .user_values
                        .set(Descriptor(av1(self.number, spatial, keyframe)));
                    self.number = self.number.wrapping_add(1);
                    vec![if keyframe && spatial == 0 { 0x18 } else { 0x10 }, 0x30]
                }
            };
            payload.push(spatial);
            payload.resize(payload.len() + BODY_BYTES, u8::from(keyframe));
            let write = RtpWrite::new(pt, self.sequence.into(), self.timestamp, world.now, payload);
            let write = write.marker(spatial == 1).nackable(true).ext_vals(values);
            world.clients[self.client].write(world.now, self.mid, None, write);
            self.sequence += 1;
        }
        if self.codec == Codec::Vp9 {
            self.number = (self.number + 1) & 0x7fff;
        }
        self.timestamp += 3_000;
        world.drain();
    }
}

fn join(world: &mut World, codec: Codec, direction: Direction) -> (usize, Mid) {
    let number = world.clients.len();
    let client = Client::new(world.base, number, |config| only(config, codec));
    let client = world.add_client(0, client);
    let mid = world.negotiate(client, |api| {
        api.add_media(Kind::Video, direction, None, None, None)
    });
    world.connect(client);
    (client, ours(mid))
}

fn only(config: RtcConfig, codec: Codec) -> RtcConfig {
    let uri = "https://aomediacodec.github.io/av1-rtp-spec/\
               #dependency-descriptor-rtp-header-extension";
    let config = config.clear_codecs();
    match codec {
        Codec::Vp9 => config.enable_vp9(true),
        _ => config
            .enable_av1(true)
            .set_extension(12, Extension::with_serializer(uri, DescriptorSerializer)),
    }
}

/// A VP9 descriptor in non-flexible mode, with the sizes on a keyframe.
fn vp9(picture: u16, spatial: u8, keyframe: bool) -> Vec<u8> {
    let [high, low] = picture.to_be_bytes();
    let inter = if keyframe { 0 } else { 0x40 };
    let structure = if keyframe && spatial == 0 { 0x02 } else { 0 };
    let first = 0x80 | inter | 0x20 | 0x08 | 0x04 | structure;
    let layer = spatial << 1 | u8::from(spatial > 0);
    let mut bytes = vec![first, high | 0x80, low, layer, 7];
    if structure != 0 {
        bytes.push(1 << 5 | 0x10);
        for size in [320_u16, 180, 640, 360] {
            bytes.extend(size.to_be_bytes());
        }
    }
    bytes
}

/// A dependency descriptor: templates S0 key, S0, S1 key, S1.
fn av1(number: u16, spatial: u8, keyframe: bool) -> Vec<u8> {
    let template = u32::from(spatial) * 2 + u32::from(!keyframe);
    let mut bits = Vec::new();
    let mut put = |count: u32, value: u32| {
        bits.extend((0..count).rev().map(|bit| value >> bit & 1));
    };
    put(2, 0b11);
    put(6, template);
    put(16, number.into());
    if keyframe && spatial == 0 {
        put(5, 0b10000);
        put(6, 0);
        put(5, 1);
        for step in [0, 2, 0, 3] {
            put(2, step);
        }
        for indication in [2, 2, 2, 3, 0, 2, 0, 3] {
            put(2, indication);
        }
        for distances in [&[][..], &[2], &[1], &[1, 2]] {
            for distance in distances {
                put(5, 1 << 4 | (distance - 1));
            }
            put(1, 0);
        }
        put(2, 0);
    }
    let byte = |bits: &[u32]| (0..8).fold(0, |byte, i| byte << 1 | bits.get(i).unwrap_or(&0));
    bits.chunks(8)
        .map(|bits| u8::try_from(byte(bits)).unwrap())
        .collect()
}

#[derive(Debug)]
struct Descriptor(Vec<u8>);

#[derive(Debug)]
struct DescriptorSerializer;

impl ExtensionSerializer for DescriptorSerializer {
    fn write_to(&self, buffer: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(Descriptor(bytes)) = values.user_values.get::<Descriptor>() else {
            return 0;
        };
        buffer[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }

    fn parse_value(&self, bytes: &[u8], values: &mut ExtensionValues) -> bool {
        values.user_values.set(Descriptor(bytes.to_vec()));
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn is_video(&self) -> bool {
        true
    }
}

fn play(world: &mut World, camera: &mut Scalable, pictures: usize) {
    for _ in 0..pictures {
        camera.picture(world);
        world.run(ms(33));
    }
}

/// The spatial layer of a packet, as its publisher wrote it.
fn spatial(packet: &RtpPacket) -> u8 {
    packet.payload[packet.payload.len() - BODY_BYTES - 1]
}

fn layer(world: &World, viewer: usize, slot: Mid) -> Option<Layer> {
    let subject = Subject::Slot(world.transport(viewer), slot);
    world.last(subject, |fact| match fact {
        Fact::SlotChanged {
            state: SlotState::Live,
            layer,
            ..
        } => Some(*layer),
        _ => None,
    })?
}

fn set_wish(world: &mut World, viewer: usize, slot: Mid, wish: Wish) {
    let set = Action::SetWish {
        transport: world.transport(viewer),
        slot,
        wish,
    };
    assert!(world.is_done(0, set));
}

fn assert_no_gap(packets: &[&RtpPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        assert!(pair[1].header.timestamp >= pair[0].header.timestamp);
    }
}

#[test]
fn vp9_layers_are_taken_off_and_put_on() {
    let mut world = World::new(1);
    let mut camera = Scalable::join(&mut world, Codec::Vp9);
    let track = world.publish(camera.client, camera.mid, 1);
    let (viewer, slot) = join(&mut world, Codec::Vp9, Direction::RecvOnly);
    world.fill(viewer, slot, track, Wish::default());
    play(&mut world, &mut camera, 30);
    assert_eq!(layer(&world, viewer, slot), Layer::new(1, 0));
    assert_eq!(world.clients[viewer].on(slot).len(), 60);
    let small = Wish {
        width_max: 320,
        ..Wish::default()
    };
    set_wish(&mut world, viewer, slot, small);
    play(&mut world, &mut camera, 30);
    assert_eq!(layer(&world, viewer, slot), Layer::new(0, 0));
    let packets = world.clients[viewer].on(slot);
    let lower = &packets[60..];
    assert_eq!(lower.len(), 30);
    for packet in lower {
        assert_eq!(spatial(packet), 0);
        assert!(packet.header.marker, "the receiver's picture ends with it");
    }
    set_wish(&mut world, viewer, slot, Wish::default());
    play(&mut world, &mut camera, 30);
    let packets = world.clients[viewer].on(slot);
    assert_no_gap(&packets);
    let rise = packets
        .iter()
        .skip(60)
        .position(|packet| spatial(packet) == 1)
        .unwrap();
    let rise = &packets[60 + rise];
    assert_eq!(rise.payload[rise.payload.len() - 1], 1, "at a keyframe");
    assert_eq!(layer(&world, viewer, slot), Layer::new(1, 0));
    let pictures: Vec<_> = packets
        .iter()
        .map(|p| u16::from_be_bytes([p.payload[1], p.payload[2]]))
        .collect();
    assert!(pictures.windows(2).all(|pair| pair[1] - pair[0] <= 1));
}

#[test]
fn av1_layers_follow_the_dependency_descriptor() {
    let mut world = World::new(1);
    let mut cameras = [(); 2].map(|()| Scalable::join(&mut world, Codec::Av1));
    let tracks = [1, 2].map(|id: u64| {
        let camera = &cameras[usize::try_from(id - 1).unwrap()];
        world.publish(camera.client, camera.mid, id)
    });
    let (viewer, slot) = join(&mut world, Codec::Av1, Direction::RecvOnly);
    for (camera, track) in cameras.iter_mut().zip(tracks) {
        world.fill(viewer, slot, track, Wish::default());
        play(&mut world, camera, 20);
    }
    let packets = world.clients[viewer].on(slot);
    assert_eq!(packets.len(), 80);
    assert_no_gap(&packets);
    assert_eq!(layer(&world, viewer, slot), Layer::new(1, 0));
    let numbers: Vec<_> = packets
        .iter()
        .map(|packet| {
            let found = packet.header.ext_vals.user_values.get::<Descriptor>();
            let bytes = &found.expect("a dependency descriptor").0;
            u16::from_be_bytes([bytes[1], bytes[2]])
        })
        .collect();
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1)),
        "{numbers:?}"
    );
}
