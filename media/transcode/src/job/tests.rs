use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn picture(number: u64, keyframe: bool, bytes: usize) -> MediaFrame {
    let at = Duration::from_millis(number * 40);
    MediaFrame {
        presented: at,
        decoded: at,
        keyframe,
        data: Bytes::from(vec![7; bytes]),
    }
}

fn sound(number: u64) -> MediaFrame {
    MediaFrame::audio(
        Duration::from_millis(number * 20),
        Bytes::from_static(b"aac"),
    )
}

fn number(frame: &MediaFrame) -> u64 {
    u64::try_from(frame.presented.as_millis()).unwrap() / 40
}

fn drain(backlog: &mut Backlog) -> Vec<u64> {
    std::iter::from_fn(|| backlog.pop())
        .map(|frame| number(&frame))
        .collect()
}

#[test]
fn nothing_is_taken_before_a_keyframe() {
    let mut backlog = Backlog::new(MediaKind::Video);
    assert_eq!(backlog.push(picture(0, false, 10)), Pushed::Refused);
    assert_eq!(backlog.push(picture(1, true, 10)), Pushed::Queued);
    assert_eq!(backlog.push(picture(2, false, 10)), Pushed::Queued);
    assert_eq!(drain(&mut backlog), [1, 2]);
}

#[test]
fn the_third_group_replaces_the_two_before_it() {
    let mut backlog = Backlog::new(MediaKind::Video);
    for index in 0..50 {
        assert_eq!(
            backlog.push(picture(index, index % 25 == 0, 10)),
            Pushed::Queued
        );
    }
    assert_eq!(backlog.push(picture(50, true, 10)), Pushed::Replaced(50));
    assert_eq!(backlog.push(picture(51, false, 10)), Pushed::Queued);
    assert_eq!(drain(&mut backlog), [50, 51]);
    assert_eq!(backlog.figures().dropped, 50);
}

#[test]
fn the_rest_of_a_group_that_does_not_fit_is_dropped() {
    let mut backlog = Backlog::new(MediaKind::Video);
    assert_eq!(
        backlog.push(picture(0, true, FRAME_BYTES_MAX)),
        Pushed::Queued
    );
    for index in 1..4 {
        assert_eq!(
            backlog.push(picture(index, false, FRAME_BYTES_MAX)),
            Pushed::Queued
        );
    }
    assert_eq!(backlog.push(picture(4, false, 1)), Pushed::Refused);
    assert_eq!(backlog.pop().map(|frame| number(&frame)), Some(0));
    // There is room again, but 5 refers to 4.
    assert_eq!(backlog.push(picture(5, false, 1)), Pushed::Refused);
    assert_eq!(backlog.push(picture(6, true, 1)), Pushed::Queued);
    assert_eq!(drain(&mut backlog), [1, 2, 3, 6]);
}

#[test]
fn a_frame_that_is_too_large_breaks_its_group() {
    let mut backlog = Backlog::new(MediaKind::Video);
    assert_eq!(backlog.push(picture(0, true, 10)), Pushed::Queued);
    assert_eq!(
        backlog.push(picture(1, false, FRAME_BYTES_MAX + 1)),
        Pushed::Refused
    );
    assert_eq!(backlog.push(picture(2, false, 10)), Pushed::Refused);
    assert_eq!(backlog.push(picture(3, true, 10)), Pushed::Queued);
    assert_eq!(drain(&mut backlog), [0, 3]);
}

#[test]
fn audio_loses_the_oldest() {
    let mut backlog = Backlog::new(MediaKind::Audio);
    for index in 0..96 {
        assert_eq!(backlog.push(sound(index)), Pushed::Queued);
    }
    assert_eq!(backlog.push(sound(96)), Pushed::Replaced(1));
    assert_eq!(backlog.pop().unwrap().presented, Duration::from_millis(20));
}

#[test]
fn a_new_process_sees_the_group_again() {
    let mut backlog = Backlog::new(MediaKind::Video);
    let feed = |backlog: &mut Backlog, index: u64| {
        assert_eq!(
            backlog.push(picture(index, index.is_multiple_of(4), 10)),
            Pushed::Queued
        );
    };
    (0..8).for_each(|index| feed(&mut backlog, index));
    let taken: Vec<u64> = (0..7).map(|_| number(&backlog.pop().unwrap())).collect();
    assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6]);
    (8..10).for_each(|index| feed(&mut backlog, index));
    backlog.handle_output(&picture(5, false, 9), Duration::from_millis(40));
    backlog.restart();
    assert_eq!(backlog.begin(), Duration::from_millis(240));
    assert_eq!(drain(&mut backlog), [4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_new_process_hears_the_last_third_of_a_second_again() {
    let mut backlog = Backlog::new(MediaKind::Audio);
    for index in 0..40 {
        backlog.push(sound(index));
    }
    for _ in 0..30 {
        backlog.pop();
    }
    backlog.restart();
    let first = backlog.pop().unwrap().presented;
    assert_eq!(first, Duration::from_millis((30 - 16) * 20));
    assert_eq!(backlog.len(), 40 - 30 + 16 - 1);
}

#[derive(Debug, Clone)]
enum Step {
    Push { keyframe: bool, bytes: usize },
    Pop,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::bool::weighted(0.1), 0_usize..300_000)
            .prop_map(|(keyframe, bytes)| Step::Push { keyframe, bytes }),
        3 => Just(Step::Pop),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever happens: memory is bounded, order is kept, and a process that starts with a
    /// keyframe is never shown a picture whose predecessor in the group it has not seen.
    #[test]
    fn what_is_shown_can_be_decoded(steps in prop::collection::vec(step(), 1..600)) {
        let mut backlog = Backlog::new(MediaKind::Video);
        let (mut next, mut last): (u64, Option<u64>) = (0, None);
        for step in steps {
            match step {
                Step::Push { keyframe, bytes } => {
                    backlog.push(picture(next, keyframe, bytes));
                    next += 1;
                }
                Step::Pop => {
                    let Some(frame) = backlog.pop() else { continue };
                    let index = number(&frame);
                    if !frame.keyframe {
                        prop_assert_eq!(Some(index), last.map(|last| last + 1));
                    }
                    prop_assert!(last.is_none_or(|last| index > last));
                    last = Some(index);
                }
                Step::Restart => {
                    backlog.restart();
                    last = None;
                }
            }
            let held = backlog.waiting.iter().chain(&backlog.taken);
            let bytes: usize = held.map(|frame| frame.data.len()).sum();
            prop_assert_eq!(bytes, backlog.bytes);
            prop_assert!(bytes <= BACKLOG_BYTES_MAX);
        }
    }

    #[test]
    fn audio_is_bounded_and_in_order(
        pops in prop::collection::vec(prop::bool::weighted(0.4), 1..600),
    ) {
        let mut backlog = Backlog::new(MediaKind::Audio);
        let (mut next, mut last) = (0, None);
        for pop in pops {
            if pop {
                let at = backlog.pop().map(|frame| frame.presented);
                prop_assert!(at.is_none() || at > last);
                last = at.or(last);
            } else {
                backlog.push(sound(next));
                next += 1;
            }
            prop_assert!(backlog.len() <= AUDIO_FRAMES_MAX);
            prop_assert!(backlog.taken.len() <= AUDIO_REPLAY_FRAMES);
        }
    }
}
