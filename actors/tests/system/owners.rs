//! Whose a room is, as observers hear of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::{ActorsConfig, Hooks, Observer};
use control_plane::MoveReason;
use media_types::{Epoch, RoomName, WorkerId};
use serde_json::json;
use signaling::ServerMessage;

use crate::moves::{Pair, follow};
use crate::world::run;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
enum News {
    Opened(u64, Option<WorkerId>),
    Moved(WorkerId),
    Joined(u64),
    Closed,
}

#[derive(Default)]
struct Witness(Mutex<Vec<News>>);

impl Witness {
    fn note(&self, news: News) {
        self.0.lock().unwrap().push(news);
    }

    fn take(&self) -> Vec<News> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Witness {
    fn room_opened(&self, _: &RoomName, epoch: Epoch, before: Option<WorkerId>) {
        self.note(News::Opened(epoch.0, before));
    }

    fn room_moved(&self, _: &RoomName, to: WorkerId) {
        self.note(News::Moved(to));
    }

    fn room_closed(&self, _: &RoomName) {
        self.note(News::Closed);
    }

    fn told(&self, _: &RoomName, epoch: Epoch, message: &ServerMessage) {
        if matches!(message, ServerMessage::PeerJoined(_)) {
            self.note(News::Joined(epoch.0));
        }
    }
}

fn heard_by(witness: &Arc<Witness>) -> impl FnOnce(&mut ActorsConfig) {
    let observer = Arc::clone(witness) as Arc<dyn Observer>;
    move |settings| {
        let policy = Hooks::default().policy;
        settings.hooks = Hooks { policy, observer };
    }
}

#[test]
fn a_room_that_comes_back_names_who_had_it_and_one_that_waits_says_nothing() {
    let other = WorkerId::new(2);
    run(async {
        let witness = Arc::new(Witness::default());
        let pair = Pair::with(heard_by(&witness)).await;
        let ana = pair.a.join("r", "ana").await;
        let room = ana.room.clone();
        assert_eq!(witness.take(), [News::Opened(1, None), News::Joined(1)]);
        let moving = pair.a.system.move_room(&room, None, MoveReason::Operator);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        assert_eq!(witness.take(), [News::Moved(other)]);
        let there = follow(&pair.b, &ana).await;
        ana.tell(9, "settled", json!({}));
        pair.pass(SECOND).await;
        assert_eq!(witness.take(), [News::Closed]);

        let moving = pair.b.system.move_room(&room, None, MoveReason::Operator);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        assert_eq!(witness.take(), [News::Opened(3, Some(other))]);
        let back = follow(&pair.a, &there).await;
        there.tell(9, "settled", json!({}));
        pair.pass(SECOND).await;
        assert_eq!(pair.owner(&room).await.before, Some(other));
        drop(back);
    });
}

#[test]
fn a_room_that_is_taken_back_says_so() {
    let other = WorkerId::new(2);
    run(async {
        let witness = Arc::new(Witness::default());
        let mut pair = Pair::with(heard_by(&witness)).await;
        let ana = pair.a.join("r", "ana").await;
        let moving = pair
            .a
            .system
            .move_room(&ana.room, None, MoveReason::Operator);
        moving.await.unwrap();
        pair.pass(SECOND).await;
        pair.b.system.stop();
        pair.leave(1).await;
        pair.pass(SECOND).await;
        pair.a.join("r", "bob").await;
        let expected = [
            News::Opened(1, None),
            News::Joined(1),
            News::Moved(other),
            News::Opened(3, Some(other)),
            News::Joined(3),
        ];
        assert_eq!(witness.take(), expected);
    });
}
