//! What a user would notice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sim::World;

/// Holds of every run: nobody is shown themselves, nothing damaged, nothing twice, nothing
/// backwards.
pub(crate) fn nothing_foreign(world: &World) {
    for (viewer, member) in world.members.iter().enumerate() {
        for (mid, shown) in member.client.all_shown() {
            assert_eq!(shown.damaged, 0, "damaged frames in slot {mid} of {viewer}");
            let mut last = BTreeMap::new();
            for (_, content) in &shown.frames {
                assert_ne!(
                    content.publisher as usize, viewer,
                    "{viewer} sees itself in {mid}"
                );
                let earlier = last.insert(content.publisher, content.number);
                assert!(
                    earlier.is_none_or(|earlier| earlier < content.number),
                    "slot {mid} of {viewer}: {earlier:?} before {}",
                    content.number
                );
            }
        }
    }
}

/// Every member that is connected was shown every other publisher, without a silence longer than
/// `silence` from `from` to the present.
pub(crate) fn everybody_flows(world: &World, from: Instant, silence: Duration) {
    for (viewer, member) in world.members.iter().enumerate() {
        assert_eq!(member.failed, None, "member {viewer}");
        for (mid, shown) in member.client.all_shown() {
            let longest = shown.longest_silence(from, world.now);
            assert!(
                longest <= silence,
                "slot {mid} of {viewer} was silent for {longest:?}"
            );
        }
    }
}

/// Frames of `publisher` that `viewer` was shown since `from` number at least `count`.
pub(crate) fn at_least(
    world: &World,
    viewer: usize,
    publisher: usize,
    from: Instant,
    count: usize,
) {
    let frames = world.frames(viewer, publisher, from);
    assert!(
        frames >= count,
        "{viewer} was shown {frames} frames of {publisher}, not {count}"
    );
}

/// How long a client holds sound behind a lost packet before it goes on without it: what it holds
/// at the end of a run has come.
const HELD: Duration = Duration::from_millis(350);

/// Every pair of different members that publish sees and hears each other: 75 frames a second but
/// for what is still held, less what `percent` allows to be lost.
pub(crate) fn all_pairs(world: &World, from: Instant, percent: usize) {
    let told = world.now.duration_since(from).saturating_sub(HELD);
    let seconds = told.as_millis() as usize;
    let expected = seconds * 75 * percent / 100_000;
    let count = world.members.len();
    for viewer in 0..count {
        for publisher in (0..count).filter(|publisher| *publisher != viewer) {
            at_least(world, viewer, publisher, from, expected);
        }
    }
}

/// Every pair of different members sees each other: 25 pictures a second, less what `percent`
/// allows to be lost. Pictures are repaired, sound is not asked for again.
pub(crate) fn all_pictures(world: &World, from: Instant, percent: usize) {
    let seconds = world.now.duration_since(from).as_millis() as usize;
    let expected = seconds * 25 * percent / 100_000;
    let count = world.members.len();
    for viewer in 0..count {
        for publisher in (0..count).filter(|publisher| *publisher != viewer) {
            let pictures = world.pictures(viewer, publisher, from);
            assert!(
                pictures >= expected,
                "{viewer} was shown {pictures} pictures of {publisher}, not {expected}"
            );
        }
    }
}
