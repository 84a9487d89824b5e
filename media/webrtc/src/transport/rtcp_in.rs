//! What a client's RTCP says.

use std::time::{Duration, Instant};

use media_bwe::PacketReport;
use media_rtp::rtcp::report::ReportBlock;
use media_rtp::rtcp::twcc::TransportFeedback;
use media_rtp::rtcp::xr::ExtendedReport;
use media_rtp::rtcp::{self, RtcpPacket};
use media_types::NtpTime;
use smallvec::SmallVec;

use super::{Transport, TransportPhase};
use crate::error::DropReason;
use crate::event::TransportEvent;
use crate::packet::SlotIndex;
use crate::path::Path;

/// Packets of one compound that are looked at: more than any client sends, and a bound on what one
/// datagram can cost.
const PACKETS_MAX: usize = 64;
/// Numbers of one NACK that are passed on.
const NACKED_MAX: usize = 256;
/// Delays of one extended report that are looked at: ours is one of few.
const DELAYS_MAX: usize = 32;
/// Times beyond this come from a report that is not ours.
const RTT_MAX: Duration = Duration::from_secs(10);
/// One unit of a transport-wide reference time.
const REFERENCE_US: i64 = 64_000;

impl Transport {
    /// Takes a datagram of RTCP; what it says comes out as events.
    ///
    /// # Errors
    /// Why the packet is of no use.
    pub fn handle_rtcp(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let srtp = match &mut self.phase {
            TransportPhase::Connected(srtp) => &mut srtp.receiver,
            TransportPhase::Connecting => return Err(DropReason::NoKeys),
            TransportPhase::Ended => return Err(DropReason::Ended),
        };
        let mut opened = self.rtcp.take_scratch();
        let result = srtp.open_rtcp(datagram, &mut opened);
        if result.is_ok() {
            self.on_authentic(now, path);
            for packet in rtcp::packets(&opened).take(PACKETS_MAX).flatten() {
                self.on_rtcp(now, &packet);
            }
            self.tell_estimate(now);
        }
        self.rtcp.give_scratch(opened);
        Ok(result?)
    }

    fn on_rtcp(&mut self, now: Instant, packet: &RtcpPacket<'_>) {
        match packet {
            RtcpPacket::SenderReport(report) => {
                let figures = report.figures;
                self.on_sender_report(now, report.ssrc, figures.ntp, figures.rtp_timestamp);
                for block in report.blocks() {
                    self.on_report_block(now, &block);
                }
            }
            RtcpPacket::ReceiverReport(report) => {
                for block in report.blocks() {
                    self.on_report_block(now, &block);
                }
            }
            RtcpPacket::Bye(bye) => {
                for ssrc in bye.ssrcs() {
                    if let Some(stream) = self.receiver.stream_of(ssrc) {
                        self.tell(TransportEvent::StreamEnded { stream });
                    }
                }
            }
            RtcpPacket::Nack(nack) => {
                // Lost retransmissions are asked for under the number of what they repeat.
                if let Some(slot) = self.slots.by_media_ssrc(nack.media) {
                    let sequences: SmallVec<[u16; 8]> = nack.sequences().take(NACKED_MAX).collect();
                    self.tell(TransportEvent::Nack { slot, sequences });
                }
            }
            RtcpPacket::Pli(pli) => self.on_keyframe_request(pli.media, None),
            RtcpPacket::Fir(fir) => {
                for entry in fir.entries() {
                    self.on_keyframe_request(entry.ssrc, Some(entry.sequence));
                }
            }
            RtcpPacket::Remb(remb) => self.sender.estimator.on_remb(now, remb.bitrate),
            RtcpPacket::TransportFeedback(feedback) => self.on_feedback(now, feedback),
            RtcpPacket::ExtendedReport(report) => self.on_extended_report(now, report),
            RtcpPacket::Sdes(_) | RtcpPacket::Unknown { .. } => {}
        }
    }

    fn on_sender_report(&mut self, now: Instant, ssrc: u32, ntp: NtpTime, rtp: u32) {
        if let Some(stream) = self.receiver.stream_of(ssrc) {
            self.receiver.on_sender_report(now, stream, ntp, rtp);
            self.tell(TransportEvent::SenderReport { stream, ntp, rtp });
        }
    }

    fn on_report_block(&mut self, now: Instant, block: &ReportBlock) {
        let Some(index) = self.slots.by_ssrc(block.ssrc) else {
            return;
        };
        let figures = block.figures;
        if let Some(rtt) = self.rtt_of(now, figures.last_sender_report, figures.delay_since_last) {
            self.sender.rtt = Some(rtt);
            self.sender.estimator.on_rtt(now, rtt);
        }
        let main = self
            .slots
            .get(index)
            .is_some_and(|slot| slot.ssrc == block.ssrc);
        let Some(state) = self.sender.slot_mut(index).filter(|_| main) else {
            return;
        };
        state.known = true;
        state.loss = figures.fraction_lost;
        self.sender.loss.on_report(now, figures.fraction_lost);
        if !self.sender.transport_feedback {
            self.sender
                .estimator
                .on_report_loss(now, figures.fraction_lost);
        }
    }

    /// A publisher's answer to the clock that we sent with our reports (RFC 3611, section 4.5).
    fn on_extended_report(&mut self, now: Instant, report: &ExtendedReport<'_>) {
        let ours = self.rtcp.ssrc();
        let mut delays = report.delays().take(DELAYS_MAX);
        if let Some(delay) = delays.find(|delay| delay.ssrc == ours)
            && let Some(rtt) = self.rtt_of(now, delay.last_reference, delay.delay)
        {
            self.receiver.rtt = Some(rtt);
            self.sender.estimator.on_rtt(now, rtt);
        }
    }

    /// Now, less when our report left and how long the client held it (RFC 3550, section 6.4.1).
    fn rtt_of(&self, now: Instant, last_report: u32, delay: u32) -> Option<Duration> {
        if last_report == 0 {
            return None;
        }
        let middle = self.config.ntp(now).middle();
        let units = middle.wrapping_sub(last_report).wrapping_sub(delay);
        let rtt = Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16);
        (rtt < RTT_MAX).then_some(rtt)
    }

    /// A FIR with the number of the one before is a repetition, and asks for nothing new.
    fn on_keyframe_request(&mut self, ssrc: u32, fir_sequence: Option<u8>) {
        let Some(slot) = self.slots.by_ssrc(ssrc) else {
            return;
        };
        if fir_sequence.is_some() && !self.is_new_fir(slot, fir_sequence) {
            return;
        }
        self.keyframe_requests_in += 1;
        self.tell(TransportEvent::KeyframeRequested { slot });
    }

    fn is_new_fir(&mut self, slot: SlotIndex, sequence: Option<u8>) -> bool {
        let state = self.sender.slot_mut(slot);
        state.is_some_and(|state| std::mem::replace(&mut state.fir_sequence, sequence) != sequence)
    }

    fn on_feedback(&mut self, now: Instant, feedback: &TransportFeedback<'_>) {
        let [_, t0, t1, t2] = feedback.reference_time.to_be_bytes();
        let reference = i64::from(u32::from_be_bytes([0, t0, t1, t2])) * REFERENCE_US;
        let reports = feedback.arrivals().map(|(sequence, arrival)| PacketReport {
            sequence,
            arrived: arrival.map(|micros| {
                let micros = u64::try_from(reference.saturating_add(micros));
                Duration::from_micros(micros.unwrap_or(0))
            }),
        });
        let sender = &mut self.sender;
        sender.estimator.on_feedback(now, reports);
        sender.loss.on_share(now, sender.estimator.loss());
        if sender.on_heard(now) {
            self.tell(TransportEvent::PathBack);
        }
    }
}
