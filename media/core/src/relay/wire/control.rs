//! Everything but packets: one frame of the control stream each.
//!
//! `kind`, room, epoch, shard that says it, shard that it is for, then what it says.

use std::time::Instant;

use media_contract::DataTarget;
use media_types::{Epoch, Identity, Layer, RoomId, ShardId, TrackId};

use super::packet::{read_clock, write_clock};
use super::{Reader, WireError, Writer};
use crate::limits::{DATA_HEADER_BYTES_MAX, RELIABLE_BYTES_MAX, TOPIC_BYTES_MAX};
use crate::relay::{RelayBody, RelayLayers, RelayMessage};
use crate::track::layers::Layers;

const DEMAND: u8 = 1;
const LAYERS: u8 = 2;
const KEYFRAME: u8 = 3;
const CLOCK: u8 = 4;
const MUTED: u8 = 5;
const STOPPED: u8 = 6;
const DATA: u8 = 7;

/// The longest identity.
const IDENTITY_BYTES_MAX: usize = 256;

/// One frame: who says it to whom, and what. A demand brings the label under which its packets are
/// to come.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) from: ShardId,
    pub(crate) to: ShardId,
    pub(crate) message: RelayMessage,
    pub(crate) label: Option<u32>,
}

impl Control {
    /// Appends its bytes. A packet is no frame, and leaves nothing.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut to = Writer(out);
        let Some(kind) = kind_of(&self.message.body) else {
            return;
        };
        to.byte(kind);
        to.long(self.message.room.get());
        to.number(self.message.epoch.0);
        to.short(self.from.0);
        to.short(self.to.0);
        write_body(&mut to, &self.message.body, self.label);
    }

    /// A frame from its bytes.
    pub(crate) fn read(now: Instant, bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let kind = reader.byte()?;
        let room = RoomId::new(reader.long()?);
        let epoch = Epoch(reader.number()?);
        let (from, to) = (ShardId(reader.short()?), ShardId(reader.short()?));
        let (body, label) = match kind {
            DATA => (read_data(&mut reader)?, None),
            kind => read_of_track(now, kind, &mut reader)?,
        };
        reader.end()?;
        Ok(Self {
            from,
            to,
            message: RelayMessage::new(room, epoch, body),
            label,
        })
    }
}

const fn kind_of(body: &RelayBody) -> Option<u8> {
    match body {
        RelayBody::Packet { .. } => None,
        RelayBody::Demand { .. } => Some(DEMAND),
        RelayBody::Layers { .. } => Some(LAYERS),
        RelayBody::KeyframeRequest { .. } => Some(KEYFRAME),
        RelayBody::Clock { .. } => Some(CLOCK),
        RelayBody::Muted { .. } => Some(MUTED),
        RelayBody::Stopped { .. } => Some(STOPPED),
        RelayBody::Data { .. } => Some(DATA),
    }
}

fn write_body(to: &mut Writer<'_>, body: &RelayBody, label: Option<u32>) {
    match body {
        RelayBody::Packet { .. } => {}
        RelayBody::Demand { track, encodings } => {
            to.long(track.get());
            to.byte(*encodings);
            to.word(label.unwrap_or(0));
        }
        RelayBody::Layers { track, layers } => {
            to.long(track.get());
            layers.layers.write(to);
        }
        RelayBody::KeyframeRequest { track, stream } => {
            to.long(track.get());
            to.byte(*stream);
        }
        RelayBody::Clock {
            track,
            stream,
            clock,
        } => {
            to.long(track.get());
            to.byte(*stream);
            write_clock(to, *clock);
        }
        RelayBody::Muted { track, muted } => {
            to.long(track.get());
            to.flag(*muted);
        }
        RelayBody::Stopped { track } => to.long(track.get()),
        RelayBody::Data {
            from,
            to: target,
            reliable,
            topic,
            message,
            payload_at,
        } => {
            to.bytes(from.as_str().as_bytes());
            match target {
                DataTarget::Room => to.bytes(&[]),
                DataTarget::Peer(identity) => to.bytes(identity.as_str().as_bytes()),
            }
            to.flag(*reliable);
            to.bytes(topic.as_bytes());
            to.number(u64::try_from(*payload_at).unwrap_or(u64::MAX));
            to.bytes(message);
        }
    }
}

fn read_of_track(
    now: Instant,
    kind: u8,
    from: &mut Reader<'_>,
) -> Result<(RelayBody, Option<u32>), WireError> {
    let track = TrackId::new(from.long()?);
    let body = match kind {
        DEMAND => {
            let encodings = from.byte()?;
            if encodings >= 1 << Layer::SPATIAL_MAX {
                return Err(WireError::Bad("encodings"));
            }
            let label = from.word()?;
            return Ok((RelayBody::Demand { track, encodings }, Some(label)));
        }
        LAYERS => {
            let layers = Layers::read(now, from)?;
            let layers = Box::new(RelayLayers { layers });
            RelayBody::Layers { track, layers }
        }
        KEYFRAME => RelayBody::KeyframeRequest {
            track,
            stream: stream(from)?,
        },
        CLOCK => RelayBody::Clock {
            track,
            stream: stream(from)?,
            clock: read_clock(from)?,
        },
        MUTED => RelayBody::Muted {
            track,
            muted: from.flag()?,
        },
        STOPPED => RelayBody::Stopped { track },
        _ => return Err(WireError::Bad("kind")),
    };
    Ok((body, None))
}

fn stream(from: &mut Reader<'_>) -> Result<u8, WireError> {
    let stream = from.byte()?;
    match stream < Layer::SPATIAL_MAX {
        true => Ok(stream),
        false => Err(WireError::Bad("stream")),
    }
}

fn read_data(reader: &mut Reader<'_>) -> Result<RelayBody, WireError> {
    let from = identity(reader.bytes(IDENTITY_BYTES_MAX)?)?;
    let target = match reader.bytes(IDENTITY_BYTES_MAX)? {
        [] => DataTarget::Room,
        bytes => DataTarget::Peer(identity(bytes)?),
    };
    let reliable = reader.flag()?;
    let topic = std::str::from_utf8(reader.bytes(TOPIC_BYTES_MAX)?);
    let topic = topic.map_err(|_text| WireError::Bad("topic"))?.to_owned();
    let payload_at = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
    let message = reader.bytes(RELIABLE_BYTES_MAX + DATA_HEADER_BYTES_MAX)?;
    if payload_at > message.len() {
        return Err(WireError::Bad("payload"));
    }
    Ok(RelayBody::Data {
        from,
        to: target,
        reliable,
        topic,
        message: message.to_vec(),
        payload_at,
    })
}

fn identity(bytes: &[u8]) -> Result<Identity, WireError> {
    let text = std::str::from_utf8(bytes).ok();
    let identity = text.and_then(|text| text.parse().ok());
    identity.ok_or(WireError::Bad("identity"))
}
