//! Rooms that move by themselves, by loads and figures as written here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::{Hooks, Observer};
use control_plane::balance::{Decision, Policy};
use media_contract::{Fact, TransportFigures};
use media_types::{Epoch, RoomName, WorkerId};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use serde_json::json;
use tokio::time::Instant;

use crate::moves::{Pair, follow};
use crate::world::{Client, run};

const SECOND: Duration = Duration::from_secs(1);
/// In parts of a million of a shard's time.
const BUSY: u32 = 950_000;
const CALM: u32 = 400_000;

/// What operators count.
#[derive(Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct One(String, Arc<Mutex<BTreeMap<String, u64>>>);

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.1.lock().unwrap().entry(self.0.clone()).or_default() += value;
    }

    fn absolute(&self, value: u64) {
        self.1.lock().unwrap().insert(self.0.clone(), value);
    }
}

impl metrics::Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels = key.labels().map(metrics::Label::value);
        let named = std::iter::once(key.name()).chain(labels);
        let name = named.collect::<Vec<_>>().join(" ");
        Counter::from_arc(Arc::new(One(name, Arc::clone(&self.0))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Counts {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

/// What becomes an event.
#[derive(Default)]
struct Witness(Mutex<Vec<(Instant, Epoch, Decision)>>);

impl Observer for Witness {
    fn room_moves(&self, room: &RoomName, epoch: Epoch, decision: &Decision) {
        assert_eq!(*room, decision.room);
        let entry = (Instant::now(), epoch, decision.clone());
        self.0.lock().unwrap().push(entry);
    }
}

impl Witness {
    /// When the latest of so many moves began, and what it was; `None` while there are fewer.
    fn latest(&self, count: usize) -> Option<(Instant, String, &'static str)> {
        let all = self.0.lock().unwrap();
        assert!(all.len() <= count, "{all:?}");
        let (at, epoch, decision) = all.get(count - 1)?;
        assert_eq!((*epoch, decision.to), (Epoch(1), WorkerId::new(2)));
        Some((*at, decision.room.to_string(), decision.cause.word()))
    }
}

struct Scene {
    pair: Pair,
    witness: Arc<Witness>,
    here: Vec<Client>,
    there: Vec<Client>,
    /// What the shard says each second of those in a room.
    figures: BTreeMap<&'static str, TransportFigures>,
}

impl Scene {
    /// Rooms with so many people each, at the first worker.
    async fn new(rooms: &[(&'static str, usize)]) -> Self {
        let witness = Arc::new(Witness::default());
        let observer = witness.clone();
        let pair = Pair::with(move |settings| {
            settings.balance = Some(Policy::default());
            let policy = Hooks::default().policy;
            settings.hooks = Hooks { policy, observer };
        });
        let pair = pair.await;
        let mut here = Vec::new();
        for (room, people) in rooms {
            for n in 0..*people {
                let client = pair.a.join(room, &format!("{room}{n}")).await;
                client.offer(1, "send a audio");
                pair.a.settle().await;
                here.push(client);
            }
        }
        Self {
            pair,
            witness,
            here,
            there: Vec::new(),
            figures: BTreeMap::new(),
        }
    }

    /// About a second passes, in which clients go where they are told to.
    async fn second(&mut self) {
        for client in &self.here {
            let figures = self.figures.get(client.room.as_str());
            if let (Some(figures), None) = (figures, client.inbox.closed()) {
                let figures = Fact::Figures(figures.clone());
                self.pair.a.plane.happen(&client.identity, figures);
            }
        }
        let all: Vec<&Client> = self.here.iter().chain(&self.there).collect();
        self.pair.pass_with(&all, SECOND).await;
        for client in &self.here {
            if let Some((_, told)) = client.inbox.take_only(&["migrate"]).first() {
                assert_eq!(told["reason"], "balance");
                self.there.push(follow(&self.pair.b, client).await);
                client.tell(9, "settled", json!({}));
            }
        }
    }

    /// Waits for the next of so many moves.
    async fn moved(&mut self, count: usize) -> (Instant, String, &'static str) {
        for _ in 0..60 {
            if let Some(moved) = self.witness.latest(count) {
                return moved;
            }
            self.second().await;
        }
        panic!("nothing moves");
    }
}

fn about(seconds: u64, passed: Duration) {
    let least = Duration::from_secs(seconds);
    let fits = (least..least + 4 * SECOND).contains(&passed);
    assert!(fits, "{passed:?} and not {seconds} s");
}

#[test]
fn an_overloaded_worker_sheds_what_helps_and_then_waits() {
    run(async {
        let counts = Counts::default();
        let _counting = metrics::set_default_local_recorder(&counts);
        let rooms = [("large", 6), ("middle", 3), ("small", 2), ("tiny", 1)];
        let mut scene = Scene::new(&rooms).await;
        // A while of load and a moment of calm: nothing moves.
        scene.pair.a.plane.set_load(BUSY);
        for _ in 0..5 {
            scene.second().await;
        }
        scene.pair.a.plane.set_load(CALM);
        for _ in 0..2 {
            scene.second().await;
        }
        scene.pair.a.plane.set_load(BUSY);
        let busy_at = Instant::now();
        let (first_at, room, cause) = scene.moved(1).await;
        assert_eq!((&*room, cause), ("middle", "overload"));
        about(10, first_at - busy_at);
        // It goes on being busy: the next one goes when the pause is over.
        let (second_at, room, cause) = scene.moved(2).await;
        assert_eq!((&*room, cause), ("small", "overload"));
        about(30, second_at - first_at);
        // What is left would do to the second worker what it does to this one.
        for _ in 0..40 {
            scene.second().await;
        }
        assert!(scene.witness.latest(2).is_some());
        assert_eq!(scene.pair.b.system.population(), (2, 5));
        assert_eq!(scene.pair.a.system.population(), (2, 7));
        let owner = scene.pair.owner(&"middle".parse().unwrap()).await;
        assert_eq!((owner.worker, owner.epoch.0), (Some(WorkerId::new(2)), 2));
        let automatic = "troupe_migrations_automatic_total overload";
        let moved = "troupe_migrations_total moved";
        assert_eq!((counts.of(automatic), counts.of(moved)), (2, 2));
    });
}

#[test]
fn rooms_whose_peers_fare_badly_move_one_after_the_other() {
    run(async {
        let counts = Counts::default();
        let _counting = metrics::set_default_local_recorder(&counts);
        let mut scene = Scene::new(&[("bad", 3), ("far", 3), ("fine", 3), ("pair", 2)]).await;
        let rtt = |ms| TransportFigures {
            rtt: Some(Duration::from_millis(ms)),
            ..TransportFigures::default()
        };
        let loss = TransportFigures {
            loss_in: 0.2,
            ..rtt(40)
        };
        // On the same floor: less than a millisecond is a round trip, too.
        scene.figures = [("bad", rtt(40)), ("far", rtt(0)), ("fine", rtt(300))].into();
        for _ in 0..12 {
            scene.second().await;
        }
        let lossy = [("bad", loss.clone()), ("pair", loss)];
        scene.figures.extend(lossy);
        let lossy_at = Instant::now();
        let (first_at, room, cause) = scene.moved(1).await;
        assert_eq!((&*room, cause), ("bad", "quality"));
        about(10, first_at - lossy_at);
        scene.figures.insert("far", rtt(200));
        let (second_at, room, cause) = scene.moved(2).await;
        assert_eq!((&*room, cause), ("far", "round_trip"));
        about(30, second_at - first_at);
        for _ in 0..30 {
            scene.second().await;
        }
        assert!(scene.witness.latest(2).is_some());
        assert_eq!(scene.pair.b.system.population(), (2, 6));
        assert_eq!(scene.pair.a.system.population(), (2, 5));
        for cause in ["quality", "round_trip"] {
            let name = format!("troupe_migrations_automatic_total {cause}");
            assert_eq!(counts.of(&name), 1, "{cause}");
        }
    });
}
