//! The subscribing side: packets wait for their turn, get their header, and are sealed.

mod padding;
mod write;

use std::time::{Duration, Instant};

use media_bwe::{EstimatorConfig, GccEstimator, Pacer, Priority};
use media_rtp::srtp::SrtpSender;
use media_types::{DataSize, MediaKind};

use crate::batch::TransmitBatch;
use crate::config::TransportConfig;
use crate::limits::{
    DATAGRAM_BYTES_MAX, OUTAGE_MIN, PACER_PACKETS_MAX, RED_HOLD, RED_LOSS_256THS, REPEAT_QUEUE_MAX,
};
use crate::meter::Meter;
use crate::packet::{SendPacket, SlotIndex};
use crate::path::Path;
use crate::sealed::{FirstForms, SealedWindow};
use crate::slots::Slots;
use padding::Recent;
use write::Purpose;

/// Bytes of a datagram that are not ours: IPv4 and UDP, which paths carry too.
const UNDERLAY_BYTES: usize = 28;
/// A guess of header, extensions and tag, for the pacer.
const OVERHEAD_BYTES: usize = 48;

/// What is known of one slot's sending.
#[derive(Debug, Default)]
pub(crate) struct SlotState {
    pub(crate) sealed: SealedWindow,
    /// How they were sealed, if that may have to be done again.
    forms: FirstForms,
    pub(crate) rtx_sequence: u64,
    /// Packets and bytes of payload, as sender reports count them.
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    pub(crate) meter: Meter,
    pub(crate) clock: SlotClock,
    /// A sender report is due at the next turn: the slot's first packet has left.
    pub(crate) report_due: bool,
    /// The client has reported on the source, so it knows the mid.
    pub(crate) known: bool,
    /// The last FIR's number; the same again is a repetition.
    pub(crate) fir_sequence: Option<u8>,
    pub(crate) loss: u8,
}

/// How a slot's timestamps go with our clock.
///
/// The packet that was quickest of late sets it: a path only ever adds delay.
#[derive(Debug, Default)]
pub(crate) struct SlotClock {
    reference: Option<(Instant, u32)>,
    clock_rate: u32,
    /// When the source last told its clock, which counts more than when packets come.
    pinned_at: Option<Instant>,
}

/// A timestamp this far from where the clock is belongs to another one.
const CLOCK_JUMP_TICKS: i32 = 90_000;
/// A source's word is believed up to this far from when packets come: some seconds of buffers.
const PINNED_JUMP_TICKS: u32 = 10 * 90_000;
/// How long it holds without being renewed; each frame renews it.
const PIN_LIFE: Duration = Duration::from_secs(5);

impl SlotClock {
    pub(crate) fn on_packet(&mut self, now: Instant, timestamp: u32, clock_rate: u32) {
        self.clock_rate = clock_rate;
        let Some(expected) = self.at(now) else {
            self.reference = Some((now, timestamp));
            return;
        };
        let ahead = timestamp.wrapping_sub(expected).cast_signed();
        let jumps = ahead.unsigned_abs() > PINNED_JUMP_TICKS;
        let holds = |at| now.saturating_duration_since(at) < PIN_LIFE && !jumps;
        if self.pinned_at.is_some_and(holds) {
            return;
        }
        self.pinned_at = None;
        if ahead > 0 || ahead.unsigned_abs() > CLOCK_JUMP_TICKS.unsigned_abs() {
            self.reference = Some((now, timestamp));
        } else {
            // Late packets pull it back slowly, so that it follows a clock that drifts.
            let pull = (ahead / 512).cast_unsigned();
            self.reference = Some((now, expected.wrapping_add(pull)));
        }
    }

    /// Takes the source's word that `timestamp` was captured so long ago, in NTP's units of
    /// 2⁻³² s; before the first packet there is no clock rate, and nothing to pin.
    pub(crate) fn pin(&mut self, now: Instant, since: i64, timestamp: u32) {
        let ticks = (i128::from(since) * i128::from(self.clock_rate)) >> 32;
        let Ok(ticks) = i32::try_from(ticks) else {
            return;
        };
        if self.clock_rate > 0 && ticks.unsigned_abs() <= PINNED_JUMP_TICKS {
            let timestamp = timestamp.wrapping_add(ticks.cast_unsigned());
            self.reference = Some((now, timestamp));
            self.pinned_at = Some(now);
        }
    }

    /// The timestamp of the newest packet, or near it.
    pub(crate) fn latest(&self) -> Option<u32> {
        self.reference.map(|(_, timestamp)| timestamp)
    }

    /// The timestamp of something captured now.
    pub(crate) fn at(&self, now: Instant) -> Option<u32> {
        let (since, timestamp) = self.reference?;
        let passed = now.saturating_duration_since(since);
        let ticks = media_rtp::timestamp::ticks_in(passed, self.clock_rate);
        Some(timestamp.wrapping_add(ticks))
    }
}

/// Whether a path loses so much that redundant sound is worth its bytes.
#[derive(Debug, Default)]
pub(crate) struct PathLoss {
    /// The client has reported on what it was sent.
    judged: bool,
    lost_at: Option<Instant>,
}

impl PathLoss {
    /// Takes a report's share of lost packets, in 256ths.
    pub(crate) fn on_report(&mut self, now: Instant, share: u8) {
        self.judged = true;
        self.on_share(now, share);
    }

    /// Takes a share of lost packets that may come before anything was judged.
    pub(crate) fn on_share(&mut self, now: Instant, share: u8) {
        if share > RED_LOSS_256THS {
            self.lost_at = Some(now);
        }
    }

    /// An unknown path is taken for a lossy one: the first words count.
    fn wants_redundancy(&self, now: Instant) -> bool {
        !self.judged || self.loses(now)
    }

    /// Whether it has lost much of late.
    fn loses(&self, now: Instant) -> bool {
        let since = self.lost_at.map(|at| now.saturating_duration_since(at));
        since.is_some_and(|since| since < RED_HOLD)
    }
}

/// Where sealed packets go, and what seals them.
pub(crate) struct Exit<'a> {
    pub(crate) now: Instant,
    pub(crate) path: Path,
    pub(crate) slots: &'a Slots,
    pub(crate) srtp: &'a mut SrtpSender,
    pub(crate) out: &'a mut TransmitBatch,
}

/// All that a client is sent.
#[derive(Debug)]
pub(crate) struct Sender {
    /// By slot index.
    pub(crate) slots: Vec<SlotState>,
    pub(crate) pacer: Pacer<SendPacket>,
    pub(crate) estimator: GccEstimator,
    /// When a packet last passed without waiting, for which the estimate was asked.
    paced_at: Option<Instant>,
    /// When the estimator may want to probe next.
    pub(crate) probe_at: Option<Instant>,
    pub(crate) loss: PathLoss,
    /// What all older blocks of redundant sound would take, sent or not.
    redundancy: Meter,
    recent: Recent,
    pub(crate) meter: Meter,
    pub(crate) retransmitted: u64,
    /// Packets of padding sent.
    pub(crate) padded: u64,
    pub(crate) pacer_dropped: u64,
    pub(crate) rtt: Option<Duration>,
    /// Whether packets carry a transport-wide number, so that feedback speaks of them.
    pub(crate) transport_feedback: bool,
    /// Some slot has a report due at the next turn.
    pub(crate) reports_due: bool,
    /// When the first packet since the last feedback left.
    pub(crate) unheard_since: Option<Instant>,
    base: Instant,
}

impl Sender {
    pub(crate) fn new(now: Instant, config: &TransportConfig) -> Self {
        let estimator = GccEstimator::new(EstimatorConfig {
            start: config.start_bitrate,
            most: config.bitrate_max,
            ..EstimatorConfig::default()
        });
        Self {
            slots: Vec::new(),
            pacer: Pacer::new(now, config.start_bitrate, PACER_PACKETS_MAX),
            estimator,
            paced_at: None,
            probe_at: None,
            loss: PathLoss::default(),
            redundancy: Meter::default(),
            recent: Recent::default(),
            padded: 0,
            meter: Meter::default(),
            retransmitted: 0,
            pacer_dropped: 0,
            rtt: None,
            transport_feedback: false,
            reports_due: false,
            unheard_since: None,
            base: config.base,
        }
    }

    /// Follows what was agreed.
    pub(crate) fn update(&mut self, slots: &Slots) {
        self.slots.resize_with(slots.len(), SlotState::default);
        for state in &mut self.slots {
            state.forms.clear();
        }
        let open = slots.iter().filter(|(_, slot)| slot.is_open());
        let mut open = open.map(|(_, slot)| slot.line.feedback.transport);
        self.transport_feedback = open.any(|agreed| agreed);
    }

    /// Follows the clock of what a slot shows.
    pub(crate) fn on_packet(&mut self, now: Instant, packet: &SendPacket) {
        let first_time = packet.retransmission_of.is_none();
        if let Some(state) = self.slot_mut(packet.slot).filter(|_| first_time) {
            let clock_rate = packet.codec.clock_rate();
            state.clock.on_packet(now, packet.timestamp, clock_rate);
        }
    }

    pub(crate) fn queue(&mut self, now: Instant, packet: SendPacket) {
        let (priority, size) = weigh(&packet);
        let copy = self.repairs_twice(now, &packet).then(|| packet.clone());
        for packet in [packet].into_iter().chain(copy) {
            if self.pacer.push(now, priority, size, packet).is_some() {
                self.pacer_dropped += 1;
            }
        }
    }

    /// Whether a repair should leave twice. On a path that loses at any rate, one in twenty repairs
    /// of one in twenty packets is lost as well, and the second try comes too late to be seen in
    /// time. A queue that overflows would only be longer.
    fn repairs_twice(&self, now: Instant, packet: &SendPacket) -> bool {
        let repair = packet.retransmission_of.is_some() && packet.codec.kind() == MediaKind::Video;
        repair && self.loss.loses(now) && self.estimator.figures(now).queue <= REPEAT_QUEUE_MAX
    }

    /// Seals a packet at once if nothing waits before it and it may leave; else gives it back. Most
    /// packets pass, and need no place to wait in.
    pub(crate) fn pass(&mut self, exit: &mut Exit<'_>, packet: SendPacket) -> Option<SendPacket> {
        let now = exit.now;
        if packet.retransmission_of.is_some() || !exit.out.fits(DATAGRAM_BYTES_MAX) {
            return Some(packet);
        }
        if self.paced_at != Some(now) {
            self.pace(now);
            self.paced_at = Some(now);
        }
        let (priority, size) = weigh(&packet);
        let Some(probe) = self.pacer.pass(now, priority, size) else {
            return Some(packet);
        };
        let purpose = Purpose {
            probe,
            padding: false,
        };
        self.seal(exit, &packet, purpose);
        self.keep(now, packet);
        None
    }

    /// Follows the estimate, and starts a probe if it is time.
    fn pace(&mut self, now: Instant) {
        if let Some(cluster) = self.estimator.poll_probe(now) {
            self.pacer.start_probe(now, cluster);
        }
        self.pacer.set_rate(self.estimator.pacing_rate(now));
    }

    /// Keeps a packet that has left, if a probe may want it once more soon.
    fn keep(&mut self, now: Instant, packet: SendPacket) {
        let unheard = self.estimator.feedback_rtt().is_none();
        let probes = self.probe_at.is_some() || unheard || self.pacer.is_probing();
        if probes && self.transport_feedback {
            self.recent.keep(now, packet);
        } else {
            self.recent.clear();
        }
    }

    /// Seals what may leave now, and fills a probe that is under way.
    pub(crate) fn poll_transmit(&mut self, exit: &mut Exit<'_>) {
        let now = exit.now;
        if self.paced_at.take() != Some(now) {
            self.pace(now);
        }
        loop {
            if !exit.out.fits(DATAGRAM_BYTES_MAX) {
                if !self.pacer.is_empty() {
                    exit.out.mark_full();
                }
                return;
            }
            let Some(departure) = self.pacer.pop_next(now) else {
                break;
            };
            let purpose = Purpose {
                probe: departure.probe,
                padding: false,
            };
            self.seal(exit, &departure.item, purpose);
            self.keep(now, departure.item);
        }
        self.fill_probe(exit);
        self.probe_at = self.estimator.poll_timeout(now);
    }

    /// Reads a little of all that sending on a slot needs; of no meaning.
    pub(crate) fn touch(&self, slot: SlotIndex) -> u64 {
        let state = self.slots.get(usize::from(slot.0));
        let state = state.map_or(0, |state| {
            let newest = state.clock.latest().unwrap_or(0);
            let counts = state.packets ^ u32::from(state.known) ^ newest;
            u64::from(counts) ^ state.sealed.touch() ^ state.meter.packets()
        });
        let flags = u64::from(self.paced_at.is_some()) ^ u64::from(self.unheard_since.is_some());
        let own = self.meter.packets() ^ flags ^ u64::from(self.probe_at.is_some());
        state ^ own ^ self.pacer.touch() ^ self.estimator.touch()
    }

    /// Another path: what was learnt of the one before is void.
    pub(crate) fn on_path_change(&mut self) {
        self.estimator.on_path_change();
        self.pacer.cancel_probe();
        self.loss = PathLoss::default();
        self.rtt = None;
    }

    /// Feedback has come; whether the path was cut before.
    pub(crate) fn on_heard(&mut self, now: Instant) -> bool {
        let since = self.unheard_since.take();
        since.is_some_and(|since| now.saturating_duration_since(since) >= OUTAGE_MIN)
    }

    pub(crate) fn slot_mut(&mut self, slot: SlotIndex) -> Option<&mut SlotState> {
        self.slots.get_mut(usize::from(slot.0))
    }

    /// The share of packets that were lost on the way to the client, in 256ths.
    pub(crate) fn fraction_lost(&self) -> u8 {
        if self.transport_feedback {
            return self.estimator.loss();
        }
        let losses = self.slots.iter().map(|slot| slot.loss);
        losses.max().unwrap_or(0)
    }
}

/// How urgent a packet is, and about how long on the wire.
fn weigh(packet: &SendPacket) -> (Priority, DataSize) {
    let size = packet.payload.len() + packet.prefix.len() + OVERHEAD_BYTES + UNDERLAY_BYTES;
    let size = DataSize::from_bytes(u64::try_from(size).unwrap_or(u64::MAX));
    // Sound is as urgent when it is sent again.
    let priority = match packet.codec.kind() {
        MediaKind::Audio => packet.priority.min(Priority::Audio),
        MediaKind::Video => packet.priority,
    };
    (priority, size)
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests take one instant as their base"
)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_clock_follows_the_quickest_packets() {
        let base = Instant::now();
        let mut clock = SlotClock::default();
        assert_eq!(clock.at(base), None);
        for frame in 0..100_u32 {
            let late = if frame % 10 == 0 { 0 } else { 15 };
            let at = base + Duration::from_millis(u64::from(frame) * 20 + late);
            clock.on_packet(at, 1_000 + frame * 960, 48_000);
        }
        let at = clock.at(base + Duration::from_millis(2_000)).unwrap();
        let error = at.wrapping_sub(1_000 + 96_000).cast_signed();
        assert!((-48..=0).contains(&error), "off by {error} ticks");
        clock.on_packet(base + Duration::from_secs(3), 5, 48_000);
        assert_eq!(clock.at(base + Duration::from_secs(4)), Some(48_005));
    }
}
