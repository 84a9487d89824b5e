//! What we tell a client by RTCP.

use std::time::{Duration, Instant};

use media_rtp::rtcp::feedback::{FirEntry, write_fir, write_nack, write_pli, write_remb};
use media_rtp::rtcp::report::{
    ReportBlock, SenderFigures, write_receiver_report, write_sender_report,
};
use media_rtp::rtcp::source::write_cname;
use media_rtp::rtcp::xr::write_reference_time;
use media_rtp::srtp::SrtpSender;
use media_types::{Bitrate, DataSize};

use super::{Transport, TransportPhase};
use crate::batch::TransmitBatch;
use crate::event::TransportEvent;
use crate::limits::{
    DATAGRAM_BYTES_MAX, FEEDBACK_BYTES, FEEDBACK_INTERVAL, FEEDBACK_INTERVAL_MAX, FEEDBACK_PERCENT,
    REPORT_INTERVAL,
};
use crate::packet::{SlotIndex, StreamIndex};
use crate::path::Path;
use crate::receive::Receiver;

/// A compound that is longer is sent, and another begun.
const COMPOUND_BYTES_MAX: usize = 1_000;
/// Before the first measurement: a fair guess of a round trip across a continent.
const RTT_GUESS: Duration = Duration::from_millis(100);

/// Puts compounds together and seals them.
#[derive(Debug)]
pub(super) struct RtcpWriter {
    /// Who we are as a receiver.
    ssrc: u32,
    /// Lent by the batch while something is written, so that a transport holds none.
    compound: Vec<u8>,
    sealed: Vec<u8>,
    scratch: Vec<u8>,
    blocks: Vec<ReportBlock>,
    feedback_at: Option<Instant>,
    reports_at: Option<Instant>,
}

impl RtcpWriter {
    pub(super) fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            compound: Vec::new(),
            sealed: Vec::new(),
            scratch: Vec::new(),
            blocks: Vec::new(),
            feedback_at: None,
            reports_at: None,
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.reports_at = Some(now + REPORT_INTERVAL);
        self.feedback_at = Some(now);
    }

    /// Who we are as a receiver.
    pub(super) const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// A buffer for opening, to be given back.
    pub(super) fn take_scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.scratch)
    }

    pub(super) fn give_scratch(&mut self, scratch: Vec<u8>) {
        self.scratch = scratch;
    }

    pub(super) const fn reports_at(&self) -> Option<Instant> {
        self.reports_at
    }

    /// When transport-wide feedback is due; `None` while there is nothing to tell.
    pub(super) fn feedback_at(&self, receiver: &Receiver) -> Option<Instant> {
        receiver.recorder.is_pending().then_some(self.feedback_at?)
    }

    /// Begins a compound, if none is begun: with a report, as RFC 3550, section 6.1 has it.
    fn begin(&mut self) {
        if self.compound.is_empty() {
            write_receiver_report(&mut self.compound, self.ssrc, &[]);
        }
    }

    fn flush(&mut self, path: Path, srtp: &mut SrtpSender, out: &mut TransmitBatch) {
        if self.compound.is_empty() {
            return;
        }
        self.sealed.clear();
        // Fails only at the end of the key's life, after two thousand million packets.
        if srtp.seal_rtcp(&self.compound, &mut self.sealed).is_ok() {
            out.push(path, &self.sealed);
        }
        self.compound.clear();
    }

    fn flush_if_long(&mut self, path: Path, srtp: &mut SrtpSender, out: &mut TransmitBatch) {
        if self.compound.len() > COMPOUND_BYTES_MAX {
            self.flush(path, srtp, out);
        }
    }
}

impl Transport {
    /// Writes all RTCP that is due, but for first reports of slots.
    pub(super) fn write_rtcp(&mut self, now: Instant, path: Path, out: &mut TransmitBatch) {
        if !self.is_connected() || !self.is_rtcp_due(now) {
            return;
        }
        if !out.fits(4 * DATAGRAM_BYTES_MAX) {
            out.mark_full();
            return;
        }
        out.swap_buffers(&mut self.rtcp.compound, &mut self.rtcp.sealed);
        self.write_nacks(now, path, out);
        self.write_keyframe_requests(now, path, out);
        self.write_feedback(now, path, out);
        self.write_grant(now, path, out);
        if self.rtcp.reports_at.is_some_and(|at| at <= now) {
            self.rtcp.reports_at = Some(now + REPORT_INTERVAL);
            self.write_reports(now, path, out);
        }
        out.swap_buffers(&mut self.rtcp.compound, &mut self.rtcp.sealed);
    }

    /// Whether there may be something to tell: who publishes nothing is only told reports.
    fn is_rtcp_due(&self, now: Instant) -> bool {
        self.is_publishing() || self.rtcp.reports_at.is_some_and(|at| at <= now)
    }

    /// Whether the client sends media, or has: who does not is only told reports.
    pub(super) fn is_publishing(&self) -> bool {
        !self.receiver.streams.is_empty() || self.receiver.recorder.is_pending()
    }

    fn write_nacks(&mut self, now: Instant, path: Path, out: &mut TransmitBatch) {
        let rtt = self.rtt().unwrap_or(RTT_GUESS);
        let TransportPhase::Connected(srtp) = &mut self.phase else {
            return;
        };
        let rtcp = &mut self.rtcp;
        self.receiver.poll_nacks(now, rtt, |media, numbers| {
            rtcp.begin();
            write_nack(&mut rtcp.compound, rtcp.ssrc, media, numbers);
            rtcp.flush_if_long(path, &mut srtp.sender, out);
        });
        rtcp.flush(path, &mut srtp.sender, out);
        let broken: smallvec::SmallVec<[StreamIndex; 4]> = self.receiver.broken_streams().collect();
        for stream in broken {
            self.tell(TransportEvent::NeedKeyframe { stream });
        }
    }

    fn write_keyframe_requests(&mut self, now: Instant, path: Path, out: &mut TransmitBatch) {
        let rtt = self.rtt().unwrap_or(RTT_GUESS);
        let TransportPhase::Connected(srtp) = &mut self.phase else {
            return;
        };
        let (rtcp, receiver) = (&mut self.rtcp, &mut self.receiver);
        let indices = (0..=u16::MAX).map(StreamIndex);
        for (index, state) in indices.zip(&mut receiver.streams) {
            let wanted = std::mem::take(&mut state.keyframe_wanted);
            let Some(media) = state.ssrc.filter(|_| wanted) else {
                // Before the first packet there is nobody to ask; pictures start with a keyframe.
                continue;
            };
            let name = receiver.map.name(index);
            let line = name.and_then(|name| receiver.map.publishing_line(name.mid));
            let Some(line) = line else { continue };
            rtcp.begin();
            let in_vain = state.ask(now, rtt);
            if line.feedback.fir && (in_vain || !line.feedback.pli) {
                state.fir_sequence = state.fir_sequence.wrapping_add(1);
                let entry = FirEntry {
                    ssrc: media,
                    sequence: state.fir_sequence,
                };
                write_fir(&mut rtcp.compound, rtcp.ssrc, &[entry]);
            } else {
                write_pli(&mut rtcp.compound, rtcp.ssrc, media);
            }
            receiver.keyframe_requests += 1;
            rtcp.flush_if_long(path, &mut srtp.sender, out);
        }
        rtcp.flush(path, &mut srtp.sender, out);
    }

    fn write_feedback(&mut self, now: Instant, path: Path, out: &mut TransmitBatch) {
        let TransportPhase::Connected(srtp) = &mut self.phase else {
            return;
        };
        let (rtcp, receiver) = (&mut self.rtcp, &mut self.receiver);
        let due = rtcp.feedback_at.is_none_or(|at| at <= now);
        if !due || !receiver.recorder.is_pending() {
            return;
        }
        rtcp.feedback_at = Some(now + feedback_interval(receiver.meter.rate(now)));
        let media = receiver.streams.iter().find_map(|state| state.ssrc);
        loop {
            rtcp.begin();
            let sender = rtcp.ssrc;
            let compound = &mut rtcp.compound;
            if !receiver
                .recorder
                .write_feedback(compound, sender, media.unwrap_or(0))
            {
                // Only the beginning is there.
                rtcp.compound.clear();
                return;
            }
            rtcp.flush(path, &mut srtp.sender, out);
        }
    }

    /// What the publisher may send, where that is told and it is time.
    fn write_grant(&mut self, now: Instant, path: Path, out: &mut TransmitBatch) {
        let TransportPhase::Connected(srtp) = &mut self.phase else {
            return;
        };
        let (rtcp, receiver) = (&mut self.rtcp, &mut self.receiver);
        let sources = receiver.streams.iter().filter_map(|state| state.ssrc);
        let sources: smallvec::SmallVec<[u32; 8]> = sources.collect();
        if sources.is_empty() {
            return;
        }
        if let Some(granted) = receiver.poll_grant(now, self.config.bitrate_max) {
            rtcp.begin();
            write_remb(&mut rtcp.compound, rtcp.ssrc, granted, &sources);
            rtcp.flush(path, &mut srtp.sender, out);
        }
    }

    /// The reports of each second: what arrived, who we are, what each slot was sent.
    fn write_reports(&mut self, now: Instant, path: Path, out: &mut TransmitBatch) {
        let TransportPhase::Connected(srtp) = &mut self.phase else {
            return;
        };
        let (rtcp, receiver) = (&mut self.rtcp, &mut self.receiver);
        rtcp.blocks.clear();
        for state in &mut receiver.streams {
            let figures = state.record.as_mut().and_then(|record| record.report(now));
            if let (Some(ssrc), Some(figures)) = (state.ssrc, figures) {
                state.fraction_lost = figures.fraction_lost;
                state.lost = figures.cumulative_lost;
                rtcp.blocks.push(ReportBlock { ssrc, figures });
            }
        }
        let (lost, rtt) = (receiver.fraction_lost(), receiver.rtt());
        receiver.grant.on_report(now, lost, rtt);
        write_receiver_report(&mut rtcp.compound, rtcp.ssrc, &rtcp.blocks);
        write_cname(&mut rtcp.compound, rtcp.ssrc, self.slots.cname());
        if !rtcp.blocks.is_empty() {
            // A publisher that knows extended reports tells how long it held this clock; others
            // pass it over, as RFC 3550, section 6.1 has them do.
            write_reference_time(&mut rtcp.compound, rtcp.ssrc, self.config.ntp(now));
        }
        rtcp.flush_if_long(path, &mut srtp.sender, out);
        self.write_sender_reports(now, path, out, |state| state.packets > 0);
    }

    /// A slot's clock right after its first packet, so that sound and picture are in step at once.
    pub(super) fn write_first_reports(
        &mut self,
        now: Instant,
        path: Path,
        out: &mut TransmitBatch,
    ) {
        if std::mem::take(&mut self.sender.reports_due) {
            out.swap_buffers(&mut self.rtcp.compound, &mut self.rtcp.sealed);
            self.write_sender_reports(now, path, out, |state| state.report_due);
            out.swap_buffers(&mut self.rtcp.compound, &mut self.rtcp.sealed);
        }
    }

    fn write_sender_reports(
        &mut self,
        now: Instant,
        path: Path,
        out: &mut TransmitBatch,
        wanted: impl Fn(&crate::send::SlotState) -> bool,
    ) {
        let TransportPhase::Connected(srtp) = &mut self.phase else {
            return;
        };
        let ntp = self.config.ntp(now);
        let indices = (0..=u16::MAX).map(SlotIndex);
        for (index, state) in indices.zip(&mut self.sender.slots) {
            let clock = state.clock.at(now).filter(|_| wanted(state));
            let (Some(slot), Some(rtp_timestamp)) = (self.slots.get(index), clock) else {
                continue;
            };
            state.report_due = false;
            let figures = SenderFigures {
                ntp,
                rtp_timestamp,
                packets: state.packets,
                octets: state.octets,
            };
            write_sender_report(&mut self.rtcp.compound, slot.ssrc, &figures, &[]);
            write_cname(&mut self.rtcp.compound, slot.ssrc, self.slots.cname());
            self.rtcp.flush_if_long(path, &mut srtp.sender, out);
        }
        self.rtcp.flush(path, &mut srtp.sender, out);
    }
}

/// So far apart that feedback takes its share of what comes in and no more.
fn feedback_interval(rate: Bitrate) -> Duration {
    let share = rate.percent(FEEDBACK_PERCENT);
    let interval = share.time_for(DataSize::from_bytes(FEEDBACK_BYTES));
    interval.clamp(FEEDBACK_INTERVAL, FEEDBACK_INTERVAL_MAX)
}
