use mp4_atom::{Decode as _, Moof};

use super::*;

pub(crate) fn video(size: (u16, u16)) -> Arc<TrackConfig> {
    let record = Bytes::from_static(&[0, 10, 0x82, 2, 2, 2, 0, 0]);
    Arc::new(TrackConfig::from_vpcc(crate::Format::Vp9, record, size).unwrap())
}

pub(crate) fn frame(config: &Arc<TrackConfig>, dts: u64, keyframe: bool) -> Frame {
    Frame {
        dts,
        composition: 0,
        keyframe,
        config: Arc::clone(config),
        data: Bytes::from_static(&[1; 100]),
    }
}

const BOTH: Kinds = Kinds {
    video: true,
    audio: true,
};
const FRAGMENT: Duration = Duration::from_millis(200);

/// Pictures and sound in the order of their times, from this second to that.
pub(crate) fn interleaved(from: u64, to: u64) -> Vec<Frame> {
    let (pictures, sound) = (video((64, 64)), Arc::new(TrackConfig::opus(2)));
    let mut all: Vec<Frame> = (from * 30..to * 30)
        .map(|index| frame(&pictures, index * 3_000, index % 60 == 0))
        .chain((from * 50..to * 50).map(|index| frame(&sound, index * 960, true)))
        .collect();
    all.sort_by_key(|frame| duration(frame.dts, frame.config.timescale));
    all
}

fn push_all(muxer: &mut Muxer, frames: Vec<Frame>) -> Vec<Chunk> {
    let push = |frame| muxer.push(frame).unwrap();
    frames.into_iter().flat_map(push).collect()
}

#[test]
fn fragments_hold_both_tracks_and_start_at_keyframes() {
    let mut muxer = Muxer::new(BOTH, FRAGMENT, true);
    let mut chunks = push_all(&mut muxer, interleaved(4, 10));
    chunks.extend(muxer.finish().unwrap());
    assert_eq!(muxer.configs().count(), 2);
    let starts: Vec<u128> = chunks
        .iter()
        .filter(|chunk| chunk.start)
        .map(|chunk| chunk.at.as_millis())
        .collect();
    assert_eq!(starts, [4_000, 6_000, 8_000]);
    let (mut pictures, mut sound) = (0, 0);
    for chunk in &chunks {
        let moof = Moof::decode(&mut &chunk.bytes[..]).unwrap();
        for traf in &moof.traf {
            let count = traf.trun[0].samples.len();
            *(if traf.tfhd.track_id == 1 {
                &mut pictures
            } else {
                &mut sound
            }) += count;
        }
    }
    assert_eq!((pictures, sound), (180, 300));
    let first = Moof::decode(&mut &chunks[0].bytes[..]).unwrap();
    let base = first.traf[0].tfdt.as_ref().unwrap().base_media_decode_time;
    assert_eq!(base, 0, "times start at zero");
}

#[test]
fn a_track_that_does_not_come_is_waited_for_as_long_as_a_group_lasts() {
    let mut muxer = Muxer::new(BOTH, FRAGMENT, true);
    let pictures = video((64, 64));
    for index in 0..12 * 30 {
        muxer
            .push(frame(&pictures, index * 3_000, index == 0))
            .unwrap();
        assert!(muxer.init().is_none());
    }
    muxer.push(frame(&pictures, 360 * 3_000, false)).unwrap();
    assert!(muxer.init().is_some() && !muxer.is_short());
    muxer
        .push(frame(&Arc::new(TrackConfig::opus(2)), 600_000, true))
        .unwrap();
    assert!(muxer.is_short());
}

#[test]
fn pictures_that_come_are_waited_for_until_their_keyframe() {
    let mut muxer = Muxer::new(BOTH, FRAGMENT, true);
    let (pictures, sound) = (video((64, 64)), Arc::new(TrackConfig::opus(2)));
    for index in 0..200 {
        muxer.push(frame(&sound, index * 960, true)).unwrap();
        muxer
            .push(frame(&pictures, index * 1_800, index == 150))
            .unwrap();
        assert_eq!(muxer.init().is_some(), index >= 150, "{index}");
    }
    assert_eq!(muxer.configs().count(), 2);
}

#[test]
fn nothing_comes_before_the_first_keyframe() {
    let mut muxer = Muxer::new(BOTH, FRAGMENT, true);
    let pictures = video((64, 64));
    let sound = Arc::new(TrackConfig::opus(2));
    let mut chunks = Vec::new();
    for index in 0..40 {
        chunks.extend(muxer.push(frame(&sound, index * 960, true)).unwrap());
        chunks.extend(
            muxer
                .push(frame(&pictures, index * 1_800, index == 10))
                .unwrap(),
        );
    }
    assert_eq!(chunks[0].at, Duration::from_millis(200));
    let moof = Moof::decode(&mut &chunks[0].bytes[..]).unwrap();
    let bases = moof.traf.iter().map(|traf| traf.tfdt.as_ref().unwrap());
    let bases: Vec<u64> = bases.map(|tfdt| tfdt.base_media_decode_time).collect();
    assert_eq!(bases, [0, 0]);
}

#[test]
fn another_size_makes_it_stale() {
    let mut muxer = Muxer::new(BOTH, FRAGMENT, true);
    push_all(&mut muxer, interleaved(0, 2));
    let wide = frame(&video((128, 64)), 180_000, true);
    assert!(muxer.would_change(&wide));
    muxer.push(wide).unwrap();
    assert!(muxer.is_stale());
}

#[test]
fn sound_goes_on_while_pictures_stop() {
    let mut muxer = Muxer::new(BOTH, FRAGMENT, true);
    push_all(&mut muxer, interleaved(0, 2));
    let sound = Arc::new(TrackConfig::opus(2));
    let alone = (100..200).map(|index| frame(&sound, index * 960, true));
    let chunks = push_all(&mut muxer, alone.collect());
    assert!(chunks.len() >= 2);
    assert!(chunks[1..].iter().all(|chunk| !chunk.start));
}
