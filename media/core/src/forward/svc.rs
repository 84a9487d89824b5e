//! Chooses among spatial and temporal layers that lie within one stream (VP9, AV1).

use media_rtp::descriptor::FrameInfo;
use media_types::Layer;

use super::Verdict;

/// The selector of one subscription to a track with scalable coding.
#[derive(Debug, Clone, Default)]
pub(crate) struct SvcSelector {
    /// The highest layer that may flow; `None` for nothing.
    target: Option<Layer>,
    /// The highest layer that flows.
    current: Option<Layer>,
}

impl SvcSelector {
    pub(super) fn set_target(&mut self, target: Option<Layer>) {
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
    }

    pub(super) fn restart(&mut self) {
        self.current = None;
    }

    pub(super) const fn current(&self) -> Option<Layer> {
        self.current
    }

    /// Whether a keyframe is waited for: to start, or to rise where no frame invites to.
    pub(super) fn awaits(&self) -> Option<u8> {
        let target = self.target?;
        let there = self
            .current
            .is_some_and(|current| current.spatial >= target.spatial);
        (!there).then_some(0)
    }

    /// Judges one packet.
    pub(super) fn on_packet(&mut self, frame: &FrameInfo) -> Verdict {
        let Some(target) = self.target else {
            return Verdict::Drop;
        };
        let Some(current) = &mut self.current else {
            if !frame.keyframe {
                return Verdict::Drop;
            }
            self.current = Some(Layer {
                spatial: frame.layer.spatial.min(target.spatial),
                temporal: frame.layer.temporal.min(target.temporal),
            });
            return Verdict::Start;
        };
        let layer = frame.layer;
        if frame.start_of_frame {
            // A picture's lowest frame: what is above the target may end here.
            if layer.spatial == 0 {
                current.spatial = current.spatial.min(target.spatial);
                current.temporal = current.temporal.min(target.temporal);
            }
            let next = layer.spatial == current.spatial + 1 && layer.spatial <= target.spatial;
            if next && frame.spatial_switch_point && layer.temporal <= current.temporal {
                current.spatial = layer.spatial;
            }
            let faster = layer.temporal > current.temporal && layer.temporal <= target.temporal;
            if faster && frame.switch_point && layer.spatial <= current.spatial {
                current.temporal = layer.temporal;
            }
        }
        if layer.spatial > current.spatial || layer.temporal > current.temporal {
            Verdict::Drop
        } else if frame.end_of_frame && layer.spatial == current.spatial {
            // The receiver's picture ends here, whatever follows of higher layers.
            Verdict::ForwardLast
        } else {
            Verdict::Forward
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(spatial: u8, temporal: u8) -> Layer {
        Layer::new(spatial, temporal).unwrap()
    }

    fn frame(spatial: u8, temporal: u8) -> FrameInfo {
        FrameInfo {
            start_of_frame: true,
            end_of_frame: true,
            layer: layer(spatial, temporal),
            switch_point: true,
            ..FrameInfo::default()
        }
    }

    fn key(spatial: u8) -> FrameInfo {
        FrameInfo {
            keyframe: spatial == 0,
            spatial_switch_point: true,
            ..frame(spatial, 0)
        }
    }

    #[test]
    fn a_key_picture_opens_all_wanted_spatial_layers() {
        let mut selector = SvcSelector::default();
        selector.set_target(Some(layer(1, 0)));
        assert_eq!(selector.on_packet(&frame(0, 0)), Verdict::Drop);
        assert_eq!(selector.on_packet(&key(0)), Verdict::Start);
        assert_eq!(selector.awaits(), Some(0));
        assert_eq!(selector.on_packet(&key(1)), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&key(2)), Verdict::Drop);
        assert_eq!(selector.awaits(), None);
        assert_eq!(selector.on_packet(&frame(0, 0)), Verdict::Forward);
        assert_eq!(selector.on_packet(&frame(1, 0)), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&frame(2, 0)), Verdict::Drop);
    }

    #[test]
    fn a_higher_target_waits_for_a_key_picture_and_a_lower_one_does_not() {
        let mut selector = SvcSelector::default();
        selector.set_target(Some(layer(0, 0)));
        selector.on_packet(&key(0));
        selector.set_target(Some(layer(2, 0)));
        assert_eq!(selector.on_packet(&frame(0, 0)), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&frame(1, 0)), Verdict::Drop);
        assert_eq!(selector.awaits(), Some(0));
        for spatial in 0..3 {
            assert_ne!(selector.on_packet(&key(spatial)), Verdict::Drop);
        }
        assert_eq!(selector.current(), Some(layer(2, 0)));
        selector.set_target(Some(layer(0, 0)));
        assert_eq!(
            selector.on_packet(&frame(2, 0)),
            Verdict::ForwardLast,
            "picture goes on"
        );
        assert_eq!(selector.on_packet(&frame(0, 0)), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&frame(1, 0)), Verdict::Drop);
    }

    #[test]
    fn temporal_layers_rise_at_switch_points() {
        let mut selector = SvcSelector::default();
        selector.set_target(Some(layer(0, 2)));
        selector.on_packet(&key(0));
        let fixed = FrameInfo {
            switch_point: false,
            ..frame(0, 2)
        };
        assert_eq!(selector.on_packet(&fixed), Verdict::Drop);
        assert_eq!(selector.on_packet(&frame(0, 2)), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&fixed), Verdict::ForwardLast);
    }
}
