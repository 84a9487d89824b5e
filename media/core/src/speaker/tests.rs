use super::*;

#[allow(clippy::disallowed_methods, reason = "a base for virtual time")]
fn base() -> Instant {
    Instant::now()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn level(level_dbov: u8) -> Option<AudioLevel> {
    Some(AudioLevel {
        level_dbov,
        voice: true,
    })
}

/// Feeds a packet every 20 ms and gives the verdict at the end.
fn feed(
    loudness: &mut Loudness,
    from: Instant,
    packets: impl IntoIterator<Item = (Option<AudioLevel>, usize)>,
) -> (Instant, Option<u8>) {
    let mut now = from;
    for (level, bytes) in packets {
        now += ms(20);
        loudness.on_packet(now, level, bytes);
    }
    (now, loudness.poll(now))
}

#[test]
fn speech_is_heard_soon_and_ends_soon() {
    let mut loudness = Loudness::default();
    let (now, heard) = feed(&mut loudness, base(), vec![(level(30), 80); 10]);
    assert!(heard.is_some_and(|level| (30..34).contains(&level)));
    let (now, heard) = feed(&mut loudness, now, vec![(level(127), 80); 5]);
    assert!(heard.is_some(), "a breath is not an end");
    let (_, heard) = feed(&mut loudness, now, vec![(level(127), 80); 25]);
    assert_eq!(heard, None);
}

#[test]
fn noise_is_not_speech() {
    let mut loudness = Loudness::default();
    let (_, heard) = feed(&mut loudness, base(), vec![(level(70), 80); 100]);
    assert_eq!(heard, None);
}

#[test]
fn dtx_and_the_end_of_packets_are_silence() {
    let mut loudness = Loudness::default();
    let (now, heard) = feed(&mut loudness, base(), vec![(level(30), 80); 10]);
    assert!(heard.is_some());
    assert!(loudness.poll(now + ms(400)).is_some());
    assert_eq!(loudness.poll(now + ms(800)), None);
}

#[test]
fn sizes_stand_in_for_levels() {
    let mut loudness = Loudness::default();
    let (now, heard) = feed(&mut loudness, base(), vec![(None, 8); 20]);
    assert_eq!(heard, None, "DTX");
    let (now, _) = feed(&mut loudness, now, vec![(None, 30); 50]);
    let (now, heard) = feed(&mut loudness, now, vec![(None, 110); 20]);
    assert!(heard.is_some(), "speech makes larger packets");
    let (_, heard) = feed(&mut loudness, now, vec![(None, 30); 60]);
    assert_eq!(heard, None, "back to the small ones of silence");
}

#[test]
fn a_constant_rate_is_quiet_speech() {
    let mut loudness = Loudness::default();
    let (_, heard) = feed(&mut loudness, base(), vec![(None, 120); 100]);
    assert!(heard.is_some_and(|level| level >= ASSUMED_DBOV));
}

#[test]
fn the_list_is_told_when_it_changes_and_not_too_often() {
    let mut speakers = Speakers::default();
    let now = base();
    let mut tell = |after: u64, heard: &[Heard<u8>]| {
        let now = now + ms(after);
        if !speakers.is_due(now, ms(250)) {
            return None;
        }
        for &(track, level) in heard {
            speakers.hear(track, level);
        }
        speakers.update(now, 2).map(<[_]>::to_vec)
    };
    assert_eq!(
        tell(0, &[(1, 40), (2, 20), (3, 50)]),
        Some(vec![(2, 20), (1, 40)])
    );
    assert_eq!(tell(200, &[(1, 40)]), None, "too soon");
    assert_eq!(tell(250, &[(1, 41), (2, 19)]), None, "the same");
    assert_eq!(tell(300, &[]), Some(vec![]));
    assert_eq!(tell(900, &[]), None);
}

#[test]
fn the_dominant_speaker_stays_for_a_while() {
    let base = base();
    let period = Duration::from_secs(2);
    let mut dominant = Dominant::default();
    let update = |dominant: &mut Dominant<char>, millis, heard: &[(char, u8)]| {
        let heard = heard.iter().map(|(who, level)| (who, *level));
        let changed = dominant.update(base + Duration::from_millis(millis), period, heard);
        (changed, dominant.speaker().copied())
    };
    assert_eq!(update(&mut dominant, 0, &[]), (false, None));
    assert_eq!(
        update(&mut dominant, 50, &[('a', 30), ('b', 28)]),
        (true, Some('b'))
    );
    assert_eq!(
        update(&mut dominant, 900, &[('a', 20)]),
        (false, Some('b')),
        "too soon"
    );
    assert_eq!(
        update(&mut dominant, 2_100, &[('a', 20)]),
        (true, Some('a'))
    );
    let close = [('a', 30), ('b', 25)];
    assert_eq!(
        update(&mut dominant, 9_000, &close),
        (false, Some('a')),
        "hardly louder"
    );
    assert_eq!(
        update(&mut dominant, 9_100, &[]),
        (false, Some('a')),
        "nobody else"
    );
    assert_eq!(
        update(&mut dominant, 9_200, &[('a', 40), ('b', 25)]),
        (true, Some('b'))
    );
}
