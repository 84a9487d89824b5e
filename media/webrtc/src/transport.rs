//! [`Transport`]: joins session, SRTP, receive and send sides.

mod figures;
mod rtcp_in;
mod rtcp_out;
mod timing;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_rtp::srtp::{SrtpReceiver, SrtpSender};
use media_rtp::timestamp::SenderClock;
use media_types::{Bitrate, BufferPool, Codec, DataSize, Mid};
use str0m::Candidate;

use crate::batch::TransmitBatch;
use crate::config::{Permissions, TransportConfig, TransportSeed};
use crate::error::{DropReason, WebRtcError};
use crate::event::{LostReason, TransportEvent};
use crate::limits::EVENTS_MAX;
use crate::negotiate::{Negotiated, Negotiator};
use crate::packet::{Incoming, SendPacket, SlotIndex, StreamIndex};
use crate::path::Path;
use crate::paths::Paths;
use crate::receive::Receiver;
use crate::send::{Exit, Sender};
use crate::session::{Session, SessionEvent};
use crate::slots::Slots;
use rtcp_out::RtcpWriter;

/// Both directions' session keys.
#[derive(Debug)]
struct Srtp {
    sender: SrtpSender,
    receiver: SrtpReceiver,
}

#[derive(Debug)]
enum TransportPhase {
    /// No keys yet.
    Connecting,
    /// Media may flow.
    Connected(Box<Srtp>),
    /// Nothing works any more.
    Ended,
}

/// One secured media path to one client.
#[derive(Debug)]
pub struct Transport {
    config: TransportConfig,
    permissions: Permissions,
    phase: TransportPhase,
    session: Session,
    negotiator: Negotiator,
    slots: Slots,
    receiver: Receiver,
    sender: Sender,
    paths: Paths,
    rtcp: RtcpWriter,
    events: VecDeque<TransportEvent>,
    /// The last sign of life, once there was an offer.
    alive_at: Option<Instant>,
    keyframe_requests_in: u64,
}

impl Transport {
    /// A transport that waits for its first offer.
    ///
    /// # Errors
    /// [`WebRtcError::BadCandidate`] if a configured address cannot be a candidate.
    pub fn new(
        now: Instant,
        config: &TransportConfig,
        permissions: Permissions,
        seed: TransportSeed,
    ) -> Result<Self, WebRtcError> {
        let session = Session::new(now, config, &seed)?;
        let mut slots = Slots::new(seed.random);
        let rtcp = RtcpWriter::new(slots.new_ssrc());
        Ok(Self {
            permissions,
            phase: TransportPhase::Connecting,
            session,
            negotiator: Negotiator::new(permissions, seed.random),
            slots,
            receiver: Receiver::default(),
            sender: Sender::new(now, config),
            paths: Paths::default(),
            rtcp,
            events: VecDeque::new(),
            alive_at: None,
            keyframe_requests_in: 0,
            config: config.clone(),
        })
    }

    /// Our ICE user name fragment: STUN requests for this transport name it first. It changes when
    /// [`Transport::negotiate`] finds an ICE restart.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        self.session.ufrag()
    }

    /// Takes a client's offer: the first, a renegotiation, or an ICE restart. `pairs` are audio and
    /// video slots that share one msid stream; empty: the i-th audio with the i-th video slot.
    ///
    /// # Errors
    /// [`WebRtcError::BadSdp`] and [`WebRtcError::SdpLimit`]. After a first offer nothing has
    /// changed but that a session which str0m half accepted may not connect.
    pub fn negotiate(
        &mut self,
        now: Instant,
        offer: &str,
        pairs: &[(Mid, Mid)],
    ) -> Result<Negotiated, WebRtcError> {
        if matches!(self.phase, TransportPhase::Ended) {
            return Err(WebRtcError::Ended);
        }
        let (session, slots) = (&mut self.session, &mut self.slots);
        let applied = self.negotiator.apply(now, session, slots, offer, pairs);
        let (negotiated, lines) = applied?;
        self.receiver.update(&lines, &self.config);
        self.sender.update(&self.slots);
        self.alive_at.get_or_insert(now);
        self.collect(now);
        Ok(negotiated)
    }

    /// Takes a trickled candidate. Being ICE-lite we learn addresses from the client's checks, so a
    /// candidate is only looked at.
    ///
    /// # Errors
    /// [`WebRtcError::BadCandidate`] if it cannot be read. The name of a host, which browsers give
    /// in place of an address, can be.
    pub fn add_remote_candidate(&mut self, candidate: &str) -> Result<(), WebRtcError> {
        let line = candidate.trim().trim_start_matches("a=");
        let hidden = line.starts_with("candidate:") && line.contains(".local ");
        if line.is_empty() || hidden {
            return Ok(());
        }
        let read = Candidate::from_sdp_string(line);
        read.map(|_| ()).map_err(|_| WebRtcError::BadCandidate)
    }

    /// Takes a datagram of STUN or DTLS.
    pub fn handle_control(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        self.session.handle_datagram(now, path, datagram);
        self.collect(now);
    }

    /// Takes a datagram of RTP and opens it into a buffer of `pool`. `None` for what carries no
    /// media: probes on a retransmission stream, and repairs of what has come. A packet of padding
    /// on a media stream has an empty payload, and counts in the stream's numbering.
    ///
    /// # Errors
    /// Why the packet is of no use.
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        pool: &mut BufferPool,
    ) -> Result<Option<Incoming>, DropReason> {
        let srtp = match &mut self.phase {
            TransportPhase::Connected(srtp) => &mut srtp.receiver,
            TransportPhase::Connecting => return Err(DropReason::NoKeys),
            TransportPhase::Ended => return Err(DropReason::Ended),
        };
        let mut authentic = false;
        let incoming = self
            .receiver
            .handle_rtp(now, datagram, srtp, pool, || authentic = true);
        if authentic {
            self.on_authentic(now, path);
        }
        incoming
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.phase, TransportPhase::Ended) {
            return;
        }
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
        }
        self.collect(now);
        if self.dies_at().is_some_and(|at| at <= now) {
            self.end(LostReason::TimedOut);
        }
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// Whether something waits in [`Transport::poll_event`].
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Adds all that is ready to be sent. When the batch has no room left it is marked full, and
    /// the rest stays for the next call.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) {
        while let Some((path, datagram)) = self.session.poll_datagram() {
            if !out.push(path, &datagram) {
                self.session.unpoll_datagram(path, datagram);
                return;
            }
        }
        let Some(path) = self.paths.current() else {
            return;
        };
        self.write_rtcp(now, path, out);
        if let TransportPhase::Connected(srtp) = &mut self.phase {
            self.sender.poll_transmit(&mut Exit {
                now,
                path,
                slots: &self.slots,
                srtp: &mut srtp.sender,
                out,
            });
        }
        // A slot's first packet has left: its clock follows in the same turn.
        self.write_first_reports(now, path, out);
        self.tell_estimate(now);
    }

    /// Asks a publisher for a keyframe: PLI, or FIR if that alone was agreed or PLI was in vain.
    pub fn request_keyframe(&mut self, _now: Instant, stream: StreamIndex) {
        if let Some(state) = self.receiver.streams.get_mut(usize::from(stream.0)) {
            state.keyframe_wanted = true;
        }
    }

    /// The slot of an m-line, if the client can show a track there.
    #[must_use]
    pub fn slot(&self, mid: Mid) -> Option<SlotIndex> {
        let (index, slot) = self.slots.by_mid(mid)?;
        slot.is_open().then_some(index)
    }

    /// Whether the slot's client offered this codec for it.
    #[must_use]
    pub fn slot_supports(&self, slot: SlotIndex, codec: Codec) -> bool {
        let slot = self.slots.get(slot);
        slot.is_some_and(|slot| slot.format_for(codec).is_some())
    }

    /// Whether the slot negotiated redundancy for Opus (RFC 2198).
    #[must_use]
    pub fn slot_supports_red(&self, slot: SlotIndex) -> bool {
        let slot = self.slots.get(slot);
        slot.is_some_and(|slot| slot.is_open() && slot.line.red.is_some())
    }

    /// Queues a packet; it leaves at the next [`Transport::poll_transmit`] that the pacer allows.
    /// Without a connection it is dropped.
    pub fn send(&mut self, now: Instant, packet: SendPacket) {
        if self.is_sending() {
            self.sender.on_packet(now, &packet);
            self.sender.queue(now, packet);
        }
    }

    /// Sends a packet at once where the pacer allows it, else queues it as [`Transport::send`]
    /// does; to be followed by [`Transport::poll_transmit`].
    pub fn send_through(&mut self, now: Instant, packet: SendPacket, out: &mut TransmitBatch) {
        let (Some(path), TransportPhase::Connected(srtp)) = (self.paths.current(), &mut self.phase)
        else {
            return;
        };
        self.sender.on_packet(now, &packet);
        let mut exit = Exit {
            now,
            path,
            slots: &self.slots,
            srtp: &mut srtp.sender,
            out,
        };
        if let Some(packet) = self.sender.pass(&mut exit, packet) {
            self.sender.queue(now, packet);
        }
    }

    /// How the clock of what a slot shows goes with our wall clock, where its source tells: sender
    /// reports then say when things were captured rather than when they came, so that sound and
    /// picture meet again. Holds for a few seconds, or until another source is shown.
    pub fn pin_clock(&mut self, now: Instant, slot: SlotIndex, clock: SenderClock) {
        let here = self.config.ntp(now).0;
        let since = here.wrapping_sub(clock.ntp.0).cast_signed();
        if let Some(state) = self.sender.slot_mut(slot) {
            state.clock.pin(now, since, clock.timestamp.0);
        }
    }

    /// The most that could be of use towards the client, sound included: what all its slots would
    /// take at their best. While the estimate is below that, probes ask the path for more; before
    /// this is told there are none.
    pub fn set_wanted(&mut self, now: Instant, wanted: Bitrate) {
        self.sender.estimator.set_wanted(now, wanted);
    }

    /// What is to flow towards the client from now on, sound included: it is paced as if it flowed
    /// already, within the estimate.
    pub const fn set_granted(&mut self, now: Instant, granted: Bitrate) {
        self.sender.estimator.set_granted(now, granted);
    }

    /// The most that the client should send, all its streams together; `None` for no such bound.
    /// It is told by REMB, at once and then each second, where the client knows that
    /// (`goog-remb`); browsers keep to it beside transport-wide feedback.
    pub fn cap_incoming(&mut self, most: Option<Bitrate>) {
        self.receiver.grant.cap(most);
    }

    /// What the path towards the client can carry.
    #[must_use]
    pub fn estimate(&self, now: Instant) -> Bitrate {
        self.sender.estimator.estimate(now)
    }

    /// Bytes that wait in the pacer.
    #[must_use]
    pub const fn backlog(&self) -> DataSize {
        self.sender.pacer.backlog()
    }

    /// How long the oldest packet in the pacer has waited.
    #[must_use]
    pub fn queue_delay(&self, now: Instant) -> Duration {
        self.sender.pacer.queue_delay(now)
    }

    /// A keyframe of a stream began with this number: what was lost before it is not asked for any
    /// more, and does not end in [`TransportEvent::NeedKeyframe`].
    pub fn on_keyframe(&mut self, stream: StreamIndex, sequence: u64) {
        let Some(state) = self.receiver.streams.get_mut(usize::from(stream.0)) else {
            return;
        };
        state.on_keyframe();
        if let Some(record) = &mut state.record {
            record.forget_before(sequence);
        }
    }

    /// Round-trip time to the client, once known: by its answers to our reports, to our clock or
    /// to our requests, else by transport-wide feedback.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        let sender = &self.sender;
        let reported = sender.rtt.or_else(|| self.receiver.rtt());
        reported.or(sender.estimator.feedback_rtt())
    }

    /// Sends a data message over the reliable or the lossy channel. `false` if that channel is not
    /// open, or is full.
    ///
    /// # Errors
    /// [`WebRtcError::DataSize`] and [`WebRtcError::DataChannel`].
    pub fn send_data(
        &mut self,
        now: Instant,
        reliable: bool,
        message: &[u8],
    ) -> Result<bool, WebRtcError> {
        if !self.permissions.data {
            return Ok(false);
        }
        let sent = self.session.send_data(now, reliable, message);
        self.collect(now);
        sent
    }

    /// Whether ICE and DTLS are through, and it has not ended.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.phase, TransportPhase::Connected(_))
    }

    /// Whether it has ended, on its own or by [`Transport::close`].
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, TransportPhase::Ended)
    }

    /// Where media goes: the path that the client nominated.
    #[must_use]
    pub const fn path(&self) -> Option<Path> {
        self.paths.current()
    }

    /// A path is gone for good: an ICE-TCP connection ended.
    pub fn handle_path_closed(&mut self, path: Path) {
        if self.paths.on_closed(path) {
            self.on_path_change();
        }
    }

    /// Says goodbye; the next [`Transport::poll_transmit`] sends it.
    pub fn close(&mut self, _now: Instant) {
        self.session.close();
        self.phase = TransportPhase::Ended;
    }

    fn tell(&mut self, event: TransportEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn tell_estimate(&mut self, now: Instant) {
        if !self.is_sending() {
            return;
        }
        if let Some(estimate) = self.sender.estimator.poll_estimate(now) {
            self.tell(TransportEvent::Estimate(estimate));
        }
    }

    /// Takes what the session has to tell.
    fn collect(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Connected => self.on_connected(now),
                SessionEvent::Ended(reason) => self.end(reason),
                SessionEvent::Validated { path, nominated } => {
                    self.alive_at = Some(now);
                    let first = self.paths.current().is_none();
                    if self.paths.on_check(now, path, nominated) && !first {
                        self.on_path_change();
                    }
                }
                SessionEvent::ChannelOpen { reliable } if self.permissions.data => {
                    self.tell(TransportEvent::DataOpen { reliable });
                }
                SessionEvent::Data { reliable, bytes } if self.permissions.data => {
                    self.tell(TransportEvent::Data { reliable, bytes });
                }
                SessionEvent::ChannelOpen { .. } | SessionEvent::Data { .. } => {}
            }
        }
    }

    fn on_connected(&mut self, now: Instant) {
        let Some(keys) = self.session.keys() else {
            return;
        };
        let sending = keys.material.sending(keys.role);
        let receiving = keys.material.receiving(keys.role);
        let sender = SrtpSender::new(keys.profile, sending);
        let receiver = SrtpReceiver::new(keys.profile, receiving);
        let (Ok(sender), Ok(receiver)) = (sender, receiver) else {
            self.end(LostReason::Handshake);
            return;
        };
        tracing::debug!(profile = ?keys.profile, "connected");
        self.phase = TransportPhase::Connected(Box::new(Srtp { sender, receiver }));
        self.alive_at = Some(now);
        self.rtcp.start(now);
        self.tell(TransportEvent::Connected);
    }

    fn on_authentic(&mut self, now: Instant, path: Path) {
        self.alive_at = Some(now);
        if self.paths.on_authentic(now, path) {
            self.on_path_change();
        }
    }

    fn on_path_change(&mut self) {
        if let Some(path) = self.paths.current() {
            self.sender.on_path_change();
            self.receiver.rtt = None;
            self.receiver.grant.on_path_change();
            self.tell(TransportEvent::PathChanged(path));
        }
    }

    fn end(&mut self, reason: LostReason) {
        if !matches!(self.phase, TransportPhase::Ended) {
            self.phase = TransportPhase::Ended;
            self.tell(TransportEvent::Lost(reason));
        }
    }
}
