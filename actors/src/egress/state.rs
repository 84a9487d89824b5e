//! The pure part of an egress: which taps there should be, given what is published.

use media_contract::{Action, TapWish};
use media_types::{Identity, ShardId, TapId, TrackId};

use super::{EgressSource, EgressTap, EgressView};

/// A command for a shard.
pub(super) type Step = (ShardId, Action);

/// Whether a tap is still the right one for a source: also where its shard has another part's track
/// from elsewhere than before, for it goes on without a gap. What was published here and is not any
/// more has ended on the shard, and its tap with it.
fn serves(tap: &EgressTap, source: &EgressSource) -> bool {
    let of_tap = (tap.track, tap.shard, tap.codec);
    let left = tap.far.is_none() && source.far.is_some();
    of_tap == (source.track, source.shard, source.codec) && !left
}

/// The taps for these sources: those that there are stay, others go, what is new gets one. With the
/// commands that make it so.
pub(super) fn follow(
    view: &EgressView,
    sources: &[EgressSource],
    stream: Option<&Identity>,
    wish: TapWish,
    mut new_tap: impl FnMut() -> TapId,
) -> (EgressView, Vec<Step>) {
    let wanted = sources
        .iter()
        .filter(|source| stream.is_none_or(|stream| *stream == source.publisher));
    let mut steps: Vec<Step> = view
        .taps
        .iter()
        .filter(|tap| !wanted.clone().any(|source| serves(tap, source)))
        .map(close)
        .collect();
    let taps = wanted.map(|source| {
        let known = view.taps.iter().find(|tap| serves(tap, source));
        let known = known.cloned().map(|tap| EgressTap {
            far: source.far,
            ..tap
        });
        known.unwrap_or_else(|| {
            let tap = EgressTap {
                tap: new_tap(),
                shard: source.shard,
                far: source.far,
                track: source.track,
                publisher: source.publisher.clone(),
                kind: source.kind,
                codec: source.codec,
                source: source.source,
                name: source.name.clone(),
                released: false,
            };
            steps.push(open(&tap, wish));
            tap
        })
    });
    let taps = taps.collect();
    let ended = view.ended;
    (EgressView { taps, ended }, steps)
}

/// The command that opens a tap; twice is as once.
pub(super) fn open(tap: &EgressTap, wish: TapWish) -> Step {
    let (id, track): (TapId, TrackId) = (tap.tap, tap.track);
    let open = Action::OpenTap {
        tap: id,
        track,
        wish,
    };
    (tap.shard, open)
}

/// The command that closes it.
pub(crate) fn close(tap: &EgressTap) -> Step {
    (tap.shard, Action::CloseTap { tap: tap.tap })
}

#[cfg(test)]
mod tests {
    use media_contract::RelayPeer;
    use media_types::{Codec, MediaKind, TrackSource, WorkerId};

    use super::*;

    fn source(track: u64, shard: u16, publisher: &str) -> EgressSource {
        EgressSource {
            track: TrackId::new(track),
            shard: ShardId(shard),
            far: None,
            publisher: publisher.parse().unwrap(),
            kind: MediaKind::Video,
            codec: Codec::H264,
            source: TrackSource::Ingest,
            name: None,
        }
    }

    fn run(view: &EgressView, sources: &[EgressSource], next: u64) -> (EgressView, Vec<Step>) {
        let stream = "ana".parse().unwrap();
        let mut next = next;
        follow(view, sources, Some(&stream), TapWish::default(), || {
            next += 1;
            TapId::new(next)
        })
    }

    #[test]
    fn taps_follow_the_tracks_of_their_stream() {
        let (none, both) = (
            EgressView::default(),
            [source(1, 0, "ana"), source(2, 1, "bob")],
        );
        let (view, steps) = run(&none, &both, 0);
        assert_eq!(view.taps.len(), 1);
        let opened = [open(&view.taps[0], TapWish::default())];
        assert_eq!(steps, opened);
        let (same, steps) = run(&view, &both, 1);
        assert_eq!((same, steps), (view.clone(), vec![]), "nothing new");
        let (gone, steps) = run(&view, &[], 1);
        assert_eq!(steps, [close(&view.taps[0])]);
        assert!(gone.taps.is_empty());
    }

    #[test]
    fn another_shard_or_codec_is_another_tap_and_a_publisher_who_leaves() {
        let (view, _) = run(&EgressView::default(), &[source(1, 0, "ana")], 0);
        let moved = EgressSource {
            codec: Codec::H265,
            ..source(1, 3, "ana")
        };
        let (after, steps) = run(&view, &[moved], 1);
        assert_eq!(after.taps[0].tap, TapId::new(2));
        let other = |old: &EgressView, new: &EgressView| {
            let opened = open(&new.taps[0], TapWish::default());
            vec![close(&old.taps[0]), opened]
        };
        assert_eq!(steps, other(&view, &after));
        // Its publisher went on at another worker: the same track by another way.
        let afar = EgressSource {
            far: Some(RelayPeer::Worker {
                worker: WorkerId::new(2),
                shard: ShardId(0),
            }),
            ..source(1, 0, "ana")
        };
        let (after, steps) = run(&view, std::slice::from_ref(&afar), 1);
        assert_eq!(steps, other(&view, &after));
        // From there it may go on anywhere, here as well, and the shard sees to it.
        let further = EgressSource {
            far: Some(RelayPeer::Worker {
                worker: WorkerId::new(3),
                shard: ShardId(0),
            }),
            ..afar
        };
        for next in [further, source(1, 0, "ana")] {
            let (then, steps) = run(&after, std::slice::from_ref(&next), 2);
            assert_eq!(steps, []);
            assert_eq!(
                (then.taps[0].tap, then.taps[0].far),
                (after.taps[0].tap, next.far)
            );
        }
    }
}
