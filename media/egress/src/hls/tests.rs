use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media_types::MediaKind;

use super::playlist::{Context, date_time, media, multivariant};
use super::*;
use crate::{EgressError, Format, Frame, TrackConfig};

fn vp9(size: (u16, u16)) -> Arc<TrackConfig> {
    let record = Bytes::from_static(&[0, 10, 0x82, 2, 2, 2, 0, 0]);
    Arc::new(TrackConfig::from_vpcc(Format::Vp9, record, size).unwrap())
}

fn frame(config: &Arc<TrackConfig>, dts: u64, keyframe: bool) -> Frame {
    Frame {
        dts,
        composition: 0,
        keyframe,
        config: Arc::clone(config),
        data: Bytes::from_static(&[1; 100]),
    }
}

/// Pictures at 30 frames a second with a keyframe every two seconds, and sound.
fn run(seconds: u64) -> Packager {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
    for index in 0..seconds * 150 {
        // In the order of their times: 30 pictures and 50 frames of sound a second.
        if index % 5 == 0 {
            let at = index / 5;
            let picture = frame(&video, at * 3_000, at % 60 == 0);
            packager.push(picture).unwrap();
        }
        if index % 3 == 0 {
            let sound = frame(&audio, index / 3 * 960, true);
            packager.push(sound).unwrap();
        }
    }
    packager
}

fn video(packager: &Packager) -> Rendition {
    packager.renditions().remove(0)
}

#[test]
fn parts_and_segments_have_their_lengths() {
    let video = video(&run(9));
    let segments: Vec<&Arc<Segment>> = video.segments.iter().collect();
    assert_eq!(segments.len(), 5);
    for segment in &segments[..4] {
        assert!(segment.complete);
        assert_eq!((segment.length(), segment.parts.len()), (180_000, 10));
        assert!(segment.parts[0].independent && !segment.parts[1].independent);
        assert!(segment.parts.iter().all(|part| part.length == 18_000));
    }
    // One frame waits for its duration, the others for the rest of their part.
    assert_eq!(segments[4].parts.len(), 4);
    assert_eq!((video.target_s, video.part_target.as_millis()), (2, 200));
    assert_eq!(video.edge(), Some((4, 3)));
}

#[test]
fn blocking_reloads_know_what_is_there() {
    let video = video(&run(9));
    assert!(video.holds(3, Some(9)) && video.holds(4, Some(3)) && video.holds(3, None));
    assert!(!video.holds(4, Some(4)) && !video.holds(4, None) && !video.holds(5, Some(0)));
    assert!(
        video.holds(3, Some(400)),
        "past the end of a complete segment"
    );
    assert_eq!(video.segment(2).map(|segment| segment.number), Some(2));
    assert!(video.segment(9).is_none() && video.init(1).is_some() && video.init(2).is_none());
}

#[test]
fn the_window_is_bounded_and_counts_on() {
    let packager = run(60);
    let video = video(&packager);
    assert_eq!(video.segments.len(), 8);
    assert_eq!(
        video.segments.front().map(|segment| segment.number),
        Some(22)
    );
    assert!(video.segment(3).is_none());
}

#[test]
fn playlists_say_what_players_need() {
    let renditions = run(60).renditions();
    let context = Context {
        epoch: Duration::from_secs(1_700_000_000),
        suffix: "?session=x",
    };
    let master = multivariant(&renditions, &context);
    assert!(master.contains("CODECS=\"vp09.00.10.08,opus\",RESOLUTION=320x180,AUDIO=\"audio\""));
    assert!(master.contains("\nvideo.m3u8?session=x\n"));
    assert!(master.contains("URI=\"audio.m3u8?session=x\""));

    let text = media(&renditions[0], &renditions, false, &context);
    assert!(text.contains("#EXT-X-TARGETDURATION:2\n"));
    assert!(text.contains("CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.700,CAN-SKIP-UNTIL=12.0"));
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:22\n"));
    assert!(text.contains("#EXT-X-MAP:URI=\"video_init_1.mp4?session=x\"\n"));
    assert!(text.contains("#EXTINF:2.00000,\nvideo_22.m4s?session=x\n"));
    assert!(text.contains("URI=\"video_29_0.m4s?session=x\",INDEPENDENT=YES\n"));
    assert!(text.contains("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"video_29_9.m4s?session=x\""));
    assert!(text.contains("#EXT-X-RENDITION-REPORT:URI=\"audio.m3u8?session=x\",LAST-MSN=29"));
    // 22 segments of two seconds after the epoch.
    assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:04.000Z\n"));
    assert_eq!(text.matches("#EXTINF").count(), 7);
    assert!(
        !text.contains("video_22_0.m4s"),
        "old segments list no parts"
    );
}

#[test]
fn a_delta_update_skips_what_is_old() {
    let renditions = run(60).renditions();
    let text = media(&renditions[0], &[], true, &Context::default());
    // Twelve seconds at the end stay: six whole segments and the open one.
    assert!(text.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n"));
    assert_eq!(text.matches("#EXTINF").count(), 6);
    assert!(!text.contains("#EXT-X-MAP"));
}

#[test]
fn another_size_is_a_discontinuity_with_its_own_init() {
    let mut packager = run(9);
    let wide = vp9((640, 360));
    for index in 270..400 {
        packager
            .push(frame(&wide, index * 3_000, index == 270))
            .unwrap();
    }
    let video = video(&packager);
    let stepped: Vec<bool> = video.segments.iter().map(|it| it.discontinuity).collect();
    assert_eq!(stepped, [false, false, false, false, false, true]);
    let text = media(&video, &[], false, &Context::default());
    assert!(text.contains("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"video_init_2.mp4\"\n"));
    assert!(video.init(1) != video.init(2));
}

#[test]
fn a_pause_is_a_discontinuity_and_no_long_segment() {
    let mut packager = run(9);
    let config = vp9((320, 180));
    for index in 0..70 {
        packager
            .push(frame(&config, (900 + index) * 3_000, index % 60 == 0))
            .unwrap();
    }
    let video = video(&packager);
    assert_eq!(video.target_s, 2);
    let paused = video.segments.iter().filter(|it| it.discontinuity).count();
    assert_eq!(paused, 1);
    assert!(
        video
            .segments
            .iter()
            .all(|segment| segment.length() <= 180_000)
    );
}

#[test]
fn rare_keyframes_are_cut_between() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let config = vp9((320, 180));
    for index in 0..700 {
        packager
            .push(frame(&config, index * 3_000, index == 0))
            .unwrap();
    }
    let video = video(&packager);
    assert_eq!((video.segments.len(), video.target_s), (3, 10));
    assert!(!video.segments[1].parts[0].independent);
}

#[test]
fn sound_alone_and_slow_pictures_play() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let audio = Arc::new(TrackConfig::opus(2));
    for index in 0..500 {
        packager.push(frame(&audio, index * 960, true)).unwrap();
    }
    let renditions = packager.renditions();
    assert_eq!(renditions.len(), 1);
    assert_eq!(renditions[0].kind, MediaKind::Audio);
    let lengths: Vec<_> = renditions[0]
        .segments
        .iter()
        .map(|it| it.length())
        .collect();
    let soon = [19_200, 48_000, 96_000];
    assert_eq!(lengths[..3], soon, "the first are soon whole");
    let master = multivariant(&renditions, &Context::default());
    assert!(master.contains("CODECS=\"opus\"\naudio.m3u8\n"), "{master}");
    // A frame a second: a part is a frame, and says so.
    let screen = vp9((320, 180));
    for index in 0..10 {
        packager
            .push(frame(&screen, index * 90_000, index % 2 == 0))
            .unwrap();
    }
    assert_eq!(video(&packager).part_target, Duration::from_secs(1));
}

#[test]
fn the_end_is_told() {
    let mut packager = run(5);
    packager.end().unwrap();
    let video = video(&packager);
    assert!(video.ended && video.segments.iter().all(|segment| segment.complete));
    let length: u64 = video.segments.iter().map(|segment| segment.length()).sum();
    assert_eq!(length, 5 * 90_000);
    let text = media(&video, &[], false, &Context::default());
    assert!(text.ends_with("#EXT-X-ENDLIST\n") && !text.contains("PRELOAD-HINT"));
}

#[test]
fn vp8_is_refused() {
    let record = Bytes::from_static(&[0, 10, 0x82, 2, 2, 2, 0, 0]);
    let vp8 = Arc::new(TrackConfig::from_vpcc(Format::Vp8, record, (64, 64)).unwrap());
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let refused = packager.push(frame(&vp8, 0, true));
    assert_eq!(refused, Err(EgressError::Unsupported(Format::Vp8)));
}

#[test]
fn dates_are_gregorian() {
    let at = |seconds| date_time(Duration::from_secs(seconds));
    assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
    assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000Z");
}

#[test]
fn sound_is_cut_where_pictures_are() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
    // A keyframe every 2.3 s, sound that begins 0.1 s before the pictures, and a camera that is
    // off from 9.3 s to 16.3 s.
    for index in 0..20 * 150_u64 {
        let on = !(1_400..2_450).contains(&index);
        if index >= 15 && (index - 15) % 5 == 0 && on {
            let at = (index - 15) / 5;
            let picture = frame(&video, 9_000 + at * 3_000, at % 69 == 0);
            packager.push(picture).unwrap();
        }
        if index % 3 == 0 {
            let sound = frame(&audio, index / 3 * 960, true);
            packager.push(sound).unwrap();
        }
    }
    let starts = |kind: MediaKind| {
        let renditions = packager.renditions();
        let found = renditions.into_iter().find(|it| it.kind == kind).unwrap();
        let rate = u64::from(found.config.timescale);
        let starts = found.segments.iter().map(|it| it.start * 1_000 / rate);
        starts.collect::<Vec<_>>()
    };
    let (pictures, sounds) = (starts(MediaKind::Video), starts(MediaKind::Audio));
    // While there are pictures each segment of them begins with one of sound, within a frame.
    for at in pictures.iter().filter(|at| (3_000..9_000).contains(*at)) {
        assert!(
            sounds.iter().any(|it| (*at..at + 20).contains(it)),
            "{at} of {pictures:?} in {sounds:?}"
        );
    }
    // Without them sound goes on by itself.
    let alone = sounds.iter().filter(|at| (10_000..16_300).contains(*at));
    assert!(alone.count() >= 2, "{sounds:?}");
}

#[test]
fn the_first_segments_are_short_where_keyframes_allow() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let video = vp9((320, 180));
    // Keyframes every two seconds, and one at 0.6 s.
    for index in 0..30 * 7_u64 {
        let keyframe = index % 60 == 0 || index == 18;
        let picture = frame(&video, index * 3_000, keyframe);
        packager.push(picture).unwrap();
    }
    let rendition = packager.renditions().remove(0);
    let lengths: Vec<_> = rendition.segments.iter().map(|it| it.length()).collect();
    assert_eq!(lengths[..3], [54_000, 126_000, 180_000]);
    assert_eq!(rendition.target_s, 2);
}

/// Sound that begins so late, beside pictures with keyframes at 0.6 s, 2.6 s, 4.6 s and so on: the
/// numbers of its segments and how much later than the pictures' they start, in milliseconds.
fn late_sound(from_ms: u64) -> Vec<(u64, u64)> {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
    for index in 0..1_350 {
        if index % 5 == 0 {
            let at = index / 5;
            let picture = frame(&video, at * 3_000, at == 0 || at % 60 == 18);
            packager.push(picture).unwrap();
        }
        if index % 3 == 0 && index / 3 * 20 >= from_ms {
            packager.push(frame(&audio, index / 3 * 960, true)).unwrap();
        }
    }
    let [video, audio] = packager.renditions().try_into().unwrap();
    let beside = audio.segments.iter().map(|sound| {
        let pictures = video.segment(sound.number).unwrap();
        let late = (sound.start / 48).checked_sub(pictures.start / 90);
        (sound.number, late.unwrap())
    });
    beside.collect()
}

#[test]
fn late_sound_has_the_numbers_of_the_pictures_beside_it() {
    let together = |first| (first..6).map(|number| (number, 0)).collect::<Vec<_>>();
    assert_eq!(late_sound(0), together(0));
    // Two frames before a cut, at one, and after it: silence fills what is missing.
    for late in [560, 600, 620, 2_000] {
        assert_eq!(late_sound(late), together(0), "{late} ms");
    }
    let mut later = late_sound(3_000);
    assert_eq!(later.remove(0), (2, 400));
    assert_eq!(later, together(3));
}

#[test]
fn sound_that_pauses_goes_on_in_segments_of_its_length() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
    for index in 0..3_750 {
        if index % 5 == 0 {
            let at = index / 5;
            let picture = frame(&video, at * 3_000, at % 60 == 0);
            packager.push(picture).unwrap();
        }
        // Away from 5 s to 15 s: the pictures have five more segments then.
        if index % 3 == 0 && !(750..2_250).contains(&index) {
            packager.push(frame(&audio, index / 3 * 960, true)).unwrap();
        }
    }
    let sound = packager.renditions().remove(1);
    let whole = sound.segments.iter().filter(|it| it.complete);
    assert!(whole.clone().count() >= 5);
    assert!(whole.into_iter().all(|it| it.length() >= 48_000 / 2));
}

#[test]
fn sound_that_comes_after_later_pictures_has_the_numbers_of_its_time() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
    for at in 0..30 {
        let picture = frame(&video, at * 3_000, at % 18 == 0);
        packager.push(picture).unwrap();
    }
    for at in 5..45 {
        packager.push(frame(&audio, at * 960, true)).unwrap();
    }
    let sound = packager.renditions().remove(1);
    let starts = sound.segments.iter().map(|it| (it.number, it.start / 48));
    assert_eq!(starts.collect::<Vec<_>>(), [(0, 0), (1, 600)]);
}

#[test]
fn silence_stands_before_sound_that_is_late() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
    for at in 0..30 {
        packager.push(frame(&video, at * 3_000, at == 0)).unwrap();
    }
    for at in 0..50 {
        packager
            .push(frame(&audio, 10_000 + at * 960, true))
            .unwrap();
    }
    let sound = packager.renditions().remove(1);
    let bytes: Vec<u8> = sound.segments[0].parts[0].bytes.to_vec();
    // Ten frames of 20 ms and no gap: from 0.4 ms on, which is all that 20 ms leave over.
    assert_eq!(sound.segments[0].start, 400);
    let silent = bytes.windows(3).filter(|it| *it == [0xf8, 0xff, 0xfe]);
    assert_eq!(silent.count(), 10);
    assert!(sound.segments.iter().all(|it| !it.discontinuity));
}

#[test]
fn sound_that_is_read_before_older_pictures_begins_with_them() {
    let mut packager = Packager::new(PackagerSettings::default(), 0);
    let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
    let mut sound = (0..60).map(|at| frame(&audio, at * 960, true));
    for frame in sound.by_ref().take(10) {
        assert!(!packager.push(frame).unwrap());
    }
    // From 100 ms on, when sound of 200 ms has come.
    for at in 0..20 {
        let picture = frame(&video, 9_000 + at * 3_000, at == 0);
        packager.push(picture).unwrap();
    }
    for frame in sound {
        packager.push(frame).unwrap();
    }
    let starts = packager.renditions();
    let starts = starts
        .iter()
        .map(|it| (it.segments[0].number, it.segments[0].start));
    assert_eq!(starts.collect::<Vec<_>>(), [(0, 9_000), (0, 4_800)]);
}

#[test]
fn pictures_that_come_after_sound_have_the_numbers_beside_it() {
    for late in [200, 2_500, 5_000] {
        let mut packager = Packager::new(PackagerSettings::default(), 7);
        let (video, audio) = (vp9((320, 180)), Arc::new(TrackConfig::opus(2)));
        for ms in 0..12_000 {
            if ms % 20 == 0 {
                packager.push(frame(&audio, ms * 48, true)).unwrap();
            }
            if ms >= late && (ms - late) % 40 == 0 {
                let keyframe = (ms - late) % 2_000 == 0;
                packager.push(frame(&video, ms * 90, keyframe)).unwrap();
            }
        }
        let [video, audio] = packager.renditions().try_into().unwrap();
        for pictures in video.segments.iter().skip(1) {
            let sound = audio.segment(pictures.number).unwrap();
            let apart = (sound.start / 48).abs_diff(pictures.start / 90);
            assert!(
                apart < 40,
                "{late} ms: {apart} ms apart at {}",
                sound.number
            );
        }
        assert!(video.segments.len() > 3);
    }
}
