//! Audio has no layers: all of it passes, from the first packet on.

use super::Verdict;

/// The selector of one subscription to an audio track.
#[derive(Debug, Clone, Default)]
pub(crate) struct AudioSelector {
    wanted: bool,
    started: bool,
}

impl AudioSelector {
    pub(super) fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
        self.started &= wanted;
    }

    pub(super) fn restart(&mut self) {
        self.started = false;
    }

    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    pub(super) fn on_packet(&mut self) -> Verdict {
        if !self.wanted {
            return Verdict::Drop;
        }
        if self.started {
            return Verdict::Forward;
        }
        self.started = true;
        Verdict::Start
    }
}
