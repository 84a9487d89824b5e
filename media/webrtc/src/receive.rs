//! The publishing side: packets are opened, placed, recorded for feedback, and handed on.

use std::time::{Duration, Instant};

use media_bwe::EstimatorConfig;
use media_rtp::extension::Extensions;
use media_rtp::header::RtpHeader;
use media_rtp::receive::{Arrival, ReceiveStream, unwrap_rtx};
use media_rtp::rtcp::twcc::TwccRecorder;
use media_rtp::srtp::SrtpReceiver;
use media_types::{Bitrate, BufferPool, Codec, MediaKind, NtpTime, Payload};

use crate::config::TransportConfig;
use crate::error::DropReason;
use crate::grant::{Grant, Sighting};
use crate::limits::{GRANT_MIN, GRANT_START, PLI_RTTS, PLI_TRIES};
use crate::line::Line;
use crate::map::{Binding, PayloadUse, StreamMap, StreamName};
use crate::meter::Meter;
use crate::packet::{Incoming, StreamIndex};

/// What is known of one stream's arrivals.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    /// The source that is in use; repairs of another are of no use.
    pub(crate) ssrc: Option<u32>,
    pub(crate) record: Option<ReceiveStream>,
    pub(crate) codec: Option<Codec>,
    pub(crate) meter: Meter,
    /// A keyframe is to be asked for at the next turn.
    pub(crate) keyframe_wanted: bool,
    /// Keyframes asked for since the last came, and when the first was.
    asked: u32,
    asked_at: Option<Instant>,
    /// Counts FIR commands (RFC 5104, section 4.3.1.1).
    pub(crate) fir_sequence: u8,
    /// Packets lost, as last reported.
    pub(crate) lost: i32,
    pub(crate) fraction_lost: u8,
}

impl StreamState {
    /// Takes note that a keyframe is asked for now; whether PLI has been in vain so often and so
    /// long that it is time for FIR, which an encoder must obey (RFC 5104, section 4.3.1.2).
    pub(crate) fn ask(&mut self, now: Instant, rtt: Duration) -> bool {
        let since = *self.asked_at.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        let in_vain = self.asked >= PLI_TRIES && passed >= rtt.saturating_mul(PLI_RTTS);
        self.asked = self.asked.saturating_add(1);
        in_vain
    }

    /// A keyframe has come.
    pub(crate) const fn on_keyframe(&mut self) {
        self.asked = 0;
        self.asked_at = None;
    }
}

/// All that a client publishes.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    pub(crate) map: StreamMap,
    /// By stream index.
    pub(crate) streams: Vec<StreamState>,
    pub(crate) recorder: TwccRecorder,
    /// Feedback was agreed for some m-line on which the client may send.
    pub(crate) transport_feedback: bool,
    /// The client takes REMB for some of those.
    pub(crate) remb: bool,
    pub(crate) grant: Grant,
    pub(crate) meter: Meter,
    /// From our clock to the publisher's answer to it.
    pub(crate) rtt: Option<Duration>,
    pub(crate) repaired: u64,
    pub(crate) keyframe_requests: u64,
}

/// A packet that was opened, before anything is known of its stream.
struct Opened {
    header: RtpHeader,
    extensions: Extensions,
    payload: Payload,
}

impl Receiver {
    /// Follows what was agreed.
    pub(crate) fn update(&mut self, lines: &[Line], config: &TransportConfig) {
        self.map.update(lines);
        self.streams
            .resize_with(self.map.len(), StreamState::default);
        let publishing = || lines.iter().filter(|line| line.client.sends);
        self.transport_feedback = publishing().any(|line| line.feedback.transport);
        self.remb = publishing().any(|line| line.feedback.remb);
        let bounds = EstimatorConfig {
            start: GRANT_START,
            least: GRANT_MIN,
            most: config.bitrate_max,
        };
        let unaware = self.remb && !self.transport_feedback;
        self.grant.watch(unaware, bounds);
    }

    /// Opens a packet and finds its stream.
    pub(crate) fn handle_rtp(
        &mut self,
        now: Instant,
        datagram: &[u8],
        srtp: &mut SrtpReceiver,
        pool: &mut BufferPool,
        on_authentic: impl FnOnce(),
    ) -> Result<Option<Incoming>, DropReason> {
        let header = RtpHeader::parse(datagram)?;
        let payload = open(&header, datagram, srtp, pool);
        // A tag that fits proves the sender, whatever becomes of the packet.
        if !matches!(
            payload,
            Err(DropReason::Authentication | DropReason::Replayed)
        ) {
            on_authentic();
        }
        let payload = payload?;
        let extensions = Extensions::read(&header, datagram, self.map.extensions());
        if let Some(number) = extensions
            .transport_sequence
            .filter(|_| self.transport_feedback)
        {
            self.recorder.record(now, number);
        }
        self.meter.add(now, datagram.len());
        let usage = self.map.payload_use(header.payload_type);
        let binding = match self.map.binding(header.ssrc) {
            Some(binding) => binding,
            None => self.map.bind(header.ssrc, usage, &extensions)?,
        };
        let name = self.map.name(binding.stream);
        self.grant.on_packet(now, || {
            let kind = name?.kind;
            let codec = match kind {
                MediaKind::Audio => Codec::Opus,
                MediaKind::Video => Codec::Vp8,
            };
            Some(Sighting {
                stream: binding.stream,
                kind,
                repair: binding.repair,
                send_time: extensions.abs_send_time,
                timestamp: header.timestamp,
                clock_rate: codec.clock_rate(),
                size: datagram.len(),
            })
        });
        let opened = Opened {
            header,
            extensions,
            payload,
        };
        self.place(now, usage, binding, opened)
    }

    /// Hands a packet to its stream.
    fn place(
        &mut self,
        now: Instant,
        usage: PayloadUse,
        binding: Binding,
        opened: Opened,
    ) -> Result<Option<Incoming>, DropReason> {
        let name = self.map.name(binding.stream);
        let name = *name.ok_or(DropReason::UnknownStream)?;
        let line = self.map.publishing_line(name.mid);
        let nacks = line.ok_or(DropReason::NotPublishing)?.feedback.nack;
        let (codec, red) = match usage {
            PayloadUse::Rtx(codec) if binding.repair => {
                return Ok(self.on_repair(now, &name, binding, codec, opened));
            }
            PayloadUse::Media(codec) if !binding.repair => (codec, false),
            PayloadUse::Red if !binding.repair => (Codec::Opus, true),
            PayloadUse::Unknown | PayloadUse::Media(_) | PayloadUse::Red | PayloadUse::Rtx(_) => {
                return Err(DropReason::UnknownStream);
            }
        };
        self.on_media(now, &name, binding, (codec, red), nacks, opened)
            .map(Some)
    }

    fn on_media(
        &mut self,
        now: Instant,
        name: &StreamName,
        binding: Binding,
        (codec, red): (Codec, bool),
        nacks: bool,
        opened: Opened,
    ) -> Result<Incoming, DropReason> {
        let state = self.streams.get_mut(usize::from(binding.stream.0));
        let state = state.ok_or(DropReason::UnknownStream)?;
        let header = opened.header;
        if state.ssrc != Some(header.ssrc) {
            state.ssrc = Some(header.ssrc);
            state.record = None;
        }
        let rate = codec.clock_rate();
        let record = state
            .record
            .get_or_insert_with(|| ReceiveStream::new(rate, nacks));
        let size = header.header_length() + opened.payload.len();
        let arrival = record.on_packet(now, header.sequence, header.timestamp, size);
        state.meter.add(now, size);
        if arrival.duplicate {
            return Err(DropReason::Unneeded);
        }
        state.codec = Some(codec);
        let ssrc = header.ssrc;
        Ok(incoming(
            now,
            name,
            binding.stream,
            (codec, red),
            ssrc,
            arrival,
            opened,
        ))
    }

    fn on_repair(
        &mut self,
        now: Instant,
        name: &StreamName,
        binding: Binding,
        codec: Codec,
        mut opened: Opened,
    ) -> Option<Incoming> {
        let (original, rest) = unwrap_rtx(opened.payload.as_slice())?;
        let header_length = opened.payload.len().saturating_sub(rest.len());
        let state = self.streams.get_mut(usize::from(binding.stream.0))?;
        // Repairs of a stream that has not begun: the keyframe that it begins with will do.
        let (ssrc, record) = state.ssrc.zip(state.record.as_mut())?;
        let arrival = record.on_repaired(now, original);
        if arrival.duplicate {
            return None;
        }
        self.repaired += 1;
        opened.payload = opened.payload.skip(header_length);
        let mut packet = incoming(
            now,
            name,
            binding.stream,
            (codec, false),
            ssrc,
            arrival,
            opened,
        );
        packet.repaired = true;
        Some(packet)
    }

    /// Round-trip time to the publisher: by its answers to our clock, else by the quickest stream's
    /// answers to our requests for packets.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        let records = self
            .streams
            .iter()
            .filter_map(|state| state.record.as_ref());
        self.rtt
            .or_else(|| records.filter_map(ReceiveStream::repair_rtt).min())
    }

    /// The stream whose media come from this source.
    pub(crate) fn stream_of(&self, ssrc: u32) -> Option<StreamIndex> {
        let binding = self.map.binding(ssrc)?;
        (!binding.repair).then_some(binding.stream)
    }

    /// Takes a publisher's report of its clocks.
    pub(crate) fn on_sender_report(
        &mut self,
        now: Instant,
        stream: StreamIndex,
        ntp: NtpTime,
        rtp: u32,
    ) {
        let state = self.streams.get_mut(usize::from(stream.0));
        if let Some(record) = state.and_then(|state| state.record.as_mut()) {
            record.on_sender_report(now, ntp, rtp);
        }
    }

    /// When a NACK is due next.
    pub(crate) fn nack_at(&self) -> Option<Instant> {
        let records = self
            .streams
            .iter()
            .filter_map(|state| state.record.as_ref());
        records.filter_map(ReceiveStream::poll_timeout).min()
    }

    /// Streams whose losses are beyond repair; pictures need a fresh start.
    pub(crate) fn broken_streams(&mut self) -> impl Iterator<Item = StreamIndex> {
        let indices = (0..=u16::MAX).map(StreamIndex);
        let map = &self.map;
        let streams = indices.zip(&mut self.streams);
        streams.filter_map(move |(index, state)| {
            let broken = state.record.as_mut()?.take_needs_keyframe();
            let video = map.name(index)?.kind == MediaKind::Video;
            (broken && video).then_some(index)
        })
    }

    /// Asks for what is missing: fills `out` with (source, numbers) by calling `write`.
    pub(crate) fn poll_nacks(
        &mut self,
        now: Instant,
        rtt: Duration,
        mut write: impl FnMut(u32, &[u16]),
    ) {
        for state in &mut self.streams {
            let (Some(ssrc), Some(record)) = (state.ssrc, state.record.as_mut()) else {
                continue;
            };
            if record.poll_timeout().is_none_or(|at| at > now) {
                continue;
            }
            let numbers = record.poll_nacks(now, rtt);
            if !numbers.is_empty() {
                write(ssrc, &numbers);
            }
        }
    }

    /// What the client may send, if it is time to tell; at most `most`.
    pub(crate) fn poll_grant(&mut self, now: Instant, most: Bitrate) -> Option<Bitrate> {
        if !self.remb {
            self.grant.rest();
            return None;
        }
        let seen = self.grant.seen();
        self.grant.poll(now, seen, most)
    }

    /// The worst share of loss of the streams, in 256ths, as last reported.
    pub(crate) fn fraction_lost(&self) -> u8 {
        let fractions = self.streams.iter().map(|state| state.fraction_lost);
        fractions.max().unwrap_or(0)
    }
}

/// Decrypts into a buffer of the pool, and takes padding off.
fn open(
    header: &RtpHeader,
    datagram: &[u8],
    srtp: &mut SrtpReceiver,
    pool: &mut BufferPool,
) -> Result<Payload, DropReason> {
    pool.fill(|buffer| {
        let opened = srtp.open_rtp(header, datagram, buffer)?;
        let whole = buffer.get(..opened.length).unwrap_or_default();
        let kept = header.unpadded(whole)?.len();
        Ok(0..kept)
    })
}

fn incoming(
    now: Instant,
    name: &StreamName,
    stream: StreamIndex,
    (codec, red): (Codec, bool),
    ssrc: u32,
    arrival: Arrival,
    opened: Opened,
) -> Incoming {
    Incoming {
        stream,
        mid: name.mid,
        rid: name.rid,
        spatial: name.spatial,
        codec,
        ssrc,
        sequence: arrival.sequence,
        timestamp: opened.header.timestamp,
        marker: opened.header.marker,
        extensions: opened.extensions,
        payload: opened.payload,
        arrived: now,
        repaired: false,
        red,
    }
}
