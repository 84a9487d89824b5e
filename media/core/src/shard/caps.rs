//! What a single viewer's path carries caps a publisher that has no layers to choose from.
//!
//! With layers the allocator chooses, and nobody watches what does not fit. Without, one encoding
//! is made for all; but where all are one, its publisher may as well make what fits.

use std::time::Instant;

use media_types::{Bitrate, MediaKind};

use super::Shard;
use super::layers::View;
use crate::demux::LinkIndex;
use crate::limits::{AUDIO_RESERVE, CAP_LIFE, CAP_MIN, FALL_PERCENT};
use crate::track::{Publisher, Track};

/// A bound for one publisher; none lifts it.
pub(super) type Cap = (LinkIndex, Option<Bitrate>);

/// The bound that a viewer's slot gives the publisher of its track. `left`: what of the viewer's
/// budget other slots leave to it, where its path is known to be narrow.
pub(super) fn cap_of(now: Instant, view: &View<'_>, left: Option<Bitrate>) -> Option<Cap> {
    let track = view.track();
    let Publisher::Local { link, .. } = track.publisher else {
        return None;
    };
    if track.kind == MediaKind::Audio || track.wanted.is_simulcast() {
        return None;
    }
    let left = left.filter(|_| is_only_viewer(now, track) && !view.wish().paused);
    let with_sound = |left: Bitrate| left.saturating_add(AUDIO_RESERVE).max(CAP_MIN);
    Some((link, left.map(with_sound)))
}

fn is_only_viewer(now: Instant, track: &Track) -> bool {
    let awake = track.subscriptions.iter().filter(|it| it.awake).count();
    let mut relays = track.relays.iter();
    awake == 1 && relays.all(|relay| relay.wanted(now).is_empty())
}

impl Shard {
    /// Tells a publisher what its only viewer can take, if that is another bound than before.
    pub(super) fn cap(&mut self, now: Instant, (index, cap): Cap) {
        let Some(link) = self.links.get_mut(index) else {
            return;
        };
        let lines = &link.media;
        let is_video = |mid| {
            let mut lines = lines.iter();
            lines.any(|line| line.mid == mid && line.kind == MediaKind::Video)
        };
        let videos = link.published.iter().filter(|it| is_video(it.mid)).count();
        let cap = cap.filter(|_| videos == 1);
        let told = link.cap.map(|(told, _)| told);
        link.cap = cap.map(|cap| (cap, now));
        let near = |a: Bitrate, b: Bitrate| a.min(b) >= a.max(b).percent(FALL_PERCENT);
        let same = match (told, cap) {
            (Some(told), Some(cap)) => near(told, cap),
            (told, cap) => told == cap,
        };
        if same {
            // Small steps must add up.
            link.cap = told.map(|told| (told, now));
        } else {
            link.call(|transport| transport.cap_incoming(cap));
            self.mark_dirty(index);
            self.arm(index);
        }
    }

    /// Lifts a bound that no viewer has renewed.
    pub(super) fn lift_cap(&mut self, now: Instant, index: LinkIndex) {
        let cap = self.links.get(index).and_then(|link| link.cap);
        if cap.is_some_and(|(_, at)| now.saturating_duration_since(at) >= CAP_LIFE) {
            self.cap(now, (index, None));
        }
    }
}
