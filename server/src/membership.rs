//! This worker's record in the store: written at start, renewed while it lives, revoked at its end.

use std::sync::Arc;
use std::time::Duration;

use control_plane::membership::renew_interval;
use control_plane::{Membership, Store, WorkerRecord};
use futures_util::future::BoxFuture;
use media_contract::{Plane, ShardLoad};
use media_types::Clock;
use tokio::sync::watch;

/// The least time that a rate is told of: shards report once a second.
const RATES_OVER: Duration = Duration::from_secs(2);

/// What the worker says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It takes joins.
    pub(crate) ready: bool,
    /// It is being emptied.
    pub(crate) draining: bool,
    /// It is gone: revoke the lease.
    pub(crate) left: bool,
}

/// What the shards have taken and sent since their start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Packets of media, both ways.
    pub(crate) packets: u64,
    /// Bytes to clients.
    pub(crate) bytes_out: u64,
}

impl Totals {
    /// Packets and bits a second since `before`; a shard that began anew counts as silent.
    fn rates(self, before: Self, time: Duration) -> (u64, u64) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |now: u64, before: u64| {
            let done = now.saturating_sub(before);
            done.saturating_mul(1_000) / millis
        };
        let bytes = rate(self.bytes_out, before.bytes_out);
        (rate(self.packets, before.packets), bytes.saturating_mul(8))
    }
}

/// Asks the shards.
pub(crate) type AskTotals = Box<dyn Fn() -> BoxFuture<'static, Totals> + Send>;

/// What the record is made from.
pub(crate) struct Member {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) plane: Arc<dyn Plane>,
    pub(crate) record: WorkerRecord,
    /// How long the worker counts as alive after its last renewal.
    pub(crate) lease_ttl: Duration,
    /// What the shards have done.
    pub(crate) totals: AskTotals,
    /// Rooms that are open now, and whether they are moved away.
    pub(crate) rooms: Box<dyn Fn() -> (usize, bool) + Send>,
}

/// Keeps the record until the worker has left.
pub(crate) async fn keep(member: Member, mut standing: watch::Receiver<Standing>) {
    let interval = renew_interval(member.lease_ttl);
    let mut membership = Membership::new(member.store, member.record, member.lease_ttl);
    let mut rates = (0, 0);
    let mut known = ((member.totals)().await, member.clock.now());
    loop {
        let now = *standing.borrow_and_update();
        if now.left {
            if let Err(error) = membership.leave().await {
                tracing::warn!(%error, "the lease is left to end by itself");
            }
            return;
        }
        let load = load_permille(&member.plane.loads());
        let (rooms, leaving) = (member.rooms)();
        let rooms = u32::try_from(rooms).unwrap_or(u32::MAX);
        let found = ((member.totals)().await, member.clock.now());
        let time = found.1.saturating_duration_since(known.1);
        if time >= RATES_OVER {
            rates = found.0.rates(known.0, time);
            known = found;
        }
        let (packets, bits) = rates;
        let renewed = membership.renew(member.clock.now()).await;
        let updated = membership.update(|record| {
            record.ready = now.ready && !leaving;
            record.draining = now.draining || leaving;
            (record.rooms, record.load_permille) = (rooms, load);
            (record.packets_per_s, record.egress_bps) = (packets, bits);
        });
        if let Err(error) = renewed.and(updated.await) {
            tracing::warn!(%error, "the store does not take this worker's record");
        }
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(interval) => {}
        }
    }
}

fn load_permille(loads: &[ShardLoad]) -> u16 {
    let busiest = loads.iter().map(|load| load.busy_ppm).max();
    u16::try_from(busiest.unwrap_or(0) / 1_000).unwrap_or(1_000)
}

#[cfg(test)]
mod tests {
    use control_plane::{MemoryStore, Record, keys};
    use media_contract::{Command, PlaneError};
    use media_types::{ShardId, WorkerId};

    use super::*;
    use crate::clock::SystemClock;

    struct Busy;

    impl Plane for Busy {
        fn send(&self, _: ShardId, _: Command) -> Result<(), PlaneError> {
            Err(PlaneError::Gone)
        }

        fn loads(&self) -> Vec<ShardLoad> {
            let load = |shard, busy_ppm| ShardLoad {
                shard: ShardId(shard),
                transports: 1,
                busy_ppm,
            };
            vec![load(0, 250_000), load(1, 731_000)]
        }
    }

    async fn record(store: &dyn Store, when: impl Fn(Option<&WorkerRecord>) -> bool) {
        let read = async {
            let key = keys::worker(WorkerId::new(4));
            loop {
                let entry = store.get(&key).await.unwrap();
                let record = entry.map(|e| WorkerRecord::decode(&key, &e.value).unwrap());
                if when(record.as_ref()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(5);
        tokio::time::timeout(limit, read).await.unwrap();
    }

    #[test]
    fn rates_are_what_was_done_since() {
        let totals = |packets, bytes_out| Totals { packets, bytes_out };
        let time = Duration::from_millis(2_500);
        let rates = totals(6_000, 1_250_000).rates(totals(1_000, 0), time);
        assert_eq!(rates, (2_000, 4_000_000));
        assert_eq!(totals(0, 0).rates(totals(9, 9), time), (0, 0));
    }

    #[tokio::test]
    async fn the_record_follows_the_worker_and_leaves_with_it() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let (tell, told) = watch::channel(Standing::default());
        let member = Member {
            store: Arc::clone(&store),
            clock,
            plane: Arc::new(Busy),
            record: WorkerRecord {
                id: WorkerId::new(4),
                url: "ws://a".to_owned(),
                region: String::new(),
                ready: false,
                draining: false,
                rooms: 0,
                load_permille: 0,
                ..WorkerRecord::default()
            },
            lease_ttl: control_plane::membership::LEASE_TTL,
            totals: Box::new(|| Box::pin(std::future::ready(Totals::default()))),
            rooms: Box::new(|| (3, false)),
        };
        let kept = tokio::spawn(keep(member, told));
        let fits = |r: &WorkerRecord| (r.ready, r.rooms, r.load_permille) == (false, 3, 731);
        record(&*store, |r| r.is_some_and(fits)).await;
        tell.send_modify(|standing| standing.ready = true);
        record(&*store, |r| r.is_some_and(|r| r.ready && !r.draining)).await;
        tell.send_modify(|standing| standing.draining = true);
        record(&*store, |r| r.is_some_and(|r| r.draining)).await;
        tell.send_modify(|standing| standing.left = true);
        kept.await.unwrap();
        record(&*store, |r| r.is_none()).await;
    }
}
