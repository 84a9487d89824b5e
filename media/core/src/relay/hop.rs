//! One hop between two workers, as a state machine without a socket.
//!
//! Packets go in datagrams, everything else in frames of an ordered stream. Who wants a track gives
//! it a label, and tells it with the demand: packets carry that in the place of ids, so a label
//! is known before the first packet under it comes. Datagrams are numbered twice: by the hop, for
//! repair (what is missing is asked for and sent again from a small ring), and transport-wide, for
//! the estimate of what the path carries, by which packets are paced. What does not fit into one
//! datagram goes in two, joined or dropped at the far side. Nothing is held back to be put in
//! order: the shard's histories do that.

mod datagram;
mod join;
mod labels;
mod receive;
mod send;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_bwe::EstimatorConfig;
use media_types::{Bitrate, Epoch, ShardId};

use super::wire::{Control, WireError};
use super::{RelayBody, RelayMessage, RelayPacket};
use crate::limits::{HOP_FRAMES_MAX, HOP_SWEEP};
use datagram::Datagram;
use labels::{Key, Labels};
use receive::Inward;
use send::{Outward, Unit};

/// Before a round trip was measured.
const RTT_UNKNOWN: Duration = Duration::from_millis(50);

/// What a hop is to assume.
#[derive(Debug, Clone, Copy)]
pub struct HopConfig {
    /// Bounds of the estimate.
    pub estimator: EstimatorConfig,
    /// The largest datagram, in bytes.
    pub datagram_max: usize,
}

impl Default for HopConfig {
    /// Workers have wide paths: 30 Mb/s until more is known, at least 1 Mb/s, at most 10 Gb/s; and
    /// what QUIC leaves of 1,200 bytes.
    fn default() -> Self {
        Self {
            estimator: EstimatorConfig {
                start: Bitrate::from_kbps(30_000),
                least: Bitrate::from_kbps(1_000),
                most: Bitrate::from_kbps(10_000_000),
            },
            datagram_max: 1_150,
        }
    }
}

/// A message for one of our shards.
#[derive(Debug)]
pub struct Delivery {
    /// Our shard.
    pub to: ShardId,
    /// The other worker's shard that it comes from.
    pub from: ShardId,
    /// What it says.
    pub message: RelayMessage,
}

/// Totals since the link came up, and what is known of the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HopFigures {
    /// Packets of tracks that left, each once.
    pub packets_out: u64,
    /// Packets of tracks that came.
    pub packets_in: u64,
    /// Bytes of datagrams that left, repairs and feedback included.
    pub bytes_out: u64,
    /// Bytes of datagrams that came.
    pub bytes_in: u64,
    /// Packets that went in two datagrams.
    pub split: u64,
    /// Numbers that did not come.
    pub missed: u64,
    /// Numbers that came after they were asked for.
    pub repaired: u64,
    /// Numbers that were given up.
    pub lost: u64,
    /// Datagrams sent again.
    pub resent: u64,
    /// Packets that the pacer had no room or no time for.
    pub congested: u64,
    /// Packets of tracks that nobody there has asked for.
    pub unlabelled: u64,
    /// Datagrams and frames that could not be read.
    pub refused: u64,
    /// Frames that found their queue full.
    pub frames_dropped: u64,
    /// What the path carries.
    pub estimate: Bitrate,
}

/// One end of a link to another worker.
#[derive(Debug)]
pub struct Hop {
    outward: Outward,
    inward: Inward,
    labels: Labels,
    frames: VecDeque<Vec<u8>>,
    deliveries: VecDeque<Delivery>,
    rtt: Option<Duration>,
    sweep: Instant,
    figures: HopFigures,
}

impl Hop {
    /// A link that has just come up.
    #[must_use]
    pub fn new(now: Instant, config: HopConfig) -> Self {
        Self {
            outward: Outward::new(now, config),
            inward: Inward::new(now),
            labels: Labels::default(),
            frames: VecDeque::new(),
            deliveries: VecDeque::new(),
            rtt: None,
            sweep: now + HOP_SWEEP,
            figures: HopFigures::default(),
        }
    }

    /// The largest datagram that the path takes, in bytes; it may change as the path is explored.
    pub fn set_datagram_max(&mut self, bytes: usize) {
        self.outward.set_datagram_max(bytes);
    }

    /// The round trip, from whoever measures it.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
    }

    /// Takes a message of one of our shards for one of the other worker's.
    pub fn handle_message(
        &mut self,
        now: Instant,
        from: ShardId,
        to: ShardId,
        message: RelayMessage,
    ) {
        let RelayMessage { room, epoch, .. } = message;
        let key = |track| Key {
            room,
            track,
            here: from,
            there: to,
        };
        if let RelayBody::Packet { track, packet } = &message.body {
            match self.labels.theirs(&key(*track)) {
                Some(label) => self.send_packet(now, label, epoch, packet),
                None => self.figures.unlabelled += 1,
            }
            return;
        }
        let label = match &message.body {
            RelayBody::Demand { track, .. } => {
                let label = self.labels.demand(now, key(*track));
                let Some(label) = label else {
                    self.figures.frames_dropped += 1;
                    return;
                };
                Some(label)
            }
            RelayBody::Packet { .. }
            | RelayBody::Layers { .. }
            | RelayBody::KeyframeRequest { .. }
            | RelayBody::Clock { .. }
            | RelayBody::Muted { .. }
            | RelayBody::Stopped { .. }
            | RelayBody::Data { .. } => None,
        };
        if self.frames.len() >= HOP_FRAMES_MAX {
            self.figures.frames_dropped += 1;
            return;
        }
        let control = Control {
            from,
            to,
            message,
            label,
        };
        let mut frame = Vec::with_capacity(64);
        control.write(&mut frame);
        self.frames.push_back(frame);
    }

    fn send_packet(&mut self, now: Instant, label: u32, epoch: Epoch, packet: &RelayPacket) {
        let sent = self.outward.push(now, label, epoch, packet);
        self.figures.packets_out += u64::from(sent.packets);
        self.figures.split += u64::from(sent.split);
        self.figures.congested += u64::from(sent.dropped);
    }

    /// Takes a frame of the other worker's stream.
    ///
    /// # Errors
    /// When it cannot be read: the other worker does not speak as we do, and the link must go.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8]) -> Result<(), WireError> {
        let control = Control::read(now, frame).inspect_err(|_| self.figures.refused += 1)?;
        let Control {
            from,
            to,
            message,
            label,
        } = control;
        if let (RelayBody::Demand { track, .. }, Some(label)) = (&message.body, label) {
            let key = Key {
                room: message.room,
                track: *track,
                here: to,
                there: from,
            };
            self.labels.told(now, key, label);
        }
        self.deliveries.push_back(Delivery { to, from, message });
        Ok(())
    }

    /// Takes a datagram of the other worker. What cannot be read is counted.
    pub fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) {
        self.figures.bytes_in += u64::try_from(bytes.len()).unwrap_or(0);
        if self.take(now, bytes).is_err() {
            self.figures.refused += 1;
        }
    }

    fn take(&mut self, now: Instant, bytes: &[u8]) -> Result<(), WireError> {
        let datagram = Datagram::read(bytes)?;
        if let Some(number) = datagram.transport_sequence() {
            self.inward.note_arrival(now, number);
        }
        match datagram {
            Datagram::Unit { number, unit, .. } => {
                if let Some(unit) = self.inward.take(now, number, unit) {
                    self.deliver(now, &unit)?;
                }
                Ok(())
            }
            Datagram::Padding { .. } => Ok(()),
            Datagram::Feedback(reports) => {
                self.outward.on_feedback(now, &reports);
                Ok(())
            }
            Datagram::Nack(numbers) => {
                let rtt = self.rtt();
                self.figures.resent += self.outward.on_nack(now, rtt, &numbers);
                Ok(())
            }
        }
    }

    fn deliver(&mut self, now: Instant, unit: &Unit) -> Result<(), WireError> {
        let Some(key) = self.labels.ours(now, unit.label) else {
            // The demand was forgotten meanwhile.
            return Ok(());
        };
        let packet = RelayPacket::read(&unit.body)?;
        self.figures.packets_in += 1;
        let body = RelayBody::Packet {
            track: key.track,
            packet: Box::new(packet),
        };
        self.deliveries.push_back(Delivery {
            to: key.here,
            from: key.there,
            message: RelayMessage::new(key.room, unit.epoch, body),
        });
        Ok(())
    }

    /// Writes the next datagram; whether there is one.
    pub fn poll_datagram(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        out.clear();
        let rtt = self.rtt();
        if now >= self.sweep {
            self.sweep = now + HOP_SWEEP;
            self.labels.sweep(now);
        }
        let room = self.outward.datagram_max();
        let written = self.inward.poll(now, rtt, room, out) || self.outward.poll(now, out);
        self.figures.bytes_out += u64::try_from(out.len()).unwrap_or(0);
        written
    }

    /// The next frame for the stream.
    pub fn poll_frame(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    /// The next message for one of our shards.
    pub fn poll_delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    /// When [`Self::poll_datagram`] may have something without further input.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let due = [self.inward.poll_timeout(), self.outward.poll_timeout(now)];
        due.into_iter().flatten().min()
    }

    /// How it goes.
    #[must_use]
    pub fn figures(&self, now: Instant) -> HopFigures {
        let (missed, repaired, lost) = self.inward.counts();
        HopFigures {
            missed,
            repaired,
            lost,
            estimate: self.outward.estimate(now),
            congested: self.figures.congested + self.outward.overdue(),
            ..self.figures
        }
    }

    /// The round trip as far as is known.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        let measured = self.rtt.or_else(|| self.outward.feedback_rtt());
        measured.unwrap_or(RTT_UNKNOWN)
    }
}

#[cfg(test)]
mod tests;
