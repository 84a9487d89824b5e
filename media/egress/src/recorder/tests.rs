use super::*;
use crate::mux::tests::{frame, interleaved, video};

const BOTH: Kinds = Kinds {
    video: true,
    audio: true,
};
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn recorder(rotation_s: u64) -> Recorder {
    let settings = RecorderSettings {
        rotation: Duration::from_secs(rotation_s),
        ..RecorderSettings::default()
    };
    Recorder::new("alice".to_owned(), BOTH, settings)
}

fn actions(recorder: &mut Recorder) -> Vec<Action> {
    std::iter::from_fn(|| recorder.poll_action()).collect()
}

fn names(actions: &[Action]) -> String {
    let letter = |action: &Action| match action {
        Action::Create(_) => 'C',
        Action::Append(_) => 'a',
        Action::Sync => 's',
        Action::Finish(_) => 'F',
        Action::Manifest(_) => 'M',
    };
    actions.iter().map(letter).collect()
}

#[test]
fn each_fragment_is_appended_and_synced() {
    let mut recorder = recorder(0);
    for frame in interleaved(0, 4) {
        recorder.push(EPOCH, frame).unwrap();
    }
    recorder.finish().unwrap();
    let actions = actions(&mut recorder);
    // Created, its head and the manifest; four fragments of a second; ended.
    assert_eq!(names(&actions), "CaMasasasassFM");
    let file = &recorder.manifest().files[0];
    assert_eq!(
        (file.name.as_str(), file.duration_ms, file.complete),
        ("alice-00000.mp4", 4_000, true)
    );
    assert_eq!(file.started_at, "2023-11-14T22:13:20.000Z");
    let written: usize = actions
        .iter()
        .map(|action| {
            if let Action::Append(bytes) = action {
                bytes.len()
            } else {
                0
            }
        })
        .sum();
    assert_eq!(file.bytes, u64::try_from(written).unwrap());
    let json = serde_json::to_value(recorder.manifest()).unwrap();
    assert_eq!(json["files"][0]["tracks"][1]["codecs"], "opus");
    assert_eq!(json["files"][0]["startedMs"], 1_700_000_000_000_u64);
}

#[test]
fn files_rotate_at_keyframes_without_a_gap() {
    let mut recorder = recorder(3);
    for frame in interleaved(0, 12) {
        recorder.push(EPOCH, frame).unwrap();
    }
    recorder.finish().unwrap();
    let manifest = recorder.manifest();
    // Keyframes come every two seconds, so the first one after three seconds is at four.
    let lengths: Vec<u64> = manifest.files.iter().map(|file| file.duration_ms).collect();
    assert_eq!(lengths, [4_000, 4_000, 4_000]);
    let starts: Vec<u64> = manifest.files.iter().map(|file| file.started_ms).collect();
    let first = starts[0];
    assert_eq!(starts, [first, first + 4_000, first + 8_000]);
    let made = actions(&mut recorder);
    let made = made
        .iter()
        .filter(|action| matches!(action, Action::Create(_)));
    assert_eq!(made.count(), 3);
}

#[test]
fn another_size_and_a_late_track_begin_new_files() {
    let mut recorder = recorder(0);
    let sound = std::sync::Arc::new(TrackConfig::opus(2));
    recorder.expect(Kinds {
        video: true,
        audio: false,
    });
    for index in 0..60 {
        let picture = frame(&video((64, 64)), index * 3_000, index % 30 == 0);
        recorder.push(EPOCH, picture).unwrap();
    }
    // Sound comes after two seconds; the next keyframe takes it in.
    for index in 60..150 {
        recorder
            .push(EPOCH, frame(&sound, index * 1_600, true))
            .unwrap();
        let picture = frame(&video((64, 64)), index * 3_000, index % 30 == 0);
        recorder.push(EPOCH, picture).unwrap();
    }
    for index in 150..200 {
        recorder
            .push(EPOCH, frame(&sound, index * 1_600, true))
            .unwrap();
        let picture = frame(&video((128, 64)), index * 3_000, index % 30 == 0);
        recorder.push(EPOCH, picture).unwrap();
    }
    recorder.finish().unwrap();
    let files = &recorder.manifest().files;
    let tracks: Vec<usize> = files.iter().map(|file| file.tracks.len()).collect();
    assert_eq!(tracks, [1, 2, 2]);
    assert_eq!(
        (files[1].tracks[0].width, files[2].tracks[0].width),
        (64, 128)
    );
    assert!(files.iter().all(|file| file.complete));
}

/// Pictures alone, 30 a second, and sound from `from` on; a keyframe each second.
fn late_sound(recorder: &mut Recorder, from: u64, until: u64) {
    let sound = std::sync::Arc::new(TrackConfig::opus(2));
    recorder.expect(Kinds {
        video: true,
        audio: false,
    });
    for index in 0..until {
        if index >= from {
            let sound = frame(&sound, index * 1_600, true);
            recorder.push(EPOCH, sound).unwrap();
        }
        let picture = frame(&video((64, 64)), index * 3_000, index % 30 == 0);
        recorder.push(EPOCH, picture).unwrap();
    }
    recorder.finish().unwrap();
}

#[test]
fn nothing_of_late_sound_is_lost() {
    let mut recorder = recorder(0);
    late_sound(&mut recorder, 70, 150);
    let files = &recorder.manifest().files;
    let tracks: Vec<usize> = files.iter().map(|file| file.tracks.len()).collect();
    assert_eq!(tracks, [1, 2]);
    // The second file begins with the sound, two thirds of a second before its pictures.
    let first = files[0].started_ms;
    assert_eq!(files[1].started_ms - first, 70 * 1_000 / 30);
    assert_eq!(files[0].duration_ms, 3_000);
}

#[test]
fn late_sound_without_another_keyframe_has_a_file_of_its_own() {
    let mut recorder = recorder(0);
    late_sound(&mut recorder, 70, 85);
    let files = &recorder.manifest().files;
    let kinds: Vec<_> = files
        .iter()
        .map(|file| file.tracks.iter().map(|it| it.kind).collect::<Vec<_>>())
        .collect();
    assert_eq!(kinds, [[MediaKind::Video], [MediaKind::Audio]]);
    assert_eq!(files[1].started_ms - files[0].started_ms, 70 * 1_000 / 30);
    assert!(files.iter().all(|file| file.complete));
}

#[test]
fn pictures_that_come_late_begin_a_file_with_their_first_keyframe() {
    let mut recorder = recorder(0);
    let sound = std::sync::Arc::new(TrackConfig::opus(2));
    recorder.expect(Kinds {
        video: false,
        audio: true,
    });
    for index in 0..150 {
        let heard = frame(&sound, index * 1_600, true);
        recorder.push(EPOCH, heard).unwrap();
        if index >= 60 {
            let picture = frame(&video((64, 64)), index * 3_000, index % 30 == 0);
            recorder.push(EPOCH, picture).unwrap();
        }
    }
    recorder.finish().unwrap();
    let files = &recorder.manifest().files;
    let starts: Vec<u64> = files.iter().map(|file| file.started_ms).collect();
    assert_eq!(starts, [starts[0], starts[0] + 2_000]);
    assert_eq!(files[1].tracks.len(), 2);
}

#[test]
fn nothing_recorded_leaves_no_file() {
    let mut recorder = recorder(0);
    recorder.finish().unwrap();
    assert_eq!(actions(&mut recorder), []);
}
