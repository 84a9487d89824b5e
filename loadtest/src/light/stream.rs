//! One received stream: every packet is counted, some are looked into.

use std::time::{Duration, Instant};

use media_rtp::descriptor::{Resolution, inspect, resolution};
use media_rtp::header::RtpHeader;
use media_rtp::receive::ReceiveStream;
use media_rtp::rtcp::report::ReportBlock;
use media_types::{Codec, MediaKind, NtpTime};

use super::figures::StreamFigures;

/// What a round trip is taken for where no repair has told.
const RTT_GUESS: Duration = Duration::from_millis(50);
/// Between two requests for a keyframe.
const KEYFRAME_PERIOD: Duration = Duration::from_millis(500);

/// What a packet needs of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It begins a frame, or is due by the sample.
    Open,
    Pass,
}

pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) codec: Codec,
    numbers: ReceiveStream,
    first: u64,
    highest: u64,
    timestamp: Option<u32>,
    since_opened: u32,
    size: Option<Resolution>,
    waits_for_keyframe: bool,
    asked_at: Option<Instant>,
    pub(super) figures: StreamFigures,
}

impl Stream {
    pub(super) fn new(ssrc: u32, codec: Codec, nack: bool) -> Self {
        let video = codec.kind() == MediaKind::Video;
        Self {
            ssrc,
            codec,
            numbers: ReceiveStream::new(codec.clock_rate(), nack && video),
            first: u64::MAX,
            highest: 0,
            timestamp: None,
            since_opened: 0,
            size: None,
            waits_for_keyframe: video,
            asked_at: None,
            figures: StreamFigures::default(),
        }
    }

    /// Counts a packet by its header.
    pub(super) fn count(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        length: usize,
        open_every: u32,
    ) -> Look {
        let arrival = self
            .numbers
            .on_packet(now, header.sequence, header.timestamp, length);
        if arrival.duplicate {
            self.figures.duplicates += 1;
            return Look::Pass;
        }
        if arrival.restarted {
            // What was skipped by a sender that began anew is not lost.
            let seen = self.highest + 1 - self.first;
            self.first = arrival.sequence.saturating_sub(seen);
        }
        self.note(arrival.sequence);
        self.figures.packets += 1;
        self.figures.bytes += u64::try_from(length).unwrap_or(0);
        let begins = arrival.newest && self.timestamp != Some(header.timestamp);
        if arrival.newest {
            self.timestamp = Some(header.timestamp);
        }
        self.since_opened += 1;
        let video = self.codec.kind() == MediaKind::Video;
        if (begins && video) || self.since_opened >= open_every {
            self.since_opened = 0;
            return Look::Open;
        }
        Look::Pass
    }

    /// A packet came again by a repair stream, under its first number; whether it was missing.
    pub(super) fn repaired(&mut self, now: Instant, sequence: u16, length: usize) -> bool {
        let arrival = self.numbers.on_repaired(now, sequence);
        if arrival.duplicate {
            self.figures.padding += 1;
            return false;
        }
        self.note(arrival.sequence);
        self.figures.packets += 1;
        self.figures.repaired += 1;
        self.figures.bytes += u64::try_from(length).unwrap_or(0);
        true
    }

    fn note(&mut self, sequence: u64) {
        self.first = self.first.min(sequence);
        self.highest = self.highest.max(sequence);
    }

    /// Looks into an opened payload; whether a keyframe begins with it.
    pub(super) fn look(&mut self, payload: &[u8], marker: bool) -> bool {
        let info = inspect(self.codec, payload, marker, None);
        let keyframe = info.is_some_and(|info| info.keyframe);
        if !keyframe || self.codec.kind() == MediaKind::Audio {
            return false;
        }
        self.figures.keyframes += 1;
        self.waits_for_keyframe = false;
        if let Some(size) = resolution(self.codec, payload) {
            let before = self.size.replace(size);
            let switched = before.is_some_and(|before| before != size);
            self.figures.layer_switches += u64::from(switched);
        }
        true
    }

    pub(super) fn on_sender_report(&mut self, now: Instant, ntp: NtpTime, timestamp: u32) {
        self.numbers.on_sender_report(now, ntp, timestamp);
    }

    pub(super) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let figures = self.numbers.report(now)?;
        let ssrc = self.ssrc;
        Some(ReportBlock { ssrc, figures })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.numbers.poll_timeout()
    }

    /// What to ask for again, and whether a keyframe is to be asked for.
    pub(super) fn poll(&mut self, now: Instant) -> (Vec<u16>, bool) {
        let rtt = self.numbers.repair_rtt().unwrap_or(RTT_GUESS);
        let nacks = self.numbers.poll_nacks(now, rtt).to_vec();
        self.waits_for_keyframe |= self.numbers.take_needs_keyframe();
        let rested = |at| now.saturating_duration_since(at) >= KEYFRAME_PERIOD;
        let started = *self.asked_at.get_or_insert(now);
        let ask = self.waits_for_keyframe && rested(started);
        if ask {
            self.asked_at = Some(now);
        }
        (nacks, ask)
    }

    /// The figures, with what is missing to this moment.
    pub(super) fn figures(&self) -> StreamFigures {
        let mut figures = self.figures;
        if self.first <= self.highest {
            let expected = self.highest - self.first + 1;
            figures.lost = expected.saturating_sub(figures.packets);
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn header(sequence: u16, timestamp: u32) -> RtpHeader {
        use media_rtp::header::{HeaderFields, write_header};
        let fields = HeaderFields {
            sequence,
            timestamp,
            ssrc: 7,
            ..HeaderFields::default()
        };
        let mut packet = [0; 13];
        write_header(&mut packet, &fields, &[]).unwrap();
        RtpHeader::parse(&packet).unwrap()
    }

    #[test]
    fn losses_repairs_and_duplicates_are_told_apart() {
        let now = Clock::start().now();
        let mut stream = Stream::new(7, Codec::Vp8, true);
        // 4 and 6 are missing, 5 comes late, 3 twice, over a rollover of the number.
        let numbers = [1_u16, 2, 3, 3, 7, 5, 8].map(|n| n.wrapping_sub(4));
        for number in numbers {
            stream.count(now, &header(number, 0), 100, 1_000);
        }
        let figures = stream.figures();
        assert_eq!(
            (figures.packets, figures.lost, figures.duplicates),
            (6, 2, 1)
        );
        assert!(stream.repaired(now, 4_u16.wrapping_sub(4), 90));
        assert!(!stream.repaired(now, 4_u16.wrapping_sub(4), 90));
        let figures = stream.figures();
        assert_eq!(
            (figures.lost, figures.repaired, figures.duplicates),
            (1, 1, 1)
        );
        assert_eq!(figures.padding, 1, "a repair of what is there is a probe");
        assert_eq!(figures.bytes, 6 * 100 + 90);
    }

    #[test]
    fn frame_starts_and_a_sample_are_opened() {
        let now = Clock::start().now();
        let mut stream = Stream::new(7, Codec::Vp8, false);
        let look =
            |stream: &mut Stream, number, time| stream.count(now, &header(number, time), 100, 3);
        assert_eq!(look(&mut stream, 1, 0), Look::Open);
        assert_eq!(look(&mut stream, 2, 0), Look::Pass);
        assert_eq!(look(&mut stream, 3, 0), Look::Pass);
        assert_eq!(look(&mut stream, 4, 0), Look::Open);
        assert_eq!(look(&mut stream, 5, 3_000), Look::Open);
        // Late, of the frame before.
        assert_eq!(look(&mut stream, 5, 0), Look::Pass);
    }

    #[test]
    fn a_change_of_size_is_a_change_of_layer() {
        let mut stream = Stream::new(7, Codec::Vp8, false);
        let keyframe = |width| [0x10, 0x10, 2, 0, 0x9d, 1, 0x2a, width, 1, 0xb4, 0];
        for width in [0x40, 0x40, 0x80, 0x40] {
            assert!(stream.look(&keyframe(width), false));
        }
        assert!(!stream.look(&[0x10, 0x11, 2, 0], false));
        let figures = stream.figures;
        assert_eq!((figures.keyframes, figures.layer_switches), (4, 2));
    }
}
