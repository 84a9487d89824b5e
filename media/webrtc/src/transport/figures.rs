//! A transport's counters as its owner reports them.

use std::time::Instant;

use super::Transport;
use crate::packet::StreamIndex;
use crate::stats::{SlotStats, StreamStats, TransportStats};

/// A share in 256ths as a number from 0 to 1.
fn share(in_256ths: u8) -> f32 {
    f32::from(in_256ths) / 256.0
}

impl Transport {
    /// Figures up to `now`.
    #[must_use]
    pub fn figures(&self, now: Instant) -> TransportStats {
        let receiver = &self.receiver;
        let sender = &self.sender;
        TransportStats {
            estimate: self.estimate(now),
            rtt: self.rtt(),
            loss_out: share(sender.fraction_lost()),
            loss_in: share(receiver.fraction_lost()),
            rate_out: sender.meter.rate(now),
            rate_in: receiver.meter.rate(now),
            packets_out: sender.meter.packets(),
            packets_in: receiver.meter.packets(),
            retransmitted_out: sender.retransmitted,
            repaired_in: receiver.repaired,
            keyframe_requests_out: receiver.keyframe_requests,
            keyframe_requests_in: self.keyframe_requests_in,
            pacer_dropped: sender.pacer_dropped,
            backlog_bytes: sender.pacer.backlog().bytes(),
            queue_delay: sender.pacer.queue_delay(now),
            estimator: Some(sender.estimator.figures(now)),
            padding_out: sender.padded,
            slots: self.slot_stats(now),
            streams: self.stream_stats(now),
        }
    }

    fn slot_stats(&self, now: Instant) -> Vec<SlotStats> {
        let slots = self.slots.iter().zip(&self.sender.slots);
        let sent = slots.filter(|(_, state)| state.packets > 0);
        sent.map(|((slot, terms), state)| SlotStats {
            slot,
            mid: terms.mid,
            rate: state.meter.rate(now),
            packets: state.meter.packets(),
        })
        .collect()
    }

    fn stream_stats(&self, now: Instant) -> Vec<StreamStats> {
        let indices = (0..=u16::MAX).map(StreamIndex);
        let streams = indices.zip(&self.receiver.streams);
        streams
            .filter_map(|(stream, state)| {
                let name = self.receiver.map.name(stream)?;
                let record = state.record.as_ref()?;
                Some(StreamStats {
                    stream,
                    mid: name.mid,
                    rid: name.rid,
                    codec: state.codec,
                    rate: state.meter.rate(now),
                    packets: record.packets(),
                    lost: u64::try_from(state.lost).unwrap_or(0),
                })
            })
            .collect()
    }
}
