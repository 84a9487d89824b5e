use super::*;

fn mid(text: &str) -> Mid {
    text.parse().unwrap()
}

fn lines(pairs: usize, audio_more: usize) -> Vec<MediaLine> {
    let line = |kind, name: String| MediaLine {
        mid: mid(&name),
        kind,
        usage: MediaLineUse::Slot,
        codecs: Vec::new(),
        rids: Vec::new(),
    };
    let audio = (0..pairs + audio_more).map(|i| line(MediaKind::Audio, format!("a{i}")));
    let video = (0..pairs).map(|i| line(MediaKind::Video, format!("v{i}")));
    audio.chain(video).collect()
}

/// Audio track `n` and video track `100 + n` of peer `pn`.
fn peer(number: u64, heard: u64) -> [Candidate; 2] {
    let candidate = |kind, track| Candidate {
        track: TrackId::new(track),
        kind,
        publisher: format!("p{number}").parse().unwrap(),
        source: TrackSource::default_for(kind),
        heard,
    };
    [
        candidate(MediaKind::Audio, number),
        candidate(MediaKind::Video, 100 + number),
    ]
}

fn room(heard: &[u64]) -> Vec<Candidate> {
    (1..)
        .zip(heard)
        .flat_map(|(number, heard)| peer(number, *heard))
        .collect()
}

fn book(pairs: usize, audio_more: usize) -> SlotBook {
    let mut book = SlotBook::default();
    book.set_lines(&lines(pairs, audio_more), &[]);
    book
}

fn shows(book: &SlotBook, name: &str) -> Option<u64> {
    book.shows(mid(name)).unwrap().map(TrackId::get)
}

#[test]
fn lips_and_voice_share_a_pair() {
    let mut book = book(2, 0);
    let changes = book.arrange(&room(&[0, 0]), &[]);
    assert_eq!(changes.len(), 4);
    assert_eq!(
        (shows(&book, "a0"), shows(&book, "v0")),
        (Some(1), Some(101))
    );
    assert_eq!(
        (shows(&book, "a1"), shows(&book, "v1")),
        (Some(2), Some(102))
    );
    assert!(
        book.arrange(&room(&[0, 0]), &[]).is_empty(),
        "the same again changes nothing"
    );
}

#[test]
fn who_speaks_is_shown_and_the_longest_silent_gives_way() {
    let mut book = book(2, 0);
    book.arrange(&room(&[2, 1, 0]), &[]);
    assert_eq!(shows(&book, "v1"), Some(102));
    book.arrange(&room(&[2, 1, 3]), &[TrackId::new(3)]);
    assert_eq!(
        (shows(&book, "v0"), shows(&book, "v1")),
        (Some(101), Some(103))
    );
    assert_eq!(shows(&book, "a1"), Some(3));
}

#[test]
fn the_loudest_are_heard_without_being_seen() {
    let mut book = book(1, 0);
    assert!(book.pin(mid("v0"), Some(TrackId::new(101))));
    book.arrange(&room(&[5, 6]), &[TrackId::new(2)]);
    assert_eq!(
        (shows(&book, "v0"), shows(&book, "a0")),
        (Some(101), Some(2))
    );
    // The pair takes its voice back when its publisher speaks.
    book.arrange(&room(&[7, 6]), &[TrackId::new(1), TrackId::new(2)]);
    assert_eq!(shows(&book, "a0"), Some(1));
}

#[test]
fn unpaired_audio_slots_take_the_others() {
    let mut book = book(1, 2);
    book.arrange(&room(&[0, 0, 0]), &[]);
    assert_eq!(shows(&book, "v0"), Some(101));
    let heard: BTreeSet<_> = ["a0", "a1", "a2"]
        .iter()
        .filter_map(|m| shows(&book, m))
        .collect();
    assert_eq!(heard, BTreeSet::from([1, 2, 3]));
}

#[test]
fn a_pin_holds_and_leaves_no_double() {
    let mut book = book(2, 0);
    book.arrange(&room(&[0, 0, 0]), &[]);
    assert!(book.pin(mid("v1"), Some(TrackId::new(101))));
    book.arrange(&room(&[0, 0, 9]), &[TrackId::new(3)]);
    assert_eq!(
        (shows(&book, "v1"), shows(&book, "v0")),
        (Some(101), Some(103))
    );
    assert!(book.pin(mid("v0"), None));
    book.arrange(&room(&[0, 0, 9]), &[]);
    assert_eq!(shows(&book, "v0"), None);
    assert!(!book.pin(mid("zz"), None));
}

#[test]
fn who_leaves_frees_the_slot_and_a_renegotiation_keeps_it() {
    let mut book = book(2, 0);
    book.arrange(&room(&[0, 0]), &[]);
    book.set_lines(&lines(3, 0), &[]);
    assert_eq!(shows(&book, "v1"), Some(102));
    let changes = book.arrange(&room(&[0]), &[]);
    assert!(changes.contains(&Refill {
        mid: mid("v1"),
        track: None
    }));
    assert_eq!(shows(&book, "v0"), Some(101));
}

#[test]
fn a_screen_comes_before_faces_and_brings_its_own_sound() {
    let mut book = book(1, 1);
    let mut tracks = room(&[9]);
    let [mut sound, mut screen] = peer(1, 9);
    (sound.track, sound.source) = (TrackId::new(51), TrackSource::ScreenAudio);
    (screen.track, screen.source) = (TrackId::new(151), TrackSource::Screen);
    tracks.extend([sound, screen]);
    book.arrange(&tracks, &[TrackId::new(1)]);
    assert_eq!(shows(&book, "v0"), Some(151));
    assert_eq!(
        (shows(&book, "a0"), shows(&book, "a1")),
        (Some(51), Some(1))
    );
}
