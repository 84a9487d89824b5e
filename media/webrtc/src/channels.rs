//! The two data channels of a client: `reliable` and `lossy`.

use str0m::channel::ChannelId;

/// The label of the unordered channel that never retransmits.
const LOSSY: &str = "lossy";
/// The label of the ordered channel on which nothing is lost.
const RELIABLE: &str = "reliable";

/// Which of str0m's channels is which. A second of a kind takes the place of the first.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    reliable: Option<ChannelId>,
    lossy: Option<ChannelId>,
}

impl Channels {
    /// Takes note of an open channel; whether it is the reliable one.
    pub(crate) fn open(&mut self, id: ChannelId, label: &str) -> Option<bool> {
        let reliable = match label {
            LOSSY => false,
            RELIABLE => true,
            _ => return None,
        };
        *self.entry(reliable) = Some(id);
        Some(reliable)
    }

    pub(crate) fn close(&mut self, id: ChannelId) {
        for reliable in [true, false] {
            if *self.entry(reliable) == Some(id) {
                *self.entry(reliable) = None;
            }
        }
    }

    pub(crate) fn id(&self, reliable: bool) -> Option<ChannelId> {
        if reliable { self.reliable } else { self.lossy }
    }

    /// Whether this is the reliable channel; `None` if it is neither.
    pub(crate) fn is_reliable(&self, id: ChannelId) -> Option<bool> {
        [true, false]
            .into_iter()
            .find(|&reliable| self.id(reliable) == Some(id))
    }

    fn entry(&mut self, reliable: bool) -> &mut Option<ChannelId> {
        if reliable {
            &mut self.reliable
        } else {
            &mut self.lossy
        }
    }
}
