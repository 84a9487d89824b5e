//! Chooses among encodings that come as streams of their own, and among their temporal layers.

use media_rtp::descriptor::FrameInfo;
use media_types::Layer;

use super::Verdict;

/// The selector of one subscription to a simulcast track, or to one with a single encoding.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimulcastSelector {
    /// The highest layer that may flow; `None` for nothing.
    target: Option<Layer>,
    /// What flows: the encoding, and the highest temporal layer of it.
    current: Option<Layer>,
}

impl SimulcastSelector {
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

    /// The encoding whose keyframe is waited for.
    pub(super) fn awaits(&self) -> Option<u8> {
        let target = self.target?;
        let there = self
            .current
            .is_some_and(|current| current.spatial == target.spatial);
        (!there).then_some(target.spatial)
    }

    /// Judges one packet of the encoding `stream`.
    pub(super) fn on_packet(&mut self, stream: u8, frame: &FrameInfo) -> Verdict {
        let Some(target) = self.target else {
            return Verdict::Drop;
        };
        if frame.keyframe && self.may_start(stream, target) {
            self.current = Some(Layer {
                spatial: stream,
                temporal: frame.layer.temporal.min(target.temporal),
            });
            return Verdict::Start;
        }
        let Some(current) = &mut self.current else {
            return Verdict::Drop;
        };
        if current.spatial != stream {
            return Verdict::Drop;
        }
        let temporal = frame.layer.temporal;
        // Until the keyframe of a lower encoding comes, fewer pictures relieve the path at once.
        let most = match target.spatial < stream {
            true => 0,
            false => target.temporal,
        };
        if frame.start_of_frame {
            if current.temporal > most {
                current.temporal = most;
            }
            // At the base layer, and at every frame that says so, the next higher one may start.
            if temporal > current.temporal && temporal <= most && frame.switch_point {
                current.temporal = temporal;
            }
        }
        if temporal > current.temporal {
            return Verdict::Drop;
        }
        Verdict::Forward
    }

    /// Whether a keyframe of this encoding is one to start at. Who has nothing yet takes any that
    /// does not pass the target, and switches to the wanted one when that one's comes.
    fn may_start(&self, stream: u8, target: Layer) -> bool {
        match self.current {
            None => stream <= target.spatial,
            Some(current) => current.spatial != stream && stream == target.spatial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(spatial: u8, temporal: u8) -> Layer {
        Layer::new(spatial, temporal).unwrap()
    }

    fn keyframe() -> FrameInfo {
        FrameInfo {
            keyframe: true,
            ..delta(0, true)
        }
    }

    fn delta(temporal: u8, switch_point: bool) -> FrameInfo {
        FrameInfo {
            start_of_frame: true,
            end_of_frame: true,
            layer: layer(0, temporal),
            switch_point,
            ..FrameInfo::default()
        }
    }

    #[test]
    fn starts_low_and_rises_at_a_keyframe() {
        let mut selector = SimulcastSelector::default();
        assert_eq!(selector.on_packet(0, &keyframe()), Verdict::Drop);
        selector.set_target(Some(layer(2, 0)));
        assert_eq!(selector.awaits(), Some(2));
        assert_eq!(selector.on_packet(0, &delta(0, true)), Verdict::Drop);
        assert_eq!(selector.on_packet(0, &keyframe()), Verdict::Start);
        assert_eq!(selector.awaits(), Some(2));
        assert_eq!(selector.on_packet(1, &keyframe()), Verdict::Drop);
        assert_eq!(selector.on_packet(2, &delta(0, true)), Verdict::Drop);
        assert_eq!(selector.on_packet(0, &delta(0, true)), Verdict::Forward);
        assert_eq!(selector.on_packet(2, &keyframe()), Verdict::Start);
        assert_eq!(selector.awaits(), None);
        assert_eq!(selector.on_packet(0, &delta(0, true)), Verdict::Drop);
        assert_eq!(selector.on_packet(2, &keyframe()), Verdict::Forward);
    }

    #[test]
    fn falls_at_a_keyframe_and_keeps_what_flows_until_then() {
        let mut selector = SimulcastSelector::default();
        selector.set_target(Some(layer(2, 0)));
        selector.on_packet(2, &keyframe());
        selector.set_target(Some(layer(0, 0)));
        assert_eq!(selector.awaits(), Some(0));
        assert_eq!(selector.on_packet(2, &delta(0, true)), Verdict::Forward);
        assert_eq!(selector.on_packet(0, &keyframe()), Verdict::Start);
        assert_eq!(selector.current(), Some(layer(0, 0)));
    }

    #[test]
    fn on_its_way_down_it_shows_fewer_pictures() {
        let mut selector = SimulcastSelector::default();
        selector.set_target(Some(layer(2, 1)));
        selector.on_packet(2, &keyframe());
        assert_eq!(selector.on_packet(2, &delta(1, true)), Verdict::Forward);
        selector.set_target(Some(layer(1, 1)));
        assert_eq!(selector.on_packet(2, &delta(1, true)), Verdict::Drop);
        assert_eq!(selector.on_packet(2, &delta(0, true)), Verdict::Forward);
        assert_eq!(selector.on_packet(1, &keyframe()), Verdict::Start);
        assert_eq!(selector.on_packet(1, &delta(1, true)), Verdict::Forward);
    }

    #[test]
    fn temporal_layers_rise_where_they_may_and_fall_at_once() {
        let mut selector = SimulcastSelector::default();
        selector.set_target(Some(layer(0, 1)));
        selector.on_packet(0, &keyframe());
        assert_eq!(selector.on_packet(0, &delta(1, false)), Verdict::Drop);
        assert_eq!(selector.on_packet(0, &delta(1, true)), Verdict::Forward);
        assert_eq!(selector.on_packet(0, &delta(2, true)), Verdict::Drop);
        assert_eq!(selector.on_packet(0, &delta(1, false)), Verdict::Forward);
        selector.set_target(Some(layer(0, 0)));
        assert_eq!(selector.on_packet(0, &delta(1, true)), Verdict::Drop);
        assert_eq!(selector.on_packet(0, &delta(0, true)), Verdict::Forward);
    }
}
