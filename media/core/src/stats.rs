//! What a shard counts: plain fields, read once a second.

use std::collections::BTreeMap;

use media_types::MediaKind;

use crate::error::DropReason;

/// Totals since the shard's start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    audio_in: u64,
    video_in: u64,
    audio_out: u64,
    video_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) lost_in: u64,
    pub(crate) retransmitted_out: u64,
    pub(crate) keyframe_requests: u64,
    pub(crate) crashed: u64,
    dropped: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub(crate) const fn on_packet_in(&mut self, kind: MediaKind) {
        match kind {
            MediaKind::Audio => self.audio_in += 1,
            MediaKind::Video => self.video_in += 1,
        }
    }

    pub(crate) const fn on_packet_out(&mut self, kind: MediaKind) {
        match kind {
            MediaKind::Audio => self.audio_out += 1,
            MediaKind::Video => self.video_out += 1,
        }
    }

    pub(crate) fn on_dropped(&mut self, reason: impl Into<DropReason>) {
        self.on_dropped_many(reason, 1);
    }

    pub(crate) fn on_dropped_many(&mut self, reason: impl Into<DropReason>, count: u64) {
        if count > 0 {
            *self.dropped.entry(reason.into().word()).or_default() += count;
        }
    }

    pub(crate) fn packets_in(&self) -> BTreeMap<MediaKind, u64> {
        by_kind(self.audio_in, self.video_in)
    }

    pub(crate) fn packets_out(&self) -> BTreeMap<MediaKind, u64> {
        by_kind(self.audio_out, self.video_out)
    }

    pub(crate) fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.dropped.clone()
    }
}

fn by_kind(audio: u64, video: u64) -> BTreeMap<MediaKind, u64> {
    BTreeMap::from([(MediaKind::Audio, audio), (MediaKind::Video, video)])
}

/// A length as a counter counts it.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
