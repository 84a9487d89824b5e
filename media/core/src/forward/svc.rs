//! Chooses among spatial and temporal layers that lie within one stream (VP9, AV1): by decode
//! targets where packets name them, else by layer numbers.

use media_rtp::descriptor::FrameInfo;
use media_types::Layer;

use super::Verdict;
use crate::track::decode::Part;

/// The selector of one subscription to a track with scalable coding.
#[derive(Debug, Clone, Default)]
pub(crate) struct SvcSelector {
    /// The highest layer that may flow; `None` for nothing.
    target: Option<Layer>,
    /// The highest layer that flows.
    current: Option<Layer>,
    /// A lower spatial layer is wanted that does not go on from what flows.
    stuck: bool,
}

impl SvcSelector {
    pub(super) fn set_target(&mut self, target: Option<Layer>) {
        self.target = target;
        self.stuck = false;
        if target.is_none() {
            self.current = None;
        }
    }

    pub(super) fn restart(&mut self) {
        self.current = None;
        self.stuck = false;
    }

    pub(super) const fn current(&self) -> Option<Layer> {
        self.current
    }

    /// Whether a keyframe is waited for: to start, or to rise where no frame invites to.
    pub(super) fn awaits(&self) -> Option<u8> {
        let target = self.target?;
        let there = self
            .current
            .is_some_and(|current| current.spatial >= target.spatial && !self.stuck);
        (!there).then_some(0)
    }

    /// Judges one packet.
    pub(super) fn on_packet(&mut self, frame: &FrameInfo, part: Option<Part<'_>>) -> Verdict {
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
            self.stuck = false;
            return Verdict::Start;
        };
        let layer = frame.layer;
        if frame.start_of_frame {
            // A picture's lowest frame: what is above the target may end here.
            if layer.spatial == 0 {
                current.temporal = current.temporal.min(target.temporal);
                let lower = Layer {
                    spatial: current.spatial.min(target.spatial),
                    ..*current
                };
                self.stuck = !frame.keyframe && part.is_some_and(|it| !it.leads(*current, lower));
                if !self.stuck {
                    *current = lower;
                }
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
        let above = layer.spatial > current.spatial || layer.temporal > current.temporal;
        if above || part.is_some_and(|part| !part.is_in(*current)) {
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
    use crate::track::decode::Decode;

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
        assert_eq!(selector.on_packet(&frame(0, 0), None), Verdict::Drop);
        assert_eq!(selector.on_packet(&key(0), None), Verdict::Start);
        assert_eq!(selector.awaits(), Some(0));
        assert_eq!(selector.on_packet(&key(1), None), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&key(2), None), Verdict::Drop);
        assert_eq!(selector.awaits(), None);
        assert_eq!(selector.on_packet(&frame(0, 0), None), Verdict::Forward);
        assert_eq!(selector.on_packet(&frame(1, 0), None), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&frame(2, 0), None), Verdict::Drop);
    }

    #[test]
    fn a_higher_target_waits_for_a_key_picture_and_a_lower_one_does_not() {
        let mut selector = SvcSelector::default();
        selector.set_target(Some(layer(0, 0)));
        selector.on_packet(&key(0), None);
        selector.set_target(Some(layer(2, 0)));
        assert_eq!(selector.on_packet(&frame(0, 0), None), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&frame(1, 0), None), Verdict::Drop);
        assert_eq!(selector.awaits(), Some(0));
        for spatial in 0..3 {
            assert_ne!(selector.on_packet(&key(spatial), None), Verdict::Drop);
        }
        assert_eq!(selector.current(), Some(layer(2, 0)));
        selector.set_target(Some(layer(0, 0)));
        assert_eq!(
            selector.on_packet(&frame(2, 0), None),
            Verdict::ForwardLast,
            "picture goes on"
        );
        assert_eq!(selector.on_packet(&frame(0, 0), None), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&frame(1, 0), None), Verdict::Drop);
    }

    #[test]
    fn temporal_layers_rise_at_switch_points() {
        let mut selector = SvcSelector::default();
        selector.set_target(Some(layer(0, 2)));
        selector.on_packet(&key(0), None);
        let fixed = FrameInfo {
            switch_point: false,
            ..frame(0, 2)
        };
        assert_eq!(selector.on_packet(&fixed, None), Verdict::Drop);
        assert_eq!(selector.on_packet(&frame(0, 2), None), Verdict::ForwardLast);
        assert_eq!(selector.on_packet(&fixed, None), Verdict::ForwardLast);
    }

    /// Bits of a descriptor: start and end of a frame, its template and its number.
    fn descriptor(template: u32, number: u32, structure: &[(u32, u32)]) -> Vec<u8> {
        let mut bits: Vec<u8> = Vec::new();
        let mut put = |count: u32, value: u32| {
            bits.extend((0..count).rev().map(|bit| u8::from(value >> bit & 1 == 1)));
        };
        put(2, 0b11);
        put(6, template);
        put(16, number);
        structure
            .iter()
            .for_each(|&(count, value)| put(count, value));
        let byte = |bits: &[u8]| (0..8).fold(0, |byte, at| byte << 1 | bits.get(at).unwrap_or(&0));
        bits.chunks(8).map(byte).collect()
    }

    /// Two spatial layers of which the upper one leans on the lower one at keyframes only
    /// (L2T1_KEY): templates S0 key, S0, S1 key, S1; targets S0 and S1.
    fn key_structure() -> Vec<(u32, u32)> {
        let mut bits = vec![(5, 0b10000), (6, 0), (5, 1)];
        bits.extend([0, 2, 0, 3].map(|step| (2, step)));
        // To each target: S0 key is a switch to both, S0 is of target 0 alone.
        bits.extend([2, 2, 2, 0, 0, 2, 0, 2].map(|indication| (2, indication)));
        for distances in [&[][..], &[2], &[1], &[2]] {
            bits.extend(
                distances
                    .iter()
                    .map(|distance| (5, 1 << 4 | (distance - 1))),
            );
            bits.push((1, 0));
        }
        bits.push((2, 0));
        bits
    }

    #[test]
    fn who_has_the_upper_layer_gets_the_lower_one_only_where_it_is_needed() {
        let mut decode = Decode::default();
        let mut sequence = 0;
        let mut judge = |selector: &mut SvcSelector, keyframe: bool| {
            [0_u8, 1].map(|spatial| {
                let template = u32::from(spatial) * 2 + u32::from(!keyframe);
                let starts = keyframe && spatial == 0;
                let structure = if starts { key_structure() } else { Vec::new() };
                let bytes = descriptor(template, sequence, &structure);
                sequence += 1;
                let read = decode.read(sequence.into(), &bytes).unwrap();
                let info = FrameInfo {
                    keyframe: starts,
                    spatial_switch_point: keyframe || spatial == 1,
                    ..frame(read.layer.spatial, 0)
                };
                selector.on_packet(&info, decode.of(sequence.into()))
            })
        };
        let mut selector = SvcSelector::default();
        selector.set_target(Some(layer(1, 0)));
        let both = [Verdict::Start, Verdict::ForwardLast];
        assert_eq!(judge(&mut selector, true), both);
        let upper = [Verdict::Drop, Verdict::ForwardLast];
        assert_eq!(judge(&mut selector, false), upper);
        selector.set_target(Some(layer(0, 0)));
        assert_eq!(
            judge(&mut selector, false),
            upper,
            "the lower one does not go on from here"
        );
        assert_eq!(selector.awaits(), Some(0));
        let lower = [Verdict::ForwardLast, Verdict::Drop];
        assert_eq!(judge(&mut selector, true), lower);
        assert_eq!(selector.awaits(), None);
        assert_eq!(judge(&mut selector, false), lower);
        assert_eq!(selector.current(), Some(layer(0, 0)));
    }
}
