//! Rooms of which several workers hold a part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::{ActorsConfig, ClusterLink, PartLetter};
use control_plane::testing::ManualClock;
use control_plane::{Membership, MemoryStore, Store, WorkerRecord, membership};
use media_contract::{Action, RelayEnd, RelayPeer};
use media_types::{Codec, ShardId, TrackId, WorkerId};
use serde_json::{Value, json};
use signaling::ErrorType;
use signaling::server_message::Reply;
use signaling::view::CloseReason;

use crate::path::Path;
use crate::world::{Client, World, config, request, run};

const PUBLISH: &str = "send a0 audio, send v0 video, slot a1 audio, slot v1 video";
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Letters on their way, as JSON: what is not on the wire does not arrive.
#[derive(Default)]
struct Wires {
    letters: Mutex<Vec<(u64, u64, String)>>,
    linked: Mutex<BTreeSet<(u64, u64)>>,
}

struct Link {
    me: u64,
    wires: Arc<Wires>,
}

impl ClusterLink for Link {
    fn tell(&self, to: WorkerId, letter: PartLetter) -> bool {
        let linked = self.wires.linked.lock().unwrap();
        let is_linked = linked.contains(&(self.me, to.get()));
        if is_linked {
            let text = serde_json::to_string(&letter).unwrap();
            let mut letters = self.wires.letters.lock().unwrap();
            letters.push((self.me, to.get(), text));
        }
        is_linked
    }
}

/// Workers on one store, each linked with each.
pub(crate) struct Cluster {
    pub(crate) worlds: BTreeMap<u64, World>,
    wires: Arc<Wires>,
    paths: BTreeMap<u64, Arc<Path>>,
    pub(crate) members: BTreeMap<u64, Membership>,
    pub(crate) store: Arc<MemoryStore>,
}

fn url(id: u64) -> String {
    format!("wss://{id}/v1/signal")
}

impl Cluster {
    pub(crate) async fn new(workers: u64, limit: usize) -> Self {
        let settings = ActorsConfig {
            room_peers_per_worker: limit,
            ..config()
        };
        Self::with(workers, settings).await
    }

    pub(crate) async fn with(workers: u64, common: ActorsConfig) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(ManualClock::new())));
        let wires = Arc::new(Wires::default());
        let mut cluster = Self {
            worlds: BTreeMap::new(),
            wires: Arc::clone(&wires),
            paths: BTreeMap::new(),
            members: BTreeMap::new(),
            store: Arc::clone(&store),
        };
        for id in 1..=workers {
            let record = WorkerRecord {
                id: WorkerId::new(id),
                url: url(id),
                ready: true,
                // The lower ids are chosen first.
                load_permille: u16::try_from(id).unwrap(),
                relay: vec![format!("10.0.0.{id}:7946")],
                ..WorkerRecord::default()
            };
            let mut member = Membership::new(store.clone(), record, membership::LEASE_TTL);
            let now = tokio::time::Instant::now().into_std();
            member.renew(now).await.unwrap();
            cluster.members.insert(id, member);
            let settings = ActorsConfig {
                worker: WorkerId::new(id),
                url: url(id),
                endpoints: vec![url(id)],
                id_seed: id * 1_000,
                ..common.clone()
            };
            let link = Arc::new(Link {
                me: id,
                wires: Arc::clone(&wires),
            });
            let path = Path::to(&store);
            let ways = (store.clone(), path.clone() as Arc<dyn Store>, link as _);
            cluster.paths.insert(id, path);
            let world = World::linked(1, settings, &[], ways);
            cluster.worlds.insert(id, world);
        }
        for id in 1..=workers {
            for other in (1..=workers).filter(|other| *other != id) {
                wires.linked.lock().unwrap().insert((id, other));
            }
        }
        cluster.tell_links();
        // Workers look at the list of all every two seconds.
        cluster.pass(3 * SECOND).await;
        cluster
    }

    pub(crate) fn at(&self, id: u64) -> &World {
        &self.worlds[&id]
    }

    /// A worker's way to the store.
    pub(crate) fn path(&self, id: u64) -> &Path {
        &self.paths[&id]
    }

    /// Whose URL that is.
    pub(crate) fn id_of(&self, to: Option<&str>) -> u64 {
        let found = self.worlds.keys().find(|id| Some(&*url(**id)) == to);
        *found.unwrap()
    }

    fn tell_links(&self) {
        for (id, world) in &self.worlds {
            let linked = self.wires.linked.lock().unwrap();
            let others = linked.iter().filter(|(from, _)| from == id);
            let others = others.map(|(_, to)| WorkerId::new(*to)).collect();
            drop(linked);
            world.system.linked(others);
        }
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self, id: u64) {
        self.crash(id);
        self.bury(id).await;
    }

    /// The same, before its lease has ended.
    pub(crate) fn crash(&mut self, id: u64) {
        let world = self.worlds.remove(&id).unwrap();
        world.system.stop();
        self.cut(|(from, to)| *from == id || *to == id);
    }

    /// The lease of a worker that is dead ends.
    pub(crate) async fn bury(&mut self, id: u64) {
        self.members.remove(&id).unwrap().leave().await.unwrap();
    }

    pub(crate) fn cut(&self, which: impl Fn(&(u64, u64)) -> bool) {
        self.wires
            .linked
            .lock()
            .unwrap()
            .retain(|pair| !which(pair));
        self.tell_links();
    }

    /// Two that were cut from each other are linked again.
    pub(crate) fn link(&self, (one, other): (u64, u64)) {
        let both = [(one, other), (other, one)];
        self.wires.linked.lock().unwrap().extend(both);
        self.tell_links();
    }

    /// What is on its way does not arrive.
    pub(crate) fn lose_letters(&self) {
        self.wires.letters.lock().unwrap().clear();
    }

    fn carry(&self) {
        let letters = std::mem::take(&mut *self.wires.letters.lock().unwrap());
        for (from, to, text) in letters {
            if let Some(world) = self.worlds.get(&to) {
                let letter = serde_json::from_str(&text).unwrap();
                world.system.told(WorkerId::new(from), letter);
            }
        }
    }

    pub(crate) async fn pass(&self, time: Duration) {
        let step = Duration::from_millis(10);
        let mut left = time;
        while !left.is_zero() {
            self.carry();
            for world in self.worlds.values() {
                for (shard, event) in world.plane.take_events() {
                    world.system.deliver(shard, event);
                }
            }
            tokio::time::sleep(step.min(left)).await;
            left = left.saturating_sub(step);
        }
    }

    /// Lets time pass while these clients answer pings.
    pub(crate) async fn pass_pinged(&self, clients: &[&Client], seconds: u32) {
        for _ in 0..seconds {
            let now = tokio::time::Instant::now().into_std();
            for client in clients {
                *client.inbox.pinged.lock().unwrap() = Some(now);
            }
            self.pass(SECOND).await;
        }
    }

    async fn settle(&self) {
        self.pass(Duration::from_millis(300)).await;
    }

    /// Joins as a client does that goes where it is sent; the worker that lets it in.
    pub(crate) async fn join(&self, first: u64, identity: &str) -> (u64, Client) {
        let mut at = first;
        for _ in 0..20 {
            match self.at(at).try_join(request("hall", identity)).await {
                Ok(client) => return (at, client),
                Err(error) if error.kind() == ErrorType::Moved => {
                    let to = error.data.url.unwrap();
                    at = *self.worlds.keys().find(|id| url(**id) == to).unwrap();
                }
                Err(error) if error.kind() == ErrorType::Unavailable => {}
                Err(error) => panic!("{identity}: {error:?}"),
            }
            self.settle().await;
        }
        panic!("{identity} gets nowhere");
    }

    /// Ana at the first worker and Bob at the second, in one room.
    async fn pair(&self) -> (Client, Client) {
        let (first, ana) = self.join(1, "ana").await;
        let (second, bob) = self.join(1, "bob").await;
        assert_eq!((first, second), (1, 2));
        self.settle().await;
        (ana, bob)
    }
}

fn tracks(client: &Client) -> Vec<TrackId> {
    match client.inbox.answer(1) {
        Some(Ok(Reply::Offer(offer))) => offer.tracks.iter().map(|it| it.track_id).collect(),
        other => panic!("{other:?}"),
    }
}

fn news(client: &Client) -> Vec<(String, Value)> {
    let methods = [
        "peerJoined",
        "peerLeft",
        "peerUpdated",
        "trackPublished",
        "trackUnpublished",
        "trackMuted",
    ];
    client.inbox.take_only(&methods)
}

fn peer(name: &str) -> Value {
    json!({"peer": {"peerId": name, "state": "active"}})
}

#[test]
fn who_does_not_fit_is_in_at_another_worker_and_sees_everybody() {
    run(async {
        let cluster = Cluster::new(2, 1).await;
        let (ana, bob) = cluster.pair().await;
        let names: Vec<_> = bob.joined.result.room.peers.iter().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].peer_id.as_str(), "ana");
        assert_eq!(news(&ana), [("peerJoined".to_owned(), peer("bob"))]);
        assert_eq!(news(&bob), []);

        ana.offer(1, PUBLISH);
        bob.offer(1, PUBLISH);
        cluster.settle().await;
        cluster.at(1).plane.flow(&ana.identity, Codec::Vp8);
        cluster.at(2).plane.flow(&bob.identity, Codec::Vp8);
        cluster.settle().await;
        // Each has the other's tracks in its slots, by relays that the wanting worker opens.
        for (id, mine, theirs, home) in [(1, &ana, &bob, 2), (2, &bob, &ana, 1)] {
            let shown = cluster.at(id).plane.slots_of(&mine.identity);
            let shown: BTreeSet<TrackId> = shown.into_values().collect();
            assert_eq!(shown, tracks(theirs).into_iter().collect());
            let log = cluster.at(id).plane.take_log();
            let from = RelayPeer::Worker {
                worker: WorkerId::new(home),
                shard: ShardId(0),
            };
            let links = log.iter().filter_map(|(_, action)| match action {
                Action::LinkRoom { peers } => Some(peers.clone()),
                _ => None,
            });
            assert_eq!(links.clone().next_back(), Some(vec![from]));
            let opened = log.iter().filter_map(|(_, action)| match action {
                Action::OpenRelay { track, end } => Some((*track, end.clone())),
                _ => None,
            });
            let opened: Vec<_> = opened.collect();
            assert!(opened.iter().all(|(_, end)| matches!(
                end,
                RelayEnd::In { from: it, .. } if *it == from
            )));
            let opened: BTreeSet<TrackId> = opened.into_iter().map(|(track, _)| track).collect();
            assert_eq!(opened, tracks(theirs).into_iter().collect());
        }
    });
}

#[test]
fn what_is_said_is_heard_at_all_parts_once() {
    run(async {
        let cluster = Cluster::new(3, 1).await;
        let (ana, bob) = cluster.pair().await;
        let (third, eve) = cluster.join(2, "eve").await;
        assert_eq!(third, 3);
        cluster.settle().await;
        for client in [&ana, &bob, &eve] {
            client.inbox.take();
        }
        bob.tell(2, "chat", json!({"text": "hello"}));
        eve.tell(
            2,
            "send",
            json!({"to": "peer:ana", "topic": "t", "payload": 7}),
        );
        cluster.settle().await;
        let heard = |client: &Client| {
            let all = client.inbox.take_only(&["chat", "message"]);
            let texts = all.into_iter().map(|(_, params)| {
                params
                    .get("text")
                    .or(params.get("payload"))
                    .unwrap()
                    .clone()
            });
            texts.collect::<Vec<_>>()
        };
        assert_eq!(heard(&ana), [json!("hello"), json!(7)]);
        assert_eq!(heard(&bob), [json!("hello")]);
        assert_eq!(heard(&eve), [json!("hello")]);
    });
}

#[test]
fn peers_of_a_worker_that_dies_leave_and_the_rest_goes_on_under_one_owner() {
    run(async {
        let mut cluster = Cluster::new(3, 1).await;
        let (ana, bob) = cluster.pair().await;
        let (_, eve) = cluster.join(1, "eve").await;
        cluster.settle().await;
        for client in [&ana, &bob, &eve] {
            client.inbox.take();
        }
        cluster.kill(1).await;
        cluster.pass(4 * SECOND).await;
        let left = json!({"peerId": "ana", "reason": "timeout"});
        for client in [&bob, &eve] {
            assert_eq!(news(client), [("peerLeft".to_owned(), left.clone())]);
        }
        // One of the two owns the room now, in the next epoch, and both say so.
        let room = bob.room.clone();
        cluster.pass_pinged(&[&bob, &eve], 10).await;
        let epochs = [2, 3].map(|id| cluster.at(id).system.room(&room));
        for epoch in epochs {
            assert_eq!(epoch.await.unwrap().epoch, 2);
        }
        let full = cluster.at(2).try_join(request("hall", "ana")).await.err();
        assert!(full.is_some());
        eve.session().leave().unwrap();
        cluster.settle().await;
        let (at, _ana) = cluster.join(2, "ana").await;
        assert_eq!(at, 3);
        cluster.settle().await;
        let left = json!({"peerId": "eve", "reason": "left"});
        let expected = [
            ("peerLeft".to_owned(), left),
            ("peerJoined".to_owned(), peer("ana")),
        ];
        assert_eq!(news(&bob), expected);
    });
}

#[test]
fn a_room_that_closes_closes_at_all_parts_and_an_empty_part_goes_by_itself() {
    run(async {
        let cluster = Cluster::new(3, 1).await;
        let (ana, bob) = cluster.pair().await;
        let (_, eve) = cluster.join(1, "eve").await;
        cluster.settle().await;
        eve.session().leave().unwrap();
        cluster.settle().await;
        let gone = news(&ana);
        let left = json!({"peerId": "eve", "reason": "left"});
        assert_eq!(gone.last(), Some(&("peerLeft".to_owned(), left)));
        cluster.pass_pinged(&[&ana, &bob], 25).await;
        assert_eq!(cluster.at(3).system.population(), (0, 0));
        // The owner stays while somebody is in anywhere.
        ana.session().leave().unwrap();
        cluster.pass_pinged(&[&bob], 25).await;
        assert_eq!(cluster.at(1).system.population().0, 1);
        // Its owner alone ends it.
        let refused = cluster.at(2).system.close_room(&ana.room).await;
        assert_eq!(refused.unwrap_err().data.url, Some(url(1)));
        cluster.at(1).system.close_room(&ana.room).await.unwrap();
        cluster.settle().await;
        assert_eq!(bob.inbox.closed(), Some(CloseReason::RoomClosed));
        cluster.settle().await;
        for id in [1, 2] {
            assert_eq!(cluster.at(id).system.population(), (0, 0));
        }
    });
}

#[test]
fn without_a_worker_that_takes_more_the_answer_says_so() {
    run(async {
        let cluster = Cluster::new(2, 1).await;
        let (ana, _bob) = cluster.pair().await;
        let refused = cluster.at(1).try_join(request("hall", "eve")).await.err();
        assert_eq!(refused.unwrap().kind(), ErrorType::Overloaded);
        // Whoever comes back has his place, at whichever worker he asks.
        let back = cluster.at(2).resume(&ana).await.err().unwrap();
        assert_eq!(back.kind(), ErrorType::Moved);
        assert_eq!(back.data.url.as_deref(), Some("wss://1/v1/signal"));
        assert!(cluster.at(1).resume(&ana).await.is_ok());
    });
}

#[test]
fn who_comes_again_elsewhere_is_in_once() {
    run(async {
        let cluster = Cluster::new(2, 2).await;
        let (_, ana) = cluster.join(1, "ana").await;
        let (_, bob) = cluster.join(1, "bob").await;
        let (at, eve) = cluster.join(1, "eve").await;
        assert_eq!(at, 2);
        cluster.settle().await;
        eve.inbox.take();
        // The clock of the test stands, and yet it is known which session is the later one.
        let again = cluster
            .at(2)
            .try_join(request("hall", "ana"))
            .await
            .unwrap();
        cluster.settle().await;
        let closed = [ana.inbox.closed(), again.inbox.closed(), bob.inbox.closed()];
        assert_eq!(closed, [Some(CloseReason::Replaced), None, None]);
        let view = &again.joined.result.room;
        assert_eq!(view.peers.len(), 2);
        let updated = json!({"peerId": "ana", "metadata": null, "state": "active"});
        assert_eq!(news(&eve), [("peerUpdated".to_owned(), updated)]);
        let counts = [1, 2].map(|id| cluster.at(id).system.population().1);
        assert_eq!(counts, [1, 2]);
    });
}

#[test]
fn parts_that_lose_each_other_find_each_other_again() {
    run(async {
        let cluster = Cluster::new(2, 1).await;
        let (ana, bob) = cluster.pair().await;
        ana.inbox.take();
        cluster.cut(|_| true);
        cluster.pass(4 * SECOND).await;
        let left = |name: &str| {
            let params = json!({"peerId": name, "reason": "timeout"});
            [("peerLeft".to_owned(), params)]
        };
        assert_eq!(news(&ana), left("bob"));
        assert_eq!(news(&bob), left("ana"));
        // The store knows the owner: nobody takes the room.
        assert_eq!(cluster.at(2).system.room(&ana.room).await.unwrap().epoch, 1);
        for pair in [(1, 2), (2, 1)] {
            cluster.wires.linked.lock().unwrap().insert(pair);
        }
        cluster.tell_links();
        cluster.settle().await;
        assert_eq!(news(&ana), [("peerJoined".to_owned(), peer("bob"))]);
        assert_eq!(news(&bob), [("peerJoined".to_owned(), peer("ana"))]);
    });
}
