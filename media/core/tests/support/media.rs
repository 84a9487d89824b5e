//! Media to send in tests: numbers like an encoder's, payloads that no other packet has.

use media_types::Mid;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Simulcast, SimulcastLayer};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};

use super::World;
use super::client::ours;

/// Bytes of the VP8 descriptor that [`Camera`] writes.
pub(crate) const VP8_DESCRIPTOR: usize = 6;

/// One VP8 encoding.
#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) client: usize,
    pub(crate) mid: Mid,
    pub(crate) rid: Option<&'static str>,
    pub(crate) packets_per_frame: usize,
    pub(crate) packet_bytes: usize,
    pub(crate) sequence: u64,
    pub(crate) picture: u16,
    pub(crate) tl0: u8,
    pub(crate) timestamp: u32,
    /// What was sent, behind the descriptor, in order.
    pub(crate) sent: Vec<Vec<u8>>,
    salt: u64,
}

impl Camera {
    pub(crate) fn new(client: usize, mid: Mid, rid: Option<&'static str>) -> Self {
        let salt = rid.map_or(0, |rid| u64::from(rid.as_bytes()[0]));
        let client_salt = u64::try_from(client).unwrap();
        Self {
            client,
            mid,
            rid,
            packets_per_frame: 2,
            packet_bytes: 600,
            sequence: 1_000 + salt * 50,
            picture: u16::try_from(100 + salt * 20 + client_salt * 3_000).unwrap(),
            tl0: 7,
            timestamp: 50_000 + u32::try_from(salt).unwrap(),
            sent: Vec::new(),
            salt: salt << 32 | client_salt << 40,
        }
    }

    /// Sends one frame at the present moment.
    pub(crate) fn frame(&mut self, world: &mut World, keyframe: bool) {
        let pt = world.clients[self.client].payload_type(Codec::Vp8);
        for index in 0..self.packets_per_frame {
            let body = self.body(keyframe, index == 0);
            let [high, low] = self.picture.to_be_bytes();
            let start = if index == 0 { 0x90 } else { 0x80 };
            let mut payload = vec![start, 0xe0, high | 0x80, low, self.tl0, 0];
            payload.extend(&body);
            self.sent.push(body);
            let last = index + 1 == self.packets_per_frame;
            let write = RtpWrite::new(pt, self.sequence.into(), self.timestamp, world.now, payload);
            let write = write.marker(last).nackable(true);
            world.clients[self.client].write(world.now, self.mid, self.rid, write);
            self.sequence += 1;
        }
        self.picture = (self.picture + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(3_000);
        world.drain();
    }

    fn body(&self, keyframe: bool, first: bool) -> Vec<u8> {
        let mut body = vec![0; self.packet_bytes];
        body[0] = u8::from(!(keyframe && first));
        if keyframe && first {
            body[3..10].copy_from_slice(&[0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
        }
        let number = self.salt | self.sequence;
        body[12..20].copy_from_slice(&number.to_be_bytes());
        for (index, byte) in body[20..].iter_mut().enumerate() {
            *byte = number.to_be_bytes()[7].wrapping_add(index.to_be_bytes()[7]);
        }
        body
    }
}

/// What a VP8 packet that came says: picture id and whether it starts a keyframe.
pub(crate) fn picture_id(packet: &RtpPacket) -> u16 {
    u16::from_be_bytes([packet.payload[2] & 0x7f, packet.payload[3]])
}

pub(crate) fn is_keyframe(packet: &RtpPacket) -> bool {
    packet.payload[0] & 0x10 != 0 && packet.payload[VP8_DESCRIPTOR] & 1 == 0
}

/// Bytes behind the descriptor.
pub(crate) fn body(packet: &RtpPacket) -> &[u8] {
    &packet.payload[VP8_DESCRIPTOR..]
}

/// An Opus microphone.
pub(crate) struct Microphone {
    pub(crate) client: usize,
    pub(crate) mid: Mid,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) sent: Vec<Vec<u8>>,
}

impl Microphone {
    pub(crate) const fn new(client: usize, mid: Mid) -> Self {
        Self {
            client,
            mid,
            sequence: 400,
            timestamp: 9_600,
            sent: Vec::new(),
        }
    }

    /// Sends 20 ms of sound of this loudness in −dBov.
    pub(crate) fn packet(&mut self, world: &mut World, level: i8, bytes: usize) {
        let client = &mut world.clients[self.client];
        let pt = client.payload_type(Codec::Opus);
        let mut payload = vec![0x78; bytes.max(9)];
        payload[1..9].copy_from_slice(&self.sequence.to_be_bytes());
        payload.truncate(bytes);
        self.sent.push(payload.clone());
        let values = ExtensionValues {
            audio_level: Some(-level),
            voice_activity: Some(level < 60),
            ..ExtensionValues::default()
        };
        let write = RtpWrite::new(pt, self.sequence.into(), self.timestamp, world.now, payload);
        client.write(world.now, self.mid, None, write.ext_vals(values));
        self.sequence += 1;
        self.timestamp += 960;
        world.drain();
    }
}

/// A client that publishes a camera in one encoding.
pub(crate) fn join_camera(world: &mut World, shard: usize) -> Camera {
    let (client, mid) = world.join(shard, |api| {
        api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None)
    });
    Camera::new(client, ours(mid), None)
}

/// A client that publishes a camera in three encodings.
pub(crate) fn join_simulcast(world: &mut World, shard: usize) -> [Camera; 3] {
    let layers = ["q", "h", "f"];
    let (client, mid) = world.join(shard, |api| {
        let mut simulcast = Simulcast::new();
        for layer in layers {
            simulcast.add_send_layer(SimulcastLayer::new(layer));
        }
        api.add_media(
            MediaKind::Video,
            Direction::SendOnly,
            None,
            None,
            Some(simulcast),
        )
    });
    layers.map(|rid| Camera::new(client, ours(mid), Some(rid)))
}

/// A client with one slot of a kind.
pub(crate) fn join_viewer(world: &mut World, shard: usize, kind: MediaKind) -> (usize, Mid) {
    let (client, mid) = world.join(shard, |api| {
        api.add_media(kind, Direction::RecvOnly, None, None, None)
    });
    (client, ours(mid))
}

/// Asserts that packets of one m-line form a stream without seams: one SSRC, no gap in sequence
/// numbers, timestamps that never go back, VP8 pictures that follow each other.
pub(crate) fn assert_seamless(packets: &[&RtpPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[0].header.ssrc, pair[1].header.ssrc);
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        let step = pair[1]
            .header
            .timestamp
            .wrapping_sub(pair[0].header.timestamp);
        assert!(step < 1 << 31, "time goes back");
        let (from, to) = (picture_id(pair[0]), picture_id(pair[1]));
        if step == 0 {
            assert_eq!(to, from, "one picture, one id");
        } else {
            assert_eq!(to, (from + 1) & 0x7fff, "no picture id is skipped");
        }
    }
}
