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
