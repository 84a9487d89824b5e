//! The steps that a subscriber may have of one track, cheapest first.

use arrayvec::ArrayVec;
use media_contract::Wish;
use media_types::{Bitrate, Layer};

/// A larger picture shows at least this share of the pictures of a smaller one, in percent.
const MOTION_PERCENT: u32 = 40;

/// Steps of one ladder: every layer there can be.
pub(super) const STEPS_MAX: usize = Layer::SPATIAL_MAX as usize * Layer::TEMPORAL_MAX as usize;

/// One layer with what it costs and shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// The layer: all of a track up to it.
    pub(crate) layer: Layer,
    /// The rate of all that it needs.
    pub(crate) rate: Bitrate,
    /// The picture's size in pixels, where known.
    pub(crate) size: Option<(u16, u16)>,
    /// Pictures a second, where known.
    pub(crate) fps: Option<u8>,
}

/// Steps that cost more than the one before, lowest first.
pub(crate) type Ladder = ArrayVec<Step, STEPS_MAX>;

/// What is given up first when not all can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Size: a moving picture is better small than jerky.
    Motion,
    /// Pictures a second: text must be sharp to be read.
    Detail,
}

/// The steps among `steps` that are of use to this wish. There is always one, the lowest, unless
/// the wish is paused or there are none. With it, the highest spatial layer that the wish has a use
/// for.
pub(crate) fn build(
    steps: impl IntoIterator<Item = Step>,
    wish: &Wish,
    style: Style,
) -> (Ladder, u8) {
    let mut ladder = Ladder::new();
    if wish.paused {
        return (ladder, 0);
    }
    let mut sorted: ArrayVec<Step, STEPS_MAX> = steps.into_iter().take(STEPS_MAX).collect();
    sorted.sort_unstable_by_key(|step| (step.layer.spatial, step.layer.temporal));
    let spatial_max = spatial_of_use(&sorted, wish);
    let spatials = sorted.iter().map(|step| step.layer.spatial);
    let top = spatials.filter(|&spatial| spatial <= spatial_max).max();
    for step in sorted {
        let useful = step.layer.spatial <= spatial_max && is_slow_enough(&step, wish);
        // For the sake of detail, size grows before more pictures come.
        let passed =
            style == Style::Detail && step.layer.temporal > 0 && Some(step.layer.spatial) != top;
        let jerky = style == Style::Motion && is_jerky(&step, ladder.last());
        if (!useful || passed || jerky) && !ladder.is_empty() {
            continue;
        }
        // A higher picture that costs no more takes the place of what it betters.
        while ladder.last().is_some_and(|last| last.rate >= step.rate) {
            if ladder.pop().is_none() {
                break;
            }
        }
        ladder.push(step);
    }
    (ladder, spatial_max)
}

/// Whether a larger picture would move so much less than the best of the smaller ones that people
/// see it stutter: half as often is borne, a quarter is not.
fn is_jerky(step: &Step, below: Option<&Step>) -> bool {
    let Some(below) = below.filter(|below| below.layer.spatial < step.layer.spatial) else {
        return false;
    };
    let (Some(fps), Some(smooth)) = (step.fps, below.fps) else {
        return false;
    };
    u32::from(fps) * 100 < u32::from(smooth) * MOTION_PERCENT
}

/// The lowest spatial layer that covers the wished size; the top where no size is known.
fn spatial_of_use(sorted: &[Step], wish: &Wish) -> u8 {
    let covers = |step: &&Step| {
        step.size
            .is_some_and(|(width, height)| width >= wish.width_max || height >= wish.height_max)
    };
    let covering = sorted.iter().find(covers);
    covering.map_or(Layer::TOP.spatial, |step| step.layer.spatial)
}

/// Pictures a second vary as cameras do: a little more than wished is as wished.
fn is_slow_enough(step: &Step, wish: &Wish) -> bool {
    let allowed = wish
        .fps_max
        .saturating_add(wish.fps_max / 8)
        .saturating_add(1);
    step.fps.is_none_or(|fps| fps <= allowed)
}
